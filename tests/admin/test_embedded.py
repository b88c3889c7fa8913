"""Embedded nodes: ready when they say so, obedient, and gone without a trace, whatever happens."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import redis

from kidoproxy.admin import embedded
from kidoproxy.admin.embedded import EmbeddedError, EmbeddedNodes, find_server

pytestmark = [pytest.mark.live, pytest.mark.both_builds]

SECONDS = 10.0


def folder_of(nodes: EmbeddedNodes) -> Path:
    return Path(nodes.urls[0].removeprefix("unix://")).parent


def client(url: str, timeout: float = SECONDS) -> redis.Redis:
    return redis.Redis.from_url(url, protocol=2, socket_timeout=timeout)


def ended(pid: int) -> bool:
    """Wait until a process that is not ours has ended: a pidfd is readable then, zombie or not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], SECONDS)[0])
    finally:
        os.close(descriptor)


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Writes a program that stands in for a server."""

    def write(line: str) -> str:
        program = tmp_path / "server"
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
        return str(program)

    return write


@pytest.mark.parametrize("tcp", [False, True])
def test_they_serve(tcp: bool) -> None:
    """`start` returns once all nodes answer; they are separate servers that keep nothing on disk."""
    with EmbeddedNodes() as nodes:
        urls = nodes.start(2, tcp=tcp)

        assert urls == nodes.urls
        assert all(url.startswith("redis://127.0.0.1:" if tcp else "unix:///") for url in urls)
        with client(urls[0]) as first, client(urls[1]) as second:
            first.set("a", 1)
            assert (first.get("a"), second.get("a")) == (b"1", None)
            assert first.config_get("save") == {"save": ""}
        assert repr(nodes) == f"EmbeddedNodes({urls[0]}, {urls[1]})"


def test_nothing_is_left() -> None:
    """After `stop` there is no process and no file; a second `stop` is harmless, and so is a new start."""
    nodes = EmbeddedNodes()
    nodes.start(1)
    pid, folder = nodes.pid(0), folder_of(nodes)
    assert folder.exists()

    nodes.stop()
    nodes.stop()

    assert not folder.exists()
    assert ended(pid)
    assert nodes.urls == []
    nodes.start(1)
    nodes.stop()


def test_nothing_is_left_after_sigkill() -> None:
    """When the process that started them is killed, nodes and files go too: nobody could stop them else."""
    program = (
        "from kidoproxy.admin.embedded import EmbeddedNodes\n"
        "nodes = EmbeddedNodes()\n"
        "nodes.start(2)\n"
        "nodes.pause(1)\n"
        "print(nodes.pid(0), nodes.pid(1), nodes.urls[0], flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        first, second, url = parent.stdout.readline().split()
        parent.kill()
        parent.wait()

        assert ended(int(first))
        assert ended(int(second))
        assert not Path(url.removeprefix("unix://")).parent.exists()


def test_ctrl_c_spares_them() -> None:
    """Nodes are in a process group of their own, so that Ctrl-C reaches the proxy alone, which may drain."""
    with EmbeddedNodes() as nodes:
        nodes.start(1)

        assert os.getpgid(nodes.pid(0)) != os.getpgid(0)


@pytest.mark.parametrize("tcp", [False, True])
def test_kill_and_restart(tcp: bool) -> None:
    """A killed node comes back empty at the same address."""
    with EmbeddedNodes() as nodes:
        (url,) = nodes.start(1, tcp=tcp)
        with client(url) as connection:
            connection.set("a", 1)
        nodes.kill(0)
        assert not nodes.alive(0)
        nodes.restart(0)

        assert nodes.alive(0)
        with client(url) as connection:
            assert connection.get("a") is None


def test_pause_and_resume() -> None:
    """A paused node accepts connections and is silent; resumed, it goes on with its data."""
    with EmbeddedNodes() as nodes:
        (url,) = nodes.start(1)
        with client(url) as connection:
            connection.set("a", 1)
        nodes.pause(0)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(url.removeprefix("unix://"))
            probe.sendall(b"PING\r\n")
            assert not select.select([probe], [], [], 0.05)[0]
            nodes.resume(0)

            assert probe.recv(16) == b"+PONG\r\n"
        with client(url) as connection:
            assert connection.get("a") == b"1"


def test_more_arguments() -> None:
    """Options of the server can be given; a password does not keep a node from being ready."""
    with EmbeddedNodes() as nodes:
        (url,) = nodes.start(1, args=["--requirepass", "hush"])
        with client(url) as connection, pytest.raises(redis.AuthenticationError):
            connection.ping()


def test_one_start_at_a_time() -> None:
    """Running nodes are not started twice."""
    with EmbeddedNodes() as nodes:
        nodes.start(1)
        with pytest.raises(EmbeddedError, match="run already"):
            nodes.start(1)


def test_a_server_that_refuses() -> None:
    """A server that ends at once is quoted, and nothing is left of the attempt."""
    nodes = EmbeddedNodes()
    with pytest.raises(EmbeddedError, match=r"ended at once: .+"):
        nodes.start(2, args=["--no-such-option", "1"])

    assert nodes.urls == []


def test_a_server_that_cannot_be_run() -> None:
    """A program that is not there is named."""
    with pytest.raises(EmbeddedError, match=r"cannot start /no/such/server: No such file"):
        EmbeddedNodes().start(1, server="/no/such/server")


def test_a_server_that_says_nothing(script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that runs and never answers is given up after a while; one that ends in silence at once."""
    monkeypatch.setattr(embedded, "READY_SECONDS", 0.05)
    with pytest.raises(EmbeddedError, match=r"does not answer after 0\.05 seconds"):
        EmbeddedNodes().start(1, server=script("exec sleep 60"))
    monkeypatch.setattr(embedded, "READY_SECONDS", SECONDS)
    with pytest.raises(EmbeddedError, match="it said nothing"):
        EmbeddedNodes().start(1, server=script("exit 1"))


def test_a_port_that_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """If somebody takes the port between choice and start, another one is chosen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free = embedded._free_port
        ports = iter([taken.getsockname()[1], free()])
        monkeypatch.setattr(embedded, "_free_port", lambda: next(ports))
        with EmbeddedNodes() as nodes:
            (url,) = nodes.start(1, tcp=True)

            assert url != f"redis://127.0.0.1:{taken.getsockname()[1]}"


def test_no_port_stays_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few attempts are enough to know that something is wrong."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(embedded, "_PING_SECONDS", 0.02)
        monkeypatch.setattr(embedded, "_free_port", lambda: taken.getsockname()[1])
        with pytest.raises(EmbeddedError, match="no port on 127"):
            EmbeddedNodes().start(1, tcp=True)


def test_which_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel's server comes first, then the system's; each can be asked for; a path is taken as it is."""
    wheel = find_server("embedded")
    assert wheel.name == "valkey-server"
    assert find_server("auto") == wheel
    assert find_server("/x/redis-server") == Path("/x/redis-server")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == "redis-server" else None)
    assert find_server("system") == Path("/usr/bin/redis-server")
    monkeypatch.setattr(embedded, "_from_wheel", lambda: None)
    assert find_server("auto") == Path("/usr/bin/redis-server")


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any server the error says how to get one."""
    monkeypatch.setattr(shutil, "which", lambda name: None)

    def files(package: str) -> None:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(embedded, "files", files)
    with pytest.raises(EmbeddedError, match=re.escape('`pip install "kidoproxy[demo]"` brings one')):
        find_server()
    with pytest.raises(EmbeddedError, match='there is no server "redis"'):
        find_server("redis")


def test_a_wheel_without_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that may not be run does not count."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(EmbeddedError):
        find_server("embedded")


def test_a_long_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's path must fit in 103 bytes: a folder that is too deep is not used."""
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with EmbeddedNodes() as nodes:
        (url,) = nodes.start(1)

        assert url.startswith("unix:///tmp/kidoproxy-")
    assert list(deep.iterdir()) == []


def test_stop_ends_paused_nodes() -> None:
    """SIGKILL ends what SIGSTOP has frozen."""
    nodes = EmbeddedNodes()
    nodes.start(1)
    pid = nodes.pid(0)
    nodes.pause(0)
    nodes.stop()

    assert ended(pid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
