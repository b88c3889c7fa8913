"""A copy's way back while writes go on: it is let in when it holds what the others hold, and not before."""

import pytest

from kidoproxy.replication.sync import MAX_PASSES, Sync
from kidoproxy.replication.sync_steps import SyncStep
from kidoproxy.replication.touched_keys import RECHECK_KEYS
from kidoproxy.routes.topology import BEHIND, IN_SYNC, SYNCING
from tests.story import client, copies, lost, node, refused, restarted, story, unheard
from tests.toy import Stage


def begun(refill: bool) -> tuple[Stage, Sync]:
    """Two copies, ``b`` is behind; both links are there."""
    play = story(copies("a", "b", behind="b"))
    stage = Stage(play)
    assert stage.say("SET warm up") == b"+OK\r\n"
    sync = Sync(play.exchange, play.pool.groups[0], play.node("a"), play.node("b"), refill)
    sync.wall_ms = play.house.wall_ms
    return stage, sync


def same(stage: Stage) -> bool:
    """Whether both copies hold the same."""
    left, right = [{db: keys for db, keys in stage.toys[name].dbs.items() if keys} for name in "ab"]
    return left == right


def test_refill() -> None:
    """The copy is emptied, gets every key of every database, is compared, and is let in."""
    stage, sync = begun(True)
    for db in (0, 3):
        stage.toys["a"].dbs[db] = {b"k%d" % at: b"v%d" % at for at in range(5)}
    stage.toys["b"].dbs[1] = {b"old": b"x"}
    stage.toys["a"].until[b"k1"] = 1_800_000_000_000
    sync.begin()
    assert stage.play.pool.groups[0].copies[1].state == SYNCING
    assert sync.progress() == "making sure of the source: pass 0, 0 keys seen, 0 copied"
    stage.run()

    assert same(stage)
    assert stage.toys["b"].until[b"k1"] == 1_800_000_000_000
    assert (sync.step, sync.problem, sync.passes) == (SyncStep.DONE, "", 2)
    assert sync.progress() == "in sync after 2 passes"
    assert stage.play.pool.groups[0].copies[1].state == IN_SYNC
    assert stage.play.pool.groups[0].touched_keys is None


def test_compare() -> None:
    """Without emptying: what differs is put right, what is too much goes, what is equal is left alone."""
    stage, sync = begun(False)
    stage.toys["a"].dbs[0] = {b"same": b"1", b"differs": b"2", b"missing": b"3"}
    stage.toys["b"].dbs[0] = {b"same": b"1", b"differs": b"9", b"extra": b"4", b"other": b"5"}
    stage.toys["b"].dbs[2] = {b"extra": b"6"}
    sync.begin()
    stage.run()

    assert same(stage)
    assert not any(seen.startswith(b"RESTORE same") for seen in stage.toys["b"].seen)
    assert (sync.problem, sync.passes, sync.copied_count) == ("", 2, 5)
    assert stage.play.pool.groups[0].copies[1].state == IN_SYNC


def test_nothing_to_do() -> None:
    """Two empty copies are equal."""
    stage, sync = begun(False)
    stage.toys["a"].dbs.clear()
    stage.toys["b"].dbs.clear()
    sync.begin()
    stage.run()

    assert (sync.problem, sync.passes, sync.keys_seen) == ("", 1, 0)


def test_hot_key() -> None:
    """A key that is written all the time converges: on both copies the same writes stand before and after the copy."""
    stage, sync = begun(True)
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
    assert same(stage)


def test_touched() -> None:
    """A write that a half-filled copy judges differently is noticed: its keys are copied once more."""
    stage, sync = begun(True)
    stage.toys["a"].dbs[0] = {b"a": b"1", b"b": b"2", b"c": b"3", b"d": b"4"}
    sync.begin()
    stage.step("b")
    stage.play.settle()
    client("RENAME d a")(stage.play)
    stage.run()

    assert stage.toys["a"].dbs[0] == {b"a": b"4", b"b": b"2", b"c": b"3"}
    assert same(stage)
    assert sync.problem == ""


def test_move_between_databases() -> None:
    """MOVE and COPY touch a key of another database, too."""
    play = story(copies("a", "b", behind="b"))
    group = play.pool.groups[0]
    group.touched_keys = {}
    for request in ("MOVE k 3", "COPY k l DB 2", "MOVE k x", "COPY k l REPLACE"):
        assert play >> client(request) << unheard
    assert group.touched_keys == {(0, b"k"): True, (3, b"k"): True, (0, b"l"): True, (2, b"k"): True, (2, b"l"): True}


def asks(stage: Stage, name: str, word: bytes) -> bool:
    """Whether the node's next request is this command, or a transaction that begins with it."""
    words = [one.raw.split(b"\r\n")[2] for one in stage.play.told[name][:2]]
    return words[:1] == [word] or words == [b"MULTI", word]


def until(stage: Stage, name: str, word: bytes) -> None:
    """Let the nodes answer until this is asked of this one."""
    stage.play.settle()
    while not asks(stage, name, word):
        for each in "ab":
            if not asks(stage, name, word):
                stage.step(each)


def compared(stage: Stage) -> None:
    """Let the nodes answer until the first keys have been compared and the next ones are asked for."""
    until(stage, "a", b"DUMP")
    until(stage, "a", b"SCAN")


def filled(stage: Stage) -> None:
    """Both hold the same three keys."""
    for toy in stage.toys.values():
        toy.dbs = {0: {b"k": b"1", b"l": b"2", b"m": b"3"}}


def test_missed_write() -> None:
    """A write that was lost on the way to the copy, after its key was compared: it is compared once more."""
    stage, sync = begun(False)
    filled(stage)
    sync.begin()
    compared(stage)
    client("SET k 9")(stage.play)
    stage.play.settle()
    assert asks(stage, "b", b"SET")
    stage.play.told["b"].clear()
    lost("b")(stage.play)
    stage.run()

    assert (sync.problem, sync.passes) == ("", 3)
    assert same(stage)
    assert stage.play.pool.groups[0].copies[1].state == IN_SYNC


def test_restarted_meanwhile() -> None:
    """A copy that comes back as another run, empty, is compared from the start."""
    stage, sync = begun(False)
    filled(stage)
    sync.begin()
    compared(stage)
    stage.toys["b"].dbs = {}
    restarted("b")(stage.play)
    stage.run()

    assert (sync.problem, same(stage)) == ("", True)
    assert sync.passes == 3


def test_write_while_the_copy_is_down() -> None:
    """A copy that is down does not get the write at all, which counts as missed."""
    stage, sync = begun(False)
    filled(stage)
    sync.begin()
    until(stage, "a", b"EXISTS")
    refused("b")(stage.play)
    client("SET k 9")(stage.play)
    stage.play.settle()
    assert stage.play.pool.groups[0].copies[1].missed_write
    stage.run()

    assert sync.problem == "NODEDOWN b (connection refused)"
    assert sync.progress() == "failed: NODEDOWN b (connection refused)"


def test_target_dies() -> None:
    """The copy dies in the middle: it stays behind, and nothing is held back for it any more."""
    stage, sync = begun(True)
    filled(stage)
    sync.begin()
    until(stage, "b", b"RESTORE")
    refused("b")(stage.play)
    stage.play.told["b"].clear()
    stage.run()

    assert sync.problem == "NODEDOWN b (connection refused)"
    assert stage.play.pool.groups[0].copies[1].state == BEHIND
    assert stage.play.pool.groups[0].touched_keys is None
    assert not stage.play.link("b").held


def test_target_dies_before_it_gets_the_keys() -> None:
    """The copy dies while the source is asked: what should be put right fails at once."""
    stage, sync = begun(True)
    filled(stage)
    sync.begin()
    until(stage, "a", b"DUMP")
    refused("b")(stage.play)
    stage.run()

    assert sync.problem == "NODEDOWN b (connection refused)"
    assert not stage.play.link("b").held


def test_source_dies() -> None:
    """So does the source: the copy is not let in."""
    stage, sync = begun(True)
    filled(stage)
    sync.begin()
    until(stage, "a", b"DUMP")
    stage.play.told["a"].clear()
    lost("a")(stage.play)
    stage.run()

    assert sync.problem == "NODEDOWN a (it closed the connection)"


def test_source_falls_behind() -> None:
    """A source that missed a write itself is nothing to copy from."""
    play = story(copies("a", "b", "c", behind="b"))
    stage = Stage(play)
    assert stage.say("SET k 1") == b"+OK\r\n"
    sync = Sync(play.exchange, play.pool.groups[0], play.node("a"), play.node("b"), False)
    sync.begin()
    play.pool.groups[0].mark_behind([play.node("a")])
    stage.run()

    assert sync.problem == "a, from which it was copied, fell behind meanwhile"
    assert play.pool.groups[0].behind_names() == ["a", "b"]


def test_errors() -> None:
    """A node that says no ends the sync with its own words."""
    for name, word in (
        ("b", b"FLUSHALL"),
        ("a", b"INFO keyspace"),
        ("a", b"SCAN"),
        ("a", b"DUMP"),
        ("b", b"RESTORE"),
    ):
        stage, sync = begun(True)
        filled(stage)
        stage.toys[name].lies[word] = b"-NOPERM no\r\n"
        sync.begin()
        stage.run()

        assert sync.problem == "NOPERM no", word
        assert stage.play.pool.groups[0].behind_names() == ["b"]
        assert not stage.play.link("b").held


def test_created_meanwhile() -> None:
    """A key that only the copy has, and that a write makes on both: the leftover in it is found."""
    stage, sync = begun(False)
    filled(stage)
    stage.toys["b"].dbs[0][b"z"] = b"old"
    sync.begin()
    until(stage, "a", b"EXISTS")
    client("APPEND z new")(stage.play)
    stage.run()

    assert stage.toys["a"].dbs[0][b"z"] == b"new"
    assert same(stage)
    assert sync.problem == ""


def test_writes_with_several_keys_never_stop() -> None:
    """Keys that are touched again while they are looked at again: the sync comes to its end all the same."""
    stage, sync = begun(False)
    filled(stage)
    stage.toys["b"].dbs[0][b"l"] = b"other"
    sync.begin()
    for turn in range(200):
        client(f"MSET k {turn} m {turn}")(stage.play)
        stage.play.settle()
        for name in "ab":
            stage.step(name, 2)
    assert sync.step is SyncStep.DONE
    stage.run()

    assert (sync.problem, same(stage)) == ("", True)
    assert stage.play.pool.groups[0].copies[1].state == IN_SYNC


def test_many_touched_keys() -> None:
    """More touched keys than are looked at at once, and a write to another database meanwhile."""
    stage, sync = begun(False)
    filled(stage)
    sync.begin()
    until(stage, "a", b"EXISTS")
    words = " ".join(f"n{at} {at}" for at in range(RECHECK_KEYS + 1))
    client(f"MSET {words}")(stage.play)
    stage.step("a", 20)
    client("MSET n1 x n2 y")(stage.play)
    stage.play.pool.groups[0].cross_db_write = True
    stage.run()

    assert (sync.problem, same(stage)) == ("", True)


def settling(stage: Stage, sync: Sync) -> None:
    """Compared, but the source has not answered one write yet."""
    sync.begin()
    until(stage, "a", b"DUMP")
    client("SET k 9")(stage.play)
    stage.play.settle()
    while sync.step is not SyncStep.WAIT_FOR_WRITES:
        for name in "ab":
            stage.step(name)


def three() -> tuple[Stage, Sync]:
    """Three copies with the same keys, ``b`` is behind."""
    play = story(copies("a", "b", "c", behind="b"))
    stage = Stage(play)
    assert stage.say("SET k 1") == b"+OK\r\n"
    filled(stage)
    return stage, Sync(play.exchange, play.pool.groups[0], play.node("a"), play.node("b"), False)


def test_writes_under_way() -> None:
    """What the source did with a write is known only when the write is judged: the copy is let in after that."""
    stage, sync = three()
    settling(stage, sync)
    assert sync.progress().startswith("letting writes end")
    stage.run()

    assert sync.problem == ""
    assert stage.play.pool.groups[0].behind_names() == []


def test_source_missed_a_write_under_way() -> None:
    """The source answered that it could not; when the others have taken it, the source is nothing to copy from."""
    stage, sync = three()
    sync.begin()
    until(stage, "a", b"DUMP")
    client("SET k 9")(stage.play)
    stage.play.settle()
    while not asks(stage, "a", b"SET"):
        stage.step("a")
    stage.play.told["a"].pop(0)
    node("a", "-OOM no")(stage.play)
    while sync.step is not SyncStep.WAIT_FOR_WRITES:
        for name in "ab":
            stage.step(name)
    stage.run()

    assert sync.problem == "a, from which it was copied, fell behind meanwhile"
    assert stage.play.pool.groups[0].behind_names() == ["a", "b"]


def test_never_equal() -> None:
    """Copies that differ anew in each pass: somebody else writes, and the sync says so instead of going on for ever."""
    stage, sync = begun(False)
    filled(stage)
    sync.begin()
    passes = 0
    while sync.step is not SyncStep.DONE:
        if sync.passes > passes:
            passes = sync.passes
            stage.toys["a"].dbs[0][b"x%d" % passes] = b"other"
        stage.play.settle()
        for name in "ab":
            stage.step(name)

    assert sync.problem == f"still 1 differences after {MAX_PASSES} passes; is another proxy writing?"
    assert stage.play.pool.groups[0].copies[1].state == BEHIND


def test_source_is_lost_in_between() -> None:
    """A source that comes back as the same run goes on; as another one it may have lost what it had."""
    for event, problem in ((lost("a"), ""), (restarted("a"), "a was lost, or restarted, meanwhile")):
        stage, sync = begun(False)
        filled(stage)
        stage.toys["b"].dbs[0][b"k"] = b"other"
        sync.begin()
        until(stage, "a", b"EXISTS")
        stage.play.told["a"], kept = [], stage.play.told["a"]
        event(stage.play)
        stage.play.settle()
        stage.play.told["a"] = kept + stage.play.told["a"]
        stage.run()
        assert sync.problem == problem


def test_refill_of_a_copy_whose_source_has_fallen_behind() -> None:
    """Between the proof and FLUSHALL: nothing is emptied."""
    stage, sync = begun(True)
    stage.toys["b"].dbs[0] = {b"k": b"1"}
    sync.begin()
    stage.play.pool.groups[0].elected = False
    stage.run()
    assert sync.problem == "a, from which it was copied, fell behind meanwhile"
    assert stage.toys["b"].dbs[0] == {b"k": b"1"}


@pytest.mark.parametrize("name", ["a", "b"])
def test_databases_differ(name: str) -> None:
    """A database that only one has ends the sync with that reason; the shared connections are left alone."""
    stage, sync = begun(False)
    filled(stage)
    stage.toys["ab".replace(name, "")].databases = 64
    stage.toys["ab".replace(name, "")].dbs[50] = {b"far": b"1"}
    sync.begin()
    stage.run()
    assert sync.problem == (
        "a and b do not both have database 50 (ERR DB index is out of range); set 'databases' alike"
    )
    assert all(stage.play.link(each).reconnects == 0 for each in "ab")


def test_a_write_names_a_database_that_there_is_not() -> None:
    """It failed on both: the sync passes over it. One that has no keys yet is looked at."""
    stage, sync = begun(False)
    filled(stage)
    sync.begin()
    until(stage, "a", b"EXISTS")
    group = stage.play.pool.groups[0]
    assert group.touched_keys is not None
    group.touched_keys[(99, b"x")] = True
    group.touched_keys[(7, b"x")] = True
    for toy in stage.toys.values():
        toy.dbs[7] = {b"x": b"1"}
    stage.run()
    assert (sync.problem, group.behind_names()) == ("", [])


def test_a_guess_does_not_cut_down() -> None:
    """Without a record of who is right a copy that holds much more than the source is left as it is."""
    stage, sync = begun(False)
    stage.toys["a"].dbs = {0: {b"k": b"1"}}
    stage.toys["b"].dbs = {0: {b"k": b"1", b"l": b"1", b"m": b"1"}}
    sync.refuses_larger_target = True
    sync.begin()
    stage.run()
    says = "it holds 3 keys, a only 1, and no record says who is right; order its sync, or trust it"
    assert sync.problem == says
    assert len(stage.toys["b"].dbs[0]) == 3


def test_no_keyspace() -> None:
    """Who does not say which databases have keys is not compared, and so not let in."""
    stage, sync = begun(False)
    filled(stage)
    stage.toys["a"].lies[b"INFO keyspace"] = b":1\r\n"
    sync.begin()
    stage.run()
    assert sync.problem == "a or b gave no sensible answer to INFO keyspace"


def test_missed_while_settling() -> None:
    """A write that is lost while others are judged asks for one more pass; a source that falls behind ends it."""
    stage, sync = three()
    settling(stage, sync)
    stage.play.pool.groups[0].copy_of(stage.play.node("b")).missed_write = True
    stage.run()
    assert (sync.problem, sync.passes) == ("", 2)

    stage, sync = begun(False)
    stage.toys["b"].dbs[0] = {b"k": b"other"}
    stage.toys["a"].dbs[0] = {b"k": b"1"}
    sync.begin()
    until(stage, "b", b"RESTORE")
    stage.play.pool.groups[0].elected = False
    stage.run()
    assert sync.problem == "a, from which it was copied, fell behind meanwhile"
    sync.finish("twice")
    assert sync.problem == "a, from which it was copied, fell behind meanwhile"
