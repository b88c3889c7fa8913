"""Closes clients that have been idle too long (Redis's ``timeout``): a slice at each tick, nothing per command."""

import logging
from typing import Final

from kidoproxy.net.client_io import ClientIO

log = logging.getLogger("kidoproxy.clients")

#: Every client is looked at once in so many seconds.
SWEEP_SECONDS: Final = 1.0


class IdleSweep:
    """Goes round the clients of a daemon, again and again."""

    def __init__(self, clients: set[ClientIO], tick_seconds: float) -> None:
        self.clients = clients
        self.ticks = max(1, round(SWEEP_SECONDS / tick_seconds))
        self.slices: list[list[ClientIO]] = []
        self.closed = 0

    def tick(self) -> None:
        """Look at the next slice; one line at the end of a round that has closed somebody."""
        if not self.slices:
            everybody = list(self.clients)
            self.slices = [everybody[at :: self.ticks] for at in range(self.ticks)]
        for client in self.slices.pop():
            self.closed += client.leave_if_silent()
        if not self.slices and self.closed:
            log.info("idle clients closed: count=%d", self.closed)
            self.closed = 0
