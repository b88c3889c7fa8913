"""A listener is the one link on which a node's messages come, and what the node was told to send there.

Names whose state at the node is not what it should be stand in ``todo``. They go out in batches, one at a
time: a command for one kind, and a PING behind it with a number of its own. Confirmations are pushes; what
is unconfirmed when the number comes back was refused. A batch of several names that was refused is tried
again in smaller ones, so that one bad name costs nobody else. After a loss the link connects again by
itself, and everything is said anew.
"""

from typing import Final, final

from kidoproxy import errors
from kidoproxy.channels.topics import BEGUN, ENDED, KINDS, MESSAGES, SUBSCRIBE, UNSUBSCRIBE
from kidoproxy.errors import NODEDOWN, TIMEOUT, NodeFailure
from kidoproxy.exchange import Exchange
from kidoproxy.ledger import Leg
from kidoproxy.link_greeting import Ear
from kidoproxy.link_states import DOWN
from kidoproxy.resp.build import bulk, command
from kidoproxy.resp.open import head, is_error
from kidoproxy.routes.topology import Node

#: How many names one command carries.
MOST_NAMES: Final = 512


class Audience:
    """Whom a listener works for."""

    def wants(self, kind: int, name: bytes) -> bool:
        """Whether the node should be listened to for it."""
        raise NotImplementedError

    def everything(self, kind: int) -> list[bytes]:
        """All names of this kind that may be wanted."""
        raise NotImplementedError

    def changed(self, listener: "Listener", kind: int, name: bytes) -> None:
        """The node sends its messages now, or no longer."""
        raise NotImplementedError

    def refused(self, listener: "Listener", kind: int, name: bytes, error: bytes) -> None:
        """The node would not, and said why."""
        raise NotImplementedError

    def message(self, listener: "Listener", kind: int, name: bytes, raw: bytes) -> None:
        """A message."""
        raise NotImplementedError

    def greeted(self, listener: "Listener") -> None:
        """The node is there."""
        raise NotImplementedError

    def deafened(self, listener: "Listener", failure: NodeFailure) -> None:
        """Nothing is heard of the node until it is there again."""
        raise NotImplementedError


@final
class Listener(Ear):
    """See the module. ``have`` are the names that the node sends, by kind."""

    def __init__(self, exchange: Exchange, node: Node, audience: Audience) -> None:
        self.exchange = exchange
        self.node = node
        self.audience = audience
        self.have: list[dict[bytes, bool]] = [{} for _ in KINDS]
        self.todo: list[dict[bytes, bool]] = [{} for _ in KINDS]
        #: Names that the node has refused although clients had them before: asked for again now and then.
        self.sore: list[dict[bytes, bool]] = [{} for _ in KINDS]
        self.busy = False
        self.batch: dict[bytes, bool] = {}
        self.batch_kind = 0
        self.batch_begins = False
        self.size = MOST_NAMES
        #: What was wrong with the batch, if the node said so; and how many PINGs there have been.
        self.error = b""
        self.pings = 0
        self.link = exchange.other_link(node, 3, 0, False)
        self.link.ear = self
        self.link.wake()

    # -- what it is asked for ------------------------------------------------------------------------

    def look(self, kind: int, name: bytes) -> None:
        """This name may not be as it should; `go_on` sees to it."""
        self.todo[kind][name] = True

    def go_on(self) -> None:
        """Send the next batch, unless one is under way or nobody is there."""
        if self.busy or not self.link.ready():
            return
        for kind in KINDS:
            names = self.next_batch(kind)
            if names:
                self.send(kind, names)
                return

    def next_batch(self, kind: int) -> list[bytes]:
        """Names that all begin or all end; those that are as they should be are forgotten on the way."""
        todo = self.todo[kind]
        have = self.have[kind]
        names: list[bytes] = []
        stale: list[bytes] = []
        for name in todo:
            wanted = self.audience.wants(kind, name)
            if wanted == (name in have):
                stale.append(name)
                continue
            if not names:
                self.batch_begins = wanted
            if wanted == self.batch_begins:
                names.append(name)
                if len(names) >= self.size:
                    break
        for name in stale:
            del todo[name]
        return names

    def send(self, kind: int, names: list[bytes]) -> None:
        """One command, and the PING that shows that it is through."""
        self.busy = True
        self.batch_kind = kind
        self.batch = dict.fromkeys(names, True)
        word = SUBSCRIBE[kind] if self.batch_begins else UNSUBSCRIBE[kind]
        self.error = b""
        self.fence(command([word, *names]))

    def fence(self, payload: bytes) -> None:
        """Send it with a PING behind it."""
        self.pings += 1
        number = b"%d" % self.pings
        self.wait(payload + command([b"PING", number]), bulk(number))

    def wait(self, payload: bytes, echo: bytes) -> None:
        """Send this; the next frame that is no push should be the echo."""
        self.link.place(Fence(self, echo), payload, 3, 0, self.exchange.now)

    def surprised(self, raw: bytes, echo: bytes) -> None:
        """An error came in front of the echo, or an older echo: the one that is waited for is still to come."""
        if is_error(raw):
            self.error = raw
        self.wait(b"", echo)

    def retry(self) -> None:
        """Ask again for what the node refused."""
        for kind in KINDS:
            self.todo[kind].update(self.sore[kind])
            self.sore[kind].clear()
        self.go_on()

    def close(self) -> None:
        """Nobody needs this node any more."""
        self.exchange.forget(self.link)

    # -- what the node says ----------------------------------------------------------------------------

    def hear(self, raw: bytes) -> None:
        """A push: a message, or a confirmation."""
        words = head(raw, 2) if raw[:1] == b">" else []
        if len(words) < 2:
            return
        word, name = words
        kind = MESSAGES.get(word, -1)
        if kind >= 0:
            self.audience.message(self, kind, name, raw)
        elif word in BEGUN:
            self.confirmed(BEGUN[word], name, True)
        elif word in ENDED:
            self.confirmed(ENDED[word], name, False)

    def confirmed(self, kind: int, name: bytes, begun: bool) -> None:
        """The node says that it has begun or ended to send this; of what it was not asked for nothing is kept."""
        if not self.lingers(kind, name):
            return
        if begun:
            self.have[kind][name] = True
        else:
            self.have[kind].pop(name, None)
        self.answered(kind, name)

    def answered(self, kind: int, name: bytes) -> None:
        """The node has begun or ended to send this; what is wanted may be otherwise by now."""
        if kind == self.batch_kind:
            self.batch.pop(name, None)
        self.todo[kind][name] = True
        self.audience.changed(self, kind, name)

    def passed(self) -> None:
        """The batch is through."""
        left = self.batch
        self.batch = {}
        self.busy = False
        if not left:
            self.size = min(MOST_NAMES, self.size * 2)
        elif len(left) > 1:
            self.size = max(1, len(left) // 2)
        else:
            for name in left:
                self.refused(name, self.error or errors.not_confirmed(name))
        self.go_on()

    def refused(self, name: bytes, error: bytes) -> None:
        """The node would not do it for this one name."""
        kind = self.batch_kind
        self.todo[kind].pop(name, None)
        self.sore[kind][name] = True
        self.audience.refused(self, kind, name, error)

    def ready(self) -> None:
        """The node has greeted us, and knows nothing of before: say everything that is wanted."""
        self.size = MOST_NAMES
        for kind in KINDS:
            self.sore[kind].clear()
            for name in self.audience.everything(kind):
                self.todo[kind][name] = True
        self.audience.greeted(self)
        self.go_on()

    def deaf(self, failure: NodeFailure) -> None:
        """The connection is gone, and with it all that the node was told."""
        self.busy = False
        self.batch = {}
        self.have = [{} for _ in KINDS]
        self.audience.deafened(self, explained(failure))

    # -- how it is ---------------------------------------------------------------------------------------

    def down(self) -> NodeFailure | None:
        """Why nobody should wait for the node now; None when it is there, or may be at once."""
        link = self.link
        if link.state == DOWN or link.probing:
            return explained(link.failure(NODEDOWN, link.cause, False))
        return None

    def hears(self, kind: int, name: bytes) -> bool:
        """Whether the node sends its messages, and goes on doing so."""
        ends = kind == self.batch_kind and not self.batch_begins and name in self.batch
        return name in self.have[kind] and not ends

    def lingers(self, kind: int, name: bytes) -> bool:
        """Whether the node sends its messages, or may be about to: to begin, or to end that."""
        return name in self.have[kind] or (kind == self.batch_kind and name in self.batch)

    def settled(self) -> bool:
        """Whether the node sends all that is wanted."""
        if self.busy or not self.link.ready():
            return False
        for kind in KINDS:
            have = self.have[kind]
            for name in self.audience.everything(kind):
                if name not in have and self.audience.wants(kind, name):
                    return False
        return True

    def __repr__(self) -> str:
        return f"<listener on {self.node.name}, {sum([len(have) for have in self.have])} names>"


@final
class Fence(Leg):
    """Waits for the echo of the PING behind a batch."""

    def __init__(self, listener: Listener, echo: bytes) -> None:
        super().__init__()
        self.listener = listener
        self.echo = echo

    def take(self, raw: bytes) -> None:
        """The echo, or something that the node has to say before it."""
        if raw == self.echo:
            self.listener.passed()
        else:
            self.listener.surprised(raw, self.echo)

    def fail(self, failure: NodeFailure) -> None:
        """If it is only late another one takes its place; if the connection is gone the listener hears that too."""
        if failure.code == TIMEOUT:
            self.listener.fence(b"")

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """What the batch has come to is looked at again behind another one."""
        self.listener.fence(b"")


def explained(failure: NodeFailure) -> NodeFailure:
    """A node that is too old refuses our greeting in its own words: say what that means."""
    if not failure.cause.startswith("ERR unknown command"):
        return failure
    return NodeFailure(failure.code, failure.node, failure.address, errors.NO_PUSHES, failure.maybe_ran)
