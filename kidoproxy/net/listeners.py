"""Where one process listens: for the clients of each pool, and for requests of the admin pages."""

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kidoproxy.config import Address, Config, Pool
from kidoproxy.config.tls import listener_context
from kidoproxy.net.address_changes import cannot_listen
from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.handover import Handover
from kidoproxy.net.listen import (
    ListeningServer,
    adopt_listener,
    start_admin_listener,
    start_listener,
)
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.tls import Acceptor
from kidoproxy.session.pool_context import PoolContext

if TYPE_CHECKING:
    from kidoproxy.admin.http import AdminServer

log = EventLogger("kidoproxy")


@dataclass(eq=False)
class PoolListener:
    """One address of a pool, with all sockets that listen there, and what becomes of those that they accept.

    A reload may give the address to another pool.
    """

    pool: str
    address: Address
    acceptor: Acceptor
    servers: list[ListeningServer]

    @property
    def is_plain(self) -> bool:
        """Whether clients do not speak TLS here, whatever the pool's certificate."""
        return is_plain(self.address)

    def close(self) -> None:
        """Accept nobody any more."""
        for server in self.servers:
            server.close()


class Listeners:
    """Those of one process; ``worker`` is its number among several."""

    def __init__(self, handover: Handover, worker: int | None, clients: set[ClientIO]) -> None:
        self.handover = handover
        self.worker = worker
        self.clients = clients
        self.pool_listeners: list[PoolListener] = []
        #: The admin pages stay to the end: they say that we are draining.
        self.admin: ListeningServer | None = None

    def for_clients(self) -> list[ListeningServer]:
        """Those where clients of pools come in."""
        return [server for listener in self.pool_listeners for server in listener.servers]

    def all(self) -> list[ListeningServer]:
        return self.for_clients() + ([self.admin] if self.admin is not None else [])

    def close_pools(self) -> None:
        """Accept no clients any more."""
        for listener in self.pool_listeners:
            listener.close()

    async def open_pools(
        self, config: Config, bridge: LoopBridge, contexts: dict[str, PoolContext], with_copies: bool
    ) -> None:
        """Listen for the pools that have copies below them, or for the others. `StartError` when that cannot be."""
        for pool in config.listening_pools():
            if config.contains_copy_pool(pool.name) is with_copies:
                for address in pool.listen:
                    acceptor = Acceptor(bridge, contexts[pool.name], self.clients, tls_of(pool, address))
                    self.pool_listeners.append(await self.open(pool, address, acceptor, config.workers))

    async def bind(self, pool: Pool, address: Address, acceptor: Acceptor, workers: int) -> PoolListener:
        """Let clients of ``pool`` connect, and wait. `StartError` when the address cannot be had."""
        try:
            server = await start_listener(acceptor, address, workers > 1, pool.socket_access, accept=False)
        except OSError as problem:
            raise cannot_listen(f"pool.{pool.name}", address, problem) from None
        return PoolListener(pool.name, address, acceptor, [server])

    async def open(self, pool: Pool, address: Address, acceptor: Acceptor, workers: int) -> PoolListener:
        """Listen for the clients of ``pool``. `StartError` when the address cannot be had."""
        try:
            given = self.handover.given.take(address, self.worker or 0, workers)
            if given:
                servers = [await adopt_listener(acceptor, each) for each in given]
            else:
                servers = [await start_listener(acceptor, address, workers > 1, pool.socket_access)]
        except OSError as problem:
            raise cannot_listen(f"pool.{pool.name}", address, problem) from None
        log.info("listening", pool=pool.name, mode=pool.mode, address=address)
        return PoolListener(pool.name, address, acceptor, servers)

    async def open_admin(self, server: "AdminServer", address: Address) -> None:
        """Listen for health checks and Prometheus."""
        try:
            self.admin = await start_admin_listener(server, address, self.handover.given.take(address, 0, 1))
        except OSError as problem:
            raise cannot_listen("proxy.admin", address, problem) from None
        log.info("admin pages", address=address)


def is_plain(address: Address) -> bool:
    return address.is_unix or address.plain


def tls_of(pool: Pool, address: Address) -> ssl.SSLContext | None:
    """What a client has to speak there; None: plain."""
    if pool.listener_tls is None or is_plain(address):
        return None
    return listener_context(pool.listener_tls)
