"""The servers of a measurement: one, or three behind a proxy. The one that has all keys is killed and restarted."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import redis

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.config.example import to_toml
from tests.live.proxies import READY, environment
from tests.outage.table import FAMILY
from tests.ports import free_port

#: The servers lose nothing with the process, so every lost or doubled job is the client's.
DURABLE: Final = ("--appendonly", "yes", "--appendfsync", "no")


class Servers:
    """Started by the constructor, ended by the context. ``url``: where clients connect.

    ``mode`` is "straight" (one server), or the ring's ``node_errors``: "fast" or "retry".
    """

    def __init__(self, mode: str, folder: Path) -> None:
        self.mode = mode
        self.folder = folder
        self.stack = ExitStack()
        self.nodes = [self.stack.enter_context(EmbeddedNodes()) for _ in range(1 if mode == "straight" else 3)]
        self.urls = [nodes.start(1, tcp=True, args=DURABLE)[0] for nodes in self.nodes]
        self.url = self.urls[0]
        #: The index of the server that has all keys.
        self.victim = 0
        if mode != "straight":
            self.serve()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def serve(self) -> None:
        """Start the proxy, and ask it which node has the keys of all clients."""
        port = free_port()
        nodes = [{"url": url, "name": f"node-{at}"} for at, url in enumerate(self.urls)]
        pool = {
            "listen": f"127.0.0.1:{port}",
            "mode": "ring",
            "nodes": nodes,
            "together": [list(FAMILY)],
            "node_errors": self.mode,
        }
        file = self.folder / "ring.toml"
        lines = [
            '[proxy]\nstate_dir = ""',
            "[pool.ring]",
            *(f"{key} = {to_toml(value)}" for key, value in pool.items()),
        ]
        file.write_text("\n".join(lines) + "\n")
        with (self.folder / "proxy.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "kidoproxy", "serve", "--config", str(file)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(),
            )
        self.stack.callback(stop, process)
        assert process.stdout is not None
        assert any(READY in line for line in process.stdout)
        self.url = f"redis://127.0.0.1:{port}"
        with redis.Redis.from_url(self.url) as client:
            route = repr(client.execute_command("PROXY", "ROUTE", "GET", FAMILY[0]))
        self.victim = next(at for at in range(3) if f"node-{at}" in route)

    def kill(self) -> None:
        """Kill the server that has all keys."""
        self.nodes[self.victim].kill(0)

    def restart(self) -> None:
        """Start it again, with its data."""
        self.nodes[self.victim].restart(0)

    def pushed(self, key: str) -> list[int]:
        """The items of a list, read from its server."""
        with redis.Redis.from_url(self.urls[self.victim]) as client:
            pushed: Any = client.lrange(key, 0, -1)
            return [int(item) for item in pushed]


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate()
