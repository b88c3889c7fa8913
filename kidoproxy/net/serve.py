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
from kidoproxy.commands.permit import Permit
from kidoproxy.commands.vocabulary import Vocabulary
from kidoproxy.config import Address, Config, Node, Pool
from kidoproxy.config import User as ConfigUser
from kidoproxy.copies.keeper import Keeper
from kidoproxy.errors_copies import same_server
from kidoproxy.exchange import Exchange
from kidoproxy.ledger_account import DRAIN
from kidoproxy.link_greeting import Login
from kidoproxy.link_states import DOWN, READY
from kidoproxy.net.claims import Claims
from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.connect import Connector, Target
from kidoproxy.net.deadlines import TICK_SECONDS, Deadlines
from kidoproxy.net.flush import Hub
from kidoproxy.net.idle import IdleSweep
from kidoproxy.net.listen import Listener, listen, listen_admin, why_not
from kidoproxy.net.logs import set_up_logs
from kidoproxy.net.news import NodeNews
from kidoproxy.net.node_io import NodeIO
from kidoproxy.net.notify import notify
from kidoproxy.net.process import allow_files, calm_collector
from kidoproxy.net.state import Records, StateLocked
from kidoproxy.net.tasks import Tasks
from kidoproxy.net.ticker import Ticker
from kidoproxy.net.workers import CANNOT_START, Workers
from kidoproxy.resp import scan
from kidoproxy.routes.build import Tree, build
from kidoproxy.routes.topology import Node as TreeNode
from kidoproxy.session.house import House, PoolFacts
from kidoproxy.session.users import User, Users, digest

log = logging.getLogger("kidoproxy")
copies_log = logging.getLogger("kidoproxy.copies")
clients_log = logging.getLogger("kidoproxy.clients")
channels_log = logging.getLogger("kidoproxy.channels")

#: How long the start waits for copy pools to find out whom to trust.
SETTLE_SECONDS = 3.0


def compiled() -> bool:
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
        self.tree: Tree = build(config)
        logins = [login_of(node, pool) for node, pool in self.tree.sources]
        self.exchange = Exchange(self.tree.nodes, logins)
        self.exchange.seed = int.from_bytes(os.urandom(3), "big")
        self.house = House(self.exchange)
        self.facts = {pool.name: self.facts_of(pool) for pool in config.listening()}
        self.keepers: dict[str, Keeper] = {}
        self.tasks = Tasks()
        self.ticker = Ticker()
        self.listeners: list[Listener] = []
        #: The admin pages stay to the end: they say that we are draining.
        self.admin: Listener | None = None
        self.clients: set[ClientIO] = set()
        self.stopping = asyncio.Event()

    def facts_of(self, pool: Pool) -> PoolFacts:
        """What sessions of this pool need to know."""
        words = Vocabulary(pool.deny, pool.allow, pool.rename)
        facts = PoolFacts(pool.name, pool.mode, self.tree.pools[pool.name], words)
        facts.users = Users([user_of(user) for user in pool.everybody()])
        facts.databases = pool.databases
        facts.strict = pool.ring is not None and pool.ring.transactions == "strict"
        facts.soft = pool.ring is not None and pool.ring.on_down == "miss"
        facts.thorough = facts.thorough or facts.soft
        facts.as_loading = pool.node_errors == "retry"
        facts.bulk_bytes = pool.limits.bulk_bytes
        facts.query_bytes = pool.limits.query_buffer_bytes
        facts.output_bytes = pool.limits.client_output_bytes
        facts.pubsub_output_bytes = pool.limits.pubsub_output_bytes
        facts.max_clients = pool.limits.max_clients
        facts.idle_seconds = pool.limits.idle_seconds
        self.house.pools.append(facts)
        return facts

    async def run(self, announce: Callable[[str], None]) -> None:
        """Serve until a signal says stop."""
        loop = asyncio.get_running_loop()
        self.hub = Hub(loop, self.house)
        self.records = Records(self.config.state_dir, self.hub)
        targets = [target_of(node, pool) for node, pool in self.tree.sources]
        self.hub.look_after = Connector(self.hub, targets, self.tasks).look_after
        house = self.house
        house.started_ms = house.wall_ms
        house.version = __version__
        house.build = "compiled" if compiled() else "interpreted"
        house.pid = os.getpid()
        house.config_file = self.config.source
        house.chance = os.urandom
        house.run_id = uuid.uuid4().hex.encode() + b"00000000"
        house.max_clients = self.config.max_clients
        house.lanes.most = self.config.max_lanes
        nodes = len(self.tree.nodes)
        house.limit_files(allow_files(house.max_clients, nodes, min(house.max_clients, house.lanes.most * nodes)))
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self.stop)
        try:
            # First of all, for it may find that somebody else serves these copies.
            self.keep_copies()
            self.warm()
            self.plan_ticks()
            self.tasks.start(self.ticker.run(TICK_SECONDS), "tick")
            await self.settle()
            for pool in self.config.listening():
                for address in pool.listen:
                    await self.listen(pool, address)
            if self.config.admin is not None:
                await self.listen_admin(self.config.admin)
            calm_collector()
            announce("\n".join(self.greeting()))
            self.notify("READY=1")
            await self.stopping.wait()
            self.notify("STOPPING=1")
            await self.drain()
        finally:
            self.close_listeners()
            if self.admin is not None:
                self.admin.close()
            await self.tasks.stop()
            await self.hang_up()
            self.records.close()

    def notify(self, state: str) -> None:
        """One process speaks for all."""
        if not self.worker:
            notify(state)

    def greeting(self) -> list[str]:
        """What a person reads when the proxy is ready: one line per listener."""
        house = self.house
        lines = [f"kidoproxy {house.version} ({house.build}) is ready"]
        for pool in self.config.listening():
            where = ", ".join(str(address) for address in pool.listen)
            lines.append(f"  {pool.name}: {pool.mode} of {len(pool.members)} on {where}")
        return lines

    def warm(self) -> None:
        """Open a link to each node at once, so that the first client does not wait, and operators see the state."""
        for node in self.tree.nodes:
            self.exchange.link(node, 2, 0).wake()
        self.hub.touch()

    def keep_copies(self) -> None:
        """A keeper for each copy pool, with what a former run recorded."""
        for group in self.tree.groups:
            try:
                behind = self.records.keep(group)
            except StateLocked as problem:
                raise StartError(f"pool.{group.name}: {problem}") from None
            self.keepers[group.name] = Keeper(self.exchange, group, behind, self.hub.now())
        self.house.begin_sync = self.begin_sync
        self.house.order_copy = self.order_copy
        self.house.groups = self.tree.groups

    def begin_sync(self, node: TreeNode) -> str:
        """PROXY SYNC: why not, or empty when it has been ordered."""
        group = node.group
        if group is None:
            return f"{node.name} is not part of a copy pool"
        keeper = self.keepers[group.name]
        problem = keeper.order(node, False)
        self.house.syncs[node.index] = keeper.progress(node)
        return problem

    def order_copy(self, node: TreeNode, word: str) -> tuple[str, list[str]]:
        """PROXY SYNC with a word behind the name; the session has seen to it that there is a group."""
        keeper = next(keeper for keeper in self.keepers.values() if keeper.group is node.group)
        problem, lines = keeper.obey(node, word)
        self.house.syncs[node.index] = keeper.progress(node)
        return problem, lines

    async def settle(self) -> None:
        """Wait until the nodes have said who they are, and the copies have elected and compared what can be at once."""
        for _ in range(int(SETTLE_SECONDS / TICK_SECONDS)):
            self.refuse_doubles()
            busy = self.greets() or any(keeper.busy() for keeper in self.keepers.values())
            if not busy or self.stopping.is_set():
                return
            await asyncio.sleep(TICK_SECONDS)

    def greets(self) -> bool:
        """Whether some node has neither answered nor failed yet."""
        return any(self.exchange.link(node, 2, 0).state not in (READY, DOWN) for node in self.tree.nodes)

    def refuse_doubles(self) -> None:
        """One server under two names would get each write twice, or be emptied as the copy of itself."""
        for node, (_, pool) in zip(self.tree.nodes, self.tree.sources, strict=True):
            if node.double is not None:
                raise StartError(f'pool.{pool.name}: node "{node.name}": {same_server(node.double.name)}')

    async def listen(self, pool: Pool, address: Address) -> None:
        """One listener; a complaint is one line."""
        facts = self.facts[pool.name]
        try:
            listener = await listen(partial(ClientIO, self.hub, facts, self.clients), address, self.config.workers > 1)
        except OSError as problem:
            raise StartError(f"pool.{pool.name}: cannot listen on {address}: {why_not(problem)}") from None
        self.listeners.append(listener)
        log.info("listening: pool=%s mode=%s address=%s", pool.name, pool.mode, address)

    async def listen_admin(self, address: Address) -> None:
        """The pages for orchestrators."""
        try:
            self.admin = await listen_admin(AdminServer(self.house), address)
        except OSError as problem:
            raise StartError(f"proxy.admin: cannot listen on {address}: {why_not(problem)}") from None
        log.info("admin pages: address=%s", address)

    def close_listeners(self) -> None:
        """No new clients."""
        for listener in self.listeners:
            listener.close()

    async def hang_up(self) -> None:
        """Close the sockets to the nodes, and let the loop see it: it must not end with any of them open."""
        for link in self.exchange.all_links():
            peer, link.peer = link.peer, None
            if isinstance(peer, NodeIO):
                peer.abort()
        await asyncio.sleep(0)

    def plan_ticks(self) -> None:
        """What is done a few times a second, in this order."""
        ticker = self.ticker
        ticker.add("clock", self.hub.set_clock)
        if self.worker is not None:
            ticker.add("parent", self.stop_with_parent)
        ticker.add("deadlines", Deadlines(self.hub, ticker).tick)
        ticker.add("house", self.house.tick)
        ticker.add("incidents", self.tell_incidents)
        ticker.add("nodes", NodeNews(self.hub, self.tree.nodes).tick)
        for keeper in self.keepers.values():
            ticker.add(f"copies of {keeper.group.name}", partial(self.keep, keeper))
        ticker.add("channels", self.tick_channels)
        ticker.add("slow clients", self.hub.tick)
        if any(facts.idle_seconds for facts in self.house.pools):
            ticker.add("idle clients", IdleSweep(self.clients, TICK_SECONDS).tick)
        ticker.add("flush", self.hub.touch)

    def stop_with_parent(self) -> None:
        """A worker does not outlive its parent."""
        if os.getppid() != self.parent and not self.stopping.is_set():
            self.stop()

    def tell_incidents(self) -> None:
        """Logins that failed, and the like."""
        for line in self.house.incidents.lines(self.house.wall_ms):
            clients_log.warning("%s", line)

    def keep(self, keeper: Keeper) -> None:
        """One tick of one keeper, and its news."""
        keeper.tick(self.exchange.now, self.house.wall_ms)
        for copy in keeper.group.copies:
            self.house.syncs[copy.node.index] = keeper.progress(copy.node)
        for line in keeper.news:
            copies_log.info("%s", line)
        keeper.news.clear()

    def tick_channels(self) -> None:
        """One tick of each switchboard, and its news."""
        for board in self.house.boards.values():
            board.tick(self.exchange.now)
            for line in board.news:
                channels_log.info("%s", line)
            board.news.clear()

    def stop(self) -> None:
        """The first signal drains, the second one ends."""
        if self.stopping.is_set():
            for client in list(self.clients):
                client.abort()
        self.stopping.set()

    async def drain(self) -> None:
        """No new clients; close those that wait for nothing, then those whose replies have left."""
        started = time.monotonic()
        self.house.draining = True
        log.info("draining: clients=%d", len(self.clients))
        self.close_listeners()
        while self.clients and time.monotonic() - started < self.config.drain_seconds:
            for client in list(self.clients):
                client.leave_if_idle()
            await asyncio.sleep(TICK_SECONDS)
        for client in list(self.clients):
            client.cut(DRAIN)
        log.info("stopped: seconds=%.1f", time.monotonic() - started)


def login_of(node: Node, pool: Pool) -> Login:
    """How to greet a node."""
    return Login(node.username, node.password.reveal(), pool.timeout, pool.node_queue_bytes)


def user_of(user: ConfigUser) -> User:
    """A user as sessions know it: of its passwords the hashes alone."""
    digests = [secret.reveal().encode() for secret in user.digests]
    if user.password:
        digests.insert(0, digest(user.password.reveal().encode()))
    permit = Permit(user.commands, user.keys, user.channels)
    return User(user.name.encode(), permit, user.enabled, user.nopass, digests)


def target_of(node: Node, pool: Pool) -> Target:
    """Where a node is."""
    tls = None
    if node.tls is not None:
        tls = ssl.create_default_context(cafile=node.tls.ca_file or None)
        if not node.tls.verify:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
    address = node.address
    return Target(address.host, address.port, address.path, tls, pool.connect_timeout)


def run(config: Config, announce: Callable[[str], None]) -> int:
    """Serve until told to stop; 0 after a clean stop. `StartError` (an OSError) when it cannot start."""
    set_up_logs(config.log)
    for warning in config.warnings:
        log.warning("dangerous setting: reason=%s", warning)
    claims = claimed(config)
    if config.workers == 1:
        try:
            uvloop.run(Daemon(config).run(announce))
        finally:
            claims.close()
        return 0

    def work(own: Config, at: int) -> int:
        try:
            uvloop.run(Daemon(own, at).run(announce if at == 0 else print_nothing))
        except StartError as problem:
            log.error("cannot start: cause=%s", problem)
            return CANNOT_START
        return 0

    try:
        return Workers(config, work).run()
    finally:
        claims.close()


def claimed(config: Config) -> Claims:
    """A claim to each address, which holds while any worker lives; what cannot be resolved fails when it is bound."""
    claims = Claims()
    wanted = [(f"pool.{pool.name}", address) for pool in config.listening() for address in pool.listen]
    if config.admin is not None:
        wanted.append(("proxy.admin", config.admin))
    for place, address in wanted:
        try:
            claims.claim(address, config.workers > 1)
        except socket.gaierror:
            continue
        except OSError as problem:
            claims.close()
            raise StartError(f"{place}: cannot listen on {address}: {why_not(problem)}") from None
    return claims


def print_nothing(text: str) -> None:
    """The first worker has said it for all."""
