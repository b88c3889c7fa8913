"""What a scenario is, and the copy pools on which rounds of them are played."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import redis

from tests.consistency.history import History
from tests.consistency.nemesis import Cluster, Trial
from tests.live.proxies import Starter

Play = Callable[[Trial], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """``nodes``: how many copies; ``filled``: with how many keys of all types; ``only``: what the load is limited to.

    ``options`` are settings of the pool; one that takes ``long`` is not played in the suite.
    """

    play: Play
    nodes: int
    filled: int
    long: bool
    only: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]


SCENARIOS: Final[dict[str, Scenario]] = {}


class Clusters:
    """Copy pools that are shared by scenarios which want the same; one that was left with a problem is not."""

    def __init__(self, start: Starter, server: str = "auto") -> None:
        self.start = start
        self.server = server
        self.running: dict[tuple[Any, ...], Cluster] = {}

    def __enter__(self) -> "Clusters":
        return self

    def __exit__(self, *exc: object) -> None:
        while self.running:
            self.running.popitem()[1].__exit__()

    def play(self, wanted: Scenario, seed: int, scale: int = 1) -> tuple[History, list[str]]:
        """One round; its history and what was wrong, with the end of the proxy's log."""
        place = (wanted.nodes, *wanted.options)
        if place not in self.running:
            self.running[place] = Cluster(self.start, wanted.nodes, self.server, **dict(wanted.options))
        cluster = self.running[place]
        trial = Trial(cluster, seed, wanted.only, scale, wanted.filled)
        try:
            problems = [str(problem) for problem in trial.play(wanted.play)]
        except (AssertionError, redis.RedisError) as problem:
            problems = [f"{type(problem).__name__}: {problem}"]
        if problems:
            problems += cluster.proxy.log().splitlines()[-20:]
            self.running.pop(place).__exit__()
        return trial.load.history, problems


def scenario(
    nodes: int = 2,
    filled: int = 0,
    only: tuple[str, ...] = (),
    name: str = "",
    long: bool = False,
    **options: Any,
) -> Callable[[Play], Play]:
    """Put it into the table."""

    def named(play: Play) -> Play:
        SCENARIOS[name or play.__name__] = Scenario(play, nodes, filled, long, only, tuple(options.items()))
        return play

    return named
