"""Thousands of keys go through a real nutcracker, and land where our placement says.

The servers behind it only take SET and remember its keys: what is right is for nutcracker to say.
"""

import asyncio
import contextlib
import random
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import hiredis
import pytest

from kidoproxy.resp.encode import encode_request
from kidoproxy.routes.placement.hashes import NUTCRACKER_HASHES
from kidoproxy.routes.placement.owners import ketama
from kidoproxy.routes.placement.points import nutcracker_name
from kidoproxy.routes.placement.tags import OFF, Tags
from tests.needs import needs

pytestmark = pytest.mark.live

SILENT_PORT: Final = ("127.0.112.11", 11211)


def sample(count: int) -> list[bytes]:
    """Different keys of all kinds: plain, in other alphabets, binary, with tags, the empty one."""
    dice = random.Random(count)
    keys = {b"", b" ", b"\r\n", b"\x00", b"{}", b"{}a", b"{a", b"}{", b"{a}{b}", b"{{a}}", b"x" * 2000}
    while len(keys) < count:
        n = len(keys)
        keys.add(dice.randbytes(dice.randrange(1, 70)))
        keys.add(b":1:views.decorators.cache.%d" % n)
        keys.add(f"żółw:ключ:{n}:日本".encode())
        keys.add(b"%d{user:%d}%d" % (n, dice.randrange(50), n))
    return sorted(keys)[:count]


class Recorder(asyncio.Protocol):
    """One connection of a server that takes every request, and remembers the keys in ``keys``."""

    def __init__(self, keys: list[bytes]) -> None:
        self.keys = keys
        self.reader = hiredis.Reader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.reader.feed(data)
        count = 0
        while (request := self.reader.gets()) is not False:
            self.keys.append(request[1])
            count += 1
        self.transport.write(b"+OK\r\n" * count)


@contextlib.contextmanager
def nutcracker(folder: Path, pool: dict[str, str], servers: list[str]) -> Iterator[str]:
    """nutcracker with one pool, listening on the unix socket whose path is given out."""
    path = f"{folder}/nutcracker.sock"
    lines = ["pool:", f"  listen: {path}", "  redis: true", "  distribution: ketama", "  timeout: 10000"]
    lines += [f'  {key}: "{value}"' for key, value in pool.items()]
    lines += ["  servers:", *(f"    - {server}" for server in servers)]
    config = folder / "nutcracker.yml"
    config.write_text("\n".join(lines) + "\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        stats = str(free.getsockname()[1])
    argv = [needs("nutcracker"), "-c", str(config), "-a", "127.0.0.1", "-s", stats, "-o", f"{folder}/log"]
    with subprocess.Popen(argv) as process:
        try:
            yield path
        finally:
            process.kill()


async def connect(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to nutcracker, which does not say when it is ready: it is tried until it is."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await asyncio.open_unix_connection(path)
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(0.005)


async def deliver(path: str, keys: list[bytes]) -> None:
    """SET every key, and wait for all replies."""
    reader, writer = await connect(path)
    for at in range(0, len(keys), 500):
        part = keys[at : at + 500]
        writer.write(b"".join(encode_request([b"SET", key, b"1"]) for key in part))
        assert await reader.readexactly(5 * len(part)) == b"+OK\r\n" * len(part)
    writer.close()
    await writer.wait_closed()


class Backends:
    """Recording servers, as many as there are weights: on ports, or on sockets in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[asyncio.Server] = []
        self.got: list[list[bytes]] = []
        #: As nutcracker.yml and as the ring have them.
        self.lines: list[str] = []
        self.names: list[str] = []

    async def add(self, weight: int, name: str, host: str, port: int) -> None:
        """A server on this host and port; port 0 takes a free one, no host a unix socket."""
        keys: list[bytes] = []
        loop = asyncio.get_running_loop()
        path = "" if host else f"{self.folder}/n{len(self.servers)}.sock"
        if host:
            server = await loop.create_server(lambda: Recorder(keys), host, port)
            port = server.sockets[0].getsockname()[1]
        else:
            server = await loop.create_unix_server(lambda: Recorder(keys), path)
        address = path or f"{host}:{port}"
        self.servers.append(server)
        self.got.append(keys)
        self.lines.append(f"{address}:{weight} {name}".strip())
        self.names.append(nutcracker_name(name, host, port, path))

    async def close(self) -> None:
        """Stop listening."""
        for server in self.servers:
            server.close()
            await server.wait_closed()


async def compare(backends: Backends, pool: dict[str, str], weights: list[int], keys: list[bytes]) -> None:
    """Every key went to the server that our placement names, and to no other."""
    with nutcracker(backends.folder, pool, backends.lines) as path:
        await deliver(path, keys)
    placement = ketama(backends.names, weights, NUTCRACKER_HASHES[pool["hash"]])
    tag = pool.get("hash_tag")
    tags = Tags(ord(tag[0]), ord(tag[1]), []) if tag else Tags(OFF, OFF, [])
    expected: list[list[bytes]] = [[] for _ in weights]
    for key in keys:
        expected[placement.owner(tags.hashed_part(key))].append(key)
    assert [sorted(got) for got in backends.got] == expected
    await backends.close()


@pytest.mark.parametrize("key_hash", ["md5", "fnv1a_64"])
@pytest.mark.parametrize(
    "weights",
    [[1], [1, 1, 1], [1, 2, 5], [4, 8, 5, 1, 7], [1] * 25],
    ids=lambda weights: f"{len(weights)}-{max(weights)}",
)
async def test_addresses(tmp_path: Path, weights: list[int], key_hash: str) -> None:
    """Servers without names, few and many, equal and weighted: ten thousand keys agree."""
    backends = Backends(tmp_path)
    for weight in weights:
        await backends.add(weight, "", "127.0.0.1", 0)
    await compare(backends, {"hash": key_hash}, weights, sample(10_000))


@pytest.mark.parametrize("key_hash", NUTCRACKER_HASHES)
async def test_names_and_tags(tmp_path: Path, key_hash: str) -> None:
    """Servers with names and weights, tagged keys: every hash that we know agrees."""
    backends = Backends(tmp_path)
    weights = [3, 1, 7, 2]
    for weight, name in zip(weights, ["alpha", "beta", "gamma", "delta-4"], strict=True):
        await backends.add(weight, name, "127.0.0.1", 0)
    await compare(backends, {"hash": key_hash, "hash_tag": "{}"}, weights, sample(2_000))


@pytest.mark.parametrize("tag", ["<>", "||", "{}"])
async def test_other_tags(tmp_path: Path, tag: str) -> None:
    """The two characters of a tag may be any."""
    backends = Backends(tmp_path)
    for _ in range(3):
        await backends.add(1, "", "127.0.0.1", 0)
    keys = [b"%d<%d>{%d}|%d|" % (i, i % 7, i % 11, i % 5) for i in range(1000)]
    await compare(backends, {"hash": "md5", "hash_tag": tag}, [1, 1, 1], sorted(keys))


async def test_unix_sockets(tmp_path: Path) -> None:
    """The name of a socket is its path and a colon."""
    backends = Backends(tmp_path)
    for weight in (1, 2, 1):
        await backends.add(weight, "", "", 0)
    await compare(backends, {"hash": "md5"}, [1, 2, 1], sample(10_000))


async def test_silent_port(tmp_path: Path) -> None:
    """Of a server on port 11211 only the host is hashed."""
    backends = Backends(tmp_path)
    try:
        await backends.add(1, "", *SILENT_PORT)
    except OSError as error:
        pytest.skip(f"needs {SILENT_PORT[0]} port {SILENT_PORT[1]}: {error}")
    await backends.add(1, "", "127.0.0.1", 0)
    await compare(backends, {"hash": "md5"}, [1, 1], sample(2_000))
