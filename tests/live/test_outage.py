"""A node is killed and comes back: workers that outlive that on one server outlive it behind the proxy, and pages, too.

``python -m tests.outage`` measures more clients, and one server beside the ring, ``python -m tests.outage.pages`` more
backends and settings.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.live.django_backends import KIDO, STOCK
from tests.live.proxies import Starter
from tests.outage import pages
from tests.outage.measure import measure
from tests.outage.servers import Servers
from tests.outage.table import CLIENTS

pytestmark = pytest.mark.live

WORKERS: Final = ("celery", "rq", "dramatiq", "huey", "channels_redis", "redis-py, many retries")


def test_workers_live_on(tmp_path: Path) -> None:
    """They come again by themselves; nothing that was sent is lost, and nothing is run twice."""
    clients = [client for client in CLIENTS if client.name in WORKERS]
    with Servers("retry", tmp_path) as servers:
        found = dict(zip(WORKERS, measure(clients, servers, {}), strict=True))
    assert {name: (one.lives, one.lost, one.twice) for name, one in found.items()} == dict.fromkeys(
        WORKERS, (True, 0, 0)
    )
    assert [name for name, one in found.items() if one.resumed is None] == []
    assert found["redis-py, many retries"].failed == 0


@pytest.mark.parametrize(
    ("backend", "mode", "lost"),
    [(STOCK, "ring", True), (KIDO, "ring", False), (STOCK, "copy", False)],
)
def test_pages_of_a_killed_node(own_proxy: Starter, backend: str, mode: str, lost: bool) -> None:
    """As the guide says: lost on a ring, unless that is a miss; on copies none is even computed again."""
    (setting,) = [one for one in pages.SETTINGS if (one.backend, one.mode) == (backend, mode) and not one.pool]
    found = pages.measure(own_proxy, setting, "killed", seconds=0.2)
    assert (found.lost > 0) is lost
    assert (found.computed > 0) is (backend == KIDO)
