"""Keeps the copies of one group level: finds out whom to trust, runs one sync at a time, mends single keys.

A pure object with a tick. At the start nobody is trusted but one copy; the others are compared with it and
mended before they are read. Later a copy that fell behind waits for somebody to order its sync.
"""

from typing import Final, final

from kidoproxy.copies.answers import Answers, Boss
from kidoproxy.copies.census import Census
from kidoproxy.copies.mender import Mender
from kidoproxy.copies.stages import OVER
from kidoproxy.copies.sync import Sync
from kidoproxy.exchange import Exchange
from kidoproxy.link import NodeLink
from kidoproxy.link_states import CONNECTING, DOWN, READY
from kidoproxy.routes.election import DEAD, HERE, SILENT, Sight, Verdict, decide, has_restarted, recall, trust
from kidoproxy.routes.topology import BEHIND, IN_SYNC, SYNCING, Copy, CopyGroup, Node

#: A comparison that failed is not begun again before this; the pause doubles up to the second.
RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 60.0
#: A node that has not answered by then does not take part in the election.
ELECTION_SECONDS: Final = 2.0
#: How often copies are counted while nobody is trusted.
CENSUS_SECONDS: Final = 1.0
#: A sync that has heard nothing for so long is ended: each of its questions has a deadline far below.
STALLED_SECONDS: Final = 90.0
#: How the system says that nothing listens at an address: whatever was there is dead.
NOBODY_LISTENS: Final = ("connection refused", "no such file or directory")


@final
class Keeper(Boss):
    """See the module. ``news`` are lines for the operator's log, taken by whoever ticks."""

    def __init__(self, exchange: Exchange, group: CopyGroup, recorded_behind: list[str], now: float) -> None:
        self.exchange = exchange
        self.group = group
        self.until = now + ELECTION_SECONDS
        self.census: Census | None = None
        self.counted_at = now - CENSUS_SECONDS
        self.counted: list[bool] = []
        #: How many keys each copy had when they were last counted.
        self.sights: list[Sight] = [Sight(SILENT) for _ in group.copies]
        self.first = True
        self.sync: Sync | None = None
        self.mender = Mender(exchange, group)
        #: Copies to compare by ourselves as soon as they are there, and those whose sync was ordered (to be emptied?).
        self.unproven: list[Node] = []
        #: The one that is trusted was restarted, or nobody knows whether it was.
        self.guessed = False
        self.retry_at = now
        self.pause = RETRY_SECONDS
        self.ordered: list[tuple[Node, bool]] = []
        self.states: dict[str, str] = {}
        self.refusal = b""
        self.news: list[str] = []
        #: How the last sync of a copy failed, by its name, until the next one is ordered.
        self.failed: dict[str, str] = {}
        if not group.elected:
            recall(group, recorded_behind)

    def tick(self, now: float, wall_ms: int) -> None:
        """Called some twenty times a second."""
        self.group.durability.tick(now)
        if self.group.elected and self.group.returned and (self.is_forsaken() or self.is_refuted()):
            self.group.doubt(self.group.in_sync()[0].node)
        if not self.group.elected or self.source() is None:
            self.count(now)
        if not self.group.elected:
            self.stop_sync(f"no copy of {self.group.name} is trusted any more", now)
        elif self.sync is not None:
            self.watch_sync(self.sync, now, wall_ms)
        elif not self.mender.busy():
            self.next_work(now, wall_ms)
        self.tell_changes()

    def busy(self) -> bool:
        """Whether the start is still finding out: no election yet, or a live copy not compared yet."""
        waits = any(self.link(node).ready() for node in self.unproven)
        return not self.group.elected or self.sync is not None or waits

    def link(self, node: Node) -> NodeLink:
        """The connection that carries the writes."""
        return self.exchange.link(node, 2, 0)

    # -- whom to trust ---------------------------------------------------------------------------

    def is_forsaken(self) -> bool:
        """Whether all copies in sync are dead, while one that had everything, too, has come back."""
        dead = all(self.reach(copy.node) == DEAD for copy in self.group.in_sync())
        return dead and any(copy.kept and self.link(copy.node).ready() for copy in self.group.copies)

    def reach(self, node: Node) -> int:
        """Whether it can be reached, is dead, or neither."""
        link = self.link(node)
        if link.ready():
            return HERE
        is_down = link.state == DOWN or (link.state == CONNECTING and link.probing)
        return DEAD if is_down and link.cause in NOBODY_LISTENS else SILENT

    def is_refuted(self) -> bool:
        """Whether the one that is trusted may have lost what a copy has that is back, and was never restarted."""
        if not self.guessed:
            return False
        return any(
            copy.kept and self.link(copy.node).ready() and not has_restarted(self.group, copy)
            for copy in self.group.copies
        )

    def count(self, now: float) -> None:
        """Count the copies, then decide; again and again until somebody can be trusted."""
        links = [self.link(copy.node) for copy in self.group.copies]
        waits = any(link.state not in (READY, DOWN) for link in links)
        if now < self.until and waits:
            return
        here = [link.ready() for link in links]
        if self.census is None and (now >= self.counted_at + CENSUS_SECONDS or here != self.counted):
            self.counted_at = now
            self.counted = here
            self.census = Census(links)
            self.census.begin(self, now)

    def done(self, answers: Answers) -> None:
        """The copies have been counted."""
        census = self.census
        if census is None:
            return
        self.census = None
        for at, copy in enumerate(self.group.copies):
            reach = self.reach(copy.node)
            if reach == HERE and not census.ready[at]:
                # It gave no answer, or is loading its data.
                reach = SILENT
            self.sights[at] = Sight(reach, census.keys[at])
        if not self.group.elected:
            self.elect(decide(self.group, self.sights))

    def elect(self, verdict: Verdict) -> None:
        """Trust whom the verdict names, or say why nobody is trusted."""
        if verdict.copy is None:
            self.group.refusal = verdict.refusal
            if verdict.refusal != self.refusal:
                self.refusal = verdict.refusal
                self.news.append(f"no copy is trusted: pool={self.group.name} cause={refused(verdict.refusal)}")
            return
        self.trusted(verdict.copy, verdict.guess)

    def trusted(self, copy: Copy, guess: bool) -> None:
        """It decides from now on; at the start the others are compared with it by ourselves."""
        self.refusal = b""
        self.guessed = guess
        trust(self.group, copy)
        if self.first:
            self.unproven = [other.node for other in self.group.copies if other is not copy]
        self.first = False
        self.tell_changes()

    def losses(self, node: Node) -> tuple[str, list[str]]:
        """Why ``node`` cannot be trusted on somebody's word; else what would be lost, a line for each copy."""
        if not self.link(node).ready():
            return f"{node.name} is down ({node.cause})", []
        if self.group.elected:
            for copy in self.group.in_sync():
                if self.link(copy.node).ready():
                    return f"{copy.node.name} is in sync and serves: order a sync, which loses nothing", []
        return "", [self.shown(at, copy, node) for at, copy in enumerate(self.group.copies)]

    def shown(self, at: int, copy: Copy, trusted: Node) -> str:
        """One copy as somebody should see it who is about to trust ``trusted``."""
        name = copy.node.name
        had = "had every acknowledged write" if copy.kept or copy.state == IN_SYNC else "missed writes"
        had += ", and was restarted since" if copy.restarted else ""
        keys = f"{self.sights[at].keys} keys" if self.sights[at].keys >= 0 else "an unknown number of keys"
        where = f"has {keys}" if self.link(copy.node).ready() else f"is down ({copy.node.cause})"
        fate = "will be served" if copy.node is trusted else f"what only {name} holds is lost when it is synced"
        return f"{name} {where}; it {had}; {fate}"

    def trust(self, node: Node) -> str:
        """Somebody says that ``node`` decides from now on; why not, or empty."""
        problem = self.losses(node)[0]
        if problem:
            return problem
        self.stop_sync(f"{node.name} is trusted now", self.exchange.now)
        self.first = False
        self.trusted(self.group.copy_of(node), False)
        self.group.leave([])
        self.news.append(f"copy trusted by order: pool={self.group.name} node={node.name}")
        return ""

    # -- syncs -----------------------------------------------------------------------------------

    def order(self, node: Node, refill: bool) -> str:
        """Somebody wants ``node`` synced (``refill``: emptied first); why not, or empty when it will be."""
        copy = self.group.copy_of(node)
        if not self.group.elected:
            return "no copy is trusted, there is nothing to copy from; say which one is: --trust"
        if copy.state == IN_SYNC:
            return f"{node.name} is in sync already"
        if copy.state == SYNCING or node in [ordered for ordered, _ in self.ordered]:
            return f"{node.name} is being synced already"
        if not node.live:
            return f"{node.name} is down ({node.cause})"
        if self.source() is None:
            down = [f"{other.node.name} is down ({other.node.cause})" for other in self.group.in_sync()]
            return f"there is nothing to copy from: {', '.join(down)}"
        self.ordered.append((node, refill))
        self.failed.pop(node.name, None)
        return ""

    def obey(self, node: Node, word: str) -> tuple[str, list[str]]:
        """An order about a copy: ``refill``, ``cancel``, ``trust`` (asks what it costs) or ``trust confirm``."""
        if word == "refill":
            return self.order(node, True), []
        if word == "cancel":
            return self.cancel(node), []
        if word == "trust":
            return self.losses(node)
        return self.trust(node), []

    def cancel(self, node: Node) -> str:
        """Somebody does not want it any more; why that cannot be, or empty."""
        waiting = [order for order in self.ordered if order[0] is node]
        for order in waiting:
            self.ordered.remove(order)
        sync = self.sync
        if sync is not None and sync.target is node:
            self.stop_sync("cancelled", self.exchange.now)
            if node in self.unproven:
                self.unproven.remove(node)
        elif not waiting:
            return f"{node.name} is not being synced"
        return ""

    def source(self) -> Node | None:
        """The copy in sync that others are copied from: the first one that can be reached."""
        for node in self.group.ranked(None):
            if self.link(node).ready():
                return node
        return None

    def next_work(self, now: float, wall_ms: int) -> None:
        """An ordered sync, a comparison that is still owed, or a key to mend."""
        source = self.source()
        if source is None:
            return
        if self.ordered:
            node, refill = self.ordered.pop(0)
            if self.group.copy_of(node).state == BEHIND:
                self.start_sync(source, node, refill, False, wall_ms)
            return
        for node in self.unproven if now >= self.retry_at else []:
            if self.link(node).ready() and self.group.copy_of(node).state == BEHIND:
                self.unproven.remove(node)
                self.start_sync(source, node, False, True, wall_ms)
                return
        if self.group.to_mend:
            self.mender.begin(wall_ms)

    def start_sync(self, source: Node, node: Node, refill: bool, owed: bool, wall_ms: int) -> None:
        """Begin; ``owed``: nobody has ordered it."""
        self.sync = Sync(self.exchange, self.group, source, node, refill)
        self.sync.owed = owed
        self.sync.cautious = owed and self.guessed
        self.sync.wall_ms = wall_ms
        self.sync.begin()

    def stop_sync(self, cause: str, now: float) -> None:
        """The one that runs, if one does."""
        if self.sync is not None:
            self.sync.end(cause)
            self.finish_sync(self.sync, now)

    def watch_sync(self, sync: Sync, now: float, wall_ms: int) -> None:
        """It may be over, or never end by itself."""
        sync.wall_ms = wall_ms
        if now - sync.moved > STALLED_SECONDS:
            sync.end(f"no step in {round(STALLED_SECONDS)} s")
        if sync.stage == OVER:
            self.finish_sync(sync, now)

    def finish_sync(self, sync: Sync, now: float) -> None:
        """Say how it ended."""
        self.sync = None
        if sync.problem:
            self.failed[sync.target.name] = sync.progress()
            self.news.append(f"sync failed: pool={self.group.name} node={sync.target.name} cause={sync.problem}")
            if sync.owed:
                self.unproven.append(sync.target)
                self.retry_at = now + self.pause
                self.pause = min(self.pause * 2, LAST_RETRY_SECONDS)
        else:
            self.pause = RETRY_SECONDS
            self.failed.pop(sync.target.name, None)
            self.news.append(
                f"synced: pool={self.group.name} node={sync.target.name} passes={sync.passes} "
                f"keys={sync.keys_seen} copied={sync.repaired}"
            )

    # -- for those who watch ---------------------------------------------------------------------

    def tell_changes(self) -> None:
        """One line per change of a copy's state."""
        for copy in self.group.copies if self.group.elected else []:
            if self.states.get(copy.node.name) != copy.state:
                self.states[copy.node.name] = copy.state
                self.news.append(f"copy {copy.state}: pool={self.group.name} node={copy.node.name}")

    def progress(self, node: Node) -> str:
        """What is being done about ``node``; empty when nothing is."""
        if self.sync is not None and self.sync.target is node:
            return self.sync.progress()
        waiting = any(ordered is node for ordered, _ in self.ordered)
        return "waiting for its turn" if waiting else self.failed.get(node.name, "")


def refused(line: bytes) -> str:
    """An error reply as a cause."""
    return line[1:-2].decode("utf-8", "replace")
