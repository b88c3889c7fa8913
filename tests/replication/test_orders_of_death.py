"""Copies that die, come back empty, old or whole, are cut off and are synced, in every order.

Whatever happens: what serves has every acknowledged write that a live copy which had them all still has, and
nothing is emptied, or cut down, without a live source in sync that is another server.
"""

import copy as copying
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import integers, sampled_from

from kidoproxy.replication.supervisor import CopySupervisor
from kidoproxy.resp.decode import items, string_value
from kidoproxy.routes.topology import IN_SYNC, SYNCING
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.states import CONNECTING
from tests.story import TICK, Story, Told, client, copies, tick
from tests.toy import Stage, Toy

NAMES: Final = ("a", "b", "c")
#: How a server comes back: with nothing, with what it had when it was saved, or with everything.
EMPTY, OLD, KEPT = "empty", "old", "kept"


class Cluster(Stage):
    """Toys that can die and be cut off, a proxy that can be started anew, and what was acknowledged."""

    def __init__(self, names: str = "ab", state_dir: bool = True) -> None:
        self.names = names
        self.state_dir = state_dir
        self.runs = dict.fromkeys(names, 1)
        self.dead: set[str] = set()
        self.cut_off: set[str] = set()
        self.saved: dict[str, dict[int, dict[bytes, bytes]]] = {name: {} for name in names}
        #: What has been acknowledged by value, and the copies that have had all of it ever since, without a restart.
        self.acked: dict[bytes, bytes] = {}
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
        behind: list[str] = []
        if self.state_dir:
            behind, runs = self.record
            self.group.run_ids = dict(runs)
            self.group.journal = lambda group: self.write_down()
        self.keeper = CopySupervisor(play.exchange, self.group, list(behind), play.exchange.now)
        play.ticking.append(lambda now: self.keeper.tick(now, play.house.wall_ms))
        for node in play.pool.nodes:
            play.exchange.connection(node, 2, 0).start_connecting()
        self.go_on()

    def write_down(self) -> None:
        """The record is on disk."""
        behind = self.group.behind_names()
        self.record = (behind, {name: run for name, run in self.group.run_ids.items() if name not in behind})
        self.group.durability.on_recorded(self.group.durability.latest_version)

    # -- what the network does ---------------------------------------------------------------------------

    def run_id(self, name: str) -> str:
        """Each run of a server has its own."""
        return f"{name}-{self.runs[name]}"

    def look_around(self) -> None:
        """Connections are made, or are refused; what was written reaches who is there."""
        play = self.play
        play.settle()
        for conn in play.exchange.all_connections():
            name = conn.node.name
            if conn.state == CONNECTING and name in self.dead:
                conn.on_connection_lost("connection refused", play.exchange.now, True)
            elif conn.state == CONNECTING and name not in self.cut_off and conn.transport is None:
                play.run_ids[name] = self.run_id(name)
                play.connect(conn)
                play.greet(conn)
        play.settle()

    def reply(self, name: str, one: Told) -> None:
        """Nothing is heard of who is dead or cut off. Every loss by an order of the proxy is looked at."""
        words = [string_value(word) for word in items(one.raw)]
        if words[0] in (b"FLUSHALL", b"UNLINK", b"RESTORE"):
            self.check_deletion(name)
        super().reply(name, one)

    def check_deletion(self, name: str) -> None:
        """Somebody else is in sync, lives, and can be reached."""
        others = [copy.node.name for copy in self.group.in_sync() if copy.node.name != name]
        assert any(other not in self.dead | self.cut_off for other in others), f"{name} is changed for nobody's sake"

    def answer_all(self) -> None:
        """Everybody who can answers everything."""
        for _ in range(200):
            self.look_around()
            busy = False
            for name in self.names:
                if name in self.dead:
                    self.play.told[name].clear()
                while self.play.told[name] and name not in self.cut_off:
                    busy = True
                    self.step(name)
            if not busy:
                return

    def go_on(self, seconds: float = 4.0) -> None:
        """Time goes by."""
        for _ in range(int(seconds / TICK / 4)):
            self.answer_all()
            tick(4 * TICK)(self.play)
        self.answer_all()

    # -- what happens ------------------------------------------------------------------------------------

    def links(self, name: str) -> list[NodeConnection]:
        """All connections to one server."""
        return [conn for conn in self.play.exchange.all_connections() if conn.node.name == name]

    def kill(self, name: str) -> None:
        """It is dead; its connections end."""
        self.dead.add(name)
        self.cut_off.discard(name)
        self.complete.discard(name)
        self.play.told[name].clear()
        for conn in self.links(name):
            if conn.transport is not None:
                conn.transport = None
                conn.on_connection_lost("it closed the connection", self.play.exchange.now, False)
        self.go_on(0.4)

    def back(self, name: str, how: str) -> None:
        """It is another run now."""
        self.dead.discard(name)
        self.runs[name] += 1
        toy = self.servers[name]
        toy.connections.clear()
        if how != KEPT:
            toy.dbs = {} if how == EMPTY else copying.deepcopy(self.saved[name])
        # The longest pause between two attempts to connect, and a little more.
        self.go_on(8.0)

    def save(self, name: str) -> None:
        """It writes its data to its disk."""
        self.saved[name] = copying.deepcopy(self.servers[name].dbs)

    def write(self) -> bool:
        """A client writes a key of its own; whether it is acknowledged."""
        self.count += 1
        key, value = b"k%d" % (self.count % 7), b"%d" % self.count
        client(f"SET {key.decode()} {value.decode()}")(self.play)
        self.go_on(1.6)
        guest = self.play.guest("me")
        heard, guest.heard = guest.heard, b""
        if heard != b"+OK\r\n":
            # It may have run somewhere: nobody can say what the key holds.
            self.acked.pop(key, None)
            return False
        self.acked[key] = value
        in_sync = {copy.node.name for copy in self.group.in_sync()}
        self.complete &= in_sync
        if not self.complete:
            # Those that had everything are gone. From now on everything is what this one has.
            self.acked = dict(self.data(self.serving()[0]))
            self.complete = {self.serving()[0]}
        return True

    def restart_proxy(self) -> None:
        """The proxy starts anew; a key whose write is under way is nobody's."""
        self.serve()

    def order(self, name: str, refill: bool = False) -> str:
        """Somebody orders a sync, and waits for its end."""
        why = self.keeper.order_sync(self.play.node(name), refill)
        self.go_on(6.0)
        if not why and self.group.elected and self.group.copy_of(self.play.node(name)).state == IN_SYNC:
            sources = {copy.node.name for copy in self.group.in_sync()} & self.complete
            self.complete |= {name} if sources else set()
        return why

    def serving(self) -> list[str]:
        """Who is read now."""
        if not self.group.elected:
            return []
        return [copy.node.name for copy in self.group.in_sync() if copy.node.name not in self.dead | self.cut_off]

    def data(self, name: str) -> dict[bytes, bytes]:
        """What a server holds."""
        return self.servers[name].dbs.get(0, {})

    def check(self) -> None:
        """Whoever is read has every acknowledged write that a complete copy, which lives, has."""
        living = self.complete - self.dead
        for name in self.serving() if living else []:
            for key, value in self.acked.items():
                assert self.data(name).get(key) == value, f"{name} serves without {key!r}, which {living} have"


# -- the orders that people meet ---------------------------------------------------------------------------------


def filled(names: str = "ab", state_dir: bool = True) -> Cluster:
    """All in sync, with some data; saved when there was less of it."""
    cluster = Cluster(names, state_dir)
    for _ in range(3):
        assert cluster.write()
    for name in names:
        cluster.save(name)
    for _ in range(3):
        assert cluster.write()
    assert cluster.serving() == list(names)
    return cluster


@pytest.mark.parametrize("state_dir", [True, False])
@pytest.mark.parametrize("how", [KEPT, OLD])
@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("proxy_too", [True, False])
def test_all_die_and_one_is_back_with_data(first: str, how: str, proxy_too: bool, state_dir: bool) -> None:
    """Whichever of those that had everything is back first serves at once, what it has; a sync cannot empty it."""
    cluster = filled(state_dir=state_dir)
    cluster.kill("a")
    cluster.kill("b")
    assert cluster.serving() == []
    if proxy_too:
        cluster.restart_proxy()
    cluster.back(first, how)
    assert cluster.serving() == [first]
    held = dict(cluster.data(first))
    assert cluster.order(first, True) != ""
    assert cluster.data(first) == held
    (other,) = {"a", "b"} - {first}
    cluster.back(other, EMPTY)
    cluster.order(other)
    assert cluster.serving() == ["a", "b"]
    assert cluster.data(other) == held


@pytest.mark.parametrize("state_dir", [True, False])
@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("proxy_too", [True, False])
def test_all_die_and_one_is_back_empty(first: str, proxy_too: bool, state_dir: bool) -> None:
    """It does not serve while the other one may have the data on its disk; when that is back it serves."""
    cluster = filled(state_dir=state_dir)
    cluster.kill("a")
    cluster.kill("b")
    if proxy_too:
        cluster.restart_proxy()
    cluster.back(first, EMPTY)
    assert cluster.serving() == []
    assert cluster.keeper.order_sync(cluster.play.node(first), True) != ""
    assert not cluster.write()
    (other,) = {"a", "b"} - {first}
    cluster.back(other, KEPT)
    assert cluster.serving()[0] in (other, "a")
    cluster.order(first)
    assert cluster.serving() == ["a", "b"]
    assert len(cluster.data(first)) >= 6


@pytest.mark.parametrize("proxy_too", [True, False])
def test_all_are_back_empty(proxy_too: bool) -> None:
    """When all are there and empty nobody can have more: they serve."""
    cluster = filled()
    cluster.kill("a")
    cluster.kill("b")
    if proxy_too:
        cluster.restart_proxy()
    cluster.back("b", EMPTY)
    cluster.back("a", EMPTY)
    assert cluster.serving()
    cluster.complete.clear()
    assert cluster.write()


@pytest.mark.parametrize("proxy_too", [True, False])
@pytest.mark.parametrize("how", [EMPTY, OLD, KEPT])
def test_the_last_one_dies(how: str, proxy_too: bool) -> None:
    """One is behind when the last one in sync dies: that one alone had everything, and serves what it has; but empty
    it does not serve while the one that is behind has something."""
    cluster = filled()
    cluster.kill("a")
    assert cluster.write()
    cluster.kill("b")
    if proxy_too:
        cluster.restart_proxy()
    cluster.back("a", KEPT)
    assert cluster.serving() == []
    cluster.back("b", how)
    if how == EMPTY:
        assert cluster.serving() == []
        assert len(cluster.data("a")) >= 6
        assert cluster.keeper.order_sync(cluster.play.node("b"), True) != ""
    else:
        assert "b" in cluster.serving()


def test_cut_off_is_not_dead() -> None:
    """While one that had everything is silent, one that was restarted does not serve: the silent one may live."""
    for how in (OLD, EMPTY, KEPT):
        cluster = filled()
        cluster.cut_off.add("a")
        cluster.kill("b")
        cluster.back("b", how)
        cluster.go_on(8.0)
        assert cluster.serving() == []
        cluster.cut_off.clear()
        cluster.go_on(8.0)
        assert cluster.serving()[0] == "a"
        cluster.check()


def test_somebody_says_who_is_trusted() -> None:
    """What would be lost is said; then the copy serves, and the others can be synced from it."""
    cluster = filled()
    cluster.kill("a")
    cluster.kill("b")
    cluster.back("a", EMPTY)
    supervisor, play = cluster.keeper, cluster.play
    problem, lines = supervisor.execute_order(play.node("a"), "trust")
    assert problem == ""
    assert lines == [
        "a has 0 keys; it had every acknowledged write, and was restarted since; will be served",
        "b is down (connection refused); it had every acknowledged write; what only b holds is lost when it is synced",
    ]
    assert supervisor.execute_order(play.node("b"), "trust confirm") == ("b is down (connection refused)", [])
    assert cluster.serving() == []
    assert supervisor.execute_order(play.node("a"), "trust confirm") == ("", [])
    assert cluster.serving() == ["a"]
    cluster.complete.clear()
    assert cluster.write()
    cluster.back("b", KEPT)
    assert cluster.serving() == ["a"]
    why = "a is in sync and serves: order a sync, which loses nothing"
    assert supervisor.execute_order(play.node("b"), "trust") == (why, [])
    assert cluster.order("b") == ""
    assert cluster.data("b") == cluster.data("a")


# -- all the other orders ------------------------------------------------------------------------------------------


class Deaths(RuleBasedStateMachine):
    """Anything in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = filled("abc")

    @rule(at=integers(0, 2))
    def kill(self, at: int) -> None:
        if NAMES[at] not in self.cluster.dead:
            self.cluster.kill(NAMES[at])

    @rule(at=integers(0, 2), how=sampled_from([EMPTY, OLD, KEPT]))
    def back(self, at: int, how: str) -> None:
        if NAMES[at] in self.cluster.dead:
            self.cluster.back(NAMES[at], how)

    @rule(at=integers(0, 2), seconds=sampled_from([0.2, 6.0]))
    def cut(self, at: int, seconds: float) -> None:
        if NAMES[at] not in self.cluster.dead:
            self.cluster.cut_off.add(NAMES[at])
            self.cluster.go_on(seconds)

    @rule()
    def heal(self) -> None:
        self.cluster.cut_off.clear()
        self.cluster.go_on(8.0)

    @rule(at=integers(0, 2))
    def save(self, at: int) -> None:
        self.cluster.save(NAMES[at])

    @rule()
    def write(self) -> None:
        self.cluster.write()

    @rule(at=integers(0, 2), refill=sampled_from([False, True]))
    def order(self, at: int, refill: bool) -> None:
        self.cluster.order(NAMES[at], refill)

    @rule()
    def restart_proxy(self) -> None:
        self.cluster.restart_proxy()

    @invariant()
    def nothing_is_missing(self) -> None:
        self.cluster.check()
        syncing = [copy for copy in self.cluster.group.copies if copy.state == SYNCING]
        assert len(syncing) <= 1


Deaths.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
test_any_order: Any = Deaths.TestCase
