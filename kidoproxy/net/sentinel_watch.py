"""Follows the masters that sentinels name: one connection to each sentinel of each such node, asked and listened to.

    a sentinel says something ─► `MasterView` counts the votes ─► the master has moved ─► the node's target moves
                                                                                     ─► its connections follow

Each sentinel is asked once a second, and ten times a second while something is the matter: one of them has announced a
failover, they disagree, or the node's server says that it is no master. A sentinel that cannot be asked is tried again
after a pause that doubles; no request of a client ever waits for one.
"""

import asyncio
from typing import Final

from kidoproxy.config import Address, SentinelGroup
from kidoproxy.net.connect import ConnectTarget
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.node_io import describe_os_error
from kidoproxy.net.tasks import Tasks
from kidoproxy.resp.errors import ProtocolError
from kidoproxy.routes.build import RouteTree
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.disconnect import follow_node
from kidoproxy.upstream.handshake import Login
from kidoproxy.upstream.master_view import MasterView
from kidoproxy.upstream.sentinel_dialogue import SentinelDialogue, SentinelWord

log = EventLogger("kidoproxy.sentinels")

READ_BYTES: Final = 4096
#: How long after a question the next one is due: in peace; while something is the matter, and for how long it then is.
CALM_SECONDS: Final = 1.0
ALERT_SECONDS: Final = 0.1
ALERT_FOR_SECONDS: Final = 10.0
#: Between two attempts to connect to a sentinel.
PAUSE_MIN_SECONDS: Final = 0.1
PAUSE_MAX_SECONDS: Final = 2.0
SILENT: Final = "it does not answer in time"


class SentinelConnection:
    """One sentinel, which has the vote ``index``."""

    def __init__(self, watch: "SentinelWatch", index: int, address: Address) -> None:
        self.watch = watch
        self.index = index
        self.address = address
        self.writer: asyncio.StreamWriter | None = None
        self.dialogue = watch.new_dialogue()
        self.asked_at = 0.0
        self.has_answered = False
        self.cause = ""

    async def run(self) -> None:
        """Connect, ask and listen, for ever."""
        pause = PAUSE_MIN_SECONDS
        while True:
            self.has_answered = False
            self.cause = ""
            cause = await self.converse()
            self.watch.on_silence(self.index, self.cause or cause)
            pause = PAUSE_MIN_SECONDS if self.has_answered else min(2 * pause, PAUSE_MAX_SECONDS)
            await asyncio.sleep(pause)

    async def converse(self) -> str:
        """One connection; why it has ended."""
        target, address = self.watch.target, self.address
        try:
            async with asyncio.timeout(target.connect_timeout):
                reader, writer = await asyncio.open_connection(
                    address.host, address.port, ssl=target.tls, server_hostname=address.host if target.tls else None
                )
        except (OSError, TimeoutError, ValueError) as problem:
            return describe_os_error(problem)
        self.writer = writer
        try:
            await self.listen(reader, writer)
        except ProtocolError as problem:
            return str(problem)
        except OSError as problem:
            return describe_os_error(problem)
        finally:
            self.writer = None
            writer.transport.abort()
        return "it closed the connection"

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the sentinel hangs up. `ProtocolError` and OSError say why sooner."""
        self.dialogue = self.watch.new_dialogue()
        self.asked_at = self.watch.bridge.loop.time()
        writer.write(self.dialogue.greeting())
        while data := await reader.read(READ_BYTES):
            for word in self.dialogue.feed(data):
                self.has_answered = True
                self.watch.on_word(self.index, word)

    def ask_if_due(self, now: float, period: float) -> None:
        """Ask again ``period`` seconds after the last time; give it up if that has not been answered."""
        if self.writer is None:
            return
        if self.dialogue.is_answered():
            if now - self.asked_at >= period:
                self.asked_at = now
                self.writer.write(self.dialogue.question())
        elif now - self.asked_at > self.watch.target.connect_timeout:
            self.cause = SILENT
            self.writer.transport.abort()


class SentinelWatch:
    """Keeps ``node`` and its ``target`` at the server that the sentinels of ``group`` call the master."""

    def __init__(self, bridge: LoopBridge, node: Node, target: ConnectTarget, group: SentinelGroup) -> None:
        self.bridge = bridge
        self.node = node
        self.target = target
        self.group = group
        self.view = MasterView(len(group.addresses))
        self.alert_until = 0.0
        self.connections = [SentinelConnection(self, index, address) for index, address in enumerate(group.addresses)]
        node.master_view = self.view
        node.ask_sentinels = self.look_again
        target.known = asyncio.Event()
        target.why_unknown = self.view.why_unknown

    def new_dialogue(self) -> SentinelDialogue:
        group = self.group
        return SentinelDialogue(group.service.encode(), Login(group.username, group.password.reveal()))

    def start(self, tasks: Tasks) -> None:
        for connection in self.connections:
            tasks.start(connection.run(), f"sentinel {connection.address} of {self.node.name}")

    def tick(self) -> None:
        """Ask those that are due."""
        now = self.bridge.loop.time()
        period = ALERT_SECONDS if now < self.alert_until else CALM_SECONDS
        for connection in self.connections:
            connection.ask_if_due(now, period)

    def look_again(self) -> None:
        """Something is the matter: ask all of them at once, and often for a while."""
        self.alert_until = self.bridge.loop.time() + ALERT_FOR_SECONDS
        self.tick()

    def on_word(self, index: int, word: SentinelWord) -> None:
        """A sentinel has spoken."""
        has_moved = self.view.on_answer(index, word.master)
        if word.is_news or not self.view.is_settled():
            self.look_again()
        if has_moved:
            self.follow()

    def on_silence(self, index: int, cause: str) -> None:
        """A sentinel cannot be asked: say so once, when it could be before."""
        if self.view.causes[index] != cause:
            address = self.connections[index].address
            log.warning("sentinel does not answer", node=self.node.name, sentinel=address, cause=cause)
        self.view.on_silence(index, cause)

    def follow(self) -> None:
        """Another server is the master, or the first one that is known: all connections go there."""
        master, node = self.view.master, self.node
        assert master is not None
        old, node.address = node.address, str(master)
        assert self.target.known is not None
        if self.target.known.is_set():
            node.failovers += 1
            log.warning("master has moved", node=node.name, old=old, new=node.address, sentinels=self.votes())
        else:
            log.info("master found", node=node.name, address=node.address, sentinels=self.votes())
        self.target.move(master.host, master.port)
        now = self.bridge.update_clock()
        for conn in self.bridge.executor.all_connections():
            if conn.node is node:
                follow_node(conn, f"its master has moved to {node.address}", now)
        self.bridge.schedule_flush()

    def votes(self) -> str:
        return f"{self.view.agreeing_count()}/{len(self.connections)}"


def make_watches(bridge: LoopBridge, tree: RouteTree, targets: dict[Node, ConnectTarget]) -> list[SentinelWatch]:
    """One for each node that has sentinels."""
    members = zip(tree.nodes, tree.node_configs, strict=True)
    return [
        SentinelWatch(bridge, node, targets[node], node_config.sentinels)
        for node, (node_config, _) in members
        if node_config.sentinels is not None
    ]
