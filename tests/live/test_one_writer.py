"""Two real proxies over the same copies: one serves, the other one says who does, until it is told to take over."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from kidoproxy.admin.cli import main
from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.replication.owner_marks import SILENT_SECONDS
from tests.live.proxies import RunningProxy, Starter
from tests.ports import free_port
from tests.wait import eventually

pytestmark = pytest.mark.live


@contextmanager
def second_over(first: RunningProxy, name: str = "second", **options: Any) -> Iterator[RunningProxy]:
    """Another proxy over the nodes of ``first``, with a state directory of its own; not started yet."""
    folder = first.folder / name
    folder.mkdir()
    with RunningProxy(folder, "copy", first.urls, EmbeddedNodes(), **options) as second:
        yield second


def owner_names(proxy: RunningProxy) -> list[list[str]]:
    """For each node, the names of the connections that say whose the copies are."""
    return [
        [found["name"] for found in node.client_list() if found["name"].startswith("kidoproxy-")]
        for node in proxy.node_clients()
    ]


def test_the_second_does_not_start(own_proxy: Starter) -> None:
    """It says who serves; the first one goes on, nothing in the keyspace shows any of it, and clients see no key."""
    first = own_proxy("copy", 2)
    assert first.client().set("k", 1)
    with second_over(first) as second, pytest.raises(AssertionError, match=rf"ended with 1.*process {first.pid} on "):
        second.start()

    assert first.client().incr("k") == 2
    assert first.client().keys() == [b"k"]
    assert [len(names) for names in owner_names(first)] == [1, 1]
    assert "another proxy" not in first.log()
    checked = CliRunner().invoke(main, ["check", "--config", str(first.config)])
    assert checked.exit_code == 0
    assert checked.output.count(f"  served by process {first.pid} on ") == 1


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_the_second_starts_after_the_first_has_ended(own_proxy: Starter, sign: int) -> None:
    """However the first one has ended, its marker has gone with it."""
    first = own_proxy("copy", 2)
    first.client().set("k", 1)
    first.end(sign)
    with second_over(first) as second:
        second.start()
        assert second.client().incr("k") == 2


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_is_not_kept_out_by_itself(own_proxy: Starter, sign: int) -> None:
    """A proxy that is started again at once serves."""
    proxy = own_proxy("copy", 2)
    proxy.client().set("k", 1)
    proxy.restart_proxy(sign)
    assert proxy.client().incr("k") == 2
    assert "not served" not in proxy.log()


def test_take_over(own_proxy: Starter) -> None:
    """The first one serves the pool no more, whatever its clients send, and says who does; both live on."""
    first = own_proxy("copy", 2)
    client = first.client()
    client.set("k", 1)
    with second_over(first) as second:
        second.start("--take-over", "pool")
        assert second.client().incr("k") == 2
        with pytest.raises(redis.ResponseError, match=r"NOREPLICAS|NODEDOWN"):
            first.client().incr("k")
        eventually(lambda: "pool not served" in first.log())
        with pytest.raises(redis.ResponseError, match=rf"NOREPLICAS nothing was sent.*process {second.pid} on "):
            first.client().incr("k")
        with pytest.raises(redis.ResponseError, match=rf"NOREPLICAS nothing was sent.*process {second.pid} on "):
            first.client().get("k")
        assert first.client().ping()
        assert second.client().incr("k") == 3
        assert [len(names) for names in owner_names(first)] == [1, 1]
        assert [node.get("k") for node in first.node_clients()] == [b"3", b"3"]


def test_other_pools_are_served(own_proxy: Starter) -> None:
    """A proxy with a ring beside the copies starts all the same: only the pool that another one serves is refused."""
    first = own_proxy("copy", 2)
    with EmbeddedNodes() as nodes, second_over(first) as second:
        (url,) = nodes.start(1)
        port = free_port()
        ring = f'[pool.ring]\nlisten = "127.0.0.1:{port}"\nmode = "ring"\nnodes = ["{url}"]\n'
        second.config.write_text(second.config.read_text() + ring)
        second.start()
        with redis.Redis(port=port) as client:
            assert client.set("k", 1)
        with pytest.raises(redis.ResponseError, match=rf"process {first.pid} on "):
            second.client().get("k")
        assert "pool not served: pool=pool host=" in second.log()


def test_two_at_once(own_proxy: Starter) -> None:
    """Of two that start in the same moment one serves and one does not, never both and never none."""
    first = own_proxy("copy", 2)
    first.end()
    with second_over(first) as second:
        racers = [first, second]
        for racer in racers:
            racer.launch()
        outcomes = sorted(racer.is_announced() for racer in racers)
    assert outcomes == [False, True]


def test_a_user_that_may_not_look(own_proxy: Starter) -> None:
    """The log says once for each node that another proxy would not be noticed; the pool is served."""
    first = own_proxy("copy", 2)
    for node in first.node_clients():
        node.acl_setuser("app", enabled=True, nopass=True, keys="*", channels="*", commands=["+@all", "-client|list"])
    first.end()
    with second_over(first, node={"username": "app", "password": "any"}) as second:
        second.start()
        assert second.client().set("k", 1)
        assert second.log().count("owner unknown") == 2


def test_a_paused_owner_finds_another_one(own_proxy: Starter) -> None:
    """A proxy that stood still while another one took over yields when it goes on; what it was sent is not run."""
    first = own_proxy("copy", 2)
    first.client().set("k", 1)
    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)
    try:
        with second_over(first) as second, first.raw() as late:
            late.sendall(b"INCR k\r\n")
            second.start("--take-over", "pool")
            second.client().set("k", 10)
            first.process.send_signal(signal.SIGCONT)
            assert late.recv(1000).startswith(b"-")
            assert [node.get("k") for node in first.node_clients()] == [b"10", b"10"]
    finally:
        first.process.send_signal(signal.SIGCONT)


def owner_pid(proxy: RunningProxy) -> int:
    """The process that the first node's clients show to own the copies; 0 if there is none."""
    names = [name.split(":") for name in owner_names(proxy)[0] if name.startswith("kidoproxy-owner:")]
    return int(names[0][5]) if names else 0


def test_a_worker_that_is_replaced_does_not_take_over_again(own_proxy: Starter) -> None:
    """The order was carried out once; since then a third proxy has got one, and goes on."""
    first = own_proxy("copy", 2)
    with second_over(first, proxy={"workers": 2}) as second, second_over(first, "third") as third:
        second.start("--take-over", "pool")
        worker = owner_pid(first)
        assert worker not in (0, first.pid, second.pid)
        third.start("--take-over", "pool")
        os.kill(worker, signal.SIGKILL)
        assert second.process is not None
        assert second.process.wait(20) == 1
        assert f"served by the kidoproxy of process {third.pid} on " in second.log()
        assert third.client().set("k", 1)


def test_a_take_over_that_may_not_close_the_other(own_proxy: Starter) -> None:
    """Then both would write: it does not start, and says which permission is missing."""
    first = own_proxy("copy", 2)
    for node in first.node_clients():
        node.acl_setuser("app", enabled=True, nopass=True, keys="*", channels="*", commands=["+@all", "-client|kill"])
    with second_over(first, node={"username": "app", "password": "any"}) as second:
        with pytest.raises(AssertionError, match=r"does not close its connection.*client.kill"):
            second.start("--take-over", "pool")
        assert first.client().set("k", 1)


def test_an_owner_that_lost_all_nodes_yields_to_a_later_one(own_proxy: Starter) -> None:
    """It stood still until the nodes had closed its idle connections, and another one serves now, without any order."""
    first = own_proxy("copy", 2)
    first.client().set("k", 1)
    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)
    try:
        for node in first.node_clients():
            assert node.client_kill_filter(_type="normal", skipme=True)
        with second_over(first) as second:
            second.start()
            second.client().set("k", 2)
            first.process.send_signal(signal.SIGCONT)
            eventually(lambda: "pool not served" in first.log())
            assert second.client().set("k", 3)
            assert "pool not served" not in second.log()
            assert [node.get("k") for node in first.node_clients()] == [b"3", b"3"]
    finally:
        first.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("_turn", range(3))
def test_writes_during_a_take_over(own_proxy: Starter, _turn: int) -> None:
    """What the first proxy has acknowledged the second one has, whichever node was closed first."""
    first = own_proxy("copy", 3)
    counts = [0] * 8

    def write(at: int) -> None:
        client = first.client()
        try:
            while True:
                counts[at] = client.incr(f"k{at}")
        except redis.RedisError:
            return

    with second_over(first) as second, ThreadPoolExecutor(len(counts)) as pool:
        writers = [pool.submit(write, at) for at in range(len(counts))]
        eventually(lambda: min(counts) > 10)
        second.start("--take-over", "pool")
        for writer in writers:
            writer.result(20)
        held = [int(second.client().get(f"k{at}")) for at in range(len(counts))]
    assert all(value >= count for value, count in zip(held, counts, strict=True)), (held, counts)


def test_an_owner_that_is_silent(own_proxy: Starter) -> None:
    """It may stand still, or its host may be lost: who cannot start says for how long, and what can be done."""
    first = own_proxy("copy", 2)
    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)
    try:
        nodes = first.node_clients()
        eventually(lambda: all(idle_seconds(node) > SILENT_SECONDS for node in nodes))
        with (
            second_over(first) as second,
            pytest.raises(AssertionError, match=r"sent nothing for \d+ s.*--take-over pool"),
        ):
            second.start()
    finally:
        first.process.send_signal(signal.SIGCONT)


def idle_seconds(node: Any) -> int:
    """For how long the owner has sent nothing to this node."""
    return min(int(found["idle"]) for found in node.client_list() if found["name"].startswith("kidoproxy-owner:"))


def test_two_pools_of_one_process(own_proxy: Starter) -> None:
    """Two addresses of one server are found out by the marks: one pool is served, and the other one says so."""
    first = own_proxy("copy", 2, tcp=True, proxy={"state_dir": ""})
    first.end()
    port = free_port()
    urls = [url.replace("127.0.0.1", "localhost") for url in first.urls]
    more = f'[pool.twin]\nlisten = "127.0.0.1:{port}"\nmode = "copy"\nnodes = ["{urls[0]}", "{urls[1]}"]\n'
    first.config.write_text(first.config.read_text() + more)
    first.start()
    assert first.client().set("k", 1)
    with (
        redis.Redis(port=port) as client,
        pytest.raises(redis.ResponseError, match=rf"process {first.pid} on .*pool\.pool"),
    ):
        client.get("k")
