"""One process that serves: it builds the proxy from its configuration, listens, ticks, and drains when told to stop.

The order of a start: copy pools (somebody else may serve them), connections to the nodes, ticks, then a wait until the
nodes have said who they are, and only then listeners: the first client finds the nodes known and the copies elected.

SIGTERM and SIGINT drain: no new clients, idle ones are closed, what is under way is finished within
``drain_seconds``. A second signal ends at once. SIGHUP reloads the configuration (`kidoproxy.net.reload`).
"""

import asyncio
import logging
import os
import signal
import uuid
from collections.abc import Callable

from kidoproxy import __version__
from kidoproxy.config import Address, Config
from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.connect import Connector
from kidoproxy.net.copy_state import StateLocked
from kidoproxy.net.copy_supervisors import CopySupervisors
from kidoproxy.net.deadlines import TICK_SECONDS, Deadlines
from kidoproxy.net.drain import accept_waiting, drain_clients
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.from_config import connect_target, connection_options, pool_context, set_process_values
from kidoproxy.net.handover import Handover
from kidoproxy.net.idle import IdleSweep
from kidoproxy.net.listeners import Listeners
from kidoproxy.net.live_update import LiveUpdate
from kidoproxy.net.logs import EventLogger, configure_logging, write_folded
from kidoproxy.net.node_io import NodeIO
from kidoproxy.net.node_log import NodeLogger
from kidoproxy.net.peer_channel import PeerChannel
from kidoproxy.net.process import raise_file_limit, tune_gc
from kidoproxy.net.reload import Reloads
from kidoproxy.net.sentinel_watch import make_watches
from kidoproxy.net.succession import StartError, Succession
from kidoproxy.net.systemd import sd_notify
from kidoproxy.net.tasks import Tasks
from kidoproxy.net.ticker import Ticker
from kidoproxy.net.upgrade import Upgrades
from kidoproxy.net.worker_sockets import WorkerSockets
from kidoproxy.resp import scan
from kidoproxy.resp.replication_errors import same_server_cause
from kidoproxy.routes.build import RouteTree, build
from kidoproxy.routes.topology import Node
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.upstream.connection_set import ConnectionSet
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.states import DOWN, READY

log = EventLogger("kidoproxy")
clients_log = EventLogger("kidoproxy.clients")
pubsub_log = EventLogger("kidoproxy.channels")

#: How long the start waits for copy pools to find out whom to trust.
STARTUP_WAIT_SECONDS = 3.0


def is_compiled() -> bool:
    """Whether the pure packages run as machine code."""
    return not str(scan.__file__).endswith(".py")


class Daemon:
    """One process: its listeners, clients and nodes, and what runs beside them."""

    def __init__(
        self,
        config: Config,
        worker: int | None = None,
        take_over: frozenset[str] = frozenset(),
        reloads: Reloads | None = None,
        worker_sockets: WorkerSockets | None = None,
        replaces: bool = False,
        parent: int | None = None,
        handover: Handover | None = None,
    ) -> None:
        self.config = config
        #: What was there before this process, and will be after it.
        self.handover = handover or Handover()
        self.succession = Succession(self)
        self.upgrades = Upgrades(self, self.succession)
        #: Where changes of the configuration come from; None: there is no file.
        self.reloads = reloads
        #: Between the workers; and whether this one replaces one that is gone.
        self.worker_sockets = worker_sockets
        self.peer_channel: PeerChannel | None = None
        self.replaces = replaces
        #: The copy pools that another proxy has to leave to this one.
        self.take_over = take_over
        #: Which of several workers this is; None: the only process.
        self.worker = worker
        #: The process that has forked this one, as it was then: it may have died since.
        self.parent = os.getppid() if parent is None else parent
        self.route_tree: RouteTree = build(config)
        members = zip(self.route_tree.nodes, self.route_tree.node_configs, strict=True)
        self.executor = Executor([ConnectionSet(node, connection_options(*configured)) for node, configured in members])
        self.executor.seed = int.from_bytes(os.urandom(3), "big")
        self.proxy = ProxyState(self.executor)
        self.contexts: dict[str, PoolContext] = {}
        for pool in config.listening_pools():
            self.contexts[pool.name] = pool_context(pool, self.route_tree.pools[pool.name])
            self.proxy.contexts.append(self.contexts[pool.name])
        self.connected_nodes: list[Node] = []
        self.tasks = Tasks()
        self.ticker = Ticker()
        self.clients: set[ClientIO] = set()
        self.listeners = Listeners(self.handover, worker, self.clients)
        self.stop_event = asyncio.Event()

    async def run(self, announce: Callable[[str], None]) -> None:
        """Serve until a signal says stop."""
        self.attach_to_loop(asyncio.get_running_loop())
        try:
            await self.start()
            await self.succession.take_the_place()
            # Whoever is told that it is ready may signal at once: until then SIGUSR2 is ignored, and SIGHUP held back.
            if not self.worker:
                self.upgrades.attach()
            announce("\n".join(self.banner()))
            self.notify(self.succession.ready_state())
            if self.reloads is not None:
                self.reloads.attach(self)
            await self.stop_event.wait()
            if not self.handover.done.is_set():
                self.notify("STOPPING=1")
            await self.drain()
        finally:
            await self.close()
        if self.succession.failure is not None:
            raise self.succession.failure

    # -- the start -----------------------------------------------------------------------------------------------------

    def attach_to_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """What needs a loop, or tells this process from others."""
        self.bridge = LoopBridge(loop, self.proxy)
        self.copy_pools = CopySupervisors(
            self.bridge, self.route_tree.copy_groups, self.config.state_dir, self.take_over
        )
        members = zip(self.route_tree.nodes, self.route_tree.node_configs, strict=True)
        self.targets = {node: connect_target(*configured) for node, configured in members}
        self.bridge.update_socket = Connector(self.bridge, self.targets, self.tasks).update_socket
        self.sentinel_watches = make_watches(self.bridge, self.route_tree, self.targets)
        self.set_identity()
        self.set_socket_limits()
        if self.worker is not None and self.worker_sockets is not None:
            self.peer_channel = PeerChannel(self.worker, self.worker_sockets, self.bridge, self.tasks)
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self.stop)

    def set_identity(self) -> None:
        """What INFO, PROXY and the metrics say of this process."""
        proxy = self.proxy
        proxy.started_ms = proxy.configured_ms = proxy.wall_ms
        proxy.version = __version__
        proxy.build = "compiled" if is_compiled() else "interpreted"
        proxy.pid = os.getpid()
        proxy.config_file = self.config.source
        proxy.random_bytes = os.urandom
        proxy.run_id = uuid.uuid4().hex.encode() + b"00000000"

    def set_socket_limits(self) -> None:
        """As many clients and dedicated connections as the process may have open files for."""
        proxy = self.proxy
        set_process_values(proxy, self.config)
        node_count = len(self.route_tree.nodes)
        max_dedicated = min(proxy.max_clients, proxy.dedicated_pool.max_per_node * node_count)
        proxy.limit_sockets(raise_file_limit(proxy.max_clients, node_count, max_dedicated))

    async def start(self) -> None:
        """All that comes before the first client; see the module for the order. `StartError` says what is wrong."""
        for watch in self.sentinel_watches:
            watch.start(self.tasks)
        predecessor = self.handover.predecessor if self.route_tree.copy_groups else None
        if predecessor is None:
            await self.start_copies()
        self.connect([node for node in self.route_tree.nodes if not node.is_copy])
        self.register_ticks()
        self.tasks.start(self.ticker.run(TICK_SECONDS), "tick")
        await self.wait_for_nodes()
        if self.peer_channel is not None and self.replaces:
            await self.peer_channel.inherit()
        await self.listen_for_pools(False)
        if predecessor is None:
            await self.listen_for_pools(True)
        else:
            self.tasks.start(self.succession.take_over_copies(predecessor), "take over copies")
        if self.config.admin is not None:
            await self.listen_admin(self.config.admin)
        if self.peer_channel is not None:
            self.peer_channel.start_answering(self.succession.own_sockets)
        tune_gc()

    async def start_copies(self) -> None:
        """Claim the copies, and connect to them."""
        try:
            self.copy_pools.start()
        except StateLocked as problem:
            raise StartError(str(problem)) from None
        self.connect([node for node in self.route_tree.nodes if node.is_copy])

    def connect(self, nodes: list[Node]) -> None:
        """Connect to each node at once, so that the first client does not wait, and operators see the state."""
        for node in nodes:
            self.executor.connection(node, 2, 0).start_connecting()
        self.connected_nodes += nodes
        self.bridge.schedule_flush()

    async def listen_for_pools(self, with_copies: bool) -> None:
        """Those that have copies below them, or the others."""
        await self.listeners.open_pools(self.config, self.bridge, self.contexts, with_copies)

    async def wait_for_nodes(self) -> None:
        """Wait until the nodes have said who they are, and the copies have elected and compared what can be at once."""
        for _ in range(int(STARTUP_WAIT_SECONDS / TICK_SECONDS)):
            self.refuse_same_server()
            self.refuse_other_owner()
            busy = self.is_handshaking() or self.copy_pools.is_starting()
            if not busy or self.stop_event.is_set():
                return
            await asyncio.sleep(TICK_SECONDS)

    def is_handshaking(self) -> bool:
        """Whether some node has neither answered nor failed yet."""
        return any(self.executor.connection(node, 2, 0).state not in (READY, DOWN) for node in self.connected_nodes)

    def refuse_same_server(self) -> None:
        """One server under two names would get each write twice, or be emptied as the copy of itself."""
        for node, (_, pool) in zip(self.route_tree.nodes, self.route_tree.node_configs, strict=True):
            if node.same_server_as is not None:
                raise StartError(f'pool.{pool.name}: node "{node.name}": {same_server_cause(node.same_server_as.name)}')

    def refuse_other_owner(self) -> None:
        """Without one node that this proxy may write to, there is nothing to serve."""
        owner = self.copy_pools.other_owner()
        if owner and all(node.is_copy for node in self.route_tree.nodes):
            names = ", ".join(group.name for group in self.copy_pools.groups)
            raise StartError(f"the copies of pool {names} are served by the kidoproxy of {owner}")

    async def listen_admin(self, address: Address) -> None:
        """Listen for health checks and Prometheus."""
        from kidoproxy.admin.http import AdminServer
        from kidoproxy.admin.worker_totals import WorkerTotals

        ask_workers = self.worker_sockets.ask if self.worker_sockets is not None else None
        totals, flush = WorkerTotals(self.replaces), self.bridge.schedule_flush
        server = AdminServer(self.proxy, ask_workers, totals, self.config.admin_token, flush)
        await self.listeners.open_admin(server, address)

    def banner(self) -> list[str]:
        """What a person reads when the proxy is ready: one line per pool."""
        proxy = self.proxy
        lines = [f"kidoproxy {proxy.version} ({proxy.build}) is ready"]
        for pool in self.config.listening_pools():
            addresses = ", ".join(str(address) for address in pool.listen)
            lines.append(f"  {pool.name}: {pool.mode} of {len(pool.members)} on {addresses}")
        return lines

    def notify(self, state: str) -> None:
        """Tell the service manager; of several workers the first one speaks for all."""
        if not self.worker:
            sd_notify(state)

    # -- while it serves -----------------------------------------------------------------------------------------------

    def register_ticks(self) -> None:
        """What is done a few times a second, in this order."""
        ticker = self.ticker
        ticker.add("clock", self.bridge.measure_wall_offset)
        if self.worker is not None:
            ticker.add("parent", self.stop_if_orphaned)
        ticker.add("deadlines", Deadlines(self.bridge, ticker).tick)
        ticker.add("proxy", self.proxy.tick)
        for watch in self.sentinel_watches:
            ticker.add(f"sentinels of {watch.node.name}", watch.tick)
        ticker.add("incidents", self.log_incidents)
        ticker.add("log", write_folded)
        ticker.add("nodes", NodeLogger(self.bridge, self.route_tree.nodes).tick)
        self.copy_pools.register_ticks(ticker)
        ticker.add("channels", self.tick_pubsub)
        ticker.add("slow clients", self.bridge.check_slow_clients)
        ticker.add("idle clients", IdleSweep(self.clients, self.proxy.contexts, TICK_SECONDS).tick)
        ticker.add("flush", self.bridge.schedule_flush)

    def make_update(self, config: Config) -> LiveUpdate:
        """What a changed configuration will set. In a thread: it reads only what never changes."""
        return LiveUpdate(self.config, config, self.proxy, self.route_tree, self.listeners)

    async def prepare_update(self, update: LiveUpdate) -> None:
        """Do what may fail, and can be undone by `cancel_update`. `StartError` says why not: nothing is done."""
        await update.listeners.prepare(self.bridge, not self.succession.is_taking_over)

    def cancel_update(self, update: LiveUpdate) -> None:
        """It is not to be."""
        update.listeners.cancel()

    async def apply_update(self, update: LiveUpdate) -> None:
        """Take over a changed configuration as a whole, in one turn of the loop; then close old listeners."""
        config = update.config
        self.bridge.update_clock()
        if (config.log, config.log_level) != (self.config.log, self.config.log_level):
            configure_logging(config.log, config.log_level)
        self.config = config
        self.set_socket_limits()
        closed = update.apply(self.targets)
        self.bridge.schedule_flush()
        await update.listeners.finish()
        log.info("configuration applied", clients_closed=closed)

    def stop_if_orphaned(self) -> None:
        """A worker does not outlive its parent."""
        if os.getppid() != self.parent and not self.stop_event.is_set():
            self.stop()

    def log_incidents(self) -> None:
        for event in self.proxy.incidents.take_due_events(self.proxy.wall_ms):
            clients_log.write(logging.WARNING, event)

    def tick_pubsub(self) -> None:
        for subscriptions in self.proxy.subscriptions_by_pool.values():
            subscriptions.tick(self.executor.now)
            for event in subscriptions.log_events:
                pubsub_log.write(logging.INFO, event)
            subscriptions.log_events.clear()

    # -- the end -------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """The first signal drains, the second one ends."""
        if self.stop_event.is_set():
            for client in list(self.clients):
                client.abort()
        self.stop_event.set()

    async def drain(self) -> None:
        """No new clients; close those that wait for nothing, then those whose replies have left."""
        self.proxy.draining = True
        log.info("draining", clients=len(self.clients))
        if is_replaced := self.handover.done.is_set():
            self.succession.give_up_listeners()
        else:
            self.upgrades.give_up()
            await accept_waiting(self.listeners.for_clients())
        self.handover.let_go()
        self.listeners.close_pools()
        seconds = await drain_clients(
            self.clients, self.config.drain_seconds, is_replaced, lambda: self.proxy.pending_handshakes
        )
        log.info("stopped", seconds=round(seconds, 1))

    async def close(self) -> None:
        """Close whatever is open, after a clean stop and after a start that failed half way."""
        for listener in self.listeners.all():
            listener.close()
        if self.peer_channel is not None:
            self.peer_channel.stop_answering()
        self.upgrades.close()
        await self.tasks.stop()
        await self.close_connections()
        self.copy_pools.close()

    async def close_connections(self) -> None:
        """Close the sockets to the nodes, and let the loop see it: it must not end with any of them open."""
        for conn in self.executor.all_connections():
            transport, conn.transport = conn.transport, None
            if isinstance(transport, NodeIO):
                transport.abort()
        await asyncio.sleep(0)
