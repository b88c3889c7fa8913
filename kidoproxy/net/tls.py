"""TLS towards clients: sockets are accepted here, and become clients when their handshake is done.

Handshakes under way count as clients of their pool, have a deadline, and move a counter when they fail. Unix sockets
stay plain.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

from kidoproxy.net.client_io import ClientIO, format_address
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.listen import LISTEN_BACKLOG, enable_keepalive
from kidoproxy.net.node_io import describe_os_error
from kidoproxy.net.tasks import Tasks
from kidoproxy.resp import limits
from kidoproxy.session.incidents import TLS_FAILED
from kidoproxy.session.pool_context import PoolContext

#: A client that takes longer has given up, or wants to hold sockets.
HANDSHAKE_SECONDS: Final = 10.0
#: How long nobody is accepted after the system had no descriptor or memory for one more.
ACCEPT_RETRY_SECONDS: Final = 1.0
#: What accept(2) says then. Its other errors are those of one client that has gone: the next is accepted at once.
NO_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
#: Reasons of OpenSSL that mean that the client does not speak TLS at all.
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL")


class TlsListener:
    """One open listener with its handshakes. It may be closed twice; who is connected stays."""

    def __init__(
        self, bridge: LoopBridge, context: PoolContext, clients: set[ClientIO], tls: ssl.SSLContext, tasks: Tasks
    ) -> None:
        self.bridge = bridge
        self.context = context
        self.clients = clients
        self.tls = tls
        self.tasks = tasks
        self.pending = 0
        self.accepting: list[asyncio.Task[None]] = []

    async def start(self, host: str, port: int, reuse_port: bool) -> None:
        """Listen; OSError when that is not possible."""
        for sock in await bind(host, port, reuse_port):
            enable_keepalive(sock)
            sock.listen(LISTEN_BACKLOG)
            self.accepting.append(self.tasks.start(self.accept(sock), "tls accept"))

    def close(self) -> None:
        """Accept nobody any more."""
        for task in self.accepting:
            task.cancel()
        self.accepting.clear()

    async def accept(self, listening: socket.socket) -> None:
        """Accept clients until it is closed."""
        with listening:
            while True:
                try:
                    sock, peer_name = await self.next_client(listening)
                except OSError as problem:
                    if problem.errno in NO_RESOURCES:
                        # The kernel keeps the client until there is room.
                        await asyncio.sleep(ACCEPT_RETRY_SECONDS)
                    continue
                proxy = self.bridge.proxy
                if proxy.has_room_for_client(self.context, self.pending):
                    self.pending += 1
                    self.tasks.start(self.handshake(sock, format_address(peer_name, "")), "tls handshake")
                else:
                    # Before the handshake no error could be sent.
                    proxy.connections_received += 1
                    proxy.connections_rejected += 1
                    sock.close()

    async def next_client(self, listening: socket.socket) -> tuple[socket.socket, object]:
        """The next accepted socket, and the name of its peer; OSError as accept(2)."""
        return await self.bridge.loop.sock_accept(listening)

    async def handshake(self, sock: socket.socket, address: str) -> None:
        """Make a client of it, or count and log why not."""
        client = ClientIO(self.bridge, self.context, self.clients)
        client.is_tls = True
        try:
            await self.bridge.loop.connect_accepted_socket(
                # A compiled class cannot inherit from asyncio.Protocol, but it has all the methods that the loop calls.
                cast(Callable[[], asyncio.Protocol], lambda: client),
                sock,
                ssl=self.tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=limits.UNREAD_CLOSE_SECONDS,
            )
        except OSError as problem:
            sock.close()
            cause = describe_handshake_error(problem)
            self.bridge.proxy.incidents.record(TLS_FAILED, self.context.name, None, address, cause)
        finally:
            self.pending -= 1


async def bind(host: str, port: int, reuse_port: bool) -> list[socket.socket]:
    """A socket for each address of ``host``, bound as the loop would bind it, and nobody's but ours."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        asyncio.Protocol, host, port, reuse_address=True, reuse_port=reuse_port, start_serving=False
    )
    sockets = [socket.socket(fileno=os.dup(sock.fileno())) for sock in server.sockets]
    server.close()
    for sock in sockets:
        sock.setblocking(False)
    return sockets


def describe_handshake_error(problem: OSError) -> str:
    """Why it failed, in a few words."""
    if isinstance(problem, ssl.SSLError) and problem.reason in _NOT_TLS:
        return "not TLS"
    if isinstance(problem, TimeoutError | ConnectionError):
        return "not finished"
    return describe_os_error(problem).removeprefix("tls: ")
