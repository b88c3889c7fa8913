"""Several workers answer as one proxy: what a client asks of clients, counters and scripts means all of them."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import redis

from tests.live.proxies import RunningProxy, Starter
from tests.live.test_metrics import page
from tests.ports import free_port
from tests.processes import descendants
from tests.wait import eventually

pytestmark = pytest.mark.live

WORKERS = 3
#: More than enough that each worker has some, by the kernel's hash of their addresses.
CLIENTS = 40


@pytest.fixture(scope="module")
def proxy(serve_proxy: Starter) -> RunningProxy:
    return serve_proxy("ring", 2, proxy={"workers": WORKERS}, timeout_ms=5000)


def on_each_worker(proxy: RunningProxy, protocol: int, workers: int = WORKERS) -> list[Any]:
    """A client of each worker; ids say whose they are."""
    found: dict[int, Any] = {}
    for _ in range(CLIENTS):
        client = proxy.client(protocol, decode_responses=True, single_connection_client=True)
        found.setdefault((client.client_id() - 1) % workers, client)
    assert len(found) == workers
    return [client for _, client in sorted(found.items())]


def worker_pids(proxy: RunningProxy) -> list[int]:
    """By number: each is forked behind the one before."""
    return sorted(descendants(proxy.pid))


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """It hangs for the time of the ``with``."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("protocol", [2, 3])
def test_clients_of_all_workers(proxy: RunningProxy, protocol: int) -> None:
    """Each worker lists the same clients, kills those of others, and pauses all."""
    clients = on_each_worker(proxy, protocol)
    ids = {client.client_id() for client in clients}
    for client in clients:
        assert ids <= {int(row["id"]) for row in client.client_list()}
        assert {int(row["id"]) for row in client.client_list(client_id=sorted(ids))} == ids
    victim = proxy.client(protocol, single_connection_client=True)
    victim_id = victim.client_id()
    assert [client.client_kill_filter(_id=victim_id) for client in clients] == [1, 0, 0]
    with pytest.raises(redis.ConnectionError):
        victim.ping()
    for client in clients:
        assert client.client_pause(100) is True
        began = time.monotonic()
        others = [threading.Thread(target=other.ping) for other in clients]
        for thread in others:
            thread.start()
        for thread in others:
            thread.join()
        assert time.monotonic() - began > 0.05


@pytest.mark.parametrize("protocol", [2, 3])
def test_unblock_and_counts(proxy: RunningProxy, protocol: int) -> None:
    """A client of any worker is unblocked from any other; INFO, PROXY STATS and NUMSUB are the same everywhere."""
    clients = on_each_worker(proxy, protocol)
    waiting = on_each_worker(proxy, protocol)
    popped: list[Any] = []
    threads = [threading.Thread(target=lambda c=client: popped.append(c.blpop("nothing", 0))) for client in waiting]
    ids = [client.client_id() for client in waiting]
    for thread in threads:
        thread.start()
    eventually(lambda: clients[0].info("clients")["blocked_clients"] == WORKERS)
    assert [clients[(at + 1) % WORKERS].client_unblock(ids[at]) for at in range(WORKERS)] == [1] * WORKERS
    for thread in threads:
        thread.join()
    assert popped == [None] * WORKERS
    counted = {client.info()["connected_clients"] for client in clients}
    assert len(counted) == 1
    assert counted.pop() == len(clients[0].client_list())
    assert clients[1].info("kidoproxy")["workers"] == WORKERS
    channels = [client.pubsub() for client in on_each_worker(proxy, protocol)]
    for channel in channels:
        channel.subscribe("news")
        assert channel.get_message(timeout=5)["type"] == "subscribe"
    for client in clients:
        assert client.pubsub_numsub("news") == [("news", WORKERS)]
        assert client.pubsub_channels() == ["news"]
    for channel in channels:
        channel.close()


def test_scripts_of_all_workers(proxy: RunningProxy) -> None:
    """What was loaded through one worker is healed by each when the nodes have lost it, until it is flushed."""
    clients = on_each_worker(proxy, 3)
    loaded = clients[0].script_load("return 'loaded'")
    clients[1].eval("return 'seen'", 1, "k")
    seen = redis.commands.core.Script(clients[1], "return 'seen'").sha
    for node in proxy.node_clients():
        node.script_flush()
    for client in clients:
        assert client.evalsha(loaded, 1, "k") == "loaded"
    assert clients[2].evalsha(seen, 1, "k") == "seen"
    clients[2].script_flush()
    for client in clients:
        with pytest.raises(redis.exceptions.NoScriptError):
            client.evalsha(loaded, 1, "k")


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_worker_that_is_stopped(own_proxy: Starter, protocol: int) -> None:
    """It delays a reply by a second at most, once; what is missing is said. It does not do what came too late."""
    port = free_port()
    proxy = own_proxy("ring", 1, proxy={"workers": 2, "admin": f"127.0.0.1:{port}"})
    eventually(lambda: page(port, "/readyz")[0] == 200)
    here, there = on_each_worker(proxy, protocol, 2)
    everybody = len(here.client_list())
    with stopped(worker_pids(proxy)[1]):
        for seconds in (1.5, 0.5):
            began = time.monotonic()
            assert 0 < len(here.client_list()) < everybody
            assert time.monotonic() - began < seconds
        with pytest.raises(redis.ResponseError, match=r"PARTIAL 'client\|kill' reached 1 of 2 workers"):
            here.client_kill_filter(_type="normal")
        assert here.info("kidoproxy")["workers_answered"] == 1
        assert page(port, "/readyz") == (503, "worker 1: it does not answer\n")
    assert there.ping()
    eventually(lambda: page(port, "/readyz")[0] == 200)
    assert "worker does not answer" in proxy.log()


def test_a_worker_that_dies(own_proxy: Starter) -> None:
    """A reply comes all the same. The one that takes its place gives new ids, and knows scripts and the pause."""
    proxy = own_proxy("ring", 1, proxy={"workers": 2})
    here, there = on_each_worker(proxy, 3, 2)
    digest = here.script_load("return 1")
    last_id = max(int(row["id"]) for row in there.client_list() if int(row["id"]) % 2 == 0)
    with stopped(victim := worker_pids(proxy)[1]):
        began = time.monotonic()
        threading.Timer(0.1, os.kill, (victim, signal.SIGKILL)).start()
        assert len(here.client_list()) > 0
        assert time.monotonic() - began < 1.5
        eventually(lambda: victim not in worker_pids(proxy))
    eventually(lambda: here.info("kidoproxy")["workers_answered"] == 2)
    proxy.node_clients()[0].script_flush()
    _, there = on_each_worker(proxy, 3, 2)
    assert there.client_id() > last_id
    assert there.evalsha(digest, 0) == 1
