"""`kidoproxy.net.tls`: whom a certificate names, which one is shown, and clients that harm on purpose."""

import asyncio
import socket
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidoproxy.commands.acl import Acl
from kidoproxy.config import ListenerTls
from kidoproxy.config.tls import listener_context, read_certificate
from kidoproxy.net import tls as net_tls
from kidoproxy.session.users import User, Users
from tests.certificates import Authority, listener_tls
from tests.net.real import until
from tests.net.tls_listener import PEM, PING, Listening, client_context, dial, play


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def whoami(field: str, listening: Listening, context: ssl.SSLContext) -> bytes:
    """Who a client is that says nothing but ACL WHOAMI."""
    heard: list[bytes] = []

    async def scene(listening: Listening) -> None:
        listening.context.certificate_user = field
        listening.context.users = Users(
            [User(b"ann", Acl(), True, False, []), User(b"urn:bob", Acl(), True, False, [])]
        )
        reader, writer = await dial(listening, context)
        writer.write(b"*2\r\n$3\r\nACL\r\n$6\r\nWHOAMI\r\n")
        await reader.readline()
        heard.append((await reader.readline()).strip())
        writer.close()

    play(scene, listening)
    return heard[0]


@pytest.mark.parametrize(
    ("field", "common_name", "names", "user"),
    [
        ("CN", "ann", "", b"ann"),
        ("CN", "ann ", "", b"default"),
        ("CN", "eve", "URI:urn:bob", b"default"),
        ("URI", "ann", "URI:urn:eve,URI:urn:bob", b"urn:bob"),
        ("", "ann", "URI:urn:bob", b"default"),
    ],
)
def test_who_a_certificate_says_it_is(
    authority: Authority, field: str, common_name: str, names: str, user: bytes
) -> None:
    """As with tls-auth-clients-user: the client need not say AUTH."""
    context = client_context()
    context.load_cert_chain(authority.sign("who.pem", common_name, names))
    assert whoami(field, Listening(client_ca=str(authority.ca_file)), context) == user


def test_a_certificate_may_be_optional(authority: Authority) -> None:
    """Without one a client is served as anybody; one of a stranger's authority is refused all the same."""
    tls = listener_tls(str(PEM), str(PEM), str(authority.ca_file), auth_clients="optional")
    assert whoami("CN", Listening(tls=tls), client_context()) == b"default"
    context = client_context(ssl.TLSVersion.TLSv1_2)
    context.load_cert_chain(PEM)

    async def scene(listening: Listening) -> None:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dial(listening, context)
        await until(lambda: listening.failures() == 1)

    play(scene, Listening(tls=tls))


def test_a_certificate_for_each_name(authority: Authority) -> None:
    """The one of the name that is asked for; the first for any other, and for who asks for none. All want the same."""
    files = [
        authority.sign(f"{at}.pem", names=names)
        for at, names in enumerate(("DNS:a.example", "DNS:*.b.example,DNS:b.example", "DNS:A.example"))
    ]
    certificates = tuple(read_certificate(str(file), str(file)) for file in files)
    tls = ListenerTls(certificates, str(authority.ca_file), client_ca_pem=authority.ca_file.read_bytes())
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    context.check_hostname = False
    context.load_cert_chain(files[0])
    shown: dict[str | None, str] = {}

    async def scene(listening: Listening) -> None:
        for name in ("a.example", "b.example", "X.b.example", "x.y.b.example", "c.example", None):
            plain = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", listening.port), 20)
            secured = await asyncio.to_thread(context.wrap_socket, plain, server_hostname=name)
            with secured:
                certificate = secured.getpeercert()
                assert certificate is not None
                shown[name] = str(certificate["subjectAltName"])
                await asyncio.to_thread(secured.sendall, PING)
                assert await asyncio.to_thread(secured.recv, 7) == b"+PONG\r\n"

    play(scene, Listening(tls=tls))
    first, second = ("(('DNS', 'a.example'),)", "(('DNS', '*.b.example'), ('DNS', 'b.example'))")
    assert list(shown.values()) == [first, second, second, first, first, first]


def test_a_handshake_that_dribbles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not win it more time: the deadline is for the whole handshake."""
    monkeypatch.setattr(net_tls, "HANDSHAKE_SECONDS", 0.2)

    async def scene(listening: Listening) -> None:
        outgoing = ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
        hello = outgoing.read()
        reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        closed = asyncio.ensure_future(reader.read())
        sent = 0
        while not closed.done() and sent < len(hello) - 1:
            writer.write(hello[sent : sent + 1])
            sent += 1
            await asyncio.wait([closed], timeout=0.02)
        await until(lambda: listening.failures() == 1)
        assert sent < len(hello) - 1
        assert "no handshake in time" in listening.lines()[0]
        assert listening.context.pending_handshakes == 0
        writer.close()

    play(scene, Listening())


def test_half_closed_in_the_handshake() -> None:
    """Who ends its sending side before it has finished is closed, and counted."""

    async def scene(listening: Listening) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        writer.write(b"\x16\x03\x01")
        writer.write_eof()
        await reader.read()
        await until(lambda: listening.failures() == 1)
        assert listening.context.pending_handshakes == 0
        writer.close()

    play(scene, Listening())


@given(data=st.binary(min_size=1, max_size=600), prefix=st.sampled_from([b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"]))
@settings(max_examples=20, deadline=None)
def test_garbage(data: bytes, prefix: bytes) -> None:
    """Whatever is sent in place of a handshake, nothing is left of it, and others are served."""

    async def scene(listening: Listening) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        writer.write(prefix + data)
        writer.close()
        await until(lambda: listening.failures() == 1)
        reader, writer = await dial(listening, client_context())
        writer.write(PING)
        assert await reader.readexactly(7) == b"+PONG\r\n"
        writer.close()
        await until(lambda: not listening.clients)
        assert listening.context.pending_handshakes == 0

    play(scene, Listening())


def test_no_renegotiation() -> None:
    """Each would cost a handshake, as often as a client asks for it."""
    assert listener_context(listener_tls(str(PEM), str(PEM))).options & ssl.OP_NO_RENEGOTIATION


def test_tls_to_a_plain_listener() -> None:
    """It is told at once, in words that a person sees in the trace, and counted."""

    async def scene(listening: Listening) -> None:
        with pytest.raises(ssl.SSLError):
            await dial(listening, client_context())
        assert listening.lines() == ["tls to a plain listener: pool=cache addr=127.0.0.1 count=1"]
        reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        writer.write(b"\x16")
        assert await reader.read() == b"-ERR Protocol error: TLS, and this listener is a plain one\r\n"
        writer.close()
        await until(lambda: not listening.clients)

    play(scene, Listening(tls=None))
