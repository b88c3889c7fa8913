"""A copy's way back while writes go on: it is let in when it holds what the others hold, and not before."""

import pytest

from kidoproxy.replication.group import IN_SYNC, SYNCING
from kidoproxy.replication.sync_steps import SyncStep
from kidoproxy.replication.touched_keys import RECHECK_KEYS
from kidoproxy.resp.encode import bulk
from tests.replication.syncing import (
    answer_until,
    answer_until_first_compared,
    answer_until_writes_are_awaited,
    fill_both,
    hold_the_same,
    is_next_request,
    three_copies,
    two_copies,
)
from tests.story import client, copies, lost, restarted, story, unheard


def test_a_copy_is_emptied_and_filled() -> None:
    """The copy is emptied, gets every key of every database, is compared, and is let in."""
    stage, sync = two_copies(True)
    for db in (0, 3):
        stage.toys["a"].dbs[db] = {b"k%d" % at: b"v%d" % at for at in range(5)}
    stage.toys["b"].dbs[1] = {b"old": b"x"}
    stage.toys["a"].until[b"k1"] = 1_800_000_000_000
    sync.begin()
    assert stage.play.pool.groups[0].copies[1].state == SYNCING
    assert sync.progress() == "making sure of the source: pass 0, 0 of 0 keys, 0 copied"
    stage.run()

    assert hold_the_same(stage)
    assert stage.toys["b"].until[b"k1"] == 1_800_000_000_000
    assert (sync.step, sync.problem, sync.passes) == (SyncStep.DONE, "", 1)
    assert sync.progress() == "in sync; passes: 1"
    assert stage.play.pool.groups[0].copies[1].state == IN_SYNC
    assert stage.play.pool.groups[0].touched_keys is None


def test_a_copy_is_compared() -> None:
    """Without emptying: what differs is corrected, what is too much goes, what is equal is left alone."""
    stage, sync = two_copies(False)
    stage.toys["a"].dbs[0] = {b"same": b"1", b"differs": b"2", b"missing": b"3"}
    stage.toys["b"].dbs[0] = {b"same": b"1", b"differs": b"9", b"extra": b"4", b"other": b"5"}
    stage.toys["b"].dbs[2] = {b"extra": b"6"}
    sync.begin()
    stage.run()

    assert hold_the_same(stage)
    assert not any(seen.startswith(b"RESTORE same") for seen in stage.toys["b"].seen)
    assert (sync.problem, sync.passes, sync.copied_count) == ("", 2, 5)
    assert stage.play.pool.groups[0].copies[1].state == IN_SYNC


def test_two_empty_copies() -> None:
    """Two empty copies are equal."""
    stage, sync = two_copies(False)
    stage.toys["a"].dbs.clear()
    stage.toys["b"].dbs.clear()
    sync.begin()
    stage.run()

    assert (sync.problem, sync.passes, sync.keys_seen) == ("", 1, 0)


def test_a_key_that_is_written_all_the_time() -> None:
    """A key that is written all the time converges: on both copies the same writes stand before and after the copy."""
    stage, sync = two_copies(True)
    stage.toys["a"].dbs[0] = {b"hot": b"x", b"cold": b"y"}
    sync.begin()
    for turn in range(40):
        client(f"APPEND hot {turn}")(stage.play)
        stage.play.settle()
        stage.step("a", 1 + turn % 3)
        stage.step("b", 1 + turn % 2)
    stage.run()

    assert sync.problem == ""
    assert stage.play.pool.groups[0].copies[1].state == IN_SYNC
    assert hold_the_same(stage)


def test_touched_keys_are_checked_again() -> None:
    """A write that a half-filled copy executes differently is noticed: its keys are copied once more."""
    stage, sync = two_copies(True)
    stage.toys["a"].dbs[0] = {b"a": b"1", b"b": b"2", b"c": b"3", b"d": b"4"}
    sync.begin()
    stage.step("b")
    stage.play.settle()
    client("RENAME d a")(stage.play)
    stage.run()

    assert stage.toys["a"].dbs[0] == {b"a": b"4", b"b": b"2", b"c": b"3"}
    assert hold_the_same(stage)
    assert sync.problem == ""


def test_move_between_databases() -> None:
    """MOVE and COPY touch a key of another database, too."""
    play = story(copies("a", "b", behind="b"))
    group = play.pool.groups[0]
    group.touched_keys = {}
    for request in ("MOVE k 3", "COPY k l DB 2", "MOVE k x", "COPY k l REPLACE"):
        assert play >> client(request) << unheard
    assert group.touched_keys == {(0, b"k"): True, (3, b"k"): True, (0, b"l"): True, (2, b"k"): True, (2, b"l"): True}


def test_a_write_is_missed() -> None:
    """A write that was lost on the way to the copy, after its key was compared: it is compared once more."""
    stage, sync = two_copies(False)
    fill_both(stage)
    sync.begin()
    answer_until_first_compared(stage)
    client("SET k 9")(stage.play)
    stage.play.settle()
    assert is_next_request(stage, "b", b"SET")
    stage.play.sent["b"].clear()
    lost("b")(stage.play)
    stage.run()

    assert (sync.problem, sync.passes) == ("", 2)
    assert hold_the_same(stage)
    assert stage.play.pool.groups[0].copies[1].state == IN_SYNC


def test_the_copy_is_restarted_meanwhile() -> None:
    """A copy that comes back as another run, empty, is compared from the start."""
    stage, sync = two_copies(False)
    fill_both(stage)
    sync.begin()
    answer_until_first_compared(stage)
    stage.toys["b"].dbs = {}
    restarted("b")(stage.play)
    stage.run()

    assert (sync.problem, hold_the_same(stage)) == ("", True)
    assert sync.passes == 3


def test_a_leftover_is_written_meanwhile() -> None:
    """A key that only the copy has, and that a write makes on both: the leftover in it is found."""
    stage, sync = two_copies(False)
    fill_both(stage)
    stage.toys["b"].dbs[0][b"z"] = b"old"
    sync.begin()
    answer_until(stage, "a", b"EXISTS")
    client("APPEND z new")(stage.play)
    stage.run()

    assert stage.toys["a"].dbs[0][b"z"] == b"new"
    assert hold_the_same(stage)
    assert sync.problem == ""


def test_writes_with_several_keys_never_stop() -> None:
    """Keys that are touched again while they are looked at again: the sync comes to its end all the same."""
    stage, sync = two_copies(False)
    fill_both(stage)
    stage.toys["b"].dbs[0][b"l"] = b"other"
    sync.begin()
    for turn in range(200):
        client(f"MSET k {turn} m {turn}")(stage.play)
        stage.play.settle()
        for name in "ab":
            stage.step(name, 2)
    assert sync.step is SyncStep.DONE
    stage.run()

    assert (sync.problem, hold_the_same(stage)) == ("", True)
    assert stage.play.pool.groups[0].copies[1].state == IN_SYNC


def test_many_touched_keys() -> None:
    """More touched keys than are looked at at once, and a write to another database meanwhile."""
    stage, sync = two_copies(False)
    fill_both(stage)
    sync.begin()
    answer_until(stage, "a", b"EXISTS")
    words = " ".join(f"n{at} {at}" for at in range(RECHECK_KEYS + 1))
    client(f"MSET {words}")(stage.play)
    stage.step("a", 20)
    client("MSET n1 x n2 y")(stage.play)
    stage.play.pool.groups[0].cross_db_write = True
    stage.run()

    assert (sync.problem, hold_the_same(stage)) == ("", True)


def test_writes_under_way_are_waited_for() -> None:
    """What the source did with a write is known only when the write is over: the copy is let in after that."""
    stage, sync = three_copies()
    answer_until_writes_are_awaited(stage, sync)
    assert sync.progress().startswith("letting writes end")
    stage.run()

    assert sync.problem == ""
    assert stage.play.pool.groups[0].behind_names() == []


def test_a_write_names_a_database_that_does_not_exist() -> None:
    """It failed on both: the sync passes over it. One that has no keys yet is looked at."""
    stage, sync = two_copies(False)
    fill_both(stage)
    sync.begin()
    answer_until(stage, "a", b"EXISTS")
    group = stage.play.pool.groups[0]
    assert group.touched_keys is not None
    group.touched_keys[(99, b"x")] = True
    group.touched_keys[(7, b"x")] = True
    for toy in stage.toys.values():
        toy.dbs[7] = {b"x": b"1"}
    stage.run()
    assert (sync.problem, group.behind_names()) == ("", [])


def test_a_write_is_missed_while_others_are_waited_for() -> None:
    """A write that is lost while others are waited for asks for one more pass; a source that falls behind ends it."""
    stage, sync = three_copies()
    answer_until_writes_are_awaited(stage, sync)
    stage.play.pool.groups[0].copy_of(stage.play.node("b")).missed_write = True
    stage.run()
    assert (sync.problem, sync.passes) == ("", 2)

    stage, sync = two_copies(False)
    stage.toys["b"].dbs[0] = {b"k": b"other"}
    stage.toys["a"].dbs[0] = {b"k": b"1"}
    sync.begin()
    answer_until(stage, "b", b"RESTORE")
    stage.play.pool.groups[0].elected = False
    stage.run()
    assert sync.problem == "a, from which it was copied, fell behind meanwhile"
    sync.finish("twice")
    assert sync.problem == "a, from which it was copied, fell behind meanwhile"


def test_writes_while_an_empty_copy_is_filled() -> None:
    """What it lacked when it was written is right in the end, even if the source's key has expired meanwhile."""
    stage, sync = two_copies(False)
    stage.toys["b"].dbs.clear()
    stage.toys["a"].dbs[0] = {b"k%d" % at: b"1" for at in range(9)}
    sync.begin()
    answer_until(stage, "a", b"DUMP")
    for key in (b"k6", b"k7", b"k8"):
        client(f"APPEND {key.decode()} x")(stage.play)
    stage.play.settle()
    while stage.toys["b"].dbs.get(0, {}).get(b"k8") != b"x":
        stage.step("b")
        stage.step("a")
    # It expires here alone: there its life has begun anew.
    for key in (b"k7", b"k8"):
        del stage.toys["a"].dbs[0][key]
    client("APPEND k8 y")(stage.play)
    stage.run()
    assert hold_the_same(stage)
    assert stage.toys["b"].dbs[0][b"k6"] == b"1x"
    assert (stage.toys["b"].dbs[0][b"k8"], b"k7" in stage.toys["b"].dbs[0]) == (b"y", False)
    assert (sync.problem, sync.passes) == ("", 1)


def test_a_write_of_unknown_keys_while_an_empty_copy_is_filled() -> None:
    """Then all keys are compared once more."""
    stage, sync = two_copies(False)
    stage.toys["b"].dbs.clear()
    stage.toys["a"].dbs[0] = {b"k%d" % at: b"1" for at in range(5)}
    sync.begin()
    answer_until(stage, "a", b"DUMP")
    group = stage.play.pool.groups[0]
    group.on_write_sent(0, [b"k1"], None, True, [copy.node for copy in group.copies])
    stage.run()
    assert hold_the_same(stage)
    assert (sync.problem, sync.passes, group.touches_single_keys) == ("", 2, False)


def test_a_copy_with_few_keys_is_filled() -> None:
    """Writes reach an empty copy before its sync begins: it is filled all the same, and what it had is checked."""
    stage, sync = two_copies(False)
    stage.toys["a"].dbs[0] = {b"k%d" % at: b"1" for at in range(31)}
    stage.toys["b"].dbs[0] = {b"k3": b"other", b"gone": b"1", b"k4": b"1"}
    sync.begin()
    stage.run()
    assert hold_the_same(stage)
    assert (sync.problem, sync.passes) == ("", 1)
    assert stage.toys["b"].seen.count(b"DUMP k5") == 0
    assert not stage.play.pool.groups[0].copies[1].was_filled


@pytest.mark.parametrize(("left_ms", "passes"), [(500, 1), (60_000, 2)])
@pytest.mark.parametrize("name", ["a", "b"])
def test_keys_that_expire_about_now(name: str, left_ms: int, passes: int) -> None:
    """One copy lets them go before the other one, for ever: that alone is no reason for another pass."""
    stage, sync = two_copies(False)
    fill_both(stage)
    stage.toys[name].dbs[0][b"gone"] = b"1"
    stage.toys[name].until[b"gone"] = sync.wall_ms + left_ms
    sync.begin()
    stage.run()
    assert (sync.admitted, sync.passes, sync.copied_count) == (True, passes, 1)
    assert hold_the_same(stage)


@pytest.mark.parametrize(("dump", "passes"), [(b"\x16", 2), (b"\x04", 5)])
def test_fields_that_expire_all_the_time(dump: bytes, passes: int) -> None:
    """Each pass finds another field gone on one copy alone. What else was missed the first one has copied."""
    stage, sync = two_copies(False)
    for toy in stage.toys.values():
        toy.dbs[0] = {b"h%d" % number: dump + b"1" for number in range(1, 5)}
    sync.begin()
    while sync.step is not SyncStep.DONE:
        stage.toys["b"].lies = {b"DUMP h%d" % sync.passes: bulk(dump + b"2")}
        stage.play.settle()
        for name in "ab":
            stage.step(name)
    assert (sync.admitted, sync.passes) == (True, passes)
