"""What clients asked and heard: operations with the moments between which each took effect, if it did.

An operation is *ok* when its reply came, *fail* when it is known not to have run, and *unknown* when it may have run,
now or later: its interval has no end then.
"""

import itertools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import redis

OK: Final = "ok"
FAIL: Final = "fail"
UNKNOWN: Final = "unknown"

#: What errors say of a write that may have run, all of it or in part.
MAY_HAVE_RUN: Final = ("outcome is unknown", "may have run", "may have been applied", "applied")
#: redis-py could not connect: nothing was sent.
NOT_CONNECTED: Final = "connecting to"
#: The pool does not serve this command.
REFUSED: Final = "is not served here"


@dataclass(slots=True)
class Operation:
    """One call of one client. ``invoked`` and ``completed`` are seconds of one clock.

    ``model`` says how the key is checked, ``action`` what was done, ``value`` with what; ``result`` is the reply as the
    model reads it.
    """

    client: int
    model: str
    key: str
    action: str
    value: Any = None
    invoked: float = 0.0
    completed: float = math.inf
    outcome: str = UNKNOWN
    result: Any = None

    def may_have_run(self) -> bool:
        """Whether it can have had an effect."""
        return self.outcome != FAIL

    def __str__(self) -> str:
        end = "…" if self.completed == math.inf else f"{self.completed:.4f}"
        said = f" -> {self.result!r}" if self.outcome == OK else f" ({self.outcome}: {self.result})"
        what = "" if self.value is None else f" {self.value!r}"
        return f"[{self.invoked:.4f} {end}] client {self.client}: {self.action} {self.key}{what}{said}"


class History:
    """Operations as they begin; threads may add to it at any time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.operations: list[Operation] = []
        #: Commands that the pool refuses, by what its error says.
        self.refused: set[str] = set()
        #: From when to when what was acknowledged may be lost; see `promises`.
        self.losses: list[tuple[float, float]] = []
        self.clock = clock
        self._numbers = itertools.count()

    def unique(self) -> int:
        """A number that was not given before; values made of it are written once."""
        return next(self._numbers)

    def record(self, entry: Operation, call: Callable[[], Any]) -> Operation:
        """Call and note what came of it; errors of the server and of the network are outcomes."""
        entry.invoked = self.clock()
        self.operations.append(entry)
        try:
            entry.result = call()
        except redis.RedisError as error:
            entry.result = str(error)
            entry.outcome = outcome_of(error)
            if REFUSED in entry.result:
                self.refused.add(entry.result[:100])
            if entry.outcome == FAIL:
                entry.completed = self.clock()
        else:
            entry.completed = self.clock()
            entry.outcome = OK
        return entry

    def by_key(self) -> Iterator[tuple[str, str, list[Operation]]]:
        """The operations of each key, with their model."""
        groups: defaultdict[tuple[str, str], list[Operation]] = defaultdict(list)
        for entry in list(self.operations):
            groups[entry.model, entry.key].append(entry)
        for (model, key), entries in groups.items():
            yield model, key, entries

    def count(self, outcome: str) -> int:
        """How many operations ended so."""
        return sum(entry.outcome == outcome for entry in self.operations)


def outcome_of(error: redis.RedisError) -> str:
    """What an error says of a write: anything but a plain refusal may have run."""
    text = str(error)
    if isinstance(error, redis.ResponseError):
        return UNKNOWN if any(words in text for words in MAY_HAVE_RUN) else FAIL
    if isinstance(error, redis.ConnectionError) and NOT_CONNECTED in text:
        return FAIL
    return FAIL if isinstance(error, redis.WatchError) else UNKNOWN
