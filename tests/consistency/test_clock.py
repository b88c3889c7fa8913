"""A server with a wrong clock has just that."""

import time
from pathlib import Path

import pytest
import redis

from kidoproxy.admin.embedded import find_server
from tests.consistency.clock import program_with_clock
from tests.consistency.nodes import VariousNodes

pytestmark = pytest.mark.live


def test_two_clocks(tmp_path: Path) -> None:
    """One is right, the other one is an hour late, and expires keys by that; also when it was started again."""
    program = find_server()
    with VariousNodes([program, program_with_clock(tmp_path, program, -3_600_000)]) as nodes:
        urls = nodes.start(2)
        nodes.restart(1)
        moment = round(time.time()) - 1800
        found = []
        for url in urls:
            with redis.Redis.from_url(url) as node:
                node.set("k", 1, exat=moment)
                found.append((round((node.time()[0] - time.time()) / 60), node.exists("k")))
        assert found == [(0, 0), (-60, 1)]
