"""One write per turn: what was queued for a link or a client while the loop went round leaves at its end.

Every entry from the loop (bytes, a lost connection, a tick) ends with `Hub.touch`; the first one that left
something to write asks the loop for one call of `Hub.flush` after all other events of this turn.
"""

import asyncio
import time
from typing import TYPE_CHECKING, cast, final

from kidoproxy.session.house import House

if TYPE_CHECKING:
    from kidoproxy.net.client_io import ClientIO
    from kidoproxy.net.node_io import Connector

#: Up to this many bytes are joined into one buffer; more are handed to the kernel as they are.
JOIN_BYTES = 256 * 1024


def joined(out: list[bytes], size: int) -> list[bytes]:
    """The chunks for one write: one buffer if that is cheap."""
    if len(out) == 1 or size > JOIN_BYTES:
        return out
    return [b"".join(out)]


@final
class Hub:
    """The loop's side of the house: the clock, and the flush."""

    def __init__(self, loop: asyncio.AbstractEventLoop, house: House) -> None:
        self.loop = loop
        self.house = house
        self.exchange = house.exchange
        self.turn = house.exchange.turn
        self.scheduled = False
        self.wall_offset = 0
        self.connector: Connector | None = None
        self.set_clock()

    def set_clock(self) -> None:
        """Compare the loop's clock with the wall clock, now and then."""
        self.wall_offset = int(time.time() * 1000) - int(self.loop.time() * 1000)
        self.now()

    def now(self) -> float:
        """One reading of the clock for a whole batch."""
        now = self.loop.time()
        self.exchange.now = now
        self.house.wall_ms = int(now * 1000) + self.wall_offset
        return now

    def touch(self) -> None:
        """Something may have been queued."""
        if not self.scheduled and (self.turn.ledgers or self.exchange.dirty or self.turn.drained):
            self.scheduled = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write everything once: first let go on who waited, then the nodes, then the clients."""
        self.scheduled = False
        turn = self.turn
        while turn.drained:
            ledgers = turn.drained
            turn.drained = []
            for ledger in ledgers:
                cast("ClientIO", ledger.peer).go_on()
        dirty = self.exchange.dirty
        if dirty:
            # The links hold on to the list itself, so it is emptied in place.
            links = dirty[:]
            dirty.clear()
            connector = self.connector
            if connector is not None:
                for link in links:
                    connector.look_after(link)
        ledgers = turn.ledgers
        if ledgers:
            turn.ledgers = []
            for ledger in ledgers:
                cast("ClientIO", ledger.peer).write()
        self.touch()
