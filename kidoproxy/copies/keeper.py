"""Keeps the copies of one group level: elects at the start, runs one sync at a time, mends single keys.

A pure object with a tick. At the start nobody is trusted but one copy; the others are compared with it and
mended before they are read. Later a copy that fell behind waits for somebody to order its sync.
"""

from typing import Final, final

from kidoproxy.copies.sync import OVER, Sync
from kidoproxy.copies.transfer import Answers, Boss, Transfer
from kidoproxy.exchange import Exchange
from kidoproxy.link_states import DOWN, READY
from kidoproxy.routes.topology import BEHIND, IN_SYNC, SYNCING, CopyGroup, Node

#: A comparison that failed is not begun again before this.
RETRY_SECONDS: Final = 1.0
#: A node that has not answered by then does not take part in the election.
ELECTION_SECONDS: Final = 2.0


@final
class Keeper(Boss):
    """See the module. ``news`` are lines for the operator's log, taken by whoever ticks."""

    def __init__(self, exchange: Exchange, group: CopyGroup, recorded_behind: list[str], now: float) -> None:
        self.exchange = exchange
        self.group = group
        self.recorded = recorded_behind
        self.until = now + ELECTION_SECONDS
        self.sync: Sync | None = None
        self.mend: Transfer | None = None
        self.mending: tuple[int, bytes] | None = None
        self.targets: list[Node] = []
        #: Copies to compare by ourselves as soon as they are there, and those whose sync was ordered.
        self.unproven: list[Node] = []
        self.retry_at = now
        self.ordered: list[Node] = []
        self.states: dict[str, str] = {}
        self.news: list[str] = []
        #: How the last sync of a copy failed, by its name, until the next one is ordered.
        self.failed: dict[str, str] = {}
        self.mended = 0

    def tick(self, now: float, wall_ms: int) -> None:
        """Called some twenty times a second."""
        self.group.durability.tick(now)
        if not self.group.elected:
            self.try_election(now)
        elif self.sync is not None:
            self.sync.wall_ms = wall_ms
            if self.sync.stage == OVER:
                self.finish_sync(self.sync, now)
        elif self.mend is None:
            self.next_work(now, wall_ms)
        self.tell_changes()

    def busy(self) -> bool:
        """Whether the start is still finding out: no election yet, or a live copy not compared yet."""
        waits = any(self.exchange.link(node, 2, 0).ready() for node in self.unproven)
        return not self.group.elected or self.sync is not None or waits

    def try_election(self, now: float) -> None:
        """When every node has answered or failed, or time is up, and there is somebody to trust."""
        nodes = [copy.node for copy in self.group.copies]
        states = [self.exchange.link(node, 2, 0).state for node in nodes]
        if now < self.until and any(state not in (READY, DOWN) for state in states):
            return
        if READY not in states:
            return
        self.group.elect(self.recorded)
        self.unproven = [copy.node for copy in self.group.copies if copy.state != IN_SYNC]

    def order(self, node: Node) -> str:
        """Somebody wants ``node`` synced; why not, or empty when it will be."""
        copy = self.group.copy_of(node)
        if copy.state == IN_SYNC:
            return f"{node.name} is in sync already"
        if copy.state == SYNCING or node in self.ordered:
            return f"{node.name} is being synced already"
        if not node.live:
            return f"{node.name} is down ({node.cause})"
        self.ordered.append(node)
        self.failed.pop(node.name, None)
        return ""

    def next_work(self, now: float, wall_ms: int) -> None:
        """An ordered sync, a comparison that is still owed, or a key to mend."""
        for node in self.ordered:
            self.ordered.remove(node)
            self.start_sync(node, True, wall_ms)
            return
        for node in self.unproven if now >= self.retry_at else []:
            if self.exchange.link(node, 2, 0).ready() and self.group.copy_of(node).state == BEHIND:
                self.unproven.remove(node)
                self.start_sync(node, False, wall_ms)
                return
        if self.group.to_mend:
            self.next_mend(wall_ms)

    def start_sync(self, node: Node, refill: bool, wall_ms: int) -> None:
        """Begin; the source is the pool's leader."""
        self.sync = Sync(self.exchange, self.group, node, refill)
        self.sync.wall_ms = wall_ms
        self.sync.begin()

    def finish_sync(self, sync: Sync, now: float) -> None:
        """Say how it ended."""
        self.sync = None
        if sync.problem:
            self.failed[sync.target.name] = sync.progress()
            self.news.append(f"sync failed: pool={self.group.name} node={sync.target.name} cause={sync.problem}")
            if not sync.refill:
                self.unproven.append(sync.target)
                self.retry_at = now + RETRY_SECONDS
        else:
            self.failed.pop(sync.target.name, None)
            self.news.append(
                f"synced: pool={self.group.name} node={sync.target.name} passes={sync.passes} "
                f"keys={sync.keys_seen} copied={sync.repaired}"
            )

    # -- single keys -----------------------------------------------------------------------------

    def next_mend(self, wall_ms: int) -> None:
        """Copy one key from its leader to every other in-sync copy, one copy after another."""
        place = next(iter(self.group.to_mend))
        ranked = self.group.ranked(place[1])
        leader = ranked[0]
        if not leader.live:
            # Nobody is there; whoever comes back first decides.
            self.targets.clear()
            return
        if not self.targets:
            self.targets = [node for node in ranked[1:] if node.live]
            # The others may differ, and nobody can tell now.
            self.group.leave([node for node in ranked[1:] if not node.live])
        target = self.targets.pop() if self.targets else None
        if target is None or target is leader:
            self.group.to_mend.pop(place, None)
            return
        self.mending = place
        # If it is noted once more meanwhile it is not done with afterwards.
        self.group.to_mend[place] = False
        self.mend = Transfer(self.exchange, leader, target, place[0], [place[1]], False, wall_ms)
        self.mend.begin(self)

    def done(self, answers: Answers) -> None:
        """One copy of one key has been mended, or could not be: then that copy is behind."""
        mend = self.mend
        place = self.mending
        self.mend = None
        self.mending = None
        if mend is None or place is None:
            return
        if answers.problem and not mend.from_link.ready():
            # Not the copy's fault: the next leader is asked, if there is one.
            self.targets.clear()
            return
        if answers.problem:
            self.group.leave([mend.to_link.node])
        self.mended += 1
        if not self.targets and not self.group.to_mend.get(place, False):
            self.group.to_mend.pop(place, None)

    def tell_changes(self) -> None:
        """One line per change of a copy's state."""
        for copy in self.group.copies:
            name = copy.node.name
            if self.states.get(name) != copy.state:
                self.states[name] = copy.state
                if self.group.elected:
                    self.news.append(f"copy {copy.state}: pool={self.group.name} node={name}")

    def progress(self, node: Node) -> str:
        """What is being done about ``node``; empty when nothing is."""
        if self.sync is not None and self.sync.target is node:
            return self.sync.progress()
        return "waiting for its turn" if node in self.ordered else self.failed.get(node.name, "")
