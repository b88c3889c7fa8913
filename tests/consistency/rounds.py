"""What a scenario is, on which kinds of pools it is played, and the pools on which rounds are played."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from tests.consistency.history import History
from tests.consistency.nemesis import Cluster, Trial
from tests.consistency.pools import POOLS, PoolKind
from tests.live.proxies import Starter

Play = Callable[[Trial], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """``nodes``: how many copies; ``filled``: with how many keys of all types; ``only``: what the load is limited to.

    ``options`` are settings of the pool; one that takes ``long`` is not played in the suite. ``is_exact``: it is about
    just so many copies. ``versions``: it is more than whole values sent by a leader, which an older copy may refuse.
    """

    play: Play
    nodes: int
    filled: int
    long: bool
    only: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]
    is_exact: bool
    versions: bool

    def fits(self, kind: PoolKind) -> bool:
        """Whether it can be played on such pools, here."""
        return kind.is_possible() and (self.versions or not kind.is_mixed)


SCENARIOS: Final[dict[str, Scenario]] = {}
#: More pools at once cost more than starting them anew.
MAX_RUNNING: Final = 5


def kind_of_round(wanted: Scenario, number: int, kinds: Sequence[str] = ()) -> PoolKind:
    """One kind of pool after another, of those that fit and are asked for; the plain one first."""
    fitting = [kind for kind in POOLS.values() if wanted.fits(kind) and (not kinds or kind.name in kinds)]
    return fitting[number % len(fitting)] if fitting else POOLS["plain"]


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

    def play(
        self, wanted: Scenario, seed: int, scale: int = 1, kind: PoolKind = POOLS["plain"]
    ) -> tuple[History, list[str]]:
        """One round; its history and what was wrong, with the end of the proxy's log."""
        count = kind.count(wanted.nodes, wanted.is_exact)
        place = (kind.name, count, *wanted.options)
        if place not in self.running:
            while len(self.running) >= MAX_RUNNING:
                self.running.pop(next(iter(self.running))).__exit__()
            self.running[place] = Cluster(self.start, count, self.server, kind, **dict(wanted.options))
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
    exact: bool = False,
    versions: bool = True,
    **options: Any,
) -> Callable[[Play], Play]:
    """Put it into the table."""

    def named(play: Play) -> Play:
        SCENARIOS[name or play.__name__] = Scenario(
            play, nodes, filled, long, only, tuple(options.items()), exact, versions
        )
        return play

    return named
