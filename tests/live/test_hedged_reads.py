"""Reads of copies that are asked twice, or of the nearest, with real servers, sockets and timers."""

import time

import pytest

from tests.live.proxies import Starter
from tests.live.test_metrics import samples
from tests.ports import free_port

pytestmark = pytest.mark.live


def reply_seconds(port: int) -> dict[str, float]:
    """Of each copy, by its name."""
    prefix = "kidoproxy_node_reply_seconds"
    found = {name: value for name, value in samples(port).items() if name.startswith(prefix + "{")}
    return {node: value for node in ("node-0", "node-1") for name, value in found.items() if node in name}


def test_reads_do_not_wait_for_a_copy_that_pauses(own_proxy: Starter) -> None:
    """`hedge_ms`: the other copy is asked, within the budget; `read = "nearest"` leaves a slow copy alone."""
    port = free_port()
    proxy = own_proxy(
        "copy", 2, tcp=True, proxy={"admin": f"127.0.0.1:{port}"}, hedge_ms=20, timeout_ms=3000, read="nearest"
    )
    client = proxy.client()
    for number in range(400):
        assert client.set("k", number)
        assert client.get("k") == b"%d" % number
    nearest = int(min(reply_seconds(port).items(), key=lambda found: found[1])[0][-1])
    proxy.pause(nearest)
    try:
        started = time.monotonic()
        assert [client.get("k") for _ in range(4)] == [b"399"] * 4
        assert time.monotonic() - started < 2.0
    finally:
        proxy.resume(nearest)
    found = samples(port)
    assert found["kidoproxy_copy_hedges_total{event=won,pool=pool}"] > 0
    assert found["kidoproxy_copy_hedges_total{event=over_budget,pool=pool}"] == 0
    assert all(0.0 < seconds < 1.0 for seconds in reply_seconds(port).values())
