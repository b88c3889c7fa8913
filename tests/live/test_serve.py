"""The program from its start to its end: what it says, what it leaves behind, and how it is watched."""

import contextlib
import json
import os
import pty
import re
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from kidoproxy.admin.cli.first_steps import first_steps
from kidoproxy.config.read import embedded_config
from kidoproxy.net.address_claims import claim_owners
from kidoproxy.resp.encode import encode_request
from tests.live.proxies import READY, RunningProxy, Starter, environment
from tests.ports import free_port
from tests.processes import descendants, is_running
from tests.wait import eventually

pytestmark = pytest.mark.live

SECONDS: Final = 20.0


def fetch(port: int, path: str) -> tuple[int, str]:
    """Status and body of an admin page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def failed(proxy: Callable[[], RunningProxy]) -> str:
    """Why a proxy did not start."""
    with pytest.raises(AssertionError, match="the proxy ended with 1:") as error:
        proxy()
    return str(error.value).partition(": ")[2]


@pytest.mark.parametrize("workers", [1, 2])
def test_port_in_use(own_proxy: Starter, workers: int) -> None:
    """A port that somebody has: one line says so, and the exit status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        text = failed(lambda: own_proxy("ring", 1, listen=listen, proxy={"workers": workers}))
    assert f"pool.pool: cannot listen on {listen}: address already in use" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("mode", "first", "second", "host"),
    [
        ("ring", 1, 1, "127.0.0.1"),
        ("ring", 1, 2, "0.0.0.0"),
        ("ring", 2, 1, "0.0.0.0"),
        ("ring", 2, 2, "127.0.0.1"),
        ("copy", 2, 2, "0.0.0.0"),
    ],
)
def test_a_second_proxy(own_proxy: Starter, mode: str, first: int, second: int, host: str) -> None:
    """It does not start, however many workers either has, and is told whose the address is; a death frees it."""
    one = own_proxy(mode, 1, proxy={"workers": first, "state_dir": ""})
    listen = f"{host}:{one.port}"
    options: dict[str, Any] = {"listen": listen, "protected": False, "proxy": {"workers": second, "state_dir": ""}}
    text = failed(lambda: own_proxy(mode, 1, **options))
    told = f"pool.pool: cannot listen on {listen}: address already in use by kidoproxy with pid {one.pid}, since 20"
    assert told in text
    assert one.client().ping()
    # Its workers notice that their parent is gone, and serve until then: the address is theirs so long.
    one.end(signal.SIGKILL)
    eventually(lambda: not claimed(one.port))
    one.start()
    assert one.client().ping()


def claimed(port: int) -> bool:
    """Whether somebody still has that port."""
    return any(owner.bind_address.endpoint == f"tcp/{port}" for owner in claim_owners())


def test_no_permission(own_proxy: Starter, tmp_path: Path) -> None:
    """A socket that cannot be made: one line says so, and the exit status is 1."""
    missing = tmp_path / "nowhere" / "kidoproxy.sock"
    text = failed(lambda: own_proxy("ring", 1, listen=f"unix://{missing}"))
    assert f"pool.pool: cannot listen on unix://{missing}: no such file or directory" in text
    in_the_way = tmp_path / "file"
    in_the_way.write_text("precious")
    text = failed(lambda: own_proxy("ring", 1, listen=f"unix://{in_the_way}"))
    assert str(in_the_way) in text
    assert in_the_way.read_text() == "precious"
    assert "Traceback" not in text


def test_sigterm_drains(own_proxy: Starter) -> None:
    """What is under way when SIGTERM comes is answered; idle clients are closed; nobody new is let in; status 0."""
    proxy = own_proxy("ring", 1, timeout_ms=10_000)
    with proxy.raw() as busy, proxy.raw() as idle:
        busy.sendall(b"SET k v\r\n")
        assert busy.recv(100) == b"+OK\r\n"
        proxy.pause(0)
        busy.sendall(encode_request([b"GET", b"k"]))
        # Both are read in this order, so that the proxy has the GET when it hears the PING.
        idle.sendall(b"PING\r\n")
        assert idle.recv(100) == b"+PONG\r\n"
        assert proxy.process is not None
        proxy.process.send_signal(signal.SIGTERM)
        assert idle.recv(100) == b""
        with pytest.raises(ConnectionRefusedError):
            proxy.raw()
        proxy.resume(0)
        assert b"".join(iter(lambda: busy.recv(100), b"")) == b"$1\r\nv\r\n"
    assert proxy.end() == 0


def count_until_closed(
    connections: list[socket.socket], replies: int, on_busy: Callable[[], object]
) -> tuple[list[int], list[bytes]]:
    """Each of these clients counts, one request after the other, until its connection ends: how many replies each got,
    and what those heard who were owed one. ``on_busy``: the first one has so many ``replies``.

    As redis-py does, a client looks whether its connection has ended before it asks.
    """
    counts, owed = [0] * len(connections), []
    with selectors.DefaultSelector() as selector:
        for at, connection in enumerate(connections):
            selector.register(connection, selectors.EVENT_READ, at)
            connection.sendall(encode_request([b"INCR", b"k%d" % at]))
        while selector.get_map():
            for key, _ in selector.select(SECONDS):
                connection, at = connections[key.data], key.data
                reply = connection.recv(100)
                if reply != b":%d\r\n" % (counts[at] + 1):
                    owed.append(reply)
                counts[at] += bool(reply)
                if at == 0 and counts[at] == replies:
                    on_busy()
                if not reply or select.select([connection], [], [], 0)[0]:
                    selector.unregister(connection)
                else:
                    connection.sendall(encode_request([b"INCR", b"k%d" % at]))
    return counts, owed


@pytest.mark.parametrize(("replies", "after"), [(1, 0.0), (20, 0.003), (20, 0.02)])
def test_sigterm_answers_all_that_has_arrived(own_proxy: Starter, replies: int, after: float) -> None:
    """Sixty busy clients: each request is answered, and each client hears of the end together with a reply."""
    proxy = own_proxy("ring", 1)
    (node,) = proxy.node_clients()
    assert proxy.process is not None
    timer = threading.Timer(after, proxy.process.send_signal, [signal.SIGTERM])
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(proxy.raw()) for _ in range(60)]
        counts, owed = count_until_closed(connections, replies, timer.start)
    timer.join()
    assert owed == []
    assert [int(node.get(f"k{at}")) for at in range(60)] == counts
    assert proxy.end() == 0


def test_drain_has_an_end(own_proxy: Starter) -> None:
    """A client whose command never ends does not hold the end for longer than drain_seconds."""
    proxy = own_proxy("ring", 1, timeout_ms=600_000, proxy={"drain_seconds": 0.2})
    with proxy.raw() as busy:
        proxy.pause(0)
        busy.sendall(encode_request([b"GET", b"k"]))
        eventually(lambda: "flags=N" in str(proxy.client(protocol=2).execute_command("CLIENT", "INFO")))
        assert proxy.end() == 0
        assert busy.recv(100) == b""


def test_restart(own_proxy: Starter) -> None:
    """After a restart, also after SIGKILL, the same port serves the same keys."""
    proxy = own_proxy("ring", 2)
    proxy.client().mset({f"k{at}": at for at in range(20)})
    for sign in (signal.SIGTERM, signal.SIGKILL):
        proxy.restart_proxy(sign)
        assert proxy.client().mget([f"k{at}" for at in range(20)]) == [b"%d" % at for at in range(20)]


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """``kidoproxy serve`` without a file, its port, and the folder for its temporary files."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "kidoproxy", "serve", "--listen", f"127.0.0.1:{port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**environment(), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert process.stdout is not None
    try:
        assert any(READY in line for line in process.stdout)
        yield process, port, tmp_path
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left(embedded: tuple[subprocess.Popen[str], int, Path], sign: signal.Signals) -> None:
    """A run without a file serves at once, and leaves no process and no file, however it ends."""
    process, port, folder = embedded
    with redis.Redis(port=port) as client:
        assert client.set("hello", "world")
        assert client.get("hello") == b"world"
    started = descendants(process.pid)
    assert len(started) >= 3
    process.send_signal(sign)
    assert process.wait(SECONDS) == (0 if sign != signal.SIGKILL else -sign)
    eventually(lambda: not any(is_running(pid) for pid in started))
    assert list(folder.iterdir()) == []


def test_workers(own_proxy: Starter) -> None:
    """Two workers serve one port; one that dies is replaced; all end with their parent."""
    proxy = own_proxy("ring", 2, proxy={"workers": 2})
    client = proxy.client()
    client.mset({f"k{at}": at for at in range(20)})

    def serving() -> set[bytes]:
        """The process ids that new connections meet."""
        found = set()
        for _ in range(20):
            with proxy.raw() as connection:
                connection.sendall(b"INFO server\r\n")
                found.add(connection.recv(1 << 16).partition(b"process_id:")[2].partition(b"\r")[0])
        return found

    eventually(lambda: len(serving()) == 2)
    workers = descendants(proxy.pid)
    assert len(workers) == 2
    client.close()
    os.kill(workers[1], signal.SIGKILL)
    eventually(lambda: workers[1] not in descendants(proxy.pid))
    assert proxy.client().get("k0") == b"0"
    eventually(lambda: len(serving()) == 2)
    assert proxy.client().mget([f"k{at}" for at in range(20)]) == [b"%d" % at for at in range(20)]
    workers = descendants(proxy.pid)
    assert proxy.end() == 0
    assert not any(is_running(pid) for pid in workers)


def test_admin(own_proxy: Starter) -> None:
    """The pages say that the process lives, whether it can serve, and what it counts."""
    port = free_port()
    proxy = own_proxy("ring", 2, proxy={"admin": f"127.0.0.1:{port}"}, timeout_ms=300)
    assert fetch(port, "/healthz")[0] == 200
    assert fetch(port, "/readyz")[0] == 200
    assert fetch(port, "/nowhere")[0] == 404
    proxy.client().set("k", "v")
    status, metrics = fetch(port, "/metrics")
    assert status == 200
    for line in metrics.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \w+ .+|\w+(\{.*\})? -?[0-9.e+]+", line), line
    assert "node-1" in metrics
    proxy.kill(0)
    proxy.kill(1)
    eventually(lambda: fetch(port, "/readyz")[0] == 503)
    assert fetch(port, "/healthz")[0] == 200


def test_json_logs(own_proxy: Starter) -> None:
    """With log = "json" each line of the log is an object, whatever happens; no command's line is among them."""
    proxy = own_proxy("ring", 1, proxy={"log": "json", "workers": 2})
    proxy.client().set("secret-key", "v")
    second = max(descendants(proxy.pid))
    os.kill(second, signal.SIGKILL)
    assert eventually(lambda: "worker died" in proxy.log())
    text = proxy.config.read_text()
    proxy.config.write_text(text.replace("[proxy]", "[proxy]\nworkers = 3.5"))
    os.kill(proxy.pid, signal.SIGHUP)
    assert eventually(lambda: "reload rejected" in proxy.log())
    proxy.config.write_text(text)
    command = [sys.executable, "-m", "kidoproxy", "serve", "--config", str(proxy.config)]
    other = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert (other.returncode, json.loads(other.stderr.splitlines()[-1])["event"]) == (1, "cannot start")
    assert proxy.end() == 0
    events = [json.loads(line) for line in [*proxy.log().splitlines(), *other.stderr.splitlines()]]
    assert {"listening", "draining", "stopped"} <= {event["event"] for event in events}
    assert "secret-key" not in proxy.log()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_terminal_that_closes(own_proxy: Starter, workers: int) -> None:
    """A proxy with a file reads it anew, and serves on: so do workers that are replaced, though nobody hears of it."""
    proxy = own_proxy("ring", 1, proxy={"workers": workers})
    proxy.end()
    ours, terminal = pty.openpty()
    command = [sys.executable, "-m", "kidoproxy", "serve", "--config", str(proxy.config)]
    take = f"import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, {command})"
    argv = [sys.executable, "-c", take]
    with subprocess.Popen(argv, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True) as process:
        try:
            os.close(terminal)
            said = b""
            while READY.encode() not in said:
                said += os.read(ours, 4096)
            os.close(ours)
            if workers > 1:
                killed = descendants(process.pid)[0]
                os.kill(killed, signal.SIGKILL)
                eventually(lambda: killed not in (now := descendants(process.pid)) and len(now) == workers)
            assert proxy.client().ping()
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()


def test_the_hints_work_as_they_are_printed(own_proxy: Starter) -> None:
    """On a machine that has nothing but what pip has installed."""
    proxy = own_proxy("ring", 3)
    config = embedded_config("ring", f"127.0.0.1:{proxy.port}", ["unix:///n"])
    commands = [line for line in first_steps(config, 3, lambda name: None) if line.startswith("  ")]
    assert len(commands) == 3
    assert all(sys.executable in command for command in commands)
    said = [
        subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout for command in commands
    ]
    assert said[:2] == ["True\n", "b'world'\n"]
    assert "asks:" in said[2]
