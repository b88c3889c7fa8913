"""One write per turn: what was queued for a link or a client while the loop went round leaves at its end.

Every entry from the loop (bytes, a lost connection, a tick) ends with `Hub.touch`; the first one that left
something to write asks the loop for one call of `Hub.flush` after all other events of this turn.
"""

import logging
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final, final

from kidoproxy import limits
from kidoproxy.ledger import Ledger, Peer
from kidoproxy.link import NodeLink
from kidoproxy.net.logs import Folded
from kidoproxy.session.house import House

log = logging.getLogger("kidoproxy")

#: Up to this many bytes are joined into one buffer; more are handed to the kernel as they are.
JOIN_BYTES: Final = 256 * 1024

#: So many clients are written to between two looks at the clock.
WRITES: Final = 64


def joined(out: list[bytes], size: int) -> list[bytes]:
    """The chunks for one write: one buffer if that is cheap."""
    if len(out) == 1 or size > JOIN_BYTES:
        return out
    return [b"".join(out)]


class SlowReader(Peer):
    """A client whose socket is full."""

    def look_again(self) -> None:
        """Time has gone by: does it read?"""
        raise NotImplementedError


@final
class Hub:
    """The loop's side of the house: the clock, and the flush."""

    def __init__(self, loop: AbstractEventLoop, house: House) -> None:
        self.loop = loop
        self.house = house
        self.exchange = house.exchange
        self.turn = house.exchange.turn
        self.lanes = house.lanes
        #: How often `flush` will be called; the last call does it.
        self.scheduled = 0
        #: When this turn began, and when it should end, by the loop's clock; and how long turns have been.
        self.began = 0.0
        self.late = 0.0
        self.turn_seconds = limits.TURN_SECONDS
        self.turns = house.turns
        #: Clients that leave too much unread, and when they are looked at again.
        self.slow: set[SlowReader] = set()
        self.look_at = 0.0
        #: What there is to tell of the nodes; one that comes and goes must not flood the log.
        self.node_news = Folded(logging.getLogger("kidoproxy.nodes"))
        #: Seconds from the loop's clock to the wall clock.
        self.wall_offset = 0.0
        #: Opens and closes the sockets of links.
        self.look_after: Callable[[NodeLink], None] | None = None
        self.set_clock()

    def set_clock(self) -> None:
        """Compare the two clocks, now and then.

        The loop's clock is the monotonic one, but uvloop rounds it down and reads it once a turn. Compared with
        itself it would run ahead of the wall clock by as much, and a time to live would come out too long.
        """
        self.wall_offset = time.time() - time.monotonic()
        self.now()

    def now(self) -> float:
        """One reading of the clock for a whole batch."""
        now: float = self.loop.time()
        self.exchange.now = now
        self.house.wall_ms = int((now + self.wall_offset) * 1000)
        return now

    def touch(self) -> None:
        """Something may have been queued."""
        turn = self.turn
        if not self.scheduled and (turn.ledgers or self.exchange.dirty or turn.drained or turn.jobs.waiting):
            self.scheduled = 1
            self.began = self.exchange.now
            self.loop.call_soon(self.flush)

    def tick(self) -> None:
        """Look at slow clients, now and then."""
        now = self.exchange.now
        if self.slow and now >= self.look_at:
            self.look_at = now + limits.CLIENT_PATIENCE_SECONDS
            for client in list(self.slow):
                client.look_again()

    def touch_last(self) -> None:
        """A client has sent something. While others wait at nodes, the flush moves behind all that this turn tells.

        A client that was reset is told of by a call that the loop has queued when it saw that: what was sent after
        that must not be written before the waiting has been ended.
        """
        if self.scheduled and self.lanes.loans:
            self.scheduled += 1
            self.loop.call_soon(self.flush)
        else:
            self.touch()

    def flush(self) -> None:
        """Write everything once: first let go on who waited, then the nodes, then the clients."""
        self.scheduled -= 1
        if self.scheduled:
            return
        turn = self.turn
        turn.spent = 0
        if turn.drained or turn.jobs.waiting:
            # Whoever goes on begins a request now, however long ago the turn's bytes were read.
            self.now()
        if turn.jobs.waiting:
            self.work()
        while turn.drained and turn.spent < limits.SLICE:
            drained = turn.drained
            turn.drained = []
            self.flush_drained(drained)
        if self.exchange.dirty:
            # The links hold on to the list itself, so it is emptied in place.
            links = self.exchange.dirty[:]
            self.exchange.dirty.clear()
            self.flush_links(links)
        ledgers = turn.ledgers
        if ledgers:
            turn.ledgers = []
            if len(ledgers) > WRITES:
                self.late = time.monotonic() + self.turn_seconds
            self.flush_ledgers(ledgers)
        turn.spent = 0
        self.turns.end(time.monotonic() - self.began)
        self.touch()

    def work(self) -> None:
        """A slice of each job, as far as the time of one turn goes."""
        self.late = time.monotonic() + self.turn_seconds
        try:
            self.turn.jobs.go_on(self.is_late)
        except Exception:
            log.exception("a slice of work failed")

    def is_late(self) -> bool:
        """Whether this turn should end."""
        return time.monotonic() >= self.late

    # An exception in one of these is a bug. It must not keep the others' bytes: they go on behind it.

    def flush_drained(self, ledgers: list[Ledger]) -> None:
        """Let go on who waited for their ledger, as many as a turn has time for; the others are first in the next."""
        at = 0
        turn = self.turn
        while at < len(ledgers) and turn.spent < limits.SLICE:
            try:
                while at < len(ledgers) and turn.spent < limits.SLICE:
                    peer = ledgers[at].peer
                    at += 1
                    if peer is not None:
                        peer.go_on()
            except Exception:
                log.exception("a client could not go on")
        turn.drained = ledgers[at:] + turn.drained

    def flush_links(self, links: list[NodeLink]) -> None:
        """Write to the nodes; a link without a socket, or with one that it has given up, is looked after."""
        at = 0
        while at < len(links):
            try:
                while at < len(links):
                    link = links[at]
                    at += 1
                    link.dirty = False
                    peer = link.peer
                    if peer is not None and not link.drop:
                        peer.write()
                    elif self.look_after is not None:
                        self.look_after(link)
            except Exception:
                log.exception("a node could not be written to")

    def flush_ledgers(self, ledgers: list[Ledger]) -> None:
        """Write to the clients, to as many as a turn has time for: a message may be for all of them."""
        at = 0
        while at < len(ledgers) and not (at and self.is_late()):
            stop = min(at + WRITES, len(ledgers))
            try:
                while at < stop:
                    peer = ledgers[at].peer
                    at += 1
                    if peer is not None:
                        peer.write()
            except Exception:
                log.exception("a client could not be written to")
        self.turn.ledgers = ledgers[at:] + self.turn.ledgers
