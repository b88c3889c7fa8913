"""The real program in front of real servers, for the live tests: one object that holds both and can harm them."""

import itertools
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.config.example import to_toml
from tests import fork_server
from tests.fork_server import ForkedProcess
from tests.ports import free_port

READY: Final = "is ready"
STOP_SECONDS: Final = 20.0


def environment() -> dict[str, str]:
    """What the program is started with: nothing of ours may turn its head."""
    return {name: value for name, value in os.environ.items() if name not in ("KIDOPROXY_CONFIG", "STATE_DIRECTORY")}


class RunningProxy:
    """``kidoproxy serve`` with one pool, ``pool``, over servers of its own. Nodes are named ``node-0``, ``node-1``, …

    Use it with ``with``, or call `stop`. `urls` are what it asks: the nodes, or a bad network in front of them.
    """

    def __init__(self, folder: Path, mode: str, urls: Sequence[str], nodes: EmbeddedNodes, **options: Any) -> None:
        self.folder = folder
        self.nodes = nodes
        self.urls = list(urls)
        self.names = [f"node-{at}" for at in range(len(urls))]
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.process: ForkedProcess | None = None
        self.announced = ""
        self._clients: list[Any] = []
        self._logs = itertools.count()
        self._log = folder / "log"
        self.config = folder / "kidoproxy.toml"
        self.config.write_text(self._toml(mode, dict(options)))

    def _toml(self, mode: str, options: dict[str, Any]) -> str:
        """The file; options are keys of the pool, ``proxy`` those of the process, ``node`` those of each node."""
        proxy = {"state_dir": str(self.folder / "state"), **options.pop("proxy", {})}
        more = options.pop("node", {})
        weights = options.pop("weights", None)
        nodes = [{"url": url, "name": name, **more} for url, name in zip(self.urls, self.names, strict=True)]
        for at, weight in enumerate(weights or []):
            nodes[at]["weight"] = weight
        if mode == "copy":
            # Most tests want to see a copy that is behind, and to say when it is synced.
            options.setdefault("heal", "manual")
        pool = {"listen": f"127.0.0.1:{self.port}", "mode": mode, "nodes": nodes, **options}
        lines = ["[proxy]", *(f"{key} = {to_toml(value)}" for key, value in proxy.items())]
        lines += ["[pool.pool]", *(f"{key} = {to_toml(value)}" for key, value in pool.items())]
        return "\n".join(lines) + "\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    # -- the program ---------------------------------------------------------------------------------

    def start(self, *options: str) -> Self:
        """Start the program; returns once it has said that it is ready."""
        self.launch(*options)
        if self.is_announced():
            return self
        assert self.process is not None
        raise AssertionError(f"the proxy ended with {self.process.returncode}: {self.announced}{self.log()}")

    def launch(self, *options: str) -> None:
        """Start the program, and do not wait."""
        self._log = self.folder / f"log-{next(self._logs)}"
        with self._log.open("wb") as log:
            args = ["serve", "--config", str(self.config), *options]
            self.process = fork_server.start(args, log.fileno(), environment())

    def is_announced(self) -> bool:
        """Wait until the program is ready, or has ended; whether it is ready."""
        assert self.process is not None
        for line in self.process.stdout:
            self.announced += line
            if READY in line:
                return True
        self.process.wait()
        return False

    @property
    def pid(self) -> int:
        """The process id of the program."""
        assert self.process is not None
        return self.process.pid

    def alive(self) -> bool:
        """Whether the program runs."""
        return self.process is not None and self.process.poll() is None

    def end(self, sign: int = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            status = self.process.wait(STOP_SECONDS)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
        return status

    def restart_proxy(self, sign: int = signal.SIGTERM) -> None:
        """End the program and start it again at the same address; the nodes live on."""
        self.end(sign)
        self.start()

    def stop(self) -> None:
        """End the program and the nodes; may be called twice."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        if self.process is not None:
            self.end(signal.SIGKILL)
        self.nodes.stop()

    def log(self) -> str:
        """What the program has logged since its last start."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes of memory that the program has (``VmRSS``) or had at most (``VmHWM``)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {field} in /proc")

    # -- its clients and its nodes ---------------------------------------------------------------------

    def client(self, protocol: int = 3, **options: Any) -> Any:
        """A client of the proxy that gives up at the first error; closed with the proxy."""
        return self._kept(redis.Redis(port=self.port, protocol=protocol, retry=Retry(NoBackoff(), 0), **options))

    def node_clients(self) -> list[Any]:
        """A client of each node, in the order of the configuration."""
        return [self._kept(redis.Redis.from_url(url, protocol=2)) for url in self.nodes.urls]

    def _kept(self, client: Any) -> Any:
        self._clients.append(client)
        return client

    def raw(self, timeout: float = 20.0) -> socket.socket:
        """A bare socket to the proxy; the caller closes it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def name_of(self, key: str) -> str:
        """The node that the key belongs to, as the proxy itself says."""
        said = self.client(protocol=2).execute_command("PROXY", "ROUTE", "GET", key)
        text = repr(said)
        return next(name for name in self.names if name in text)

    def keys_on(self, at: int, count: int, prefix: str = "key") -> list[str]:
        """So many keys that belong to this node."""
        found = []
        for number in itertools.count():
            key = f"{prefix}:{number}"
            if self.name_of(key) == self.names[at]:
                found.append(key)
            if len(found) == count:
                break
        return found

    def kill(self, at: int) -> None:
        """End a node at once; its data is gone."""
        self.nodes.kill(at)

    def restart(self, at: int) -> None:
        """Start a node again at the same address, empty."""
        self.nodes.restart(at)

    def save(self, at: int) -> None:
        """A node writes what it has to a file of its own."""
        with redis.Redis.from_url(self.nodes.urls[at], protocol=2) as node:
            node.config_set("dbfilename", f"{at}.rdb")
            node.save()

    def restart_from_disk(self, at: int) -> None:
        """Start a node again with what it had at its last `save`."""
        self.nodes.restart(at, ["--dbfilename", f"{at}.rdb"])

    def pause(self, at: int) -> None:
        """A node is silent from now on."""
        self.nodes.pause(at)

    def resume(self, at: int) -> None:
        """And answers again."""
        self.nodes.resume(at)


class Starter:
    """Starts proxies, and ends those that still run when the `with` is over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[RunningProxy] = []

    def __call__(
        self,
        mode: str,
        nodes: int,
        *,
        server: str = "auto",
        tcp: bool = False,
        args: Sequence[str] = (),
        through: Callable[[list[str]], Sequence[str]] = list,
        servers: EmbeddedNodes | None = None,
        kind: type[RunningProxy] = RunningProxy,
        **options: Any,
    ) -> RunningProxy:
        """A running proxy over so many new servers. It asks what `through` makes of their addresses.

        ``servers``: what starts them, if they are not all alike; ``kind``: what writes the configuration.
        """
        folder = self.folder / f"proxy-{len(self.running)}"
        folder.mkdir()
        servers = servers or EmbeddedNodes()
        if nodes:
            servers.start(nodes, server, tcp, args)
        try:
            proxy = kind(folder, mode, through(list(servers.urls)), servers, **options)
            self.running.append(proxy)
            return proxy.start()
        except BaseException:
            servers.stop()
            raise

    def stop(self) -> None:
        """End them all."""
        for proxy in self.running:
            proxy.stop()


@contextmanager
def starter(folder: Path) -> Iterator[Starter]:
    """A `Starter` for the time of the ``with``."""
    made = Starter(folder)
    try:
        yield made
    finally:
        made.stop()
