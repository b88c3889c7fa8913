"""Listeners that come, stay and go while clients are served."""

import asyncio
import gc
import os
import socket
import ssl
import stat
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from kidoproxy.config import Config
from kidoproxy.net.daemon import Daemon
from kidoproxy.net.listener_update import ListenerUpdate
from kidoproxy.net.live_update import LiveUpdate
from kidoproxy.net.succession import StartError
from tests.config.files import read
from tests.net.real import until
from tests.ports import free_port

PEM = Path(__file__).with_name("localhost.pem")


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.unfreeze()


def config(folder: Path, more: str = "", **listen: list[str]) -> Config:
    """A pool of this name at each of these lists of addresses."""
    pools = [
        f'[pool.{name}]\nlisten = {addresses}\nmode = "ring"\nnodes = ["redis://127.0.0.1:1"]\n{more}\n'
        for name, addresses in listen.items()
    ]
    return read(folder, "\n".join(pools))


def play(start: Config, scene: Callable[[Daemon], Awaitable[None]]) -> None:
    """``scene`` with a daemon that listens, and is connected to nothing."""

    async def main() -> None:
        daemon = Daemon(start)
        daemon.attach_to_loop(asyncio.get_running_loop())
        await daemon.listen_for_pools(False)
        try:
            await scene(daemon)
        finally:
            for listener in daemon.listeners.all():
                listener.close()
            for client in list(daemon.clients):
                client.abort()
            await until(lambda: not daemon.clients)

    uvloop.run(asyncio.wait_for(main(), 20))


async def prepare(daemon: Daemon, new: Config) -> LiveUpdate:
    update = daemon.make_update(new)
    await daemon.prepare_update(update)
    return update


async def connect(daemon: Daemon, address: str) -> socket.socket:
    """A client that is accepted, or waits to be."""
    host, _, port = address.rpartition(":")
    path = address.removeprefix("unix://")
    sock = socket.socket(socket.AF_UNIX if path != address else socket.AF_INET)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, path if path != address else (host, int(port)))
    except OSError:
        sock.close()
        raise
    return sock


async def ping(sock: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, b"PING\r\n")
    return await asyncio.wait_for(loop.sock_recv(sock, 100), 5)


def test_one_comes_one_goes(tmp_path: Path) -> None:
    """Who connects before the change waits for it; who waits at the old address is served; who is connected stays."""
    old, new = f"127.0.0.1:{free_port()}", f"unix://{tmp_path}/s"

    async def scene(daemon: Daemon) -> None:
        first = await connect(daemon, old)
        assert await ping(first) == b"+PONG\r\n"
        update = await prepare(daemon, config(tmp_path, a=[new]))
        early = await connect(daemon, new)
        assert len(daemon.clients) == 1
        late = await connect(daemon, old)
        await daemon.apply_update(update)
        for sock in (early, late, first):
            assert await ping(sock) == b"+PONG\r\n"
            sock.close()
        with pytest.raises(ConnectionRefusedError):
            await connect(daemon, old)
        assert [listener.address.path for listener in daemon.listeners.pool_listeners] == [str(tmp_path / "s")]
        await daemon.apply_update(await prepare(daemon, config(tmp_path, a=[old])))
        assert not (tmp_path / "s").exists()

    play(config(tmp_path, a=[old]), scene)


def test_what_cannot_be_had(tmp_path: Path) -> None:
    """All that was bound before it is closed again, and the rights of files are what they were."""
    path, new = tmp_path / "s", f"127.0.0.1:{free_port()}"

    async def scene(daemon: Daemon) -> None:
        mode = path.stat().st_mode
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = f"127.0.0.1:{other.getsockname()[1]}"
            after = config(tmp_path, 'socket_mode = "0600"', a=[f"unix://{path}", new, taken])
            with pytest.raises(StartError, match=rf"pool\.a: cannot listen on {taken}: address already in use"):
                await prepare(daemon, after)
        with pytest.raises(ConnectionRefusedError):
            await connect(daemon, new)
        assert path.stat().st_mode == mode
        daemon.cancel_update(await prepare(daemon, config(tmp_path, a=[new])))
        with pytest.raises(ConnectionRefusedError):
            await connect(daemon, new)
        path.unlink()
        with pytest.raises(StartError, match="no such file"):
            await prepare(daemon, config(tmp_path, a=[f"unix://{path}"]))

    play(config(tmp_path, a=[f"unix://{path}"]), scene)


def test_the_rights_of_a_unix_socket(tmp_path: Path) -> None:
    """They follow the file, and are the system's own again when it says nothing."""
    path = tmp_path / "s"

    async def scene(daemon: Daemon) -> None:
        by_umask = stat.S_IMODE(path.stat().st_mode)
        for line, mode in (('socket_mode = "0660"', 0o660), ("", by_umask)):
            after = config(tmp_path, line, a=[f"unix://{path}"])
            await daemon.apply_update(await prepare(daemon, after))
            assert stat.S_IMODE(path.stat().st_mode) == mode
            assert (path.stat().st_uid, path.stat().st_gid) == (os.geteuid(), os.getegid())

    play(config(tmp_path, a=[f"unix://{path}"]), scene)


def test_another_pool_and_tls(tmp_path: Path) -> None:
    """An address stays open when it becomes another pool's, or what clients have to speak there changes."""
    one, two = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    tls = f'tls = {{ cert_file = "{PEM}", key_file = "{PEM}" }}'

    async def scene(daemon: Daemon) -> None:
        waiting = await connect(daemon, one)
        assert await ping(waiting) == b"+PONG\r\n"
        files = [sock.fileno() for each in daemon.listeners.all() for sock in each.sockets()]
        await daemon.apply_update(await prepare(daemon, config(tmp_path, tls, a=[two], b=[one])))
        found = {str(each.address): each for each in daemon.listeners.pool_listeners}
        assert [(found[each].pool, found[each].acceptor.context.name) for each in (one, two)] == [
            ("b", "b"),
            ("a", "a"),
        ]
        assert all(isinstance(each.acceptor.tls, ssl.SSLContext) for each in found.values())
        await daemon.apply_update(await prepare(daemon, config(tmp_path, tls, a=[f"redis://{two}"], b=[one])))
        assert [found[each].acceptor.tls is None for each in (one, two)] == [False, True]
        assert files == [sock.fileno() for each in daemon.listeners.all() for sock in each.sockets()]
        assert await ping(waiting) == b"+PONG\r\n"
        waiting.close()

    play(config(tmp_path, a=[one], b=[two]), scene)


def test_copies_that_another_process_still_serves(tmp_path: Path) -> None:
    """They get their listeners when they are taken over."""

    async def scene(daemon: Daemon) -> None:
        daemon.succession.is_taking_over = True
        update = await prepare(daemon, read(tmp_path, COPIES))
        assert not update.listeners.opened
        daemon.succession.is_taking_over = False
        assert isinstance(update.listeners, ListenerUpdate)
        update = await prepare(daemon, read(tmp_path, COPIES))
        assert len(update.listeners.opened) == 1
        daemon.cancel_update(update)

    play(read(tmp_path, COPIES), scene)


COPIES = '[pool.c]\nlisten = "127.0.0.1:0"\nmode = "copy"\nnodes = ["redis://127.0.0.1:1", "redis://127.0.0.1:2"]\n'
