# mypy: disable-error-code="import-untyped"
"""Scripts that copies keep, and lose: whoever flushes them, the copies are equal, and nobody hears of it."""

from typing import Any

import pytest
import redis

from tests.live.contents import Crowd, equal, states
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


@pytest.mark.parametrize("ack", ["all", "quorum"])
def test_flushed_all_the_time(serve_proxy: Starter, ack: str) -> None:
    """Whatever nodes forget, and whenever: no call fails, none is run twice, and the copies come to be equal."""
    proxy = serve_proxy("copy", 3, heal="auto", ack=ack)
    client = proxy.client(3)
    client.function_load(f"#!lua name=lib\nredis.register_function('f', function(KEYS, ARGV) {TEXT} end)")
    script = client.register_script(TEXT)
    nodes = [redis.Redis.from_url(url) for url in proxy.nodes.urls]

    def flush(turn: int) -> None:
        for node in nodes[turn % 4 :] or [client]:
            node.script_flush()

    with Crowd() as crowd:
        crowd.join(flush)
        for turn in range(0, 900, 3):
            with client.pipeline(transaction=turn % 2 == 1) as pipe:
                pipe.eval(TEXT, 1, "list", turn)
                script(["list"], [turn], client=pipe)
                pipe.fcall("f", 1, "list", turn)
                assert pipe.execute()[-1] == 3 * (turn + 3)
    eventually(lambda: states(proxy) == ["in sync"] * 3, 30)
    assert client.llen("list") == 2700
    equal(proxy)
    for node in nodes:
        node.close()
