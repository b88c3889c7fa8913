"""A page of very many nodes: others are served between its portions, and it is what it is at one go."""

import asyncio

import pytest

from kidoproxy.admin import portions
from kidoproxy.admin.http import AdminServer
from kidoproxy.admin.metrics import ProxyCollector, own_snapshot
from kidoproxy.admin.portions import answer_with_snapshot, collect_snapshot, in_portions
from kidoproxy.admin.worker_totals import decode_snapshot
from kidoproxy.routes.topology import Node
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.upstream.connection_set import ConnectionSet
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from tests.session.stage import ring

NODES = 1000


@pytest.mark.parametrize(("seconds", "turns"), [(0.0, 5), (1e9, 0)])
async def test_between_portions_the_loop_goes_round(
    seconds: float, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As often as that time has passed, and never without need."""
    monkeypatch.setattr(portions, "PORTION_SECONDS", seconds)
    loop = asyncio.get_running_loop()
    found: list[int] = []
    async for item in in_portions(range(5)):
        loop.call_soon(found.append, item)
    assert len(found) == turns


async def test_the_same_as_at_one_go() -> None:
    """All samples of all metrics, in the same order; another worker reads the same."""
    stage = ring("a", "b")
    stage.client()
    whole, found = own_snapshot(stage.proxy), await collect_snapshot(stage.proxy)
    assert list(found.families) == list(whole.families)
    own = [name for name in whole.families if name.startswith("kidoproxy_")]
    assert all(found.families[name] == whole.families[name] for name in own)
    again = decode_snapshot(await answer_with_snapshot(stage.proxy))
    assert again is not None
    assert all(again.families[name] == whole.families[name] for name in own)


def many_nodes() -> ProxyState:
    """A proxy with a thousand nodes, each with a connection, and failures."""
    nodes = [Node(number, f"n{number}", f"10.0.0.1:{number}", number + 1) for number in range(NODES)]
    executor = Executor([ConnectionSet(node, ConnectionOptions()) for node in nodes])
    for node in nodes:
        executor.connection(node, 2, 0)
        node.count_failure("down")
    return ProxyState(executor)


def test_no_portion_is_of_many_nodes() -> None:
    """However many there are: what is collected at one go is a little of them."""
    assert max(len(family.samples) for family in ProxyCollector(many_nodes()).collect()) < 50


async def test_a_page_of_many_nodes_is_whole() -> None:
    """Each of them is on it, once."""
    page = await AdminServer(many_nodes()).metrics_page()
    assert page.count(b"kidoproxy_upstream_seconds_count{") == NODES
    assert page.count(b"\nkidoproxy_node_up{") == NODES
    assert page.count(b"# TYPE kidoproxy_node_up ") == 1
