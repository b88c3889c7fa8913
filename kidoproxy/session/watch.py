"""WATCH: a transaction that runs only if nobody has changed these keys since.

On a ring the node itself remembers them, for one connection: the session borrows a lane to that node, and says WATCH
and later MULTI … EXEC there. All watched keys, and all that the transaction touches, must meet on that node.

In a copy pool no node can decide for the others. But all writes of the pool pass through this process, in one order
for all copies, so the proxy itself sees whether a watched key was written to; EXEC is sent only if none was, in the
same step in which that is judged. A key's expiry is asked for when it is watched. Whatever cannot be excluded (a
script, a command for the whole keyspace) counts as a change: then EXEC is answered with null, and the client tries
again, as it does after any lost race.
"""

from typing import TYPE_CHECKING, Final, final

from kidoproxy import errors, limits
from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.keys import keys
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.errors import NodeFailure
from kidoproxy.exchange_lanes import Loan
from kidoproxy.exchange_watched import Watched
from kidoproxy.ledger import Joint, Leg, Part
from kidoproxy.merge import misfit
from kidoproxy.resp import build
from kidoproxy.resp.open import integer, is_error, kind
from kidoproxy.resp.requests import Request
from kidoproxy.resp.scan import COLON
from kidoproxy.routes.plan import Answer, Plan, Send
from kidoproxy.routes.topology import CopyGroup, Node, Vigil
from kidoproxy.session import account

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

#: Before a watched key expires by our clock, EXEC is refused: the way to the node takes time, and clocks differ.
MARGIN_MS: Final = 20
UNWATCH: Final = build.command([b"UNWATCH"])


class Watch:
    """What one session watches. ``home``: the node or copy pool where all of it lives (`Node.home`)."""

    def __init__(self, home: int, first: bytes) -> None:
        self.home = home
        #: The first key, for complaints about those that live elsewhere.
        self.first = first
        self.count = 0
        #: What it costs to remember them: nothing here, where the node does.
        self.bytes = 0

    def loan(self) -> Loan | None:
        """The lane on which the transaction has to run, if it has to run on one."""
        return None

    def changed(self, now_ms: int) -> bool:
        """Whether EXEC must not even be sent."""
        raise NotImplementedError

    def release(self) -> None:
        """Watch nothing more."""
        raise NotImplementedError

    def executed(self) -> None:
        """EXEC is about to be sent: with it the watching ends by itself."""


@final
class LaneWatch(Watch):
    """The node remembers. If the lane is lost nobody knows what has changed since."""

    def __init__(self, first: bytes, loan: Loan) -> None:
        super().__init__(loan.link.node.home(), first)
        self.lane = loan
        self.ear = Watched()
        loan.link.ear = self.ear
        #: What was watched before it is lost.
        self.doomed = False

    def loan(self) -> Loan | None:
        """Its lane."""
        return self.lane

    def changed(self, now_ms: int) -> bool:
        """The node tells; here only that it cannot."""
        return self.ear.lost or self.doomed

    def release(self) -> None:
        """Say UNWATCH; the lane is clean once that is answered."""
        link = self.lane.link
        now = self.lane.lanes.exchange.now
        if self.ear.lost:
            self.lane.close()
        elif not link.ready():
            # The WATCH has not been sent yet; a client that was killed is not kept waiting for its end.
            link.lost("its client watches nothing any more", now, True)
            self.lane.close()
        else:
            link.place(Unwatched(self.lane), UNWATCH, link.proto, link.db, now)


@final
class Unwatched(Leg):
    """Gives the lane back when it is clean."""

    def __init__(self, loan: Loan) -> None:
        super().__init__()
        self.loan = loan

    def take(self, raw: bytes) -> None:
        """Clean, unless the node does not know UNWATCH."""
        if is_error(raw):
            self.fail(NodeFailure("", "", "", "", False))
        else:
            self.loan.give_back()

    def fail(self, failure: NodeFailure) -> None:
        """In doubt, close."""
        self.loan.close()


@final
class GroupWatch(Watch):
    """The proxy sees all writes to a copy pool."""

    def __init__(self, group: CopyGroup, first: bytes) -> None:
        super().__init__(group.copies[0].node.home(), first)
        self.group = group
        self.vigil = Vigil()
        group.vigils.append(self.vigil)

    def changed(self, now_ms: int) -> bool:
        """A write has been sent, or a key has expired or is about to."""
        until = self.vigil.until_ms
        return self.vigil.spoiled or (until > 0 and now_ms + MARGIN_MS >= until)

    def release(self) -> None:
        """Forget the keys."""
        self.group.vigils.remove(self.vigil)

    def executed(self) -> None:
        """The same."""
        self.release()


def begin(session: "ClientSession", spec: CommandSpec, request: Request) -> None:
    """WATCH; nothing is owed to the client."""
    if account.overruns(session, request.size() + len(request.argv) * limits.NAME_COST):
        return
    session.ask.each = False
    # A miss in place of a failure would hide when a key expires.
    session.ask.soft = False
    watch(session, spec, request, session.pool.root.plan(spec, request, session.ask))
    session.settle()
    session.wait_if_owed()


def watch(session: "ClientSession", spec: CommandSpec, request: Request, plan: Plan) -> None:
    """Watch these keys where the plan says that they live."""
    if not isinstance(plan, Send):
        session.refuse(plan.frame if isinstance(plan, Answer) else errors.SYNTAX)
        return
    first = request.argv[1]
    node = plan.node
    watched = session.watch
    elsewhere = watched is not None and watched.home != node.home()
    if watched is not None and elsewhere and not watched.changed(session.house.wall_ms):
        session.refuse(errors.cross_slot(spec.name, watched.first, first))
    elif node.group is not None:
        watch_copies(session, node.group, spec, request)
    else:
        watch_node(session, node, request)


def watch_node(session: "ClientSession", node: Node, request: Request) -> None:
    """Say WATCH on the session's lane to ``node``.

    A lane that is lost is replaced, for clients do not say UNWATCH after an error: EXEC will be answered with null,
    and from then on all is well again.
    """
    watched = session.watch
    if not isinstance(watched, LaneWatch) or watched.home != node.home() or watched.ear.lost:
        refusal = session.house.lanes.refusal(node)
        if refusal is not None:
            session.open(None).fail(refusal)
            return
        doomed = watched is not None
        session.unwatch()
        loan = session.house.lanes.lend(node, session.proto, session.db)
        watched = LaneWatch(request.argv[1], loan)
        watched.doomed = doomed
        session.watch = watched
    watched.count += len(request.argv) - 1
    leg = Watching(watched, session.open(None))
    watched.lane.link.place(leg, request.raw, session.proto, session.db, session.exchange.now)


@final
class Watching(Leg):
    """Waits for the reply to WATCH. If there is none, nobody knows whether the node watches."""

    def __init__(self, watched: LaneWatch, parent: Leg) -> None:
        super().__init__()
        self.watched = watched
        self.parent = parent

    def take(self, raw: bytes) -> None:
        """What the node says."""
        self.parent.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """The lane is of no use any more."""
        self.watched.ear.lost = True
        self.parent.fail(failure)


def watch_copies(session: "ClientSession", group: CopyGroup, spec: CommandSpec, request: Request) -> None:
    """Note the keys, and ask when they expire."""
    watched = session.watch
    if not isinstance(watched, GroupWatch) or watched.group is not group:
        doomed = watched is not None
        session.unwatch()
        watched = GroupWatch(group, request.argv[1])
        watched.vigil.spoiled = doomed
        session.watch = watched
    found = [request.argv[at] for at in keys(spec, request.argv)]
    watched.count += len(found)
    for key in found:
        watched.vigil.keys[(session.db, key)] = True
    watched.bytes += sum(map(len, found)) + len(found) * limits.NAME_COST
    joint = Expiries(session.open(None), len(found), watched.vigil, session.house.wall_ms)
    spec = COMMANDS[b"pttl"]
    for at, key in enumerate(found):
        argv = [b"PTTL", key]
        asked = Request(argv, build.command(argv))
        plan = session.pool.root.plan(spec, asked, session.ask)
        session.exchange.scatter(plan, Part(joint, at), asked.raw, spec, session.ask)


@final
class Expiries(Joint):
    """Collects when the watched keys expire; the client hears +OK when that is known."""

    def __init__(self, parent: Leg, count: int, vigil: Vigil, now_ms: int) -> None:
        super().__init__(parent, count)
        self.vigil = vigil
        self.now_ms = now_ms

    def finish(self) -> None:
        """The earliest moment counts."""
        failure = self.first_failure()
        if failure is not None:
            self.vigil.spoiled = True
            self.parent.fail(failure)
            return
        for raw in self.replies:
            if kind(raw) != COLON:
                self.vigil.spoiled = True
                self.parent.take(raw if is_error(raw) else misfit(self.replies))
                return
            left = integer(raw)
            if left >= 0 and (not self.vigil.until_ms or self.now_ms + left < self.vigil.until_ms):
                self.vigil.until_ms = self.now_ms + left
        self.parent.take(build.OK)
