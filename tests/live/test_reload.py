"""SIGHUP while clients are at work: what can change is changed, and nobody notices; all else is refused as a whole."""

import os
import signal
import socket
import ssl
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from kidoproxy.resp.encode import encode_request
from tests.admin.cli.invoke import invoke
from tests.live.proxies import RunningProxy, Starter
from tests.live.reloading import counted, hang_up, load, metric, more, reload, replace
from tests.ports import free_port
from tests.wait import eventually

pytestmark = pytest.mark.live

PEM: Final = Path(__file__).parents[1] / "net" / "localhost.pem"
ONE_AND_TWO: Final = pytest.mark.parametrize("workers", [1, 2])


@ONE_AND_TWO
def test_under_load(own_proxy: Starter, workers: int) -> None:
    """Limits, time-outs, denied commands, users and the shape of the log change under clients that notice nothing."""
    admin = free_port()
    proxy = own_proxy("ring", 3, proxy={"workers": workers, "admin": f"127.0.0.1:{admin}"})
    began = metric(admin, 'kidoproxy_configuration_timestamp_seconds{worker="0"}')
    listener = proxy.client().pubsub(ignore_subscribe_messages=True)
    listener.subscribe("news")
    with load(proxy):
        more(proxy, "timeout_ms = 600")
        for number in range(10):
            replace(proxy, f"timeout_ms = {600 + number}", f"timeout_ms = {601 + number}")
            reload(proxy, workers=workers)
        more(proxy, 'deny = ["flushall"]\nnode_queue_mb = 64\nlimits = { bulk_mb = 7, idle_timeout_s = 1000 }')
        more(proxy, 'log = "json"\nmax_clients = 100', "[proxy]")
        reload(proxy, '"event": "configuration applied"', workers)
        for _ in range(10 * workers):
            with pytest.raises(redis.ResponseError, match="denies it"):
                proxy.client().flushall()
        proxy.client().publish("news", "x")
        eventually(lambda: (listener.get_message() or {}).get("data") == b"x")
    assert metric(admin, 'kidoproxy_reloads_total{result="ok",worker="0"}') == 11
    assert metric(admin, 'kidoproxy_reloads_total{result="rejected",worker="0"}') == 0
    assert metric(admin, 'kidoproxy_configuration_timestamp_seconds{worker="0"}') > began
    assert "changed=pool.pool.timeout_ms\n" in proxy.log()
    assert "Traceback" not in proxy.log()


def test_copies_under_load(own_proxy: Starter) -> None:
    """Writes to copies go on, and no copy falls behind."""
    proxy = own_proxy("copy", 2)
    behind = proxy.log().count("copy behind")
    with load(proxy, 4):
        replace(proxy, 'heal = "manual"', 'heal = "auto"\nsync_keys_per_s = 7')
        reload(proxy)
    assert proxy.log().count("copy behind") == behind


@ONE_AND_TWO
def test_a_bad_file(own_proxy: Starter, workers: int) -> None:
    """Gone, empty, unreadable as TOML, wrong: a line for each mistake, a counter, and the old configuration stays."""
    admin = free_port()
    proxy = own_proxy("ring", 1, proxy={"workers": workers, "admin": f"127.0.0.1:{admin}"})
    good = proxy.config.read_text()
    cases = {
        "there is no such file": None,
        "is empty; ": "",
        "there is no pool; the file needs at least one": "# nothing\n",
        "is not TOML": good + "x",
        'pool.pool.moode: unknown key; did you mean "mode"?': good + 'moode = "x"\n',
        "pool.pool.password_file: cannot read no: No such file": good + 'password_file = "no"\n',
        'pool.pool.deny: there is no command "flushal"': good + 'deny = ["flushal"]\n',
    }
    rejected = 'kidoproxy_reloads_total{result="rejected",worker="0"}'
    with load(proxy, 2):
        for line, text in cases.items():
            if text is None:
                proxy.config.unlink()
            else:
                proxy.config.write_text(text)
            count = metric(admin, rejected)
            hang_up(proxy)
            eventually(partial(counted, admin, rejected, count + 1))
            assert f"reload rejected: cause={'' if text is None else 'kidoproxy.toml'}" in proxy.log()
            assert line in proxy.log()
    proxy.config.write_text(good + 'deny = ["flushal", "keyys"]\ntimeout_ms = 0\n')
    hang_up(proxy)
    eventually(lambda: "timeout_ms: must be at least 1" in proxy.log())
    proxy.config.write_text(good)
    reload(proxy, workers=workers)
    assert proxy.client().ping()
    assert "Traceback" not in proxy.log()


@ONE_AND_TWO
def test_what_needs_a_restart(own_proxy: Starter, workers: int) -> None:
    """Nothing of the file is applied, and each key is named."""
    proxy = own_proxy("ring", 2, proxy={"workers": workers})
    more(proxy, 'hash = "fnv1a_64"\ndatabases = 3\ndeny = ["keys"]')
    reload(proxy, "reload rejected: key=pool.pool.hash cause=a change of this key needs a restart")
    eventually(lambda: "reload rejected: key=pool.pool.databases cause=" in proxy.log())
    assert "applied" not in proxy.log().replace("nothing was applied", "")
    for _ in range(5):
        assert proxy.client().keys() == []


@ONE_AND_TWO
def test_users(own_proxy: Starter, workers: int) -> None:
    """Who is logged in stays so by today's rules, unless the user is gone; others need the new password."""
    proxy = own_proxy("ring", 1, proxy={"workers": workers}, users={"ann": {"password": "a"}, "bob": {"password": "b"}})
    ann = proxy.client(username="ann", password="a", single_connection_client=True)
    bob = proxy.client(username="bob", password="b", single_connection_client=True)
    assert ann.set("k", 1)
    assert bob.set("k", 2)
    replace(proxy, 'bob = { password = "b" }', 'eve = { password = "e" }')
    replace(proxy, 'ann = { password = "a" }', 'ann = { password = "new", commands = "+@all -set" }')
    reload(proxy, workers=workers)
    assert ann.get("k") == b"2"
    with pytest.raises(redis.exceptions.NoPermissionError):
        ann.set("k", 3)
    with pytest.raises(redis.ConnectionError):
        bob.get("k")
    assert proxy.client(username="eve", password="e").ping()
    with pytest.raises(redis.AuthenticationError):
        proxy.client(username="ann", password="a").ping()


def served(proxy: RunningProxy) -> bytes:
    """The certificate that a new client is shown."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with proxy.raw() as wire, context.wrap_socket(wire) as tls:
        return tls.getpeercert(True) or b""


@ONE_AND_TWO
def test_certificates(own_proxy: Starter, tmp_path: Path, workers: int) -> None:
    """New handshakes are met with the renewed certificate; who is connected stays."""
    pem = tmp_path / "both.pem"
    pem.write_bytes(PEM.read_bytes())
    proxy = own_proxy("ring", 1, tls={"cert_file": str(pem), "key_file": str(pem)}, proxy={"workers": workers})
    old = served(proxy)
    context = ssl.create_default_context(cafile=str(PEM))
    with proxy.raw() as wire, context.wrap_socket(wire, server_hostname="localhost") as tls:
        tls.sendall(encode_request([b"PING"]))
        assert tls.recv(100) == b"+PONG\r\n"
        pem.write_bytes(PEM.with_name("renewed.pem").read_bytes())
        reload(proxy, workers=workers)
        assert {served(proxy) for _ in range(8)} & {old} == set()
        tls.sendall(encode_request([b"PING"]))
        assert tls.recv(100) == b"+PONG\r\n"
    pem.write_text("nothing")
    hang_up(proxy)
    eventually(lambda: "are not a certificate and its key" in proxy.log())
    assert served(proxy) != old
    assert "PRIVATE" not in proxy.log()


def test_the_password_of_a_node(own_proxy: Starter) -> None:
    """The open connection goes on; the next one logs in with the new password."""
    proxy = own_proxy("ring", 1)
    client = proxy.client()
    assert client.set("k", 1)
    (node,) = proxy.node_clients()
    node.config_set("requirepass", "new")
    replace(proxy, 'name = "node-0"', 'name = "node-0", password = "new"')
    reload(proxy)
    assert client.get("k") == b"1"
    with redis.Redis.from_url(proxy.nodes.urls[0], password="new", protocol=2) as node:
        node.client_kill_filter(_type="normal", skipme=True)
    eventually(lambda: answers(client))
    assert client.get("k") == b"1"


def answers(client: Any) -> bool:
    try:
        return bool(client.get("k"))
    except redis.RedisError:
        return False


@ONE_AND_TWO
def test_while_it_starts(own_proxy: Starter, workers: int) -> None:
    """A SIGHUP that comes before it serves ends nothing, and is a reload as soon as it serves."""
    proxy = own_proxy("ring", 1, proxy={"workers": workers})
    proxy.end()
    proxy.launch()
    blocked = Path(f"/proc/{proxy.pid}/status")
    eventually(lambda: is_held(blocked))
    hang_up(proxy)
    assert proxy.is_announced(), proxy.log()
    eventually(lambda: proxy.log().count("configuration applied") == workers)
    assert proxy.client().ping()


def is_held(status: Path) -> bool:
    """Whether the process has blocked SIGHUP."""
    mask = next(line for line in status.read_text().splitlines() if line.startswith("SigBlk:"))
    return bool(int(mask.split()[1], 16) & 1 << (signal.SIGHUP - 1))


@ONE_AND_TWO
def test_many_at_once(own_proxy: Starter, workers: int) -> None:
    """Signals that come while it reads are one more reload; the last file is the one that counts."""
    proxy = own_proxy("ring", 1, proxy={"workers": workers})
    with load(proxy, 4):
        more(proxy, "limits = { bulk_mb = 100 }")
        for number in range(1, 30):
            replace(proxy, f"bulk_mb = {number - 1 or 100}", f"bulk_mb = {number}")
            hang_up(proxy)
        eventually(lambda: accepts(proxy, 29 << 20) and not accepts(proxy, 30 << 20))
    assert "Traceback" not in proxy.log()


def accepts(proxy: RunningProxy, size: int) -> bool:
    """Whether the announcement of such a value is taken."""
    with proxy.raw() as wire:
        wire.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\nx" % size)
        wire.settimeout(0.2)
        try:
            return not wire.recv(100)
        except TimeoutError:
            return True


@ONE_AND_TWO
def test_while_it_drains(own_proxy: Starter, workers: int) -> None:
    """It is rejected, with a line; the drain goes on to its end."""
    proxy = own_proxy("ring", 1, proxy={"workers": workers, "drain_seconds": 1})
    assert proxy.process is not None
    with proxy.raw() as wire:
        wire.sendall(encode_request([b"MULTI"]))
        assert wire.recv(100) == b"+OK\r\n"
        proxy.process.send_signal(signal.SIGTERM)
        eventually(lambda: "draining" in proxy.log())
        hang_up(proxy)
        eventually(lambda: "reload rejected: cause=the proxy is stopping" in proxy.log())
        assert proxy.process.wait(20) == 0


def test_by_the_command(own_proxy: Starter) -> None:
    """``kidoproxy reload`` finds the process by the addresses of the file, whatever else runs on this machine."""
    proxy, other = own_proxy("ring", 1, proxy={"workers": 2}), own_proxy("ring", 1)
    more(proxy, "timeout_ms = 700")
    found = invoke("reload", "--config", str(proxy.config))
    assert (found.exit_code, found.output) == (0, f"Process {proxy.pid} goes on with {proxy.config.name}.\n")
    eventually(lambda: proxy.log().count("configuration applied") == 2)
    assert invoke("reload", "--config", str(other.config), "--pid", str(other.pid)).exit_code == 0
    for one in (proxy, other):
        more(one, "databases = 7")
        found = invoke("reload", "--config", str(one.config))
        assert found.exit_code == 1
        assert found.output.endswith(
            "goes on with what it had\n"
            "  pool.pool.databases: a change of this key needs a restart; nothing was applied\n"
        )
    eventually(lambda: "configuration applied" in other.log())
    other.end()
    gone = invoke("reload", "--config", str(other.config))
    assert (gone.exit_code, gone.output.partition(" listens")[0]) == (1, "kidoproxy: no kidoproxy of yours")


@ONE_AND_TWO
def test_what_the_service_manager_hears(
    own_proxy: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """RELOADING with the time at which it began, then READY, whatever came of it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        proxy = own_proxy("ring", 1, proxy={"workers": workers})
        assert manager.recv(1000) == b"READY=1"
        for text in (proxy.config.read_text(), "nonsense"):
            proxy.config.write_text(text)
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            hang_up(proxy)
            first, second = manager.recv(1000).decode().split("\n")
            assert (first, second.partition("=")[0]) == ("RELOADING=1", "MONOTONIC_USEC")
            assert int(second.partition("=")[2]) >= before
            assert manager.recv(1000) == b"READY=1"
        proxy.end()
        assert manager.recv(1000) == b"STOPPING=1"


def test_a_worker_that_is_replaced(own_proxy: Starter) -> None:
    """It begins with the configuration of the last reload."""
    proxy = own_proxy("ring", 1, proxy={"workers": 2})
    more(proxy, 'deny = ["keys"]')
    reload(proxy, workers=2)
    children = Path(f"/proc/{proxy.pid}/task/{proxy.pid}/children")
    os.kill(int(children.read_text().split()[1]), signal.SIGKILL)
    eventually(lambda: "worker died" in proxy.log() and len(children.read_text().split()) == 2)
    for _ in range(10):
        with pytest.raises(redis.ResponseError, match="denies it"):
            proxy.client().keys()
