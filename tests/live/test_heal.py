"""Copies that come back by themselves: nobody asks for anything, and no acknowledged write is lost."""

import pytest

from tests.live.contents import Crowd, equal, ordered, states
from tests.live.proxies import Starter
from tests.live.writers import DATABASES, Acknowledged, Restless, fill
from tests.wait import eventually

pytestmark = pytest.mark.live


def test_nodes_without_persistence_restarted_one_after_another(own_proxy: Starter) -> None:
    """Each comes back empty and is in sync before the next one goes: nobody gets an error, and nothing is lost."""
    proxy = own_proxy("copy", 2, heal="auto", timeout_ms=5000)
    fill(proxy, 300)
    work = Acknowledged(proxy, writers=2)
    with Crowd() as crowd:
        work.join(crowd, readers=1)
        crowd.join(Restless(proxy, 1).step)
        for at in (0, 1, 0, 1):
            work.go_on(crowd)
            proxy.kill(at)
            work.go_on(crowd)
            proxy.restart(at)
            eventually(lambda: states(proxy) == ["in sync"] * 2, 30)
        work.go_on(crowd)
    assert work.errors == []
    assert len(equal(proxy, (*DATABASES, 9))) > work.total() + 900


def test_a_node_that_stood_still(own_proxy: Starter) -> None:
    """A node that does not answer for longer than the deadline is synced when it answers again."""
    proxy = own_proxy("copy", 3, heal="auto", timeout_ms=1000)
    work = Acknowledged(proxy)
    with Crowd() as crowd:
        work.join(crowd)
        for _ in range(2):
            work.go_on(crowd)
            proxy.pause(1)
            eventually(lambda: states(proxy)[1] != "in sync")
            work.go_on(crowd)
            proxy.resume(1)
            eventually(lambda: states(proxy) == ["in sync"] * 3, 30)
        work.go_on(crowd)
    assert work.errors == []
    assert len(equal(proxy)) == work.total()


def test_cancelled_it_does_not_begin_again(own_proxy: Starter) -> None:
    """A person's word ends it for good, over a restart of the proxy, too, until the sync is ordered."""
    proxy = own_proxy("copy", 2, heal="auto", timeout_ms=5000)
    client = proxy.client()
    fill(proxy, 500)
    proxy.kill(1)
    client.set("k", 1)
    proxy.restart(1)
    proxy.pause(1)
    ordered(proxy, 1, "--cancel")
    proxy.resume(1)
    eventually(lambda: states(proxy)[1] == "behind")
    for turn in range(50):
        client.set("k", turn)
        assert states(proxy)[1] == "behind"
    assert client.execute_command("PROXY", "SYNC")[b"node-1"] == b"failed: cancelled"
    proxy.restart_proxy()
    assert proxy.client().execute_command("PROXY", "SYNC")[b"node-1"] == b"failed: cancelled"
    assert states(proxy) == ["in sync", "behind"]
    ordered(proxy, 1)
    equal(proxy, DATABASES)
