"""Copies that die, come back empty, old or whole, are cut off and are synced, in every order."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import booleans, integers, sampled_from

from kidoproxy.replication.group import SYNCING
from tests.replication.cluster import EMPTY, KEPT, NAMES, OLD, cluster_with_data
from tests.story import TICK, tick


@pytest.mark.parametrize("state_dir", [True, False])
@pytest.mark.parametrize("how", [KEPT, OLD])
@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("proxy_too", [True, False])
def test_all_die_and_one_is_back_with_data(first: str, how: str, proxy_too: bool, state_dir: bool) -> None:
    """The first one back of those that had everything serves at once what it has; a sync cannot empty it."""
    cluster = cluster_with_data(state_dir=state_dir)
    cluster.kill("a")
    cluster.kill("b")
    assert cluster.serving() == []
    if proxy_too:
        cluster.restart_proxy()
    cluster.restart(first, how)
    assert cluster.serving() == [first]
    held = dict(cluster.data(first))
    assert cluster.request_sync(first, True) != ""
    assert cluster.data(first) == held
    (other,) = {"a", "b"} - {first}
    cluster.restart(other, EMPTY)
    cluster.request_sync(other)
    assert cluster.serving() == ["a", "b"]
    assert cluster.data(other) == held


@pytest.mark.parametrize("state_dir", [True, False])
@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("proxy_too", [True, False])
def test_all_die_and_one_is_back_empty(first: str, proxy_too: bool, state_dir: bool) -> None:
    """It does not serve while the other one may have the data on its disk; when that is back it serves."""
    cluster = cluster_with_data(state_dir=state_dir)
    cluster.kill("a")
    cluster.kill("b")
    if proxy_too:
        cluster.restart_proxy()
    cluster.restart(first, EMPTY)
    assert cluster.serving() == []
    assert cluster.supervisor.request_sync(cluster.play.node(first), True) != ""
    assert not cluster.write()
    (other,) = {"a", "b"} - {first}
    cluster.restart(other, KEPT)
    assert cluster.serving()[0] in (other, "a")
    cluster.request_sync(first)
    assert cluster.serving() == ["a", "b"]
    assert len(cluster.data(first)) >= 6


@pytest.mark.parametrize("proxy_too", [True, False])
def test_all_are_back_empty(proxy_too: bool) -> None:
    """When all are there and empty nobody can have more: they serve."""
    cluster = cluster_with_data()
    cluster.kill("a")
    cluster.kill("b")
    if proxy_too:
        cluster.restart_proxy()
    cluster.restart("b", EMPTY)
    cluster.restart("a", EMPTY)
    assert cluster.serving()
    cluster.complete.clear()
    assert cluster.write()


@pytest.mark.parametrize("proxy_too", [True, False])
@pytest.mark.parametrize("how", [EMPTY, OLD, KEPT])
def test_the_last_one_dies(how: str, proxy_too: bool) -> None:
    """One is behind when the last one in sync dies: that one alone had everything, and serves what it has; but empty
    it does not serve while the one that is behind has something."""
    cluster = cluster_with_data()
    cluster.kill("a")
    assert cluster.write()
    cluster.kill("b")
    if proxy_too:
        cluster.restart_proxy()
    cluster.restart("a", KEPT)
    assert cluster.serving() == []
    cluster.restart("b", how)
    if how == EMPTY:
        assert cluster.serving() == []
        assert len(cluster.data("a")) >= 6
        assert cluster.supervisor.request_sync(cluster.play.node("b"), True) != ""
    else:
        assert "b" in cluster.serving()


def test_cut_off_is_not_dead() -> None:
    """While one that had everything is silent, one that was restarted does not serve: the silent one may live."""
    for how in (OLD, EMPTY, KEPT):
        cluster = cluster_with_data()
        cluster.cut_off.add("a")
        cluster.kill("b")
        cluster.restart("b", how)
        cluster.run_for(8.0)
        assert cluster.serving() == []
        cluster.cut_off.clear()
        cluster.run_for(8.0)
        assert cluster.serving()[0] == "a"
        cluster.check()


def test_an_operator_says_who_is_trusted() -> None:
    """What would be lost is said; then the copy serves, and the others can be synced from it."""
    cluster = cluster_with_data()
    cluster.kill("a")
    cluster.kill("b")
    cluster.restart("a", EMPTY)
    supervisor, play = cluster.supervisor, cluster.play
    problem, lines = supervisor.run_sync_command(play.node("a"), "trust")
    assert problem == ""
    assert lines == [
        "a has 0 keys; it had every acknowledged write, and was restarted since; will be served",
        "b is down (connection refused); it had every acknowledged write; what only b holds is lost when it is synced",
    ]
    assert supervisor.run_sync_command(play.node("b"), "trust confirm") == ("b is down (connection refused)", [])
    assert cluster.serving() == []
    assert supervisor.run_sync_command(play.node("a"), "trust confirm") == ("", [])
    assert cluster.serving() == ["a"]
    cluster.complete.clear()
    assert cluster.write()
    cluster.restart("b", KEPT)
    assert cluster.serving() == ["a"]
    refusal = "a is in sync and serves: order a sync, which loses nothing"
    assert supervisor.run_sync_command(play.node("b"), "trust") == (refusal, [])
    assert cluster.request_sync("b") == ""
    assert cluster.data("b") == cluster.data("a")


@pytest.mark.parametrize("state_dir", [True, False])
def test_restarted_one_after_another(state_dir: bool) -> None:
    """Nodes without persistence that are restarted one after another lose nothing where the pool heals itself."""
    cluster = cluster_with_data("abc", state_dir, heals_itself=True)
    for name in "abcab":
        cluster.kill(name)
        assert cluster.write()
        cluster.restart(name, EMPTY)
        assert cluster.serving() == ["a", "b", "c"]
        cluster.complete.add(name)
        cluster.check()
        assert cluster.data("a") == cluster.data("b") == cluster.data("c")


@pytest.mark.parametrize("how", [EMPTY, OLD, KEPT])
def test_the_source_dies_while_an_empty_copy_is_filled(how: str) -> None:
    """What the source brings back is served; if that is nothing, what the other one has got so far."""
    cluster = cluster_with_data()
    for at in range(20):
        cluster.data("a")[b"more%d" % at] = cluster.data("b")[b"more%d" % at] = b"1"
    cluster.kill("b")
    assert cluster.write()
    cluster.restart("b", EMPTY)
    assert cluster.supervisor.request_sync(cluster.play.node("b"), False) == ""
    tick(TICK)(cluster.play)
    while len(cluster.data("b")) < 6:
        cluster.make_connections()
        for name in "ab":
            cluster.step(name)
    cluster.group.heals_itself = True
    cluster.kill("a")
    got = len(cluster.data("b"))
    assert got < 20
    cluster.restart("a", how)
    cluster.run_for(8.0)
    assert cluster.serving() == ["a", "b"]
    assert cluster.data("a") == cluster.data("b")
    assert len(cluster.data("a")) == {EMPTY: got, OLD: 3, KEPT: 27}[how]


@pytest.mark.parametrize("first", ["a", "b"])
def test_last_in_first_back(first: str) -> None:
    """Both die, the one that missed writes first: it does not serve before the other one is back, and then it heals."""
    cluster = cluster_with_data(heals_itself=True)
    cluster.kill("a")
    assert cluster.write()
    cluster.kill("b")
    cluster.restart(first, KEPT)
    assert cluster.serving() == ([] if first == "a" else ["b"])
    (other,) = {"a", "b"} - {first}
    cluster.restart(other, KEPT)
    assert cluster.serving() == ["a", "b"]
    assert cluster.data("a") == cluster.data("b")
    cluster.complete = {"a", "b"}
    cluster.check()


def test_a_larger_copy_is_not_cut_down() -> None:
    """The last one in sync comes back with an old state: the other one, which holds more, is left to a person."""
    cluster = cluster_with_data(heals_itself=True)
    for at in range(20):
        cluster.data("a")[b"more%d" % at] = cluster.data("b")[b"more%d" % at] = b"1"
    cluster.cut_off.add("a")
    cluster.run_for(8.0)
    assert cluster.write()
    cluster.kill("b")
    cluster.restart("b", OLD)
    cluster.cut_off.clear()
    cluster.run_for(70.0)
    assert cluster.serving() == ["b"]
    assert len(cluster.data("a")) > 20
    assert "sync it by hand, or trust it" in cluster.supervisor.sync_progress(cluster.play.node("a"))
    assert cluster.request_sync("a") == ""
    assert cluster.serving() == ["a", "b"]


class CrashOrders(RuleBasedStateMachine):
    """Anything in any order, in a pool that heals itself or does not."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = cluster_with_data("abc")

    @initialize(heals_itself=booleans())
    def choose(self, heals_itself: bool) -> None:
        self.cluster.heals_itself = self.cluster.group.heals_itself = heals_itself

    @rule(at=integers(0, 2))
    def kill(self, at: int) -> None:
        if NAMES[at] not in self.cluster.dead:
            self.cluster.kill(NAMES[at])

    @rule(at=integers(0, 2), how=sampled_from([EMPTY, OLD, KEPT]))
    def restart(self, at: int, how: str) -> None:
        if NAMES[at] in self.cluster.dead:
            self.cluster.restart(NAMES[at], how)

    @rule(at=integers(0, 2), seconds=sampled_from([0.2, 6.0]))
    def cut_off(self, at: int, seconds: float) -> None:
        if NAMES[at] not in self.cluster.dead:
            self.cluster.cut_off.add(NAMES[at])
            self.cluster.run_for(seconds)

    @rule()
    def heal(self) -> None:
        cluster = self.cluster
        cluster.cut_off.clear()
        cluster.run_for(8.0)
        for name in cluster.serving():
            assert cluster.data(name) == cluster.data(cluster.serving()[0])

    @rule(at=integers(0, 2))
    def save(self, at: int) -> None:
        self.cluster.save(NAMES[at])

    @rule()
    def write(self) -> None:
        self.cluster.write()

    @rule(at=integers(0, 2), refill=sampled_from([False, True]))
    def request_sync(self, at: int, refill: bool) -> None:
        self.cluster.request_sync(NAMES[at], refill)

    @rule()
    def restart_proxy(self) -> None:
        self.cluster.restart_proxy()

    @invariant()
    def nothing_is_missing(self) -> None:
        self.cluster.check()
        # A copy that has healed from a complete one is complete.
        if self.cluster.heals_itself and self.cluster.complete & set(self.cluster.serving()):
            self.cluster.complete |= set(self.cluster.serving())
        syncing = [copy for copy in self.cluster.group.copies if copy.state == SYNCING]
        assert len(syncing) <= 1


CrashOrders.TestCase.settings = settings(stateful_step_count=12)
test_any_order: Any = CrashOrders.TestCase
