"""Listening sockets, for clients and for the admin pages, and the files of unix sockets.

A file is removed by the process that bound it, before its listener closes: one that is found later is someone else's.
"""

import asyncio
import contextlib
import errno
import os
import select
import socket
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from kidoproxy.config import Address, SocketAccess
from kidoproxy.net.address_claims import AddressClaimed
from kidoproxy.net.given_sockets import GivenSocket
from kidoproxy.net.unix_sockets import bind_unix_socket

if TYPE_CHECKING:
    from kidoproxy.admin.http import AdminServer

LISTEN_BACKLOG: Final = 511
#: Redis's ``tcp-keepalive``: a client whose machine has gone does not stay for ever.
KEEPALIVE_SECONDS: Final = 300
KEEPALIVE_PROBES: Final = 3

ANYBODY_BY_UMASK: Final = SocketAccess()
#: Makes an asyncio protocol, by its methods: a compiled class cannot inherit from asyncio.Protocol.
ProtocolFactory = Callable[[], object]


class ListeningServer:
    """One listening socket, or several of one host name. It may be closed twice."""

    def __init__(
        self,
        server: asyncio.Server,
        path: str,
        given: GivenSocket | None = None,
        others: tuple[asyncio.Server, ...] = (),
    ) -> None:
        self.server = server
        #: Those of the same listener whose sockets were given one by one.
        self.others = others
        self.path = path
        self.is_closed = False
        #: Whose socket it was, if it was given.
        self.given = given

    def own_file(self) -> None:
        """The file of a unix socket that was given by a former proxy is this process's to remove."""
        if self.given is not None and not self.given.by_systemd and self.given.socket.family == socket.AF_UNIX:
            self.path = os.fsdecode(self.given.socket.getsockname())

    def give_away(self) -> list[GivenSocket]:
        """The sockets for another process, which accepts from them, too."""
        name = "" if self.given is None else self.given.by_systemd
        return [GivenSocket(socket.socket(fileno=os.dup(sock.fileno())), name) for sock in self.sockets()]

    def sockets(self) -> list[socket.socket]:
        """Those that listen."""
        serving = [server for server in (self.server, *self.others) if server.is_serving()]
        return [sock for server in serving for sock in server.sockets]

    def has_waiting(self) -> bool:
        """Whether somebody has connected and is not accepted yet."""
        poller = select.poll()
        for sock in self.sockets():
            poller.register(sock, select.POLLIN)
        return bool(poller.poll(0))

    def begin_listening(self) -> None:
        """Let clients connect, and wait. OSError, and it is closed: only now the kernel says who else listens there."""
        try:
            for sock in self.server.sockets:
                with socket.socket(fileno=os.dup(sock.fileno())) as same:
                    same.listen(LISTEN_BACKLOG)
        except OSError:
            self.close()
            raise

    async def accept(self) -> None:
        """Accept those who have connected, and who will."""
        if not self.is_closed:
            await self.server.start_serving()

    def close(self) -> None:
        """Accept nobody any more."""
        self.is_closed = True
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            self.path = ""
        for server in (self.server, *self.others):
            server.close()


def enable_keepalive(sock: socket.socket) -> None:
    """Have the kernel notice that the other machine has gone, even if nothing is sent for a long time."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_SECONDS // KEEPALIVE_PROBES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)


async def adopt_listener(factory: ProtocolFactory, given: GivenSocket) -> ListeningServer:
    """Accept clients from a socket that was given; other processes may do so too."""
    loop = asyncio.get_running_loop()
    protocol = cast(Callable[[], asyncio.Protocol], factory)
    sock = given.socket.dup()
    if sock.family == socket.AF_UNIX:
        server = await loop.create_unix_server(protocol, sock=sock, backlog=LISTEN_BACKLOG)
        return ListeningServer(server, "", given)
    enable_keepalive(sock)
    return ListeningServer(await loop.create_server(protocol, sock=sock, backlog=LISTEN_BACKLOG), "", given)


async def start_listener(
    factory: ProtocolFactory,
    address: Address,
    reuse_port: bool,
    access: SocketAccess = ANYBODY_BY_UMASK,
    accept: bool = True,
) -> ListeningServer:
    """Listen for clients; ``reuse_port``: together with other workers. OSError when that is not possible.

    Without ``accept`` whoever connects waits for `ListeningServer.accept`.
    """
    loop = asyncio.get_running_loop()
    protocol = cast(Callable[[], asyncio.Protocol], factory)
    if address.path:
        remove_stale_socket(address.path)
        sock = bind_unix_socket(address.path, access)
        server = await loop.create_unix_server(protocol, sock=sock, backlog=LISTEN_BACKLOG, start_serving=accept)
    else:
        server = await loop.create_server(
            protocol,
            address.host,
            address.port,
            backlog=LISTEN_BACKLOG,
            reuse_address=True,
            reuse_port=reuse_port,
            start_serving=accept,
        )
        for sock in server.sockets:
            # Accepted sockets inherit it.
            enable_keepalive(sock)
    listener = ListeningServer(server, address.path)
    if not accept:
        listener.begin_listening()
    return listener


async def start_admin_listener(
    admin_server: "AdminServer", address: Address, given: list[GivenSocket] | None = None
) -> ListeningServer:
    """Listen for requests of admin pages, with the ``given`` sockets if there are any. OSError if it cannot be done."""
    if given:
        servers = [await admin_server.start(address, each.socket.dup()) for each in given]
        return ListeningServer(servers[0], "", given[0], tuple(servers[1:]))
    if address.path:
        remove_stale_socket(address.path)
    return ListeningServer(await admin_server.start(address), address.path)


def remove_stale_socket(path: str) -> None:
    """Remove a unix socket that nobody listens on any more; one that is served is left alone."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "a file is in the way")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # others are served meanwhile
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            # Its backlog is full, or it is not ours to connect to: somebody may serve it.
            pass
    raise OSError(errno.EADDRINUSE, "in use")


def describe_bind_error(problem: OSError) -> str:
    """Why nobody can listen there, in the system's words or in those of `AddressClaimed`."""
    if isinstance(problem, AddressClaimed):
        return problem.strerror or str(problem)
    return os.strerror(problem.errno).lower() if problem.errno and problem.errno > 0 else str(problem)
