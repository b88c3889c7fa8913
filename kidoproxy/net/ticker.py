"""The steps that are taken a few times a second: deadlines, retries, logs. One that fails does not stop the others."""

import asyncio
from collections.abc import Callable

from kidoproxy.net.logs import EventLogger

log = EventLogger("kidoproxy.tasks")


class Ticker:
    """Named steps, in the order in which they were added."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, Callable[[], None]]] = []
        self.logged_failures: set[tuple[str, type[Exception]]] = set()

    def add(self, name: str, step: Callable[[], None]) -> None:
        """Take ``step`` at every tick from now on."""
        self.steps.append((name, step))

    def tick(self) -> None:
        for name, step in self.steps:
            self.run_step(name, step)

    def run_step(self, name: str, step: Callable[[], None]) -> bool:
        """Take ``step``; whether it went well. An exception is a bug, logged once of its kind."""
        try:
            step()
        except Exception as problem:
            if (name, type(problem)) not in self.logged_failures:
                self.logged_failures.add((name, type(problem)))
                log.exception("tick failed", step=name)
            return False
        return True

    async def run(self, seconds: float) -> None:
        """Tick for ever, with so many seconds between two ticks."""
        while True:
            await asyncio.sleep(seconds)
            self.tick()
