"""The daemon: builds the house from its configuration, listens, ticks, and drains when told to stop.

SIGTERM and SIGINT drain: no new clients, idle ones are closed, what is under way is finished within
``drain_seconds``. A second signal ends at once.
"""

import asyncio
import logging
import os
import signal
import socket
import ssl
import time
import uuid
from collections.abc import Callable
from functools import partial

import uvloop

from kidoproxy import __version__
from kidoproxy.admin.http import AdminServer
from kidoproxy.commands.acl import Acl
from kidoproxy.commands.command_set import CommandSet
from kidoproxy.config import Address, Config, Node, Pool
from kidoproxy.config import User as ConfigUser
from kidoproxy.net.address_claims import AddressClaims
from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.connect import Connector, ConnectTarget
from kidoproxy.net.copy_state import CopyRecords, StateLocked
from kidoproxy.net.deadlines import TICK_SECONDS, Deadlines
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.idle import IdleSweep
from kidoproxy.net.listen import ListeningServer, describe_bind_error, start_admin_listener, start_listener
from kidoproxy.net.logs import EventLogger, configure_logging
from kidoproxy.net.node_io import NodeIO
from kidoproxy.net.node_log import NodeLogger
from kidoproxy.net.process import raise_file_limit, tune_gc
from kidoproxy.net.systemd import sd_notify
from kidoproxy.net.tasks import Tasks
from kidoproxy.net.ticker import Ticker
from kidoproxy.net.workers import EXIT_CANNOT_START, Workers
from kidoproxy.replication.supervisor import CopySupervisor
from kidoproxy.replies.accounting import DRAIN_TIMEOUT
from kidoproxy.resp import scan
from kidoproxy.resp.replication_errors import same_server_cause
from kidoproxy.routes.build import RouteTree, build
from kidoproxy.routes.topology import Node as TreeNode
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.users import User, Users, password_digest
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.server import Server
from kidoproxy.upstream.states import DOWN, READY

log = EventLogger("kidoproxy")
copies_log = EventLogger("kidoproxy.copies")
clients_log = EventLogger("kidoproxy.clients")
pubsub_log = EventLogger("kidoproxy.channels")

#: How long the start waits for copy pools to find out whom to trust.
STARTUP_WAIT_SECONDS = 3.0


def is_compiled() -> bool:
    """Whether the pure rooms run as machine code."""
    return not str(scan.__file__).endswith(".py")


class StartError(OSError):
    """The daemon cannot start; one line says why."""


class Daemon:
    """One process: a hub, its listeners, and what runs beside them."""

    def __init__(self, config: Config, worker: int | None = None) -> None:
        self.config = config
        #: Which of several workers this is; None: the only process.
        self.worker = worker
        self.parent = os.getppid()
        self.route_tree: RouteTree = build(config)
        members = zip(self.route_tree.nodes, self.route_tree.node_configs, strict=True)
        self.executor = Executor([Server(node, connection_options(*configured)) for node, configured in members])
        self.executor.seed = int.from_bytes(os.urandom(3), "big")
        self.proxy = ProxyState(self.executor)
        self.contexts = {pool.name: self.new_context(pool) for pool in config.listening_pools()}
        self.supervisors: dict[str, CopySupervisor] = {}
        self.tasks = Tasks()
        self.ticker = Ticker()
        self.listeners: list[ListeningServer] = []
        #: The admin pages stay to the end: they say that we are draining.
        self.admin_listener: ListeningServer | None = None
        self.clients: set[ClientIO] = set()
        self.stop_event = asyncio.Event()

    def new_context(self, pool: Pool) -> PoolContext:
        """What sessions of this pool need to know."""
        commands = CommandSet(pool.deny, pool.allow, pool.rename)
        context = PoolContext(pool.name, pool.mode, self.route_tree.pools[pool.name], commands)
        context.users = Users([session_user(user) for user in pool.all_users()])
        context.databases = pool.databases
        context.strict_transactions = pool.ring is not None and pool.ring.transactions == "strict"
        context.miss_on_failure = pool.ring is not None and pool.ring.on_down == "miss"
        context.needs_arguments = context.needs_arguments or context.miss_on_failure
        context.as_loading = pool.node_errors == "retry"
        context.max_bulk_bytes = pool.limits.bulk_bytes
        context.max_query_bytes = pool.limits.query_buffer_bytes
        context.max_output_bytes = pool.limits.client_output_bytes
        context.max_pubsub_output_bytes = pool.limits.pubsub_output_bytes
        context.max_clients = pool.limits.max_clients
        context.idle_seconds = pool.limits.idle_seconds
        self.proxy.contexts.append(context)
        return context

    async def run(self, announce: Callable[[str], None]) -> None:
        """Serve until a signal says stop."""
        loop = asyncio.get_running_loop()
        self.bridge = LoopBridge(loop, self.proxy)
        self.copy_records = CopyRecords(self.config.state_dir, self.bridge)
        members = zip(self.route_tree.nodes, self.route_tree.node_configs, strict=True)
        targets = {node: connect_target(*configured) for node, configured in members}
        self.bridge.update_socket = Connector(self.bridge, targets, self.tasks).update_socket
        proxy = self.proxy
        proxy.started_ms = proxy.wall_ms
        proxy.version = __version__
        proxy.build = "compiled" if is_compiled() else "interpreted"
        proxy.pid = os.getpid()
        proxy.config_file = self.config.source
        proxy.random_bytes = os.urandom
        proxy.run_id = uuid.uuid4().hex.encode() + b"00000000"
        proxy.max_clients = self.config.max_clients
        proxy.dedicated_pool.max_per_node = self.config.max_lanes
        node_count = len(self.route_tree.nodes)
        proxy.limit_sockets(
            raise_file_limit(
                proxy.max_clients, node_count, min(proxy.max_clients, proxy.dedicated_pool.max_per_node * node_count)
            )
        )
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self.stop)
        try:
            # First of all, for it may find that somebody else serves these copies.
            self.create_supervisors()
            self.connect_all()
            self.register_ticks()
            self.tasks.start(self.ticker.run(TICK_SECONDS), "tick")
            await self.wait_for_nodes()
            for pool in self.config.listening_pools():
                for address in pool.listen:
                    await self.listen(pool, address)
            if self.config.admin is not None:
                await self.listen_admin(self.config.admin)
            tune_gc()
            announce("\n".join(self.banner()))
            self.notify("READY=1")
            await self.stop_event.wait()
            self.notify("STOPPING=1")
            await self.drain()
        finally:
            self.close_listeners()
            if self.admin_listener is not None:
                self.admin_listener.close()
            await self.tasks.stop()
            await self.close_connections()
            self.copy_records.close()

    def notify(self, state: str) -> None:
        """One process speaks for all."""
        if not self.worker:
            sd_notify(state)

    def banner(self) -> list[str]:
        """What a person reads when the proxy is ready: one line per listener."""
        proxy = self.proxy
        lines = [f"kidoproxy {proxy.version} ({proxy.build}) is ready"]
        for pool in self.config.listening_pools():
            addresses = ", ".join(str(address) for address in pool.listen)
            lines.append(f"  {pool.name}: {pool.mode} of {len(pool.members)} on {addresses}")
        return lines

    def connect_all(self) -> None:
        """Open a link to each node at once, so that the first client does not wait, and operators see the state."""
        for node in self.route_tree.nodes:
            self.executor.connection(node, 2, 0).start_connecting()
        self.bridge.schedule_flush()

    def create_supervisors(self) -> None:
        """A keeper for each copy pool, with what a former run recorded."""
        for group in self.route_tree.copy_groups:
            try:
                behind = self.copy_records.start_recording(group)
            except StateLocked as problem:
                raise StartError(f"pool.{group.name}: {problem}") from None
            self.supervisors[group.name] = CopySupervisor(self.executor, group, behind, self.bridge.update_clock())
        self.proxy.begin_sync = self.begin_sync
        self.proxy.run_sync_command = self.run_sync_command
        self.proxy.copy_groups = self.route_tree.copy_groups

    def begin_sync(self, node: TreeNode) -> str:
        """PROXY SYNC: why not, or empty when it has been ordered."""
        group = node.group
        if group is None:
            return f"{node.name} is not part of a copy pool"
        supervisor = self.supervisors[group.name]
        problem = supervisor.order_sync(node, False)
        self.proxy.sync_status[node.node_id] = supervisor.sync_progress(node)
        return problem

    def run_sync_command(self, node: TreeNode, subcommand: str) -> tuple[str, list[str]]:
        """PROXY SYNC with a word behind the name; the session has seen to it that there is a group."""
        supervisor = next(supervisor for supervisor in self.supervisors.values() if supervisor.group is node.group)
        problem, lines = supervisor.execute_order(node, subcommand)
        self.proxy.sync_status[node.node_id] = supervisor.sync_progress(node)
        return problem, lines

    async def wait_for_nodes(self) -> None:
        """Wait until the nodes have said who they are, and the copies have elected and compared what can be at once."""
        for _ in range(int(STARTUP_WAIT_SECONDS / TICK_SECONDS)):
            self.reject_same_server()
            busy = self.is_handshaking() or any(supervisor.is_starting() for supervisor in self.supervisors.values())
            if not busy or self.stop_event.is_set():
                return
            await asyncio.sleep(TICK_SECONDS)

    def is_handshaking(self) -> bool:
        """Whether some node has neither answered nor failed yet."""
        return any(self.executor.connection(node, 2, 0).state not in (READY, DOWN) for node in self.route_tree.nodes)

    def reject_same_server(self) -> None:
        """One server under two names would get each write twice, or be emptied as the copy of itself."""
        for node, (_, pool) in zip(self.route_tree.nodes, self.route_tree.node_configs, strict=True):
            if node.same_server_as is not None:
                raise StartError(f'pool.{pool.name}: node "{node.name}": {same_server_cause(node.same_server_as.name)}')

    async def listen(self, pool: Pool, address: Address) -> None:
        """One listener; a complaint is one line."""
        context = self.contexts[pool.name]
        try:
            listener = await start_listener(
                partial(ClientIO, self.bridge, context, self.clients), address, self.config.workers > 1
            )
        except OSError as problem:
            raise StartError(f"pool.{pool.name}: cannot listen on {address}: {describe_bind_error(problem)}") from None
        self.listeners.append(listener)
        log.info("listening", pool=pool.name, mode=pool.mode, address=address)

    async def listen_admin(self, address: Address) -> None:
        """The pages for orchestrators."""
        try:
            self.admin_listener = await start_admin_listener(AdminServer(self.proxy), address)
        except OSError as problem:
            raise StartError(f"proxy.admin: cannot listen on {address}: {describe_bind_error(problem)}") from None
        log.info("admin pages", address=address)

    def close_listeners(self) -> None:
        """No new clients."""
        for listener in self.listeners:
            listener.close()

    async def close_connections(self) -> None:
        """Close the sockets to the nodes, and let the loop see it: it must not end with any of them open."""
        for conn in self.executor.all_connections():
            transport, conn.transport = conn.transport, None
            if isinstance(transport, NodeIO):
                transport.abort()
        await asyncio.sleep(0)

    def register_ticks(self) -> None:
        """What is done a few times a second, in this order."""
        ticker = self.ticker
        ticker.add("clock", self.bridge.sync_wall_clock)
        if self.worker is not None:
            ticker.add("parent", self.stop_if_orphaned)
        ticker.add("deadlines", Deadlines(self.bridge, ticker).tick)
        ticker.add("house", self.proxy.tick)
        ticker.add("incidents", self.log_incidents)
        ticker.add("nodes", NodeLogger(self.bridge, self.route_tree.nodes).tick)
        for supervisor in self.supervisors.values():
            ticker.add(f"copies of {supervisor.group.name}", partial(self.tick_supervisor, supervisor))
        ticker.add("channels", self.tick_pubsub)
        ticker.add("slow clients", self.bridge.check_slow_clients)
        if any(context.idle_seconds for context in self.proxy.contexts):
            ticker.add("idle clients", IdleSweep(self.clients, TICK_SECONDS).tick)
        ticker.add("flush", self.bridge.schedule_flush)

    def stop_if_orphaned(self) -> None:
        """A worker does not outlive its parent."""
        if os.getppid() != self.parent and not self.stop_event.is_set():
            self.stop()

    def log_incidents(self) -> None:
        """Logins that failed, and the like."""
        for event in self.proxy.incidents.take_due_events(self.proxy.wall_ms):
            clients_log.write(logging.WARNING, event)

    def tick_supervisor(self, supervisor: CopySupervisor) -> None:
        """One tick of one keeper, and its news."""
        supervisor.tick(self.executor.now, self.proxy.wall_ms)
        for copy in supervisor.group.copies:
            self.proxy.sync_status[copy.node.node_id] = supervisor.sync_progress(copy.node)
        for event in supervisor.log_events:
            copies_log.write(logging.INFO, event)
        supervisor.log_events.clear()

    def tick_pubsub(self) -> None:
        """One tick of each switchboard, and its news."""
        for subscriptions in self.proxy.subscriptions_by_pool.values():
            subscriptions.tick(self.executor.now)
            for event in subscriptions.log_events:
                pubsub_log.write(logging.INFO, event)
            subscriptions.log_events.clear()

    def stop(self) -> None:
        """The first signal drains, the second one ends."""
        if self.stop_event.is_set():
            for client in list(self.clients):
                client.abort()
        self.stop_event.set()

    async def drain(self) -> None:
        """No new clients; close those that wait for nothing, then those whose replies have left."""
        started = time.monotonic()
        self.proxy.draining = True
        log.info("draining", clients=len(self.clients))
        self.close_listeners()
        while self.clients and time.monotonic() - started < self.config.drain_seconds:
            for client in list(self.clients):
                client.close_if_drained()
            await asyncio.sleep(TICK_SECONDS)
        for client in list(self.clients):
            client.disconnect(DRAIN_TIMEOUT)
        log.info("stopped", seconds=round(time.monotonic() - started, 1))


def connection_options(node: Node, pool: Pool) -> ConnectionOptions:
    """How to greet a node."""
    return ConnectionOptions(node.username, node.password.reveal(), pool.timeout, pool.node_queue_bytes)


def session_user(user: ConfigUser) -> User:
    """A user as sessions know it: of its passwords the hashes alone."""
    digests = [secret.reveal().encode() for secret in user.digests]
    if user.password:
        digests.insert(0, password_digest(user.password.reveal().encode()))
    acl = Acl(user.commands, user.keys, user.channels)
    return User(user.name.encode(), acl, user.enabled, user.nopass, digests)


def connect_target(node: Node, pool: Pool) -> ConnectTarget:
    """Where a node is."""
    tls = None
    if node.tls is not None:
        tls = ssl.create_default_context(cafile=node.tls.ca_file or None)
        if not node.tls.verify:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
    address = node.address
    return ConnectTarget(address.host, address.port, address.path, tls, pool.connect_timeout)


def run(config: Config, announce: Callable[[str], None]) -> int:
    """Serve until told to stop; 0 after a clean stop. `StartError` (an OSError) when it cannot start."""
    configure_logging(config.log)
    for warning in config.warnings:
        log.warning("dangerous setting", reason=warning)
    claims = claim_addresses(config)
    if config.workers == 1:
        try:
            uvloop.run(Daemon(config).run(announce))
        finally:
            claims.close()
        return 0

    def work(worker_config: Config, worker: int) -> int:
        try:
            uvloop.run(Daemon(worker_config, worker).run(announce if worker == 0 else discard_announcement))
        except StartError as problem:
            log.error("cannot start", cause=problem)
            return EXIT_CANNOT_START
        return 0

    try:
        return Workers(config, work).run()
    finally:
        claims.close()


def claim_addresses(config: Config) -> AddressClaims:
    """A claim to each address, which holds while any worker lives; what cannot be resolved fails when it is bound."""
    claims = AddressClaims()
    addresses_by_setting = [
        (f"pool.{pool.name}", address) for pool in config.listening_pools() for address in pool.listen
    ]
    if config.admin is not None:
        addresses_by_setting.append(("proxy.admin", config.admin))
    for setting, address in addresses_by_setting:
        try:
            claims.claim(address, config.workers > 1)
        except socket.gaierror:
            continue
        except OSError as problem:
            claims.close()
            raise StartError(f"{setting}: cannot listen on {address}: {describe_bind_error(problem)}") from None
    return claims


def discard_announcement(text: str) -> None:
    """The first worker has said it for all."""
