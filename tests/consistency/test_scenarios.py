"""Each case that must be right, played briefly; ``python -m tests.consistency`` plays them at length.

Half of them are played on plain pools, and half on pools of another kind, every day another one: to start all of them
takes longer than all that is played on them.
"""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.consistency.pools import POOLS
from tests.consistency.rounds import Clusters, kind_of_round
from tests.consistency.scenarios import SCENARIOS
from tests.live.proxies import starter

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    """Copy pools that the scenarios have in common."""
    with starter(tmp_path_factory.mktemp("consistency")) as start, Clusters(start) as made:
        yield made


@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if not scenario.long])
def test_what_was_promised_holds(clusters: Clusters, name: str) -> None:
    """No acknowledged write is lost, no read is stale, no element is popped twice, and the copies are equal."""
    day = datetime.now(UTC).toordinal()
    seed = zlib.crc32(name.encode())
    others = list(POOLS)[1:]
    kind = kind_of_round(SCENARIOS[name], 0, ["plain" if (seed + day) % 2 else others[day % len(others)]])
    history, problems = clusters.play(SCENARIOS[name], seed, 1, kind)
    assert not problems, "\n".join([f"--only {name} --pool {kind.name} --seed {seed} --scale 1", *problems])
    assert history.count("ok") > 100
    # Only what nobody serves on copies may be missing from the load.
    assert not history.refused
