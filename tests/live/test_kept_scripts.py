# mypy: disable-error-code="import-untyped"
"""Scripts that copies keep, and lose: whoever flushes them, the copies are equal, and nobody hears of it."""

from typing import Any

import pytest
import redis

from tests.live.contents import equal, states
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live

TEXT = "redis.call('expire', KEYS[1], 900) return redis.call('rpush', KEYS[1], ARGV[1], unpack(redis.call('time')))"


def calls_by_digest(node: Any) -> int:
    """How often this node was asked by digest."""
    return int(node.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def flushed(proxy: RunningProxy, *which: int) -> None:
    """These nodes forget their scripts, past the proxy."""
    for at in which:
        with redis.Redis.from_url(proxy.nodes.urls[at]) as node:
            node.script_flush()


def test_scripts_are_kept_and_lost(serve_proxy: Starter) -> None:
    """A thousand calls: nearly all are by digest; flushed by the proxy's client, on all nodes, or on one."""
    proxy = serve_proxy("copy", 2, heal="auto")
    client = proxy.client(3)
    for turn in range(1, 1001):
        assert client.eval(TEXT, 1, "list", turn) == 3 * turn
        if turn == 300:
            client.script_flush()
        if turn == 500:
            flushed(proxy, 0, 1)
    for at, node in enumerate(proxy.node_clients()):
        assert calls_by_digest(node) > 980, at
    assert states(proxy) == ["in sync", "in sync"]
    equal(proxy)
    with client.pipeline(transaction=False) as pipe:
        for turn in range(1001, 1101):
            pipe.eval(TEXT, 1, "list", turn)
        assert pipe.execute() == [3 * turn for turn in range(1001, 1101)]
    flushed(proxy, 1)
    assert client.eval(TEXT, 1, "list", 1101) == 3303
    eventually(lambda: states(proxy) == ["in sync", "in sync"])
    assert client.eval(TEXT, 1, "list", 1102) == 3306
    assert states(proxy) == ["in sync", "in sync"]
    equal(proxy)
