"""Two servers, master and replica, and three sentinels that watch them: real programs on the loopback, with passwords.

The sentinels know each other from their files, and their periods are short, so that a failover takes about a second
rather than ten; what they say and do is what they always do.
"""

import secrets
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis

from tests.ports import free_port
from tests.wait import eventually

SERVICE: Final = "mymaster"
NODE_PASSWORD: Final = "of-the-nodes"
SENTINEL_PASSWORD: Final = "of-the-sentinels"
#: SENTINEL DEBUG of Redis 7: how often sentinels look, in milliseconds.
PERIODS: Final = ("info-period", 100, "publish-period", 500, "ask-period", 50, "ping-period", 250)


class SentinelTrio:
    """``server`` is the program; use it with ``with``. Servers and sentinels are known by their numbers from 0."""

    def __init__(self, folder: Path, server: str, down_after_ms: int = 600) -> None:
        self.folder = folder
        self.server = server
        self.ports = [free_port(), free_port()]
        self.sentinel_ports = [free_port() for _ in range(3)]
        self.down_after_ms = down_after_ms
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.clients: list[Any] = []

    @property
    def url(self) -> str:
        """The node as the proxy's file has it, without the password of the master."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"sentinel://:{SENTINEL_PASSWORD}@{hosts}/{SERVICE}"

    def __enter__(self) -> Self:
        self.start_server(0)
        self.start_server(1, master=0)
        eventually(lambda: self.node(1).info("replication")["master_link_status"] == "up")
        ids = [secrets.token_hex(20) for _ in self.sentinel_ports]
        for at in range(3):
            self.write_sentinel_file(at, ids)
            self.start_sentinel(at)
        for at in range(3):
            sentinel = self.sentinel(at)
            eventually(lambda sentinel=sentinel: is_there(sentinel))  # type: ignore[misc]
            sentinel.execute_command("SENTINEL", "DEBUG", *PERIODS)
        eventually(self.is_whole)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        for client in self.clients:
            client.close()
        for process in self.processes.values():
            process.kill()
            process.wait()

    # -- the programs --------------------------------------------------------------------------------

    def start_server(self, at: int, master: int | None = None) -> None:
        """Start a server, a replica of another one if that is given."""
        of = ["--replicaof", "127.0.0.1", str(self.ports[master])] if master is not None else []
        passwords = ["--requirepass", NODE_PASSWORD, "--masterauth", NODE_PASSWORD]
        quick = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--save", ""]
        self.run(f"server-{at}", ["--port", str(self.ports[at]), "--bind", "127.0.0.1", *quick, *passwords, *of])
        eventually(lambda: is_there(self.node(at)))

    def write_sentinel_file(self, at: int, ids: list[str]) -> None:
        """What a sentinel begins with; it writes the file anew itself."""
        master, replica = self.ports
        lines = [
            f"port {self.sentinel_ports[at]}",
            "bind 127.0.0.1",
            f"requirepass {SENTINEL_PASSWORD}",
            f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
            f"sentinel myid {ids[at]}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {master} 2",
            f"sentinel auth-pass {SERVICE} {NODE_PASSWORD}",
            f"sentinel down-after-milliseconds {SERVICE} {self.down_after_ms}",
            f"sentinel failover-timeout {SERVICE} 3000",
            f"sentinel known-replica {SERVICE} 127.0.0.1 {replica}",
        ]
        lines += [
            f"sentinel known-sentinel {SERVICE} 127.0.0.1 {port} {ids[other]}"
            for other, port in enumerate(self.sentinel_ports)
            if other != at
        ]
        (self.folder / f"sentinel-{at}.conf").write_text("\n".join(lines) + "\n")

    def start_sentinel(self, at: int) -> None:
        self.run(f"sentinel-{at}", [str(self.folder / f"sentinel-{at}.conf"), "--sentinel"])

    def run(self, name: str, options: list[str]) -> None:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [self.server, *options]
            self.processes[name] = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def kill(self, name: str) -> None:
        """End ``server-0``, ``sentinel-2``, … at once."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    # -- what they say -------------------------------------------------------------------------------

    def node(self, at: int) -> Any:
        """A client of a server, past the proxy."""
        return self.kept(redis.Redis(port=self.ports[at], password=NODE_PASSWORD, decode_responses=True))

    def sentinel(self, at: int) -> Any:
        return self.kept(redis.Redis(port=self.sentinel_ports[at], password=SENTINEL_PASSWORD, decode_responses=True))

    def kept(self, client: Any) -> Any:
        self.clients.append(client)
        return client

    def is_whole(self) -> bool:
        """Whether each sentinel sees the master, the replica and the two others, all well."""
        return all(
            "3 usable Sentinels" in self.sentinel(at).execute_command("SENTINEL", "CKQUORUM", SERVICE)
            and self.replica_flags(at) == ["slave"]
            for at in range(3)
        )

    def replica_flags(self, at: int) -> list[str]:
        return [found["flags"] for found in self.sentinel(at).sentinel_slaves(SERVICE)]

    def failover(self) -> None:
        """By hand: the replica becomes the master, and nobody tells the old one at once."""
        self.sentinel(0).execute_command("SENTINEL", "FAILOVER", SERVICE)


def is_there(client: Any) -> bool:
    """Whether a server answers."""
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
