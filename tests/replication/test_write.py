"""Writes to copies: who has acknowledged one, who missed it, and what the client gets. Stories."""

import pytest

from kidoproxy.commands.expiry_effect import UNAFFECTED
from kidoproxy.commands.find import all_specs
from kidoproxy.commands.spec import ALL_EQUAL, TOUCHES_KEYS, TOUCHES_LIBRARIES, CommandSpec
from kidoproxy.replication.group import BEHIND, IN_SYNC, SYNCING, WatchedKeys
from kidoproxy.replication.missed_keys import EVERYTHING
from kidoproxy.replication.write import CopyWrite
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.routes.copy_write import FanOuts, plan_copy_write
from kidoproxy.routes.plan import Gather
from kidoproxy.routes.route import RequestContext, WallClock
from tests.replication.three import ALL, flushing, three
from tests.story import (
    client,
    copies,
    frame,
    given,
    greeted,
    led_by,
    lost,
    node,
    refused,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
)


def test_write() -> None:
    """Every copy gets the write; the client gets the leader's reply when all have answered."""
    pool, key = three()
    (
        story(pool)
        >> client(f"INCR {key}") << to("a", f"INCR {key}") << to("b", f"INCR {key}") << to("c", f"INCR {key}")
        >> node("c", ":1") >> node("a", ":1") << silence()
        >> node("b", ":1") << to_client(":1") << silence()
    )  # fmt: skip


def test_missed_write() -> None:
    """A copy that missed a write which another one took is behind; the journal knows before the client."""
    pool, key = three()
    journal: dict[int, list[str]] = {}
    pool.groups[0].journal = lambda group: journal.update({group.durability.latest_version: group.behind_names()})
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x") << to("c", f"SET {key} x")
        >> node("a", "+OK") >> node("c", "+OK") << silence() << then(lambda play: 1 not in journal)
        >> lost("b") << then(lambda play: journal[1] == ["b"]) << silence()
        >> given(lambda play: play.pool.groups[0].durability.on_recorded(1)) << to_client("+OK")
        >> client(f"SET {key} y") << to("a", f"SET {key} y") << to("b", f"SET {key} y") << to("c", f"SET {key} y")
        >> node("a", "+OK") >> node("c", "+OK") << to_client("+OK")
        >> node("b", "-OOM no") << then(lambda play: max(journal) == 1) << silence()
    )  # fmt: skip


def test_leader_dies() -> None:
    """If the leader missed the write, the next copy's reply stands; the leader is behind."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x") << to("c", f"SET {key} x")
        >> node("b", "+OK") >> node("c", "+OK") >> tick(0.6) << to_client("+OK")
        << then(lambda play: play.pool.groups[0].behind_names() == ["a"])
        >> client(f"GET {key}") << then(lambda play: not play.sent["a"] and len(play.sent["b"] + play.sent["c"]) == 1)
    )  # fmt: skip


def test_unfit_copy() -> None:
    """A copy that refuses the write because it is not fit to run it has missed it."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x") << to("c", f"SET {key} x")
        >> node("a", "-OOM no memory") >> node("b", "+OK") >> node("c", "+OK") << to_client("+OK")
        << then(lambda play: play.pool.groups[0].behind_names() == ["a"]) << silence()
    )  # fmt: skip


def test_last_copy_stays() -> None:
    """The last copy in sync stays so whatever happens: there is nothing better."""
    pool, key = three(behind="bc")
    unknown = "-NODEDOWN a a:6379 (connection refused); the write may have run, its outcome is unknown"
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x") << to("c", f"SET {key} x")
        >> node("b", "+OK") >> node("c", "+OK") << silence()
        >> refused("a") << to_client(unknown) << then(lambda play: play.pool.groups[0].behind_names() == ["b", "c"])
        << then(lambda play: play.pool.groups[0].to_repair == {(0, key.encode()): True})
        >> client(f"SET {key} x") << to_client("-NOREPLICAS Not enough good replicas to write.") << silence()
    )  # fmt: skip


def test_write_nobody_took() -> None:
    """All copies failed: they may differ now in these keys; without keys only one of them is still trusted."""
    unknown = "; the write may have run, its outcome is unknown"
    pool, key = three()
    play = story(pool) >> client(f"SET {key} x", "SLOWLOG RESET")
    for name in ALL:
        assert play << to(name, f"SET {key} x", "SLOWLOG RESET")
    assert play >> tick(0.6) << to_client(*[f"-TIMEOUT a a:6379 (no reply in 500 ms){unknown}"] * 2)
    group = pool.groups[0]
    assert (group.to_repair, group.behind_names()) == ({(0, key.encode()): True}, [])
    pool, _ = three()
    play = flushing(pool) >> tick(0.6) << to_client(f"-TIMEOUT a a:6379 (no reply in 500 ms){unknown}")
    assert pool.groups[0].behind_names() == ["b", "c"]


def test_write_all_refused() -> None:
    """All copies refuse: the leader's error is the reply, and nothing differs."""
    pool, key = three()
    play = story(pool) >> client(f"SET {key} x")
    for name in ALL:
        assert play << to(name, f"SET {key} x")
    for name in ALL:
        assert play >> node(name, f"-OOM {name}")
    assert play << to_client("-OOM a") << silence()
    assert pool.groups[0].behind_names() == []
    assert not pool.groups[0].to_repair


def test_mismatch() -> None:
    """Replies that should be equal and are not: the client gets the leader's, the key waits for a repair."""
    pool, key = three()
    play = story(pool) >> client(f"INCR {key}")
    for name in ALL:
        assert play << to(name, f"INCR {key}")
    for at, name in enumerate(ALL):
        assert play >> node(name, f":{at // 2}")
    assert play << to_client(":0") << silence()
    assert (pool.groups[0].mismatches, pool.groups[0].to_repair) == (1, {(0, key.encode()): True})


def test_errors_of_one_code_are_one_error() -> None:
    """Versions of the servers have texts of their own, and none of them has done it; another code is a mismatch."""
    pool, key = three()
    for said, mismatches in (("-ERR no, I said", 0), ("-WRONGTYPE no", 1)):
        play = story(pool) >> client(f"INCR {key}")
        for name in ALL:
            assert play << to(name, f"INCR {key}")
        for name, reply in zip(ALL, ("-ERR no", "-ERR no", said), strict=True):
            assert play >> node(name, reply)
        assert play << to_client("-ERR no") << silence()
        assert pool.groups[0].mismatches == mismatches


def test_min_in_sync() -> None:
    """Too few copies: nothing is sent; too few of them took it: the client learns which."""
    pool, key = three(min_in_sync=2)
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x") << to("c", f"SET {key} x")
        >> node("a", "+OK") >> refused("b") >> refused("c")
        << to_client("-NOREPLICAS the write was applied on a only, 2 copies are wanted")
        >> client(f"SET {key} x") << to_client("-NOREPLICAS Not enough good replicas to write.")
        >> client(f"GET {key}") << to("a", f"GET {key}") >> node("a", "$1 x") << to_client("$1 x") << silence()
    )  # fmt: skip


def test_unawaited_writes() -> None:
    """A copy that is behind gets every write and is not waited for; one that is down gets none."""
    pool, key = three(behind="bc")
    (
        story(pool)
        >> client(f"SET {key} x EX 10") << to("a", f"SET {key} x PXAT 1700000010000")
        << to("b", f"SET {key} x PXAT 1700000010000") << to("c", f"SET {key} x PXAT 1700000010000")
        >> node("a", "+OK") << to_client("+OK")
        >> node("b", "+OK") >> refused("c")
        << then(lambda play: [copy.missed_write for copy in pool.groups[0].copies] == [False, False, True])
        >> client(f"DEL {key}") << to("a", f"DEL {key}") << to("b", f"DEL {key}")
        >> node("b", "-LOADING soon") << then(lambda play: pool.groups[0].copies[1].missed_write) << silence()
    )  # fmt: skip


def test_starting() -> None:
    """Before one copy is trusted nothing is answered from any."""
    loading = "-LOADING kidoproxy is looking at its copies"
    (
        story(copies("a", "b", elected=False))
        >> client("GET k", "SET k x", "SCAN 0", "PING") << to_client(loading, loading, loading, "+PONG") << silence()
    )  # fmt: skip


def test_only_one_that_fell_behind_took_it() -> None:
    """A write that only a copy took which has missed another one meanwhile is not acknowledged."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    play = story(pool) >> client(f"SET {key} x", f"SET {key} y")
    assert play << to("a", f"SET {key} x", f"SET {key} y") << to("b", f"SET {key} x", f"SET {key} y")
    assert play >> node("a", "-OOM a", "+OK") >> node("b", "+OK", "-OOM b") << to_client("+OK", "-OOM b")
    assert pool.groups[0].behind_names() == ["a"]


def test_all_that_were_asked_fell_behind() -> None:
    """Another copy came into the set meanwhile, and those that were asked have left: their OK acknowledges nothing."""
    pool = copies("a", "b", behind="b")
    group = pool.groups[0]
    (
        story(pool)
        >> client("SET k x") << to("a", "SET k x") << to("b", "SET k x") >> node("b", "+OK")
        >> given(lambda play: group.mark_in_sync(play.node("b")))
        >> given(lambda play: group.mark_behind([play.node("a")]))
        >> node("a", "+OK")
        << to_client("-BEHIND a a:6379 (it fell behind meanwhile); the write may have run, its outcome is unknown")
        << silence()
    )  # fmt: skip


def test_outcome_is_open() -> None:
    """If one copy surely did not run it and another one may have, the outcome is unknown to the client."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool, shy=True) >> client("PROXY NODE b PING") >> greeted("b") << to("b", "PING")
        >> node("b", "+PONG") << to_client("+PONG")
        >> client(f"SET {key} x") << to("b", f"SET {key} x") >> tick(0.6)
        << to_client("-TIMEOUT b b:6379 (no reply in 500 ms); the write may have run, its outcome is unknown")
        << then(lambda play: play.pool.groups[0].to_repair == {(0, key.encode()): True})
    )  # fmt: skip


#: What changes no key: as clients send it, and two answers that servers with the same data give.
KEYLESS = [spec for spec in all_specs() if spec.touches != TOUCHES_KEYS]


@pytest.mark.parametrize("spec", KEYLESS, ids=lambda spec: spec.name.decode())
@pytest.mark.parametrize("acks_needed", [0, 2])
@pytest.mark.parametrize("others", [("+OK b", "+OK c"), ("-ERR in progress", "+OK"), ("-NOPERM no", "-MISCONF no")])
def test_what_changes_no_key_parts_no_copies(spec: CommandSpec, others: tuple[str, str], acks_needed: int) -> None:
    """Nothing is noted, whatever copies answer: no repair, no copy behind, no longer sync, no client let go or stopped.

    What a library is on one copy and not on another is worth counting, though.
    """
    pool, _ = three()
    group = pool.groups[0]
    group.touched_keys = {}
    watched = WatchedKeys()
    group.watches.append(watched)
    group.acks_needed = acks_needed
    plan = plan_copy_write(FanOuts(group), None, None, ALL_EQUAL, [], False, None, UNAFFECTED, touches=spec.touches)
    heard = ReplyQueue(TurnWork())
    pending = heard.open_pending(None)
    assert isinstance(plan, Gather)
    write = CopyWrite(pending, plan, group, RequestContext(0, 2, False, False, WallClock(0)))
    for index, reply in enumerate(("+OK a", *others)):
        write.set_reply(index, frame(reply))
    assert heard.take_output() == [frame("+OK a")]
    assert (group.to_repair, group.behind_names(), group.unknown_keys_touched) == ({}, [], False)
    assert not watched.cas_dirty
    assert not any(copy.missed_write or copy.unconfirmed for copy in group.copies)
    is_counted = spec.touches == TOUCHES_LIBRARIES and not others[0].startswith("-NOPERM")
    assert group.mismatches == (1 if is_counted else 0)


@pytest.mark.parametrize("leader_reply", ["+OK", "-ERR no such command"])
def test_one_copy_was_not_flushed(leader_reply: str) -> None:
    """Where FLUSHDB has another name copies differ in every key: those that are not like the leader are behind."""
    pool, _ = three()
    other = "+OK" if leader_reply != "+OK" else "-ERR no such command"
    play = flushing(pool) >> node("a", leader_reply) >> node("b", leader_reply) >> node("c", other)
    assert play << to_client(leader_reply) << silence()
    group = pool.groups[0]
    assert (group.behind_names(), group.copies[2].missed.count(), group.mismatches) == (["c"], EVERYTHING, 1)


@pytest.mark.parametrize("unawaited_first", [True, False])
def test_an_unawaited_copy_was_not_flushed(unawaited_first: bool) -> None:
    """Its sync has to look at everything."""
    pool, _ = three(behind="c")
    copy = pool.groups[0].copies[2]
    copy.missed.reset(b"run")
    play = flushing(pool)
    copy.missed.reset(b"run")
    copy.missed_write = False
    events = [("a", "+OK"), ("b", "+OK")]
    for name, reply in [("c", "-ERR no"), *events] if unawaited_first else [*events, ("c", "-ERR no")]:
        assert play >> node(name, reply) << (to_client("+OK") if name == "b" else silence())
    assert (copy.missed.count(), copy.missed_write) == (EVERYTHING, True)


def test_an_unawaited_script_that_may_have_written_anything() -> None:
    """Its sync knew that when it was sent."""
    group = three(behind="c")[0].groups[0]
    plan = plan_copy_write(FanOuts(group), None, None, ALL_EQUAL, [], True, None)
    assert isinstance(plan, Gather)
    write = CopyWrite(
        ReplyQueue(TurnWork()).open_pending(None), plan, group, RequestContext(0, 2, False, False, WallClock(0))
    )
    write.set_reply(0, frame(":1"))
    write.set_reply(1, frame(":1"))
    group.copies[2].missed_write = False
    write.compare_unawaited(group.copies[2].node, frame(":2"))
    assert not group.copies[2].missed_write


def test_a_move_that_differs() -> None:
    """Both databases are repaired, and the client hears of it then."""
    pool, key = three()
    play = story(pool) >> client(f"MOVE {key} 1")
    for name in ALL:
        assert play << to(name, f"MOVE {key} 1")
    assert play >> node("a", ":1") >> node("b", ":0") >> node("c", ":1") << to_client(":1")
    assert pool.groups[0].to_repair == {(0, key.encode()): True, (1, key.encode()): True}


@pytest.mark.parametrize("unawaited_first", [True, False])
@pytest.mark.parametrize(
    ("leader_reply", "reply", "differs"),
    [("+OK", "+OK", False), ("$-1", "+OK", True), ("-ERR one", "-ERR another", False), ("-ERR one", "+OK", True)],
)
@pytest.mark.parametrize("state", [BEHIND, SYNCING, IN_SYNC])
def test_an_unawaited_reply(unawaited_first: bool, leader_reply: str, reply: str, differs: bool, state: str) -> None:
    """One that differs from the outcome is noted for the sync; where that is over, the key is repaired."""
    pool = copies("a", "b", behind="b")
    group = pool.groups[0]
    copy = group.copies[1]
    copy.missed.reset(b"run")
    copy.state = SYNCING if state == IN_SYNC else state
    group.touched_keys = {}
    play = story(pool) >> client("SET k x NX")
    assert play << to("a", "SET k x NX") << to("b", "SET k x NX")
    copy.state = state
    if unawaited_first:
        assert play >> node("b", reply) >> node("a", leader_reply) << to_client(leader_reply)
    else:
        assert play >> node("a", leader_reply) << to_client(leader_reply) >> node("b", reply)
    assert copy.missed.keys == ({(0, b"k"): True} if differs and state != IN_SYNC else {})
    assert group.differing_keys == ({(0, b"k"): True} if differs and state != BEHIND else {})
    assert group.to_repair == ({(0, b"k"): True} if differs and state == IN_SYNC else {})
    assert group.open_writes == 0
