"""What checks of a history have in common: problems, and which operations are looked at."""

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from tests.consistency.history import OK, Operation


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that was broken: ``stale``, ``lost``, ``twice``, ``invented``, ``order`` or ``overlap``."""

    rule: str
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.key}: {self.text}"


def named(entries: Iterable[Operation], action: str) -> list[Operation]:
    """Those of this action."""
    return [entry for entry in entries if entry.action == action]


def succeeded(entries: Iterable[Operation], *actions: str) -> list[Operation]:
    """Those of these actions whose reply came."""
    return [entry for entry in entries if entry.action in actions and entry.outcome == OK]


class Latest:
    """The largest value among operations that had ended before a moment."""

    def __init__(self, ended: Iterable[tuple[float, float]]) -> None:
        self.moments: list[float] = []
        self.largest: list[float] = []
        for moment, value in sorted(ended):
            self.moments.append(moment)
            self.largest.append(max(value, self.largest[-1]) if self.largest else value)

    def before(self, moment: float) -> float:
        """-inf when none had."""
        at = bisect_left(self.moments, moment)
        return self.largest[at - 1] if at else -math.inf
