"""When the deadlines of links are judged: at every tick, however busy the loop is.

After a stall of our own, replies may lie in the sockets unread, and what was sent in it has had no time. So the tick
that comes late does not judge at once, but after one more turn of the loop, in which the sockets are read; and it gives
the nodes the time that we were away, up to a bound. It never waits for a tick that is in time: a loop may have none.
"""

from functools import partial

from kidoproxy.net.flush import Hub
from kidoproxy.net.ticker import Ticker

TICK_SECONDS = 0.05
LATE_TICK_SECONDS = 3 * TICK_SECONDS
#: After a stall of our own the nodes are given the time that we were away, but no more than this.
GRACE_SECONDS = 0.25


class Deadlines:
    """Of all links of one process."""

    def __init__(self, hub: Hub, ticker: Ticker) -> None:
        self.hub = hub
        self.ticker = ticker
        self.ticked = hub.now()

    def tick(self) -> None:
        """Judge now, or after one turn of the loop."""
        now = self.hub.now()
        away = now - self.ticked
        self.ticked = now
        if away < LATE_TICK_SECONDS:
            self.judge(0.0)
        else:
            self.hub.loop.call_soon(partial(self.judge, min(away, GRACE_SECONDS)))

    def judge(self, grace: float) -> None:
        """Who is overdue by more than ``grace`` is told so. A link that fails must not keep the others from that."""
        exchange = self.hub.exchange
        now = self.hub.now() - grace
        if not self.ticker.guard("links", partial(exchange.tick, now)):
            for link in exchange.all_links():
                self.ticker.guard(f"link to {link.node.name}", partial(link.tick, now))
        self.hub.now()
        self.hub.touch()
