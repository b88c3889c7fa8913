"""The one connection on which a node sends its messages, and what it has been asked to send there.

Names whose state at the node may not be what it should be are ``dirty``. They go out in batches (`SubscriptionBatch`),
several of which may be under way, in order; a name is in one of them at most, and whatever is wanted of it meanwhile
waits for that one. Of a batch of several names that was refused the halves are tried, so that one bad name costs nobody
else. After a loss the connection is made again by itself, and everything is subscribed anew.
"""

from typing import Final, final

from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.resp import errors
from kidoproxy.resp.decode import first_bulks, is_error
from kidoproxy.resp.errors import BADREPLY, NODEDOWN, TIMEOUT, NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.session.pubsub.batch import MAX_BATCH_NAMES, SubscriptionBatch, echoed_number, ping
from kidoproxy.session.pubsub.topics import KINDS, MESSAGE_KINDS, SUBSCRIBE_KINDS, UNSUBSCRIBE_KINDS
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handlers import PushHandler
from kidoproxy.upstream.states import DOWN

#: How many batches are under way at a time; what is wanted beyond goes out together when one is done.
MAX_BATCHES: Final = 16


class UpstreamSubscriberCallbacks:
    """What an upstream subscriber needs of its owner, and reports to it."""

    def is_wanted(self, kind: int, name: bytes) -> bool:
        """Whether the node should send its messages."""
        raise NotImplementedError

    def candidate_names(self, kind: int) -> list[bytes]:
        """All names of this kind that may be wanted."""
        raise NotImplementedError

    def on_changed(self, upstream: "UpstreamSubscriber", kind: int, name: bytes) -> None:
        """The node has begun to send its messages, or has stopped."""
        raise NotImplementedError

    def on_refused(self, upstream: "UpstreamSubscriber", kind: int, name: bytes, error: bytes) -> None:
        """The node refused, with this error reply."""
        raise NotImplementedError

    def on_message(self, upstream: "UpstreamSubscriber", kind: int, name: bytes, raw: bytes) -> None:
        """A message, as the push frame that the node sent."""
        raise NotImplementedError

    def on_connected(self, upstream: "UpstreamSubscriber") -> None:
        """The connection is ready."""
        raise NotImplementedError

    def on_disconnected(self, upstream: "UpstreamSubscriber", failure: NodeFailure) -> None:
        """Messages are lost until the connection is ready again."""
        raise NotImplementedError


@final
class UpstreamSubscriber(PushHandler):
    """See the module. ``delivering`` are the names whose messages the node sends, by kind."""

    def __init__(self, executor: Executor, node: Node, callbacks: UpstreamSubscriberCallbacks) -> None:
        self.executor = executor
        self.node = node
        self.callbacks = callbacks
        self.delivering: list[dict[bytes, bool]] = [{} for _ in KINDS]
        self.dirty: list[dict[bytes, bool]] = [{} for _ in KINDS]
        #: Names that the node has refused although clients had them before: tried again now and then.
        self.refused: list[dict[bytes, bool]] = [{} for _ in KINDS]
        #: The batches that were sent and not answered, in their order; those that go next, halves of refused ones; and
        #: by kind and name the one of them that has it.
        self.batches: list[SubscriptionBatch] = []
        self.halves: list[SubscriptionBatch] = []
        self.batch_of: list[dict[bytes, SubscriptionBatch]] = [{} for _ in KINDS]
        self.last_ping = 0
        self.connection = executor.new_unshared(node, 3, 0, False)
        self.connection.push_handler = self
        self.connection.start_connecting()

    # -- what it is asked for ------------------------------------------------------------------------

    def mark_dirty(self, kind: int, name: bytes) -> None:
        """The state of this name at the node may be wrong; `flush` sees to it."""
        self.dirty[kind][name] = True

    def flush(self) -> None:
        """Send what is due, unless enough batches are under way or the connection is not ready."""
        if not self.connection.is_ready():
            return
        while self.halves and len(self.batches) < MAX_BATCHES:
            self.send_batch(self.halves.pop(0))
        for kind in KINDS:
            while self.dirty[kind] and len(self.batches) < MAX_BATCHES:
                batch = self.take_batch(kind)
                if not batch.unconfirmed:
                    break
                self.send_batch(batch)

    def take_batch(self, kind: int) -> SubscriptionBatch:
        """Dirty names that are all to be subscribed, or all to be unsubscribed, or none.

        They are dirty no more, nor are those in the right state, and those in another batch, which is looked at first.
        """
        dirty = self.dirty[kind]
        delivering = self.delivering[kind]
        names: list[bytes] = []
        settled: list[bytes] = []
        subscribes = False
        for name in dirty:
            wanted = self.callbacks.is_wanted(kind, name)
            if name in self.batch_of[kind] or wanted == (name in delivering):
                settled.append(name)
                continue
            if not names:
                subscribes = wanted
            if wanted == subscribes:
                names.append(name)
                if len(names) >= MAX_BATCH_NAMES:
                    break
        for name in settled:
            del dirty[name]
        batch = SubscriptionBatch(kind, subscribes, names)
        for name in names:
            del dirty[name]
            self.batch_of[kind][name] = batch
        return batch

    def send_batch(self, batch: SubscriptionBatch) -> None:
        """The command, and the PING whose echo shows that the node has executed it."""
        self.last_ping += 1
        batch.number = self.last_ping
        self.batches.append(batch)
        self.submit(batch.request())

    def submit(self, payload: bytes) -> None:
        """Send ``payload``, or nothing; one more frame that is no push is to come. It is known by what is in it."""
        self.connection.submit(CallbackHandler(self.on_frame, self.on_frame_failure), payload, 3, 0, self.executor.now)

    def on_frame(self, raw: bytes) -> None:
        """The echo of a PING; or an error, and the echo is still to come."""
        number = echoed_number(raw)
        if 0 < number <= self.last_ping:
            self.on_echo(number)
            return
        if is_error(raw):
            self.on_error(raw)
        self.submit(b"")

    def on_frame_failure(self, failure: NodeFailure) -> None:
        """If an echo is late, or could not be handled, another one is sent; after a loss `on_disconnect` is called."""
        if failure.code in (TIMEOUT, BADREPLY):
            self.last_ping += 1
            self.submit(ping(self.last_ping))

    def retry_refused(self) -> None:
        """Try again what the node has refused."""
        for kind in KINDS:
            self.dirty[kind].update(self.refused[kind])
            self.refused[kind].clear()
        self.flush()

    def close(self) -> None:
        """Close the connection for good."""
        self.executor.close_unshared(self.connection)

    # -- what the node says ----------------------------------------------------------------------------

    def on_push(self, raw: bytes) -> None:
        words = first_bulks(raw, 2) if raw[:1] == b">" else []
        if len(words) < 2:
            return
        word, name = words
        kind = MESSAGE_KINDS.get(word, -1)
        if kind >= 0:
            self.callbacks.on_message(self, kind, name, raw)
        elif word in SUBSCRIBE_KINDS:
            self.on_confirmed(SUBSCRIBE_KINDS[word], name, True)
        elif word in UNSUBSCRIBE_KINDS:
            self.on_confirmed(UNSUBSCRIBE_KINDS[word], name, False)

    def on_confirmed(self, kind: int, name: bytes, subscribed: bool) -> None:
        """The node confirms that it sends this, or no longer; names that nobody asked for are ignored.

        By now another state may be wanted, so the name is looked at again.
        """
        if not self.may_deliver(kind, name):
            return
        if subscribed:
            self.delivering[kind][name] = True
        else:
            self.delivering[kind].pop(name, None)
        batch = self.batch_of[kind].get(name)
        if batch is not None and batch.subscribes == subscribed and batch.number:
            del batch.unconfirmed[name]
            del self.batch_of[kind][name]
        self.dirty[kind][name] = True
        self.callbacks.on_changed(self, kind, name)

    def on_error(self, error: bytes) -> None:
        """It is about the first batch that is unconfirmed: those before it are confirmed, or have an error."""
        for batch in self.batches:
            if batch.unconfirmed and not batch.error:
                batch.error = error
                return

    def on_echo(self, number: int) -> None:
        """The node has executed all batches up to this number."""
        while self.batches and self.batches[0].number <= number:
            self.on_batch_done(self.batches.pop(0))
        self.flush()

    def on_batch_done(self, batch: SubscriptionBatch) -> None:
        """What is unconfirmed was refused: one name for good, several are tried again in halves."""
        if len(batch.unconfirmed) > 1:
            for half in batch.halves():
                self.halves.append(half)
                self.batch_of[batch.kind].update(dict.fromkeys(half.unconfirmed, half))
            return
        for name in batch.unconfirmed:
            del self.batch_of[batch.kind][name]
            self.dirty[batch.kind].pop(name, None)
            self.refused[batch.kind][name] = True
            self.callbacks.on_refused(self, batch.kind, name, batch.error or errors.subscription_not_confirmed(name))

    def on_ready(self) -> None:
        """The handshake is over, and the node has no subscription of ours: subscribe to everything that is wanted."""
        for kind in KINDS:
            self.refused[kind].clear()
            for name in self.callbacks.candidate_names(kind):
                self.dirty[kind][name] = True
        self.callbacks.on_connected(self)
        self.flush()

    def on_disconnect(self, failure: NodeFailure) -> None:
        """The connection is lost, and with it all subscriptions."""
        self.batches = []
        self.halves = []
        self.batch_of = [{} for _ in KINDS]
        self.delivering = [{} for _ in KINDS]
        self.callbacks.on_disconnected(self, explain_failure(failure))

    # -- how it is ---------------------------------------------------------------------------------------

    def down_failure(self) -> NodeFailure | None:
        """Why nobody should wait for the node now; None when it is ready, or may be at once."""
        connection = self.connection
        if connection.state == DOWN or connection.retrying:
            return explain_failure(connection.node_failure(NODEDOWN, connection.cause, False))
        return None

    def is_delivering(self, kind: int, name: bytes) -> bool:
        """Whether the node sends its messages, and is not asked to stop."""
        batch = self.batch_of[kind].get(name)
        return name in self.delivering[kind] and (batch is None or batch.subscribes)

    def may_deliver(self, kind: int, name: bytes) -> bool:
        """Whether the node sends its messages, or may begin or stop to do so at any moment."""
        return name in self.delivering[kind] or name in self.batch_of[kind]

    def is_coming(self, kind: int, name: bytes) -> bool:
        """Whether the node does not send its messages, and has not refused to."""
        return not self.is_delivering(kind, name) and name not in self.refused[kind]

    def is_complete(self) -> bool:
        """Whether the node sends all that is wanted."""
        if not self.connection.is_ready():
            return False
        for kind in KINDS:
            for name in self.callbacks.candidate_names(kind):
                if not self.is_delivering(kind, name) and self.callbacks.is_wanted(kind, name):
                    return False
        return True

    def __repr__(self) -> str:
        count = sum([len(delivering) for delivering in self.delivering])
        return f"<upstream subscriber on {self.node.name}, {count} names>"


def explain_failure(failure: NodeFailure) -> NodeFailure:
    """A node that is too old refuses the handshake in its own words: say what that means."""
    if not failure.cause.startswith("ERR unknown command"):
        return failure
    return NodeFailure(failure.code, failure.node, failure.address, errors.RESP3_REQUIRED, failure.may_have_run)
