"""Listeners, and the files of unix sockets."""

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import cast

import pytest

from kidoproxy.admin.http import AdminServer
from kidoproxy.config import Address
from kidoproxy.net.address_claims import AddressClaimed
from kidoproxy.net.given_sockets import GivenSocket
from kidoproxy.net.listen import (
    KEEPALIVE_SECONDS,
    describe_bind_error,
    remove_stale_socket,
    start_admin_listener,
    start_listener,
)
from tests.net.real import run
from tests.session.stage import ring


class Probe(asyncio.Protocol):
    """Says whether its client's silence would be noticed, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio's by descent.
        socket_transport = cast(asyncio.Transport, transport)
        sock = socket_transport.get_extra_info("socket")
        alive = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        seconds = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) if alive else 0
        socket_transport.write(b"hello %d" % seconds)
        socket_transport.close()


async def hello(address: Address) -> bytes:
    """What a client reads there."""
    if address.path:
        reader, writer = await asyncio.open_unix_connection(address.path)
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    text = await reader.read()
    writer.close()
    await writer.wait_closed()
    return text


def dead_socket(path: Path) -> None:
    """A file that a listener has left behind."""
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))


def test_clients_whose_machine_is_gone_are_noticed() -> None:
    """TCP keepalive is inherited from the listener: it costs nothing per connection."""

    async def scenario() -> None:
        listener = await start_listener(Probe, Address("127.0.0.1", 0), False)
        port = listener.server.sockets[0].getsockname()[1]
        assert await hello(Address("127.0.0.1", port)) == b"hello %d" % KEEPALIVE_SECONDS
        listener.close()
        listener.close()

    run(scenario())


def test_several_workers_share_a_port() -> None:
    """A second listener may have the same port only if both say that they share it."""

    async def scenario() -> None:
        first = await start_listener(Probe, Address("127.0.0.1", 0), True)
        address = Address("127.0.0.1", first.server.sockets[0].getsockname()[1])
        second = await start_listener(Probe, address, True)
        with pytest.raises(OSError, match="in use"):
            await start_listener(Probe, address, False)
        first.close()
        second.close()

    run(scenario())


def test_a_unix_socket_comes_and_goes(tmp_path: Path) -> None:
    """A stale file is replaced, ours is served, and removed when the listener closes."""

    async def scenario() -> None:
        path = tmp_path / "kido.sock"
        dead_socket(path)
        listener = await start_listener(Probe, Address(path=str(path)), False)
        assert await hello(Address(path=str(path))) == b"hello 0"
        listener.close()
        assert not path.exists()

    run(scenario())


def test_the_successors_socket_is_left_alone(tmp_path: Path) -> None:
    """Closing once more, at the end of a drain, must not remove what a new process has put there meanwhile."""

    async def scenario() -> None:
        address = Address(path=str(tmp_path / "kido.sock"))
        old = await start_listener(Probe, address, False)
        old.close()
        new = await start_listener(Probe, address, False)
        old.close()
        assert await hello(address) == b"hello 0"
        new.close()

    run(scenario())


def test_who_has_connected_and_is_not_accepted_yet() -> None:
    """It is known, so that a drain can wait for it; of a closed listener there is nobody."""

    async def scenario() -> None:
        listener = await start_listener(Probe, Address("127.0.0.1", 0), False)
        assert not listener.has_waiting()
        with socket.create_connection(listener.server.sockets[0].getsockname()):
            assert listener.has_waiting()
            listener.close()
            assert not listener.has_waiting()

    run(scenario())


def test_admin_pages_on_a_unix_socket(tmp_path: Path) -> None:
    """The same rules for the file: a stale one is replaced, a served one stays, ours is removed."""

    async def scenario() -> None:
        path = tmp_path / "admin.sock"
        dead_socket(path)
        listener = await start_admin_listener(AdminServer(ring("a").proxy), Address(path=str(path)))
        assert stat.S_ISSOCK(path.stat().st_mode)
        with pytest.raises(OSError, match="in use"):
            await start_admin_listener(AdminServer(ring("a").proxy), Address(path=str(path)))
        listener.close()
        assert not path.exists()
        tcp = await start_admin_listener(AdminServer(ring("a").proxy), Address("127.0.0.1", 0))
        tcp.close()

    run(scenario())


def test_admin_pages_on_all_sockets_that_were_given() -> None:
    """A host name may have two addresses; nobody who connects to one of them is left without an answer."""

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            ports = [sock.getsockname()[1] for sock in (one, two)]
            given = [GivenSocket(one), GivenSocket(two)]
            listener = await start_admin_listener(AdminServer(ring("a").proxy), Address("127.0.0.1", 1), given)
            for port in ports:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
                assert b"200 OK" in await reader.readline()
                writer.close()
            given_away = listener.give_away()
            assert len(given_away) == 2
            for each in given_away:
                each.socket.close()
            listener.close()
            assert listener.sockets() == []

    run(scenario())


def test_a_persons_file_is_left_alone(tmp_path: Path) -> None:
    """Only sockets are removed."""
    remove_stale_socket(str(tmp_path / "nothing"))
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(FileExistsError):
        remove_stale_socket(str(file))
    assert file.read_text() == "precious"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_that_somebody_has_is_left_alone(tmp_path: Path, kind: int) -> None:
    """Another process's listener, or a socket of another kind that cannot even be connected to."""
    path = tmp_path / "served"
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(str(path))
        if kind == socket.SOCK_STREAM:
            server.listen()
        with pytest.raises(OSError, match="in use"):
            remove_stale_socket(str(path))
    assert path.exists()


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (OSError(98, "error while attempting to bind on address ('127.0.0.1', 6380)"), os.strerror(98).lower()),
        (socket.gaierror(-2, "Name or service not known"), "[Errno -2] Name or service not known"),
        (OSError("odd"), "odd"),
        (
            AddressClaimed(98, "address already in use by kidoproxy with pid 7"),
            "address already in use by kidoproxy with pid 7",
        ),
    ],
)
def test_why_nobody_can_listen_there(problem: OSError, text: str) -> None:
    """The system's words, without the address, which the line has already."""
    assert describe_bind_error(problem) == text
