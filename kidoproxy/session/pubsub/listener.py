"""A listener is the one link on which a node's messages come, and what the node was told to send there.

Names whose state at the node is not what it should be stand in ``todo``. They go out in batches, one at a
time: a command for one kind, and a PING behind it with a number of its own. Confirmations are pushes; what
is unconfirmed when the number comes back was refused. A batch of several names that was refused is tried
again in smaller ones, so that one bad name costs nobody else. After a loss the link connects again by
itself, and everything is said anew.
"""

from typing import Final, final

from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import errors
from kidoproxy.resp.decode import first_bulks, is_error
from kidoproxy.resp.encode import bulk, encode_request
from kidoproxy.resp.errors import NODEDOWN, TIMEOUT, NodeFailure
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
from kidoproxy.upstream.handshake import PushHandler
from kidoproxy.upstream.states import DOWN

#: How many names one command carries.
MAX_BATCH_NAMES: Final = 512


class ListenerCallbacks:
    """Whom a listener works for."""

    def is_wanted(self, kind: int, name: bytes) -> bool:
        """Whether the node should be listened to for it."""
        raise NotImplementedError

    def candidate_names(self, kind: int) -> list[bytes]:
        """All names of this kind that may be wanted."""
        raise NotImplementedError

    def on_changed(self, listener: "PubSubListener", kind: int, name: bytes) -> None:
        """The node sends its messages now, or no longer."""
        raise NotImplementedError

    def on_refused(self, listener: "PubSubListener", kind: int, name: bytes, error: bytes) -> None:
        """The node would not, and said why."""
        raise NotImplementedError

    def on_message(self, listener: "PubSubListener", kind: int, name: bytes, raw: bytes) -> None:
        """A message."""
        raise NotImplementedError

    def on_connected(self, listener: "PubSubListener") -> None:
        """The node is there."""
        raise NotImplementedError

    def on_disconnected(self, listener: "PubSubListener", failure: NodeFailure) -> None:
        """Nothing is heard of the node until it is there again."""
        raise NotImplementedError


@final
class PubSubListener(PushHandler):
    """See the module. ``have`` are the names that the node sends, by kind."""

    def __init__(self, executor: Executor, node: Node, callbacks: ListenerCallbacks) -> None:
        self.exchange = executor
        self.node = node
        self.callbacks = callbacks
        self.delivering: list[dict[bytes, bool]] = [{} for _ in KINDS]
        self.dirty: list[dict[bytes, bool]] = [{} for _ in KINDS]
        #: Names that the node has refused although clients had them before: asked for again now and then.
        self.rejected: list[dict[bytes, bool]] = [{} for _ in KINDS]
        self.batch_in_flight = False
        self.unconfirmed: dict[bytes, bool] = {}
        self.batch_kind = 0
        self.batch_subscribes = False
        self.batch_size = MAX_BATCH_NAMES
        #: What was wrong with the batch, if the node said so; and how many PINGs there have been.
        self.batch_error = b""
        self.last_ping = 0
        self.connection = executor.new_unshared(node, 3, 0, False)
        self.connection.push_handler = self
        self.connection.start_connecting()

    # -- what it is asked for ------------------------------------------------------------------------

    def mark_dirty(self, kind: int, name: bytes) -> None:
        """This name may not be as it should; `go_on` sees to it."""
        self.dirty[kind][name] = True

    def flush(self) -> None:
        """Send the next batch, unless one is under way or nobody is there."""
        if self.batch_in_flight or not self.connection.is_ready():
            return
        for kind in KINDS:
            names = self.take_batch(kind)
            if names:
                self.send_batch(kind, names)
                return

    def take_batch(self, kind: int) -> list[bytes]:
        """Names that all begin or all end; those that are as they should be are forgotten on the way."""
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
        """One command, and the PING that shows that it is through."""
        self.batch_in_flight = True
        self.batch_kind = kind
        self.unconfirmed = dict.fromkeys(names, True)
        word = SUBSCRIBE_COMMANDS[kind] if self.batch_subscribes else UNSUBSCRIBE_COMMANDS[kind]
        self.batch_error = b""
        self.send_fenced(encode_request([word, *names]))

    def send_fenced(self, payload: bytes) -> None:
        """Send it with a PING behind it."""
        self.last_ping += 1
        number = b"%d" % self.last_ping
        self.expect_echo(payload + encode_request([b"PING", number]), bulk(number))

    def expect_echo(self, payload: bytes, echo: bytes) -> None:
        """Send this; the next frame that is no push should be the echo."""
        self.connection.submit(Fence(self, echo), payload, 3, 0, self.exchange.now)

    def on_unexpected_reply(self, raw: bytes, echo: bytes) -> None:
        """An error came in front of the echo, or an older echo: the one that is waited for is still to come."""
        if is_error(raw):
            self.batch_error = raw
        self.expect_echo(b"", echo)

    def retry_rejected(self) -> None:
        """Ask again for what the node refused."""
        for kind in KINDS:
            self.dirty[kind].update(self.rejected[kind])
            self.rejected[kind].clear()
        self.flush()

    def close(self) -> None:
        """Nobody needs this node any more."""
        self.exchange.close_unshared(self.connection)

    # -- what the node says ----------------------------------------------------------------------------

    def on_push(self, raw: bytes) -> None:
        """A push: a message, or a confirmation."""
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
        """The node says that it has begun or ended to send this; of what it was not asked for nothing is kept."""
        if not self.may_deliver(kind, name):
            return
        if subscribed:
            self.delivering[kind][name] = True
        else:
            self.delivering[kind].pop(name, None)
        self.on_name_done(kind, name)

    def on_name_done(self, kind: int, name: bytes) -> None:
        """The node has begun or ended to send this; what is wanted may be otherwise by now."""
        if kind == self.batch_kind:
            self.unconfirmed.pop(name, None)
        self.dirty[kind][name] = True
        self.callbacks.on_changed(self, kind, name)

    def on_batch_done(self) -> None:
        """The batch is through."""
        unconfirmed = self.unconfirmed
        self.unconfirmed = {}
        self.batch_in_flight = False
        if not unconfirmed:
            self.batch_size = min(MAX_BATCH_NAMES, self.batch_size * 2)
        elif len(unconfirmed) > 1:
            self.batch_size = max(1, len(unconfirmed) // 2)
        else:
            for name in unconfirmed:
                self.reject(name, self.batch_error or errors.subscription_not_confirmed(name))
        self.flush()

    def reject(self, name: bytes, error: bytes) -> None:
        """The node would not do it for this one name."""
        kind = self.batch_kind
        self.dirty[kind].pop(name, None)
        self.rejected[kind][name] = True
        self.callbacks.on_refused(self, kind, name, error)

    def on_ready(self) -> None:
        """The node has greeted us, and knows nothing of before: say everything that is wanted."""
        self.batch_size = MAX_BATCH_NAMES
        for kind in KINDS:
            self.rejected[kind].clear()
            for name in self.callbacks.candidate_names(kind):
                self.dirty[kind][name] = True
        self.callbacks.on_connected(self)
        self.flush()

    def on_disconnect(self, failure: NodeFailure) -> None:
        """The connection is gone, and with it all that the node was told."""
        self.batch_in_flight = False
        self.unconfirmed = {}
        self.delivering = [{} for _ in KINDS]
        self.callbacks.on_disconnected(self, explain_failure(failure))

    # -- how it is ---------------------------------------------------------------------------------------

    def down_failure(self) -> NodeFailure | None:
        """Why nobody should wait for the node now; None when it is there, or may be at once."""
        connection = self.connection
        if connection.state == DOWN or connection.probing:
            return explain_failure(connection.node_failure(NODEDOWN, connection.cause, False))
        return None

    def is_delivering(self, kind: int, name: bytes) -> bool:
        """Whether the node sends its messages, and goes on doing so."""
        is_ending = kind == self.batch_kind and not self.batch_subscribes and name in self.unconfirmed
        return name in self.delivering[kind] and not is_ending

    def may_deliver(self, kind: int, name: bytes) -> bool:
        """Whether the node sends its messages, or may be about to: to begin, or to end that."""
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
        return f"<listener on {self.node.name}, {sum([len(delivering) for delivering in self.delivering])} names>"


@final
class Fence(ReplyHandler):
    """Waits for the echo of the PING behind a batch."""

    def __init__(self, listener: PubSubListener, echo: bytes) -> None:
        super().__init__()
        self.listener = listener
        self.echo = echo

    def on_reply(self, raw: bytes) -> None:
        """The echo, or something that the node has to say before it."""
        if raw == self.echo:
            self.listener.on_batch_done()
        else:
            self.listener.on_unexpected_reply(raw, self.echo)

    def on_failure(self, failure: NodeFailure) -> None:
        """If it is only late another one takes its place; if the connection is gone the listener hears that too."""
        if failure.code == TIMEOUT:
            self.listener.send_fenced(b"")

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """What the batch has come to is looked at again behind another one."""
        self.listener.send_fenced(b"")


def explain_failure(failure: NodeFailure) -> NodeFailure:
    """A node that is too old refuses our greeting in its own words: say what that means."""
    if not failure.cause.startswith("ERR unknown command"):
        return failure
    return NodeFailure(failure.code, failure.node, failure.address, errors.RESP3_REQUIRED, failure.may_have_run)
