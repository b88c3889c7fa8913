"""The processes of a run: three nodes, the proxies, and the core each is pinned to.

The proxy under test has a core of its own, so that nothing but the kernel runs beside it; all proxies of
a run share that core, but only one is asked at a time. The clients and the nodes have the other core, or
on a machine with four or more: the clients one, the nodes two. Where the other core is the bottleneck the
throughput says little about the proxy; CPU time per command always does.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kidoproxy.admin.embedded import find_server
from tests.bench import gauge
from tests.ports import free_port

ROOT: Final = Path(__file__).parents[2]
NODES: Final = ("node-a", "node-b", "node-c")
HASHES: Final = {"ketama": "md5", "fnv1a_64": "fnv1a_64"}  # kidoproxy's name: nutcracker's name
START_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Cores:
    """Which processors serve whom."""

    proxy: tuple[int, ...]
    clients: tuple[int, ...]
    nodes: tuple[int, ...]

    @classmethod
    def share(cls, available: Sequence[int]) -> "Cores":
        """The best use of these cores; of a single one, everything at once."""
        cores = tuple(sorted(available))
        if len(cores) == 1:
            return cls(cores, cores, cores)
        if len(cores) < 4:
            return cls(cores[1:2], cores[:1], cores[:1])
        return cls(cores[1:2], cores[:1], cores[2:4])

    def __str__(self) -> str:
        names = {name: ",".join(map(str, getattr(self, name))) for name in ("proxy", "clients", "nodes")}
        return f"proxy on core {names['proxy']}, clients on {names['clients']}, nodes on {names['nodes']}"


@dataclass(frozen=True)
class Proxy:
    """A running proxy: where it listens for each kind of hash."""

    name: str
    process: subprocess.Popen[bytes]
    ports: dict[str, int]

    def pids(self) -> list[int]:
        """The process and its workers."""
        return gauge.family(self.process.pid)


class Processes(ExitStack):
    """Starts processes and ends them all when it is left."""

    def __init__(self, directory: Path, cores: Cores) -> None:
        super().__init__()
        self.directory = directory
        self.cores = cores
        self.nodes: list[int] = []  # their ports
        self._count = 0

    def start_nodes(self) -> None:
        """Three empty nodes that keep nothing on disk."""
        for _ in NODES:
            self.nodes.append(free_port())
            self.start_node(self.nodes[-1])

    def start_node(self, port: int, yields: bool = False) -> None:
        """One more, or one again after its end; one that yields leaves their shared core to the others (``nice``)."""
        where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        quiet = ["--save", "", "--appendonly", "no", "--maxclients", "1000"]
        shares = self.cores.nodes == self.cores.clients
        last = ["nice", "-n", "19"] if yields and shares else []
        self._start([*last, node_binary(), *where, *quiet], self.cores.nodes, [port])

    def flush_nodes(self) -> None:
        """Forgets all keys."""
        for port in self.nodes:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
                sock.sendall(b"FLUSHALL\r\n")
                sock.recv(100)

    def nutcracker(self, name: str = "nutcracker") -> Proxy:
        """Debian's nutcracker with its defaults and one pool for each kind of hash."""
        ports = {each: free_port() for each in HASHES}
        pools = [
            f"{each}:\n  listen: 127.0.0.1:{port}\n  hash: {HASHES[each]}\n  distribution: ketama\n  redis: true\n"
            f"  servers:\n{self._servers()}"
            for each, port in ports.items()
        ]
        path = self._file("yml", "".join(pools))
        stats = ["--stats-addr", "127.0.0.1", "--stats-port", str(free_port())]
        process = self._start(["nutcracker", "-c", str(path), *stats], self.cores.proxy, list(ports.values()))
        return Proxy(name, process, ports)

    def kidoproxy(self, python: str = "", name: str = "kidoproxy", workers: int = 1, timeout_ms: int = 0) -> Proxy:
        """This project's proxy: the source tree's, or the one installed beside another interpreter."""
        ports = {each: free_port() for each in HASHES}
        nodes = ", ".join(f'{{ name = "{n}", url = "redis://127.0.0.1:{p}" }}' for n, p in self._named())
        patience = f"timeout_ms = {timeout_ms}\n" if timeout_ms else ""
        pools = [
            f'[pool.bench-{each}]\nlisten = "127.0.0.1:{port}"\nmode = "ring"\nhash = "{each}"\n'
            f"{patience}nodes = [{nodes}]\n"
            for each, port in ports.items()
        ]
        return self._serve(name, python, ports, f'[proxy]\nworkers = {workers}\nstate_dir = ""\n' + "".join(pools))

    def copies(self, python: str) -> Proxy:
        """This project's proxy with two pools: a ring of the first node, and copies on the other two."""
        ports = {pool: free_port() for pool in ("ring", "copies")}
        urls = [f'{{ name = "{name}", url = "redis://127.0.0.1:{port}" }}' for name, port in self._named()]
        pools = [
            f'[pool.ring]\nlisten = "127.0.0.1:{ports["ring"]}"\nmode = "ring"\nnodes = [{urls[0]}]\n',
            f'[pool.copies]\nlisten = "127.0.0.1:{ports["copies"]}"\nmode = "copy"\nnodes = [{urls[1]}, {urls[2]}]\n',
        ]
        return self._serve("copies", python, ports, f'[proxy]\nstate_dir = "{self.directory}/state"\n' + "".join(pools))

    def tls_listener(self, python: str) -> Proxy | None:
        """This project's proxy with an encrypted port; None without the ``openssl`` program."""
        pair = make_certificate(self.directory)
        if pair is None:
            return None
        ports = {"tls": free_port()}
        nodes = ", ".join(f'{{ name = "{n}", url = "redis://127.0.0.1:{p}" }}' for n, p in self._named())
        tls = f'[pool.tls.tls]\ncert_file = "{pair[0]}"\nkey_file = "{pair[1]}"\n'
        pool = (
            f'[pool.tls]\nlisten = "127.0.0.1:{ports["tls"]}"\nmode = "ring"\nhash = "ketama"\nnodes = [{nodes}]\n{tls}'
        )
        return self._serve("tls", python, ports, f'[proxy]\nstate_dir = ""\n{pool}')

    def envoy(self) -> Proxy:
        """Envoy with one thread, over the same nodes by its own hash."""
        port = free_port()
        path = self._file("yaml", json.dumps(envoy_config(port, self.nodes)))
        argv = ["envoy", "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        return Proxy("envoy", self._start(argv, self.cores.proxy, [port]), dict.fromkeys(HASHES, port))

    def floor(self, request_bytes: int) -> Proxy:
        """The server that only says +OK."""
        port = free_port()
        argv = [sys.executable, "-m", "tests.bench.floor", str(port), str(request_bytes)]
        return Proxy("floor", self._start(argv, self.cores.proxy, [port], ROOT), dict.fromkeys(HASHES, port))

    def stop(self, proxy: Proxy) -> None:
        """Ends one process before the others."""
        end(proxy.process)

    def _serve(self, name: str, python: str, ports: dict[str, int], config: str) -> Proxy:
        argv = [python or sys.executable, "-m", "kidoproxy", "serve", "--config", str(self._file("toml", config))]
        home = self.directory if python else ROOT
        return Proxy(name, self._start(argv, self.cores.proxy, list(ports.values()), home), ports)

    def _named(self) -> list[tuple[str, int]]:
        return list(zip(NODES, self.nodes, strict=True))

    def _servers(self) -> str:
        return "".join(f"   - 127.0.0.1:{port}:1 {name}\n" for name, port in self._named())

    def _file(self, kind: str, text: str) -> Path:
        self._count += 1
        path = self.directory / f"{self._count}.{kind}"
        path.write_text(text)
        return path

    def _start(
        self, argv: list[str], cores: tuple[int, ...], ports: list[int], home: Path = ROOT
    ) -> subprocess.Popen[bytes]:
        self._count += 1
        log = self.directory / f"{self._count}.log"
        here = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)  # a child keeps what its parent has at that moment
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*leash(), *argv], cwd=home, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
        os.sched_setaffinity(0, here)
        self.callback(end, process)
        for port in ports:
            if not answers(port, process):
                raise RuntimeError(f"{' '.join(argv)}: not listening\n{log.read_text(errors='replace')[-2000:]}")
        return process


def envoy_config(port: int, nodes: Sequence[int]) -> dict[str, object]:
    """One listener that speaks Redis, one cluster with these nodes."""
    api = "type.googleapis.com/envoy.extensions"
    proxy = {
        "@type": f"{api}.filters.network.redis_proxy.v3.RedisProxy",
        "stat_prefix": "bench",
        "settings": {"op_timeout": "10s"},
        "prefix_routes": {"catch_all_route": {"cluster": "nodes"}},
    }
    chain = {"filters": [{"name": "envoy.filters.network.redis_proxy", "typed_config": proxy}]}
    hosts = [{"endpoint": {"address": socket_address(node)}} for node in nodes]
    cluster = {
        "name": "nodes",
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "MAGLEV",
        "load_assignment": {"cluster_name": "nodes", "endpoints": [{"lb_endpoints": hosts}]},
    }
    listener = {"name": "bench", "address": socket_address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def socket_address(port: int) -> dict[str, object]:
    """As Envoy writes a loopback address."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def make_certificate(folder: Path) -> tuple[str, str] | None:
    """A certificate that signs itself, and its key; None without the ``openssl`` program."""
    if shutil.which("openssl") is None:
        return None
    cert, key = f"{folder}/bench.pem", f"{folder}/bench-key.pem"
    shape = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=bench"]
    subprocess.run(
        ["openssl", "req", "-x509", *shape, "-keyout", key, "-out", cert], capture_output=True, check=True, timeout=30
    )
    return cert, key


def leash() -> list[str]:
    """What to put before a command so that it dies with us, however we die."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def end(process: subprocess.Popen[bytes]) -> None:
    """Asks it to end, and insists."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Waits until the port accepts connections; False when the process has ended or takes too long."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.02)
    return False


def node_binary() -> str:
    """A real server: redis-server from the path, else the embedded one."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    return str(find_server())
