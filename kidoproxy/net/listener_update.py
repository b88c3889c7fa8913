"""The listeners of one process, on the way from one configuration to another, while clients come in.

    prepare   bind what is new: who connects there waits             may fail, and is undone
    apply     each listener makes clients of its pool, as that is now
    finish    accept those who wait; those too who wait at what is given up, then close it

A listener belongs to its address: it stays open when another pool gets that, or TLS comes or goes. Clients stay
connected when the address is given up at which they came in.
"""

import contextlib
import ssl
from collections.abc import Mapping
from typing import Final

from kidoproxy.config import Address, Config, Pool, SocketAccess
from kidoproxy.net.address_changes import cannot_listen
from kidoproxy.net.drain import accept_waiting
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.listeners import Listeners, PoolListener, is_plain
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.tls import Acceptor
from kidoproxy.net.unix_sockets import access_of, effective_access, set_access
from kidoproxy.session.pool_context import PoolContext

log: Final = EventLogger("kidoproxy")

#: What clients of each pool have to speak, by its name; a pool that has no TLS is not there.
TlsContexts = Mapping[str, ssl.SSLContext]


class ListenerUpdate:
    """``listeners`` become those of ``config``; ``contexts`` are those of all its pools."""

    def __init__(
        self, listeners: Listeners, config: Config, contexts: Mapping[str, PoolContext], tls: TlsContexts
    ) -> None:
        self.listeners = listeners
        self.config = config
        self.contexts = contexts
        self.tls = tls
        self.opened: list[PoolListener] = []
        self.kept: list[tuple[PoolListener, Pool, Address]] = []
        #: What the files of unix sockets had, for `cancel`.
        self.former_access: list[tuple[str, SocketAccess]] = []
        self.removed: list[PoolListener] = []

    async def prepare(self, bridge: LoopBridge, with_copies: bool = True) -> None:
        """`StartError` says what cannot be had; then all is as it was.

        Not ``with_copies``: those are still to be taken over from another process, and nobody listens for them yet.
        """
        left = list(self.listeners.pool_listeners)
        pools = self.config.listening_pools()
        try:
            for pool in [pool for pool in pools if with_copies or not self.config.contains_copy_pool(pool.name)]:
                for address in pool.listen:
                    found = next((each for each in left if each.address == address), None)
                    if found is None:
                        await self.open(bridge, pool, address)
                    else:
                        left.remove(found)
                        self.kept.append((found, pool, address))
                        self.change_access(found, pool)
        except BaseException:
            self.cancel()
            raise
        self.removed = left

    async def open(self, bridge: LoopBridge, pool: Pool, address: Address) -> None:
        acceptor = Acceptor(bridge, self.contexts[pool.name], self.listeners.clients, self.tls_of(pool, address))
        self.opened.append(await self.listeners.bind(pool, address, acceptor, self.config.workers))

    def tls_of(self, pool: Pool, address: Address) -> ssl.SSLContext | None:
        return None if is_plain(address) else self.tls.get(pool.name)

    def change_access(self, listener: PoolListener, pool: Pool) -> None:
        """Give the file of a unix socket that is ours the mode and the owners of its pool."""
        for path in [server.path for server in listener.servers if server.path]:
            try:
                former, wanted = access_of(path), effective_access(pool.socket_access)
                if former != wanted:
                    self.former_access.append((path, former))
                    set_access(path, wanted)
            except OSError as problem:
                raise cannot_listen(f"pool.{pool.name}", listener.address, problem) from None

    def cancel(self) -> None:
        """Undo what `prepare` has done."""
        for listener in self.opened:
            listener.close()
        for path, access in self.former_access:
            with contextlib.suppress(OSError):  # whoever has removed the file has undone it, too
                set_access(path, access)

    def apply(self) -> None:
        """Who is accepted from now on is a client of the new configuration."""
        for listener, pool, address in self.kept:
            listener.pool, listener.address = pool.name, address
            listener.acceptor.context = self.contexts[pool.name]
            listener.acceptor.tls = self.tls_of(pool, address)
        open_now = [each for each in self.listeners.pool_listeners if each not in self.removed]
        self.listeners.pool_listeners = open_now + self.opened

    async def finish(self) -> None:
        """Accept clients at the new addresses, and no more at the old ones."""
        for listener in self.opened:
            for server in listener.servers:
                await server.accept()
            log.info("listening", pool=listener.pool, address=listener.address)
        await accept_waiting([server for listener in self.removed for server in listener.servers])
        for listener in self.removed:
            listener.close()
            log.info("listening no more", pool=listener.pool, address=listener.address)
