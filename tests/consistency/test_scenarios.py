"""Each case that must be right, played briefly; ``python -m tests.consistency`` plays them at length."""

import zlib
from collections.abc import Iterator

import pytest

from tests.consistency.rounds import Clusters
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
    history, problems = clusters.play(SCENARIOS[name], zlib.crc32(name.encode()))
    assert not problems, "\n".join(problems)
    assert history.count("ok") > 100
    # Only what nobody serves on copies may be missing from the load.
    assert not history.refused
