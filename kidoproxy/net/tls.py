"""TLS towards clients: between the loop's plain transport and a client's protocol, bytes are decrypted and encrypted.

A `TlsSocket` is the protocol of the one and the transport of the other. All that is held unsent is held by the plain
transport, so limits, pauses and half-closed clients mean what they mean without TLS: a client that has ended its
sending side, by close_notify or by FIN, is still told what it is owed.

Handshakes under way count as clients, have a deadline, and move a counter when they fail. Unix sockets stay plain.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from typing import Any, Final, cast

from kidoproxy.net.client_io import ClientIO, format_address
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.node_io import describe_os_error
from kidoproxy.session.certificate_login import log_in_by_certificate
from kidoproxy.session.incidents import TLS_FAILED
from kidoproxy.session.pool_context import PoolContext

#: A client that takes longer has given up, or wants to hold sockets.
HANDSHAKE_SECONDS: Final = 10.0
#: OpenSSL gives at most one record at a time, of at most 16 KiB.
RECORD_BYTES: Final = 16 * 1024
#: Reasons of OpenSSL that mean that the client does not speak TLS at all.
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL")


class Acceptor:
    """Makes the protocol of each socket that one listener accepts: a client, or one that has to speak TLS first.

    ``context`` and ``tls`` may be replaced; they count for sockets that are accepted from then on.
    """

    def __init__(
        self, bridge: LoopBridge, context: PoolContext, clients: set[ClientIO], tls: ssl.SSLContext | None
    ) -> None:
        self.bridge = bridge
        self.context = context
        self.clients = clients
        self.tls = tls

    def __call__(self) -> "ClientIO | TlsSocket":
        if self.tls is None:
            return ClientIO(self.bridge, self.context, self.clients)
        return TlsSocket(self, self.tls)


class TlsSocket(asyncio.Protocol, asyncio.Transport):
    """One accepted socket. ``client`` is None until its handshake is done."""

    def __init__(self, acceptor: Acceptor, context: ssl.SSLContext) -> None:
        super().__init__()
        self.acceptor = acceptor
        #: The listener's pool may be another one before this handshake ends.
        self.pool = acceptor.context
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.client: ClientIO | None = None
        #: Set while the handshake is under way.
        self.deadline: asyncio.TimerHandle | None = None
        self.saw_eof = self.sent_eof = False

    # -- the protocol of the plain transport -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client to begin, unless there are too many."""
        self.plain = cast(asyncio.Transport, transport)
        acceptor = self.acceptor
        proxy = acceptor.bridge.proxy
        if proxy.has_room_for_client(self.pool):
            self.count_handshake(1)
            self.deadline = acceptor.bridge.loop.call_later(HANDSHAKE_SECONDS, self.fail, "no handshake in time")
        else:
            # Before the handshake no error could be sent.
            proxy.connections_received += 1
            proxy.connections_rejected += 1
            self.plain.abort()

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes: of the handshake, then requests."""
        if self.sent_eof:
            return
        self.incoming.write(data)
        if self.client is not None:
            self.decrypt(self.client)
        elif self.deadline is not None:
            self.continue_handshake()

    def continue_handshake(self) -> None:
        """As far as it goes with what has come; behind its end requests may stand already."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self.send_encrypted()
            return
        except ssl.SSLError as problem:
            self.send_encrypted()
            self.fail(describe_handshake_error(problem))
            return
        self.send_encrypted()
        self.end_handshake()
        acceptor = self.acceptor
        client = self.client = ClientIO(acceptor.bridge, self.pool, acceptor.clients)
        client.connection_made(self)
        if client.session is not None and self.pool.certificate_user:
            names = user_names(self.tls.getpeercert() or {}, self.pool.certificate_user)
            log_in_by_certificate(client.session, names)
        self.decrypt(client)

    def decrypt(self, client: ClientIO) -> None:
        """Give the client's protocol what can be read, in one piece."""
        chunks: list[bytes] = []
        ended = False
        try:
            while chunk := self.tls.read(RECORD_BYTES):
                chunks.append(chunk)
            # What reads as nothing is close_notify.
            ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.send_encrypted()
            client.abort()
            return
        if chunks:
            client.data_received(b"".join(chunks))
        if ended and not self.eof_received():
            self.close()

    def eof_received(self) -> bool:
        """The client sends nothing more, by FIN or by close_notify; whether the socket stays open for its replies."""
        client = self.client
        if client is None:
            self.fail("not finished")
            return False
        if self.saw_eof:
            return True
        self.saw_eof = True
        return client.eof_received()

    def connection_lost(self, problem: Exception | None) -> None:
        self.fail("not finished")
        if self.client is not None:
            self.client.connection_lost(problem)

    def pause_writing(self) -> None:
        if self.client is not None:
            self.client.pause_writing()

    def resume_writing(self) -> None:
        if self.client is not None:
            self.client.resume_writing()

    def end_handshake(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None
            self.count_handshake(-1)

    def count_handshake(self, change: int) -> None:
        """So many more are under way."""
        self.pool.pending_handshakes += change
        self.acceptor.bridge.proxy.pending_handshakes += change

    def fail(self, cause: str) -> None:
        """The handshake, if it is still under way, has failed: count it, log it, close."""
        if self.deadline is None:
            return
        self.end_handshake()
        address = format_address(self.plain.get_extra_info("peername"), "")
        self.acceptor.bridge.proxy.incidents.record(TLS_FAILED, self.pool.name, None, address, cause)
        self.plain.close()

    # -- the transport of the client's protocol --------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send; a memory BIO takes everything."""
        if not self.plain.is_closing():
            self.tls.write(data)
            self.send_encrypted()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            self.write(data)

    def send_encrypted(self) -> None:
        data = self.outgoing.read()
        if data:
            self.plain.write(data)

    def close(self) -> None:
        """Say close_notify, and close when all has been written; the client's own is not waited for (RFC 8446, 6.1)."""
        if not self.plain.is_closing():
            self.say_close_notify()
            self.plain.close()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Say close_notify and FIN when all has been written. What the client sends from then on is dropped."""
        if not self.plain.is_closing():
            self.sent_eof = True
            self.say_close_notify()
            self.plain.write_eof()

    def say_close_notify(self) -> None:
        with contextlib.suppress(ssl.SSLError):
            # It says its own, and would then wait for the other side's.
            self.tls.unwrap()
        self.send_encrypted()

    def abort(self) -> None:
        self.plain.abort()

    def is_closing(self) -> bool:
        return self.plain.is_closing()

    def pause_reading(self) -> None:
        self.plain.pause_reading()

    def resume_reading(self) -> None:
        self.plain.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.plain.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self.plain.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.plain.get_extra_info(name, default)


def user_names(certificate: dict[str, Any], field: str) -> list[bytes]:
    """Whom a certificate names, as `ssl.SSLSocket.getpeercert` gives it: the common name, or each URI."""
    if field == "CN":
        found = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    else:
        found = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
    return [value.encode() for value in found]


def describe_handshake_error(problem: ssl.SSLError) -> str:
    """Why it failed, in a few words."""
    return "not TLS" if problem.reason in _NOT_TLS else describe_os_error(problem).removeprefix("tls: ")
