"""The one connection on which a node sends its messages, and what it has been asked to send there.

Names whose state at the node may not be what it should be are ``dirty``. They go out in batches, one at a time: a
command for one kind, and a PING behind it with a number of its own. Confirmations are pushes; what is unconfirmed when
the number comes back was refused. A batch of several names that was refused is tried again in smaller ones, so that one
bad name costs nobody else. After a loss the connection is made again by itself, and everything is subscribed anew.
"""

from typing import Final, final

from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.resp import errors
from kidoproxy.resp.decode import first_bulks, is_error
from kidoproxy.resp.encode import bulk, encode_request
from kidoproxy.resp.errors import BADREPLY, NODEDOWN, TIMEOUT, NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.session.pubsub.topics import (
    KINDS,
    MESSAGE_KINDS,
    SUBSCRIBE_COMMANDS,
    SUBSCRIBE_KINDS,
    UNSUBSCRIBE_COMMANDS,
    UNSUBSCRIBE_KINDS,
)
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handlers import PushHandler
from kidoproxy.upstream.states import DOWN

MAX_BATCH_NAMES: Final = 512


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
        self.batch_in_flight = False
        self.unconfirmed: dict[bytes, bool] = {}
        self.batch_kind = 0
        self.batch_subscribes = False
        self.batch_size = MAX_BATCH_NAMES
        #: The error of the batch, if the node sent one; and the number of the last PING.
        self.batch_error = b""
        self.last_ping = 0
        self.connection = executor.new_unshared(node, 3, 0, False)
        self.connection.push_handler = self
        self.connection.start_connecting()

    # -- what it is asked for ------------------------------------------------------------------------

    def mark_dirty(self, kind: int, name: bytes) -> None:
        """The state of this name at the node may be wrong; `flush` sees to it."""
        self.dirty[kind][name] = True

    def flush(self) -> None:
        """Send the next batch, unless one is under way or the connection is not ready."""
        if self.batch_in_flight or not self.connection.is_ready():
            return
        for kind in KINDS:
            names = self.take_batch(kind)
            if names:
                self.send_batch(kind, names)
                return

    def take_batch(self, kind: int) -> list[bytes]:
        """Names that are all to be subscribed, or all to be unsubscribed; those in the right state are removed."""
        dirty = self.dirty[kind]
        delivering = self.delivering[kind]
        names: list[bytes] = []
        up_to_date: list[bytes] = []
        for name in dirty:
            wanted = self.callbacks.is_wanted(kind, name)
            if wanted == (name in delivering):
                up_to_date.append(name)
                continue
            if not names:
                self.batch_subscribes = wanted
            if wanted == self.batch_subscribes:
                names.append(name)
                if len(names) >= self.batch_size:
                    break
        for name in up_to_date:
            del dirty[name]
        return names

    def send_batch(self, kind: int, names: list[bytes]) -> None:
        """One command, and the PING whose echo shows that the node has executed it."""
        self.batch_in_flight = True
        self.batch_kind = kind
        self.unconfirmed = dict.fromkeys(names, True)
        word = SUBSCRIBE_COMMANDS[kind] if self.batch_subscribes else UNSUBSCRIBE_COMMANDS[kind]
        self.batch_error = b""
        self.send_fenced(encode_request([word, *names]))

    def send_fenced(self, payload: bytes) -> None:
        """Send ``payload`` with a PING behind it."""
        self.last_ping += 1
        number = b"%d" % self.last_ping
        self.expect_echo(payload + encode_request([b"PING", number]), bulk(number))

    def expect_echo(self, payload: bytes, echo: bytes) -> None:
        """Send ``payload``; the next frame that is no push should be ``echo``."""

        def on_reply(raw: bytes) -> None:
            if raw == echo:
                self.on_batch_done()
            else:
                self.on_unexpected_reply(raw, echo)

        self.connection.submit(CallbackHandler(on_reply, self.on_echo_failure), payload, 3, 0, self.executor.now)

    def on_echo_failure(self, failure: NodeFailure) -> None:
        """If it is late, or could not be handled, another one is sent; after a loss `on_disconnect` is called, too."""
        if failure.code in (TIMEOUT, BADREPLY):
            self.send_fenced(b"")

    def on_unexpected_reply(self, raw: bytes, echo: bytes) -> None:
        """An error, or an older echo, came in front of the echo, which is still to come."""
        if is_error(raw):
            self.batch_error = raw
        self.expect_echo(b"", echo)

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
        """The node confirms that it sends this, or no longer; names that nobody asked for are ignored."""
        if not self.may_deliver(kind, name):
            return
        if subscribed:
            self.delivering[kind][name] = True
        else:
            self.delivering[kind].pop(name, None)
        self.on_name_done(kind, name)

    def on_name_done(self, kind: int, name: bytes) -> None:
        """One name of the batch is confirmed; by now another state may be wanted, so it is looked at again."""
        if kind == self.batch_kind:
            self.unconfirmed.pop(name, None)
        self.dirty[kind][name] = True
        self.callbacks.on_changed(self, kind, name)

    def on_batch_done(self) -> None:
        """The echo is here: what is unconfirmed was refused."""
        unconfirmed = self.unconfirmed
        self.unconfirmed = {}
        self.batch_in_flight = False
        if not unconfirmed:
            self.batch_size = min(MAX_BATCH_NAMES, self.batch_size * 2)
        elif len(unconfirmed) > 1:
            self.batch_size = max(1, len(unconfirmed) // 2)
        else:
            for name in unconfirmed:
                self.on_name_refused(name, self.batch_error or errors.subscription_not_confirmed(name))
        self.flush()

    def on_name_refused(self, name: bytes, error: bytes) -> None:
        """The node has refused this one name."""
        kind = self.batch_kind
        self.dirty[kind].pop(name, None)
        self.refused[kind][name] = True
        self.callbacks.on_refused(self, kind, name, error)

    def on_ready(self) -> None:
        """The handshake is over, and the node has no subscription of ours: subscribe to everything that is wanted."""
        self.batch_size = MAX_BATCH_NAMES
        for kind in KINDS:
            self.refused[kind].clear()
            for name in self.callbacks.candidate_names(kind):
                self.dirty[kind][name] = True
        self.callbacks.on_connected(self)
        self.flush()

    def on_disconnect(self, failure: NodeFailure) -> None:
        """The connection is lost, and with it all subscriptions."""
        self.batch_in_flight = False
        self.unconfirmed = {}
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
        is_ending = kind == self.batch_kind and not self.batch_subscribes and name in self.unconfirmed
        return name in self.delivering[kind] and not is_ending

    def may_deliver(self, kind: int, name: bytes) -> bool:
        """Whether the node sends its messages, or may begin or stop to do so at any moment."""
        return name in self.delivering[kind] or (kind == self.batch_kind and name in self.unconfirmed)

    def is_complete(self) -> bool:
        """Whether the node sends all that is wanted."""
        if self.batch_in_flight or not self.connection.is_ready():
            return False
        for kind in KINDS:
            delivering = self.delivering[kind]
            for name in self.callbacks.candidate_names(kind):
                if name not in delivering and self.callbacks.is_wanted(kind, name):
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
