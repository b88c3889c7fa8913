"""`kidoproxy.net.tls`: handshakes with clients, and every way in which they fail."""

import asyncio
import socket
import ssl

import pytest

from kidoproxy.net import tls as net_tls
from kidoproxy.net.client_io import format_address
from tests.net.real import until
from tests.net.tls_listener import PEM, PING, Listening, client_context, dial, play


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_is_served(version: ssl.TLSVersion) -> None:
    """Requests and replies pass, and its address is its own."""

    async def scene(listening: Listening) -> None:
        reader, writer = await dial(listening, client_context(version))
        writer.write(PING * 1000)
        assert await reader.readexactly(7000) == b"+PONG\r\n" * 1000
        (client,) = listening.clients
        assert client.session is not None
        assert client.session.address == format_address(writer.get_extra_info("sockname"), "")
        assert listening.context.pending_handshakes == 0
        writer.close()
        await until(lambda: not listening.clients)
        assert (listening.failures(), listening.context.client_count) == (0, 0)

    play(scene, Listening())


def tls_in_one_write(listening: Listening, request: bytes, close: bool) -> bytes:
    """A client whose last flight of the handshake, request and close_notify come in one segment; what it gets."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", listening.port), 20) as wire:
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                wire.sendall(outgoing.read())
                incoming.write(wire.recv(65536))
        session.write(request)
        if close:
            with pytest.raises(ssl.SSLWantReadError):
                session.unwrap()
        wire.sendall(outgoing.read())
        heard = b""
        while not heard.endswith(b"\r\n"):
            data = wire.recv(65536)
            if not data:
                break
            incoming.write(data)
            try:
                while chunk := session.read():
                    heard += chunk
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                pass
        return heard


def test_a_request_right_behind_the_handshake_is_not_lost() -> None:
    """TLS 1.3 lets a client send with its last flight: that is read before the loop says that the handshake is over."""

    async def scene(listening: Listening) -> None:
        assert await asyncio.to_thread(tls_in_one_write, listening, PING, False) == b"+PONG\r\n"
        await until(lambda: not listening.clients)

    play(scene, Listening())


def test_who_ends_right_behind_the_handshake_is_forgotten() -> None:
    """It has ended its sending side, and is told what it is owed."""

    async def scene(listening: Listening) -> None:
        assert await asyncio.to_thread(tls_in_one_write, listening, PING, True) == b"+PONG\r\n"
        await until(lambda: not listening.clients and not listening.context.pending_handshakes)
        assert listening.context.client_count == 0
        assert not listening.proxy.sessions

    play(scene, Listening())


def send_and_read(listening: Listening, data: bytes) -> None:
    """Says something that is not TLS, until it is hung up on."""
    with socket.create_connection(("127.0.0.1", listening.port), 20) as wire:
        wire.sendall(data)
        try:
            while wire.recv(65536):
                pass
        except ConnectionResetError:
            return


@pytest.mark.parametrize("data", [PING, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 4096, b"PING\r\n"])
def test_who_speaks_no_tls_is_counted_and_told_of(data: bytes) -> None:
    """The connection is closed, with a line that says why."""

    async def scene(listening: Listening) -> None:
        await asyncio.to_thread(send_and_read, listening, data)
        await until(lambda: listening.failures() == 1)
        assert listening.lines() == ["tls handshake failed: pool=cache addr=127.0.0.1 cause=not TLS count=1"]
        assert (listening.context.pending_handshakes, listening.context.client_count) == (0, 0)

    play(scene, Listening())


def test_who_leaves_during_the_handshake_is_counted() -> None:
    """A probe of a load balancer opens and closes."""

    async def scene(listening: Listening) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        writer.close()
        await until(lambda: listening.failures() == 1)
        (line,) = listening.lines()
        assert "cause=" in line

    play(scene, Listening())


def test_who_never_finishes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody holds a socket by saying nothing."""
    monkeypatch.setattr(net_tls, "HANDSHAKE_SECONDS", 0.05)

    async def scene(listening: Listening) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        assert await reader.read() == b""
        await until(lambda: listening.failures() == 1)
        writer.close()

    play(scene, Listening())


def test_handshakes_count_as_clients() -> None:
    """Past the limit a socket is closed before it has cost a handshake."""

    async def scene(listening: Listening) -> None:
        listening.context.max_clients = 2
        silent = [await asyncio.open_connection("127.0.0.1", listening.port) for _ in range(2)]
        await until(lambda: listening.context.pending_handshakes == 2)
        reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        await until(reader.at_eof)
        assert listening.proxy.connections_rejected == 1
        for _, other in [*silent, (reader, writer)]:
            other.close()
        await until(lambda: not listening.context.pending_handshakes)

    play(scene, Listening())


def test_a_client_without_a_certificate() -> None:
    """Is turned away where one is wanted; with one it is served."""

    async def scene(listening: Listening) -> None:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dial(listening, client_context(ssl.TLSVersion.TLSv1_2))
        await until(lambda: listening.failures() == 1)
        (line,) = listening.lines()
        assert "peer did not return a certificate" in line
        context = client_context()
        context.load_cert_chain(PEM)
        reader, writer = await dial(listening, context)
        writer.write(PING)
        assert await reader.readexactly(7) == b"+PONG\r\n"
        writer.close()

    play(scene, Listening(client_ca=str(PEM)))


def test_an_old_client() -> None:
    """A version below the least is refused."""

    async def scene(listening: Listening) -> None:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dial(listening, client_context(ssl.TLSVersion.TLSv1_2))
        await until(lambda: listening.failures() == 1)

    play(scene, Listening(min_version="1.3"))


def session_of(listening: Listening) -> tuple[socket.socket, ssl.SSLSocket]:
    """A connected client with a small buffer, on blocking sockets."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(20)
    plain.connect(("127.0.0.1", listening.port))
    return plain, client_context().wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=True)


def test_what_a_client_does_not_read_is_counted_and_bounded() -> None:
    """The limit of unread output sees every byte, also those that are encrypted already."""

    async def scene(listening: Listening) -> None:
        listening.context.max_output_bytes = 1_000_000
        plain, secured = await asyncio.to_thread(session_of, listening)
        with plain, secured:
            await until(lambda: listening.clients)
            (client,) = listening.clients
            client.transport.write(b"x" * 8_000_000)
            assert client.write_paused
            assert client.unsent_bytes() > 4_000_000
            client.flush()
            await until(lambda: not listening.clients)
        assert sum(listening.proxy.forced_disconnects.values()) == 1

    play(scene, Listening())


def test_an_idle_client_is_closed_at_once() -> None:
    """Its own close_notify is not waited for, so a drain does not wait for clients that do not read."""

    async def scene(listening: Listening) -> None:
        plain, secured = await asyncio.to_thread(session_of, listening)
        with plain, secured:
            await until(lambda: listening.clients)
            (client,) = listening.clients
            async with asyncio.timeout(5):
                client.close_if_drained()
                client.flush()
                await until(lambda: not listening.clients)
            assert await asyncio.to_thread(secured.recv, 10) == b""
        assert sum(listening.proxy.forced_disconnects.values()) == 0

    play(scene, Listening())


def rest(secured: ssl.SSLSocket) -> int:
    """How many bytes come until the end."""
    count = 0
    while chunk := secured.recv(65536):
        count += len(chunk)
    return count


def test_all_that_is_owed_reaches_who_has_hung_up_one_side() -> None:
    """After a FIN, while megabytes are unread: all of them arrive, and then the end."""

    async def scene(listening: Listening) -> None:
        plain, secured = await asyncio.to_thread(session_of, listening)
        with plain, secured:
            await until(lambda: listening.clients)
            (client,) = listening.clients
            client.transport.write(b"x" * 3_000_000)
            # Not the secured socket's own, which would read plain bytes from then on.
            socket.socket.shutdown(secured, socket.SHUT_WR)
            assert await asyncio.to_thread(rest, secured) == 3_000_000
            await until(lambda: not listening.clients)
        assert listening.context.client_count == 0

    play(scene, Listening())


def test_a_record_that_is_no_record_ends_the_connection() -> None:
    """Bytes that cannot be decrypted cost their client alone."""

    async def scene(listening: Listening) -> None:
        plain, secured = await asyncio.to_thread(session_of, listening)
        await until(lambda: listening.clients)
        with socket.socket(fileno=secured.detach()) as bare, plain:
            bare.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            await until(lambda: not listening.clients)
        assert listening.context.client_count == 0

    play(scene, Listening())
