"""``ack``: writes that are answered before every copy has them, on real nodes of which one is silent for a while."""

import pytest

from tests.live.contents import equal, is_behind, states
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

TIMEOUT_SECONDS = 20

pytestmark = pytest.mark.live


def key_led_by(proxy: RunningProxy, name: str) -> str:
    """A key that this node leads."""
    client = proxy.client()
    for at in range(200):
        lines = client.execute_command("PROXY", "ROUTE", "GET", f"k{at}")
        if any(line.startswith(f"asks: {name} ".encode()) for line in lines):
            return f"k{at}"
    raise AssertionError(name)


@pytest.mark.parametrize(("ack", "min_in_sync", "silent"), [("quorum", 1, 1), ("leader", 1, 2), ("leader", 2, 1)])
def test_silent_copies_cost_nobody_time(own_proxy: Starter, ack: str, min_in_sync: int, silent: int) -> None:
    """Writes, transactions and scripts are answered without them; woken up in time, they have missed nothing."""
    proxy = own_proxy("copy", 3, ack=ack, min_in_sync=min_in_sync, timeout_ms=TIMEOUT_SECONDS * 1000)
    key = key_led_by(proxy, proxy.names[0])
    client = proxy.client(socket_timeout=TIMEOUT_SECONDS / 2)
    paused = range(3 - silent, 3)
    for at in paused:
        proxy.pause(at)
    client.set(key, 0)
    for _ in range(50):
        client.incr(key)
        assert client.eval("return redis.call('INCRBY', KEYS[1], ARGV[1])", 1, key, 1)
    with client.pipeline() as pipe:
        pipe.incr("n")
        pipe.get(key)
        pipe.rpush("queue", "x")
        assert pipe.execute() == [1, b"100", 1]
    assert client.get(key) == b"100"
    client.rename(key, "moved")
    client.sadd(key, 1, 2, 3)
    assert client.spop(key) in (b"1", b"2", b"3")
    assert client.xadd("s", {"f": "v"})
    assert states(proxy) == ["in sync"] * 3
    for at in paused:
        proxy.resume(at)
    assert client.wait(2, 0) == 2
    held = equal(proxy)
    assert (held[(0, b"moved")][1], len(held[(0, key.encode())][1])) == (b"100", 2)


def test_a_silent_leader(own_proxy: Starter) -> None:
    """Without the leader nobody answers for its keys before its deadline; then it is behind."""
    proxy = own_proxy("copy", 3, ack="leader", timeout_ms=500)
    key = key_led_by(proxy, proxy.names[0])
    client = proxy.client()
    proxy.pause(0)
    assert client.set(key, "v")
    assert is_behind(proxy, 0)() or states(proxy)[0] == "down"
    proxy.resume(0)
    assert client.get(key) == b"v"


def test_a_copy_that_dies_after_the_answer(own_proxy: Starter) -> None:
    """It is behind, and made whole as ever."""
    proxy = own_proxy("copy", 3, ack="leader", timeout_ms=1000, heal="auto")
    client = proxy.client()
    for at in range(300):
        if at == 100:
            proxy.kill(2)
        if at == 200:
            proxy.restart(2)
        client.set(f"key:{at}", at)
    eventually(lambda: states(proxy) == ["in sync"] * 3, 30)
    assert client.wait(2, 0) == 2
    assert len(equal(proxy)) == 300
