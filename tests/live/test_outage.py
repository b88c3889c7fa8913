"""A node is killed and comes back: workers that outlive that on one server outlive it behind the proxy.

``python -m tests.outage`` measures more clients, and one server beside the ring.
"""

from pathlib import Path
from typing import Final

import pytest

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
