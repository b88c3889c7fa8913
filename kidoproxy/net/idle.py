"""Closes clients that have been idle too long (Redis's ``timeout``): a slice at each tick, nothing per command."""

from typing import Final

from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.logs import EventLogger
from kidoproxy.session.pool_context import PoolContext

log = EventLogger("kidoproxy.clients")

#: How often every client is looked at.
SWEEP_SECONDS: Final = 1.0


class IdleSweep:
    """Looks at all clients of a daemon, in turn, for ever."""

    def __init__(self, clients: set[ClientIO], contexts: list[PoolContext], tick_seconds: float) -> None:
        self.clients = clients
        self.contexts = contexts
        self.ticks_per_sweep = max(1, round(SWEEP_SECONDS / tick_seconds))
        self.slices: list[list[ClientIO]] = []
        self.closed_count = 0

    def tick(self) -> None:
        """Look at the next slice; at the end of a sweep that has closed clients, log how many."""
        if not self.slices:
            if not any(context.idle_seconds for context in self.contexts):
                return
            all_clients = list(self.clients)
            self.slices = [all_clients[offset :: self.ticks_per_sweep] for offset in range(self.ticks_per_sweep)]
        for client in self.slices.pop():
            self.closed_count += client.close_if_idle()
        if not self.slices and self.closed_count:
            log.info("idle clients closed", count=self.closed_count)
            self.closed_count = 0
