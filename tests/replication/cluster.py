"""Servers that can die, be cut off and come back, and a proxy that can be started anew: what must hold is checked.

Whatever happens: what serves has every acknowledged write that a live copy which had them all still has, and
nothing is emptied, or cut down, without a live source in sync that is another server.
"""

import copy as copying
from typing import Final

from kidoproxy.replication.group import IN_SYNC
from kidoproxy.replication.supervisor import CopySupervisor
from kidoproxy.resp.decode import items, string_value
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.states import CONNECTING
from tests.story import TICK, SentRequest, Story, client, copies, tick
from tests.toy import Toy, ToyNodes

NAMES: Final = ("a", "b", "c")
#: How a server comes back: with nothing, with what it had when it was saved, or with everything.
EMPTY, OLD, KEPT = "empty", "old", "kept"


class Cluster(ToyNodes):
    """Toys that can die and be cut off, a proxy that can be started anew, and what was acknowledged."""

    def __init__(self, names: str = "ab", state_dir: bool = True, heals_itself: bool = False) -> None:
        self.names = names
        self.heals_itself = heals_itself
        self.state_dir = state_dir
        self.runs = dict.fromkeys(names, 1)
        self.dead: set[str] = set()
        self.cut_off: set[str] = set()
        self.saved: dict[str, dict[int, dict[bytes, bytes]]] = {name: {} for name in names}
        #: What has been acknowledged by value, and the copies that have had all of it ever since, without a restart.
        self.acknowledged: dict[bytes, bytes] = {}
        self.complete: set[str] = set(names)
        self.record: tuple[list[str], dict[str, str]] = ([], {})
        self.count = 0
        self.servers = {name: Toy() for name in names}
        self.serve()

    def serve(self) -> None:
        """The proxy starts."""
        play = Story(copies(*self.names, elected=False), shy=True)
        super().__init__(play)
        self.toys = self.servers
        self.group = play.pool.groups[0]
        self.group.heals_itself = self.heals_itself
        behind: list[str] = []
        if self.state_dir:
            behind, runs = self.record
            self.group.run_ids = dict(runs)
            self.group.journal = lambda group: self.record_changes()
        self.supervisor = CopySupervisor(play.executor, self.group, list(behind), play.executor.now)
        play.ticking.append(lambda now: self.supervisor.tick(now, play.proxy.wall_ms))
        for node in play.pool.nodes:
            play.executor.connection(node, 2, 0).start_connecting()
        self.run_for()

    def record_changes(self) -> None:
        """The record is on disk."""
        behind = self.group.behind_names()
        self.record = (behind, {name: run for name, run in self.group.run_ids.items() if name not in behind})
        self.group.durability.on_recorded(self.group.durability.latest_version)

    # -- what the network does ---------------------------------------------------------------------------

    def run_id(self, name: str) -> str:
        """Each run of a server has its own."""
        return f"{name}-{self.runs[name]}"

    def make_connections(self) -> None:
        """Connections are made, or are refused; what was sent reaches the servers that are there."""
        play = self.play
        play.settle()
        for conn in play.executor.all_connections():
            name = conn.node.name
            if conn.state == CONNECTING and name in self.dead:
                conn.on_connection_lost("connection refused", play.executor.now, True)
            elif conn.state == CONNECTING and name not in self.cut_off and conn.transport is None:
                play.run_ids[name] = self.run_id(name)
                play.connect(conn)
                play.greet(conn)
        play.settle()

    def reply(self, name: str, one: SentRequest) -> None:
        """Every change that the proxy sends is checked."""
        words = [string_value(word) for word in items(one.raw)]
        if words[0] in (b"FLUSHALL", b"UNLINK", b"RESTORE"):
            self.check_change(name)
        super().reply(name, one)

    def check_change(self, name: str) -> None:
        """Another copy is in sync, lives, and can be reached."""
        others = [copy.node.name for copy in self.group.in_sync() if copy.node.name != name]
        assert any(other not in self.dead | self.cut_off for other in others), f"{name} is changed without a source"

    def answer_all(self) -> None:
        """Every node that can answers everything."""
        for _ in range(200):
            self.make_connections()
            busy = False
            for name in self.names:
                if name in self.dead:
                    self.play.sent[name].clear()
                while self.play.sent[name] and name not in self.cut_off:
                    busy = True
                    self.step(name)
            if not busy:
                return

    def run_for(self, seconds: float = 4.0) -> None:
        """Time goes by."""
        for _ in range(int(seconds / TICK / 4)):
            self.answer_all()
            tick(4 * TICK)(self.play)
        self.answer_all()

    # -- what happens ------------------------------------------------------------------------------------

    def connections(self, name: str) -> list[NodeConnection]:
        """All connections to one server."""
        return [conn for conn in self.play.executor.all_connections() if conn.node.name == name]

    def kill(self, name: str) -> None:
        """It is dead; its connections end."""
        self.dead.add(name)
        self.cut_off.discard(name)
        self.complete.discard(name)
        self.play.sent[name].clear()
        for conn in self.connections(name):
            if conn.transport is not None:
                conn.transport = None
                conn.on_connection_lost("it closed the connection", self.play.executor.now, False)
        self.run_for(0.4)

    def restart(self, name: str, how: str) -> None:
        """It is another run now."""
        self.dead.discard(name)
        self.runs[name] += 1
        toy = self.servers[name]
        toy.connections.clear()
        if how != KEPT:
            toy.dbs = {} if how == EMPTY else copying.deepcopy(self.saved[name])
        # The longest pause between two attempts to connect, and a little more.
        self.run_for(8.0)

    def save(self, name: str) -> None:
        """It writes its data to its disk."""
        self.saved[name] = copying.deepcopy(self.servers[name].dbs)

    def write(self) -> bool:
        """A client writes a key of its own; whether it is acknowledged."""
        self.count += 1
        key, value = b"k%d" % (self.count % 7), b"%d" % self.count
        client(f"SET {key.decode()} {value.decode()}")(self.play)
        self.run_for(1.6)
        me = self.play.client("me")
        heard, me.received = me.received, b""
        if heard != b"+OK\r\n":
            # It may have run somewhere: its value is unknown.
            self.acknowledged.pop(key, None)
            return False
        self.acknowledged[key] = value
        in_sync = {copy.node.name for copy in self.group.in_sync()}
        self.complete &= in_sync
        if not self.complete:
            # Those that had everything are gone. From now on everything is what this one has.
            self.acknowledged = dict(self.data(self.serving()[0]))
            self.complete = {self.serving()[0]}
        return True

    def restart_proxy(self) -> None:
        """The proxy starts anew; a key whose write is under way is nobody's."""
        self.serve()

    def request_sync(self, name: str, refill: bool = False) -> str:
        """An operator requests a sync, and waits for its end."""
        problem = self.supervisor.request_sync(self.play.node(name), refill)
        self.run_for(6.0)
        if not problem and self.group.elected and self.group.copy_of(self.play.node(name)).state == IN_SYNC:
            sources = {copy.node.name for copy in self.group.in_sync()} & self.complete
            self.complete |= {name} if sources else set()
        return problem

    def serving(self) -> list[str]:
        """Who is read now."""
        if not self.group.elected:
            return []
        return [copy.node.name for copy in self.group.in_sync() if copy.node.name not in self.dead | self.cut_off]

    def data(self, name: str) -> dict[bytes, bytes]:
        """What a server holds."""
        return self.servers[name].dbs.get(0, {})

    def check(self) -> None:
        """Every copy that is read has every acknowledged write that a complete copy, which lives, has."""
        living = self.complete - self.dead
        for name in self.serving() if living else []:
            for key, value in self.acknowledged.items():
                assert self.data(name).get(key) == value, f"{name} serves without {key!r}, which {living} have"


def cluster_with_data(names: str = "ab", state_dir: bool = True, heals_itself: bool = False) -> Cluster:
    """All in sync, with some data; saved when there was less of it."""
    cluster = Cluster(names, state_dir, heals_itself)
    for _ in range(3):
        assert cluster.write()
    for name in names:
        cluster.save(name)
    for _ in range(3):
        assert cluster.write()
    assert cluster.serving() == list(names)
    return cluster
