"""The ledger: replies come back in any order and leave in the order of the requests.

A `Call` is one place in the ledger of one client. A reply is put into its call; when that call is the head, it and all
ready ones behind it leave into ``out``. There is no other ordering code. A `Joint` waits for several replies and merges
them into one, for whoever waits above it: a call, or a place in another joint. Failures fill their place as replies do,
so each is answered exactly once.
"""

from typing import Final, final

from kidoproxy.errors import NodeFailure
from kidoproxy.errors_loading import told
from kidoproxy.ledger_account import HALF_REPLY, OUTPUT, Owing
from kidoproxy.ledger_jobs import Jobs
from kidoproxy.resp.build import array
from kidoproxy.resp.open import head

#: What a link may do with a leg whose connection died: never again, or once more.
ONCE: Final = 0
AGAIN: Final = 1
#: So many replies are missing of a joint that will never finish.
ABORTED: Final = 1 << 40


class Leg:
    """Something that waits for one reply of one node. ``take`` or ``fail`` is called exactly once.

    ``due`` is the time at which the client gets TIMEOUT; ``payload`` is kept only while ``tries`` says
    that it may be sent once more (a pure read), or until it is written.
    """

    def __init__(self) -> None:
        self.due: float = 0.0
        self.payload: bytes | None = None
        self.tries = ONCE
        #: The link has answered for it already (TIMEOUT); its late reply is dropped by position.
        self.done = False

    def take(self, raw: bytes) -> None:
        """The raw reply."""
        raise NotImplementedError

    def fail(self, failure: NodeFailure) -> None:
        """There will be no reply, and why."""
        raise NotImplementedError

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """An exception of ours has left ``take`` half way (``failed``: ``fail``): whoever waits must hear of it."""
        if not failed:
            self.fail(failure)

    def title(self) -> str:
        """What was asked, for a person: the command, as far as it is known here."""
        payload = self.payload
        name = head(payload, 1) if payload is not None and payload[:1] == b"*" else []
        return name[0][:64].lower().decode("utf-8", "backslashreplace") if name else type(self).__name__.lower()

    def can_cut(self) -> bool:
        """Whether a large reply may leave piece by piece, ahead of its end."""
        return False

    def cut(self, piece: bytes) -> None:
        """The reply's next piece; only after `can_cut` said yes. ``take`` brings the rest."""
        raise NotImplementedError

    def hold(self, size: int) -> None:
        """Bytes of replies are held below it (negative: no longer); whoever stands for a client counts them."""


class Peer:
    """Whoever owns the socket behind a ledger or a link. The pure rooms only carry it."""

    def write(self) -> None:
        """Write what is ready."""
        raise NotImplementedError

    def go_on(self) -> None:
        """The ledger has drained as far as somebody wanted."""
        raise NotImplementedError

    def unwritten(self) -> int:
        """Bytes that the socket was given and the other side has not taken."""
        return 0

    def sent(self) -> int:
        """Bytes that have left through this socket, as far as is known; it grows while they do."""
        return 0


@final
class Turn:
    """What has to be written when this turn of the loop ends, who waits to go on, and what is done in slices.

    ``spent``: the requests that were handled in this turn; who comes late in a busy one gets a smaller slice.
    """

    def __init__(self) -> None:
        self.ledgers: list[Ledger] = []
        self.drained: list[Ledger] = []
        self.jobs = Jobs()
        self.spent = 0


@final
class Ledger(Owing):
    """The open calls of one client in request order, and the bytes that are ready to leave."""

    def __init__(self, turn: Turn, as_loading: bool = False) -> None:
        super().__init__()
        self.turn = turn
        self.calls: list[Call] = []
        self.out: list[bytes] = []
        self.out_bytes = 0
        #: Bytes of messages that wait for the end of a reply which has left in part (of the last such reply).
        self.held_bytes = 0
        #: What is a node's fault is told behind LOADING (``node_errors = "retry"``).
        self.as_loading = as_loading
        #: Someone waits until at most so many calls are open (-1: nobody does).
        self.wanted = -1
        self.peer: Peer | None = None

    def open(self, write: bool) -> "Call":
        """A new place at the end."""
        call = Call(self, write)
        self.calls.append(call)
        return call

    def count(self) -> int:
        """How many calls wait for a reply or for their turn."""
        return len(self.calls) - self.head

    def emit(self, raw: bytes) -> None:
        """Bytes that leave now: they have no place of their own, or it is their turn."""
        if self.closed:
            return
        self.out.append(raw)
        self.out_bytes += len(raw)
        if not self.dirty:
            self.mark()

    def push(self, raw: bytes) -> None:
        """A message that nobody asked for: it leaves now, but never inside a reply that has left in part."""
        calls = self.calls
        if self.closed or self.head == len(calls) or not calls[self.head].begun:
            self.emit(raw)
            return
        # It takes a place behind that reply and the messages that wait there: only they are *begun* there.
        at = self.head + 1
        while at < len(calls) and calls[at].begun:
            at += 1
        if at == self.head + 1:
            self.held_bytes = 0
        self.held_bytes += len(raw)
        if self.held_bytes > self.message_limit:
            self.condemn(OUTPUT)
        self.hold(len(raw))
        self.asked.insert()
        message = Call(self, False)
        message.begun = True
        message.reply = raw
        calls.insert(at, message)

    def mark(self) -> None:
        """Ask for a write at the end of this turn."""
        self.dirty = True
        self.turn.ledgers.append(self)

    def release(self) -> None:
        """Let the head go, and every ready call behind it."""
        calls = self.calls
        head = self.head
        n = len(calls)
        first = calls[head]
        before = self.out_bytes
        reply = first.reply
        while head < n:
            call = calls[head]
            raw = call.reply
            if raw is None:
                break
            head += 1
            # Answered calls are forgotten many at a time: their replies must not stay.
            call.reply = b""
            if not call.quiet:
                self.emit(raw)
        if self.waiting_bytes:
            # All but the first were held before their turn.
            own = 0 if first.quiet or reply is None else len(reply)
            self.waiting_bytes -= self.out_bytes - before - own
        if head == n:
            calls.clear()
            self.left += head
            head = 0
        elif head > 512 and head * 2 > n:
            del calls[:head]
            self.left += head
            head = 0
        self.head = head
        if self.wanted >= 0 and len(calls) - head <= self.wanted and (head == len(calls) or self.is_light()):
            self.wanted = -1
            self.turn.drained.append(self)

    def take_out(self) -> list[bytes]:
        """The bytes that are ready; the caller writes them."""
        out = self.out
        self.out = []
        self.out_bytes = 0
        self.dirty = False
        return out

    def forgive(self) -> None:
        """What is still owed will never come: the client goes without it."""
        self.calls = []
        self.head = 0
        self.waive()

    def close(self) -> None:
        """The client is gone: nothing leaves any more, what still comes is dropped."""
        self.closed = True
        self.calls = []
        self.head = 0
        self.out = []
        self.out_bytes = 0
        self.waive()

    def __repr__(self) -> str:
        return f"<ledger {self.count()} open, {self.out_bytes} bytes ready{', closed' if self.closed else ''}>"


@final
class Call(Leg):
    """One request's place in the ledger; ``quiet`` ones (CLIENT REPLY OFF) leave without a trace."""

    def __init__(self, ledger: Ledger, write: bool) -> None:
        super().__init__()
        self.ledger = ledger
        self.write = write
        self.reply: bytes | None = None
        self.quiet = False
        self.begun = False

    def take(self, raw: bytes) -> None:
        """The reply is known; it leaves when it is this call's turn."""
        ledger = self.ledger
        if ledger.closed:
            return
        self.reply = raw
        if ledger.calls[ledger.head] is self:
            ledger.release()
        elif self.quiet:
            self.reply = b""
        else:
            ledger.hold(len(raw))

    def fail(self, failure: NodeFailure) -> None:
        """The reply is an error line; half a reply that has left already cannot be mended."""
        if self.begun:
            self.ledger.condemn(HALF_REPLY)
        else:
            self.take(told(failure.line(self.write), self.ledger.as_loading))

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """The error is the reply, unless there is one."""
        if self.reply is None:
            self.fail(failure)

    def can_cut(self) -> bool:
        """When it is this call's turn."""
        ledger = self.ledger
        return not ledger.closed and not self.quiet and ledger.calls[ledger.head] is self

    def cut(self, piece: bytes) -> None:
        """Leave ahead of the rest. Asking once more would begin anew in the middle of the reply."""
        self.begun = True
        self.tries = ONCE
        self.ledger.emit(piece)

    def hold(self, size: int) -> None:
        """Its client's account has them."""
        self.ledger.hold(size)


class Joint:
    """Waits for ``count`` replies, then makes one of them for ``parent``. Rooms above add their own kinds."""

    def __init__(self, parent: Leg, count: int) -> None:
        self.parent = parent
        #: The command, where it is known.
        self.name = b""
        self.missing = count
        self.replies: list[bytes] = [b""] * count
        self.failures: list[NodeFailure | None] = []
        self.held = 0

    def fill(self, at: int, raw: bytes) -> None:
        """The reply for place ``at``."""
        self.replies[at] = raw
        self.missing -= 1
        if self.missing == 0:
            self.complete()
        else:
            self.held += len(raw)
            self.parent.hold(len(raw))

    def complete(self) -> None:
        """All that was held goes on; a late leg may keep the joint itself for long."""
        if self.held:
            self.parent.hold(-self.held)
            self.held = 0
        self.finish()
        self.replies = []

    def fault(self, at: int, failure: NodeFailure) -> None:
        """No reply for place ``at``."""
        if not self.failures:
            self.failures = [None] * len(self.replies)
        self.failures[at] = failure
        self.missing -= 1
        if self.missing == 0:
            self.complete()

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """One place could not be filled, or all could and nothing could be made of them: it never finishes."""
        self.missing = ABORTED
        if self.held:
            self.parent.hold(-self.held)
            self.held = 0
        self.parent.abort(failure, failed)

    def title(self) -> str:
        """The command."""
        return self.name.decode("utf-8", "backslashreplace") or self.parent.title()

    def first_failure(self) -> NodeFailure | None:
        """The failure at the lowest place, if any."""
        for failure in self.failures:
            if failure is not None:
                return failure
        return None

    def finish(self) -> None:
        """All places are filled: answer the parent."""
        raise NotImplementedError


@final
class Part(Leg):
    """One place of a joint."""

    def __init__(self, joint: Joint, at: int) -> None:
        super().__init__()
        self.joint = joint
        self.at = at

    def take(self, raw: bytes) -> None:
        """Fill the place."""
        self.joint.fill(self.at, raw)

    def fail(self, failure: NodeFailure) -> None:
        """Fill the place with a failure."""
        self.joint.fault(self.at, failure)

    def hold(self, size: int) -> None:
        """Whoever waits for the joint counts it."""
        self.joint.parent.hold(size)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """The whole is spoilt."""
        self.joint.abort(failure, failed)

    def title(self) -> str:
        """The command that it is a part of."""
        return self.joint.title()


class Listed(Joint):
    """Each place's own reply, as a list; a failure stands in its place as an error."""

    def __init__(self, parent: Leg, count: int, write: bool) -> None:
        super().__init__(parent, count)
        self.write = write

    def finish(self) -> None:
        """One array of all."""
        if self.failures:
            for at, failure in enumerate(self.failures):
                if failure is not None:
                    self.replies[at] = failure.line(self.write)
        self.parent.take(array(self.replies))


@final
class Dropped(Leg):
    """A leg whose reply nobody waits for."""

    def take(self, raw: bytes) -> None:
        """Drop it."""

    def fail(self, failure: NodeFailure) -> None:
        """Drop it."""
