"""How ``kidoproxy sync`` shows how far it is: a bar that is drawn in place, or now and then a line of a log."""

import time
from collections.abc import Callable
from typing import Final

import click

#: Characters of the bar.
BAR_WIDTH: Final = 24
#: Where nothing can be drawn in place a line comes at most this often.
LOG_SECONDS: Final = 5.0


def bar(done: int, total: int) -> str:
    """``[######..................]``; empty while nobody knows how much there is."""
    if total <= 0:
        return ""
    filled = min(done * BAR_WIDTH // total, BAR_WIDTH)
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]"


class ProgressReport:
    """Shows lines; one that is only the next state of the one before (``passing``) replaces it."""

    def __init__(self, is_terminal: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_terminal = is_terminal
        self.clock = clock
        self.drawn = 0
        self.shown_at = -LOG_SECONDS

    def __call__(self, line: str, passing: bool = False) -> None:
        if self.is_terminal:
            padding = " " * max(self.drawn - len(line), 0)
            click.echo(f"\r{line}{padding}" if self.drawn else line, nl=not passing)
            self.drawn = len(line) if passing else 0
        elif not passing or self.clock() >= self.shown_at + LOG_SECONDS:
            self.shown_at = self.clock()
            click.echo(line)
