"""A new process takes over from a running one while clients are in full flow: none is refused, no command fails."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.config import Address
from kidoproxy.net.address_claims import listening_process
from tests.live.proxies import environment
from tests.ports import free_port
from tests.processes import descendants, is_running
from tests.wait import eventually

pytestmark = pytest.mark.live

SECONDS: Final = 30.0
WRITERS: Final = 6


class Upgraded:
    """A proxy that is started as an operator does, with what came of its upgrades."""

    def __init__(self, folder: Path, stack: ExitStack, mode: str, workers: int, unix: bool = False) -> None:
        self.folder, self.stack = folder, stack
        self.nodes = stack.enter_context(EmbeddedNodes())
        urls = self.nodes.start(2, "auto")
        self.port = free_port()
        self.path = folder / "kido.sock"
        listen = [f"127.0.0.1:{self.port}"] + ([f"unix://{self.path}"] if unix else [])
        self.config = folder / "kido.toml"
        self.config.write_text(
            f'[proxy]\nworkers = {workers}\nstate_dir = "{folder / "state"}"\ndrain_seconds = 5\n'
            f'[pool.pool]\nlisten = {listen}\nmode = "{mode}"\nnodes = {urls}\n'
        )
        self.log = folder / "log"
        with self.log.open("wb") as log:
            process = subprocess.Popen(self.command("serve"), env=environment(), stdout=log, stderr=log)
        stack.callback(self.kill)
        stack.callback(process.wait)
        stack.callback(process.kill)
        eventually(lambda: "is ready" in self.log.read_text(), SECONDS)
        self.pid = process.pid

    def command(self, word: str) -> list[str]:
        return [sys.executable, "-P", "-m", "kidoproxy", word, "--config", str(self.config)]

    def owner(self) -> int:
        """The process that has the address now."""
        found = listening_process([Address("127.0.0.1", self.port)])
        return found.pid if found is not None else 0

    def kill(self) -> None:
        while (pid := self.owner()) > 0:
            os.kill(pid, signal.SIGKILL)
            until_ended(pid)

    def upgrade(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command("upgrade"), env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def client(self) -> Any:
        """As redis-py makes one: an attempt that meets a closed connection is made again; a refused one is not."""
        retry = Retry(ConstantBackoff(0.01), 3)
        return self.stack.enter_context(closing(redis.Redis(port=self.port, socket_timeout=SECONDS, retry=retry)))


class Writer(threading.Thread):
    """Counts at one key until told to stop; what it heard, and the longest wait."""

    def __init__(self, client: Any, key: str) -> None:
        super().__init__()
        self.client, self.key = client, key
        self.count, self.longest = 0, 0.0
        self.problem = ""
        self.stopping = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                reply = self.client.incr(self.key)
            except redis.RedisError as problem:
                self.problem = repr(problem)
                return
            self.count += 1
            self.longest = max(self.longest, time.monotonic() - began)
            if reply != self.count:
                self.problem = f"{reply} after {self.count - 1}"
                return


def until_written(writers: list[Writer], count: int) -> None:
    """Each has written so many times more."""
    enough = [writer.count + count for writer in writers]
    eventually(lambda: all(w.count > c or w.problem for w, c in zip(writers, enough, strict=True)), SECONDS)


def until_ended(pid: int) -> None:
    eventually(lambda: not is_running(pid), SECONDS)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.mark.parametrize(("mode", "workers"), [("ring", 1), ("ring", 2), ("copy", 1), ("copy", 2)])
def test_under_load(tmp_path: Path, stack: ExitStack, mode: str, workers: int) -> None:
    """Each acknowledged write is there once, at each copy; nobody waits long; the old process ends by itself."""
    proxy = Upgraded(tmp_path, stack, mode, workers)
    writers = [Writer(proxy.client(), f"k{at}") for at in range(WRITERS)]
    try:
        for _ in range(2):
            old = proxy.owner()
            until_written(writers, 20)
            done = proxy.upgrade()
            assert (done.returncode, done.stderr) == (0, ""), proxy.log.read_text()
            assert proxy.owner() not in (0, old)
            until_ended(old)
        until_written(writers, 20)
    finally:
        for writer in writers:
            writer.stopping.set()
            writer.join(SECONDS)
    assert [writer.problem for writer in writers if writer.problem] == [], proxy.log.read_text()
    longest = max(writer.longest for writer in writers)
    sys.stdout.write(f"longest wait {longest:.3f} s\n")
    assert longest < 3.0
    for url in proxy.nodes.urls if mode == "copy" else []:
        with closing(redis.Redis.from_url(url)) as node:
            assert [int(node.get(writer.key) or 0) for writer in writers] == [writer.count for writer in writers]
    assert [int(proxy.client().get(writer.key)) for writer in writers] == [writer.count for writer in writers]


def test_the_worker_that_upgrades_dies(tmp_path: Path, stack: ExitStack) -> None:
    """Then the new process ends, as nobody would end the old one: one of them serves. The next upgrade is made."""
    proxy = Upgraded(tmp_path, stack, "ring", 2, unix=True)
    first, second = sorted(descendants(proxy.pid))
    os.kill(proxy.pid, signal.SIGUSR2)
    eventually(lambda: "upgrade begins" in proxy.log.read_text(), SECONDS)
    new = descendants(first)[0]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not is_running(new), SECONDS)
    eventually(lambda: len(descendants(proxy.pid)) == 2, SECONDS)
    assert proxy.owner() == proxy.pid
    assert second in descendants(proxy.pid)
    assert "upgrade failed" in proxy.log.read_text()
    with closing(redis.Redis(unix_socket_path=str(proxy.path), retry=Retry(ConstantBackoff(0.1), 100))) as local:
        assert local.ping()
    assert proxy.client().ping()
    assert proxy.upgrade().returncode == 0
    until_ended(proxy.pid)
    assert proxy.owner() not in (0, proxy.pid)


def test_a_new_process_that_cannot_start(tmp_path: Path, stack: ExitStack) -> None:
    """The old one serves on, says why, and counts it; the unix socket is still there. Then a better file is taken."""
    proxy = Upgraded(tmp_path, stack, "ring", 1, unix=True)
    good = proxy.config.read_text()
    proxy.config.write_text("x = 1\n")
    os.kill(proxy.pid, signal.SIGUSR2)
    ended = "cause=the new process ended with status {} before it was ready"
    eventually(lambda: ended.format(2) in proxy.log.read_text(), SECONDS)
    proxy.config.write_text(good.replace("[proxy]", f'[proxy]\nadmin = "unix://{tmp_path}/nowhere/admin.sock"'))
    done = proxy.upgrade()
    told = f"kidoproxy: the new process did not get ready; process {proxy.pid} serves on, and its log says why\n"
    assert (done.returncode, done.stderr) == (1, told)
    assert ended.format(1) in proxy.log.read_text()
    assert proxy.owner() == proxy.pid
    assert proxy.client().ping()
    with closing(redis.Redis(unix_socket_path=str(proxy.path))) as local:
        assert local.ping()
    proxy.config.write_text(good)
    assert proxy.upgrade().returncode == 0
    until_ended(proxy.pid)
    with closing(redis.Redis(unix_socket_path=str(proxy.path))) as local:
        assert local.ping()
    os.kill(proxy.owner(), signal.SIGTERM)
    eventually(lambda: proxy.owner() == 0, SECONDS)
    assert not proxy.path.exists()


def test_after_a_reload_that_has_changed_the_addresses(tmp_path: Path, stack: ExitStack) -> None:
    """The worker that hands over knows the claims which its parent made since: the new process has all addresses."""
    proxy = Upgraded(tmp_path, stack, "ring", 2)
    old_port, proxy.port = proxy.port, free_port()
    listen = proxy.config.read_text()
    for port in (f"{old_port}', '127.0.0.1:{proxy.port}", str(proxy.port)):
        proxy.config.write_text(listen.replace(str(old_port), port))
        command = [*proxy.command("reload"), "--pid", str(proxy.pid)]
        assert subprocess.run(command, env=environment(), timeout=SECONDS, check=False).returncode == 0, (
            proxy.log.read_text()
        )
    writers = [Writer(proxy.client(), f"k{at}") for at in range(WRITERS)]
    try:
        until_written(writers, 20)
        done = proxy.upgrade()
        assert done.returncode == 0, proxy.log.read_text()
        until_ended(proxy.pid)
        until_written(writers, 20)
    finally:
        for writer in writers:
            writer.stopping.set()
            writer.join(SECONDS)
    assert [writer.problem for writer in writers if writer.problem] == [], proxy.log.read_text()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", old_port), SECONDS).close()
