"""One process after another at the same addresses: what each end of a hand-over does with its daemon.

The order of both is drawn in `kidoproxy.net.upgrade`.
"""

import asyncio
from typing import Final, Protocol

from kidoproxy.config import Config
from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.copy_supervisors import CopySupervisors
from kidoproxy.net.drain import finish_clients
from kidoproxy.net.given_sockets import GivenSocket
from kidoproxy.net.handover import Handover, Predecessor
from kidoproxy.net.listen import ListeningServer
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.ticker import Ticker
from kidoproxy.net.worker_sockets import WorkerSockets
from kidoproxy.session.pool_context import PoolContext

log = EventLogger("kidoproxy")

#: The kernel closes the files of a process that was killed one after the other: the channel may come before the locks.
LOCK_SECONDS: Final = 10.0
LOCK_POLL_SECONDS: Final = 0.05


class StartError(OSError):
    """The daemon cannot start; one line says why."""


class OpenListeners(Protocol):
    """Where a daemon listens."""

    def all(self) -> list[ListeningServer]:
        """For clients, and for the admin pages."""


class Serving(Protocol):
    """A daemon, as those see it who begin and end it."""

    config: Config
    worker: int | None
    replaces: bool
    handover: Handover
    worker_sockets: WorkerSockets | None
    listeners: OpenListeners
    clients: set[ClientIO]
    contexts: dict[str, PoolContext]
    copy_pools: CopySupervisors
    ticker: Ticker

    async def start_copies(self) -> None:
        """Claim the copies, and connect to them."""

    async def wait_for_nodes(self) -> None:
        """Wait until they have said who they are."""

    async def listen_for_pools(self, with_copies: bool) -> None:
        """Listen for clients."""

    def stop(self) -> None:
        """Drain."""


class Succession:
    """Of one daemon."""

    def __init__(self, daemon: Serving) -> None:
        self.daemon = daemon
        self.handover = daemon.handover
        #: Why the daemon could not go on.
        self.failure: StartError | None = None
        #: Copy pools have no listeners yet.
        self.is_taking_over = False

    # -- the new process -----------------------------------------------------------------------------------------------

    async def take_the_place(self) -> None:
        """Let the proxy go that this one replaces, when all workers listen."""
        daemon, predecessor = self.daemon, self.handover.predecessor
        if predecessor is None or daemon.worker or daemon.replaces:
            return
        if daemon.worker_sockets is not None:
            await daemon.worker_sockets.wait_for_all()
        if await predecessor.serves_on():
            raise StartError("the proxy that it was to replace serves on without the worker that has started it")
        predecessor.say_ready()
        for listener in self.daemon.listeners.all():
            listener.own_file()

    def ready_state(self) -> str:
        """What the service manager is told: the main process may be another one now."""
        return "READY=1" if self.handover.predecessor is None else f"MAINPID={self.handover.main_pid}\nREADY=1"

    async def take_over_copies(self, predecessor: Predecessor) -> None:
        """Serve the copy pools when the former proxy has released them, or is gone."""
        daemon = self.daemon
        self.is_taking_over = True
        daemon.copy_pools.records.inherited = await predecessor.released()
        await self.wait_for_locks()
        try:
            await daemon.start_copies()
            daemon.copy_pools.register_ticks(daemon.ticker)
            daemon.ticker.add("flush", daemon.copy_pools.bridge.schedule_flush)
            await daemon.wait_for_nodes()
            await daemon.listen_for_pools(True)
            for listener in self.daemon.listeners.all():
                listener.own_file()
            log.info("copies taken over", process=predecessor.pid)
        except StartError as problem:
            log.error("copies not taken over", cause=problem)
            self.failure = problem
            daemon.stop()
        self.is_taking_over = False

    async def wait_for_locks(self) -> None:
        """Wait until nobody has the records of the copies locked, but not for ever."""
        for _ in range(int(LOCK_SECONDS / LOCK_POLL_SECONDS)):
            if not self.daemon.copy_pools.are_locked():
                return
            await asyncio.sleep(LOCK_POLL_SECONDS)

    # -- the old one ---------------------------------------------------------------------------------------------------

    def own_sockets(self) -> list[GivenSocket]:
        """The listening sockets of this process, for another one."""
        return [given for listener in self.daemon.listeners.all() for given in listener.give_away()]

    async def listening_sockets(self) -> list[GivenSocket]:
        """Those of all workers. OSError when one does not say which."""
        workers = self.daemon.worker_sockets
        others = await workers.ask_sockets() if workers is not None else []
        return [*self.own_sockets(), *others]

    def give_up_listeners(self) -> None:
        """Accept nobody any more; the files of unix sockets are the new process's."""
        for listener in self.daemon.listeners.all():
            listener.path = ""
            listener.close()

    async def release(self) -> dict[str, str]:
        """Accept nobody any more and release the copies; their records."""
        self.give_up_listeners()
        daemon = self.daemon
        await finish_clients(
            lambda: [each for each in daemon.clients if daemon.config.contains_copy_pool(each.context.name)],
            daemon.config.drain_seconds,
            lambda: sum(context.pending_handshakes for context in daemon.contexts.values() if context.has_copies),
        )
        return await daemon.copy_pools.release()
