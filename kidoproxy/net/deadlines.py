"""When the deadlines of connections are enforced: at every tick, however busy the loop is.

After a stall of the loop, replies may lie unread in the sockets, and nodes have had no time for what was sent in it. So
a late tick enforces nothing at once, but after one more turn of the loop, in which the sockets are read; and it grants
the nodes the length of the stall, up to a bound. It never waits for a tick that is in time: a busy loop may have none.
"""

from functools import partial

from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.ticker import Ticker

TICK_SECONDS = 0.05
LATE_TICK_SECONDS = 3 * TICK_SECONDS
#: After a stall of the loop the nodes are granted its length, but no more than this.
MAX_GRACE_SECONDS = 0.25


class Deadlines:
    """The deadlines of all connections of one process."""

    def __init__(self, bridge: LoopBridge, ticker: Ticker) -> None:
        self.bridge = bridge
        self.ticker = ticker
        self.last_tick = bridge.update_clock()

    def tick(self) -> None:
        """Enforce the deadlines now, or after one turn of the loop."""
        now = self.bridge.update_clock()
        elapsed = now - self.last_tick
        self.last_tick = now
        if elapsed < LATE_TICK_SECONDS:
            self.enforce(0.0)
        else:
            self.bridge.loop.call_soon(partial(self.enforce, min(elapsed, MAX_GRACE_SECONDS)))

    def enforce(self, grace: float) -> None:
        """Fail what is overdue by more than ``grace`` seconds; a bug at one connection does not keep it from others."""
        executor = self.bridge.executor
        now = self.bridge.update_clock() - grace
        if not self.ticker.run_step("connections", partial(executor.tick, now)):
            for conn in executor.all_connections():
                self.ticker.run_step(f"connection to {conn.node.name}", partial(conn.tick, now))
        self.bridge.update_clock()
        self.bridge.schedule_flush()
