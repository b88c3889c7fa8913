"""A sync that cannot come to a good end says why, lets nothing in, holds nothing back and empties nothing."""

import pytest

from kidoproxy.replication.group import BEHIND
from kidoproxy.replication.sync import Sync
from kidoproxy.replication.sync_pass import MAX_PASSES
from kidoproxy.replication.sync_steps import SyncStep
from tests.replication.syncing import answer_until, fill_both, is_next_request, three_copies, two_copies
from tests.story import client, copies, lost, node, refused, restarted, story
from tests.toy import ToyNodes


def test_a_write_while_the_copy_is_down() -> None:
    """A copy that is down does not get the write at all, which counts as missed."""
    stage, sync = two_copies(False)
    fill_both(stage)
    sync.begin()
    answer_until(stage, "a", b"EXISTS")
    refused("b")(stage.play)
    client("SET k 9")(stage.play)
    stage.play.settle()
    assert stage.play.pool.groups[0].copies[1].missed_write
    stage.run()

    assert sync.problem == "NODEDOWN b (connection refused)"
    assert sync.progress() == "failed: NODEDOWN b (connection refused)"


def test_the_target_dies() -> None:
    """The copy dies in the middle: it stays behind, and nothing is held back for it any more."""
    stage, sync = two_copies(True)
    fill_both(stage)
    sync.begin()
    answer_until(stage, "b", b"RESTORE")
    refused("b")(stage.play)
    stage.play.sent["b"].clear()
    stage.run()

    assert sync.problem == "NODEDOWN b (connection refused)"
    assert stage.play.pool.groups[0].copies[1].state == BEHIND
    assert stage.play.pool.groups[0].touched_keys is None
    assert not stage.play.connection("b").held


def test_the_target_dies_before_it_gets_the_keys() -> None:
    """The copy dies while the source is asked: what should be written fails at once."""
    stage, sync = two_copies(True)
    fill_both(stage)
    sync.begin()
    answer_until(stage, "a", b"DUMP")
    refused("b")(stage.play)
    stage.run()

    assert sync.problem == "NODEDOWN b (connection refused)"
    assert not stage.play.connection("b").held


def test_the_source_dies() -> None:
    """The source dies in the middle: the copy is not let in."""
    stage, sync = two_copies(True)
    fill_both(stage)
    sync.begin()
    answer_until(stage, "a", b"DUMP")
    stage.play.sent["a"].clear()
    lost("a")(stage.play)
    stage.run()

    assert sync.problem == "NODEDOWN a (it closed the connection)"


def test_the_source_falls_behind() -> None:
    """A source that missed a write itself is nothing to copy from."""
    play = story(copies("a", "b", "c", behind="b"))
    stage = ToyNodes(play)
    assert stage.say("SET k 1") == b"+OK\r\n"
    sync = Sync(play.executor, play.pool.groups[0], play.node("a"), play.node("b"), False)
    sync.begin()
    play.pool.groups[0].mark_behind([play.node("a")])
    stage.run()

    assert sync.problem == "a, from which it was copied, fell behind meanwhile"
    assert play.pool.groups[0].behind_names() == ["a", "b"]


def test_an_error_ends_the_sync() -> None:
    """A node that says no ends the sync with its own words."""
    for name, word in (
        ("b", b"FLUSHALL"),
        ("a", b"INFO keyspace"),
        ("a", b"SCAN"),
        ("a", b"DUMP"),
        ("b", b"RESTORE"),
    ):
        stage, sync = two_copies(True)
        fill_both(stage)
        stage.toys[name].lies[word] = b"-NOPERM no\r\n"
        sync.begin()
        stage.run()

        assert sync.problem == "NOPERM no", word
        assert stage.play.pool.groups[0].behind_names() == ["b"]
        assert not stage.play.connection("b").held


def test_the_source_missed_a_write_under_way() -> None:
    """The source answered that it could not; when the others have taken it, the source is nothing to copy from."""
    stage, sync = three_copies()
    sync.begin()
    answer_until(stage, "a", b"DUMP")
    client("SET k 9")(stage.play)
    stage.play.settle()
    while not is_next_request(stage, "a", b"SET"):
        stage.step("a")
    stage.play.sent["a"].pop(0)
    node("a", "-OOM no")(stage.play)
    while sync.step is not SyncStep.WAIT_FOR_WRITES:
        for name in "ab":
            stage.step(name)
    stage.run()

    assert sync.problem == "a, from which it was copied, fell behind meanwhile"
    assert stage.play.pool.groups[0].behind_names() == ["a", "b"]


def test_copies_that_never_become_equal() -> None:
    """Copies that differ anew in each pass: somebody else writes, and the sync says so instead of going on for ever."""
    stage, sync = two_copies(False)
    fill_both(stage)
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


def test_the_source_is_lost_in_between() -> None:
    """A source that comes back as the same run goes on; as another one it may have lost what it had."""
    for event, problem in ((lost("a"), ""), (restarted("a"), "a was lost, or restarted, meanwhile")):
        stage, sync = two_copies(False)
        fill_both(stage)
        stage.toys["b"].dbs[0][b"k"] = b"other"
        sync.begin()
        answer_until(stage, "a", b"MEMORY")
        stage.play.sent["a"], kept = [], stage.play.sent["a"]
        event(stage.play)
        stage.play.settle()
        stage.play.sent["a"] = kept + stage.play.sent["a"]
        stage.run()
        assert sync.problem == problem


def test_refill_of_a_copy_whose_source_has_fallen_behind() -> None:
    """Between the proof and FLUSHALL: nothing is emptied."""
    stage, sync = two_copies(True)
    stage.toys["b"].dbs[0] = {b"k": b"1"}
    sync.begin()
    stage.play.pool.groups[0].elected = False
    stage.run()
    assert sync.problem == "a, from which it was copied, fell behind meanwhile"
    assert stage.toys["b"].dbs[0] == {b"k": b"1"}


@pytest.mark.parametrize("name", ["a", "b"])
def test_only_one_node_has_a_database(name: str) -> None:
    """A database that only one has ends the sync with that reason; the shared connections are left alone."""
    stage, sync = two_copies(False)
    fill_both(stage)
    stage.toys["ab".replace(name, "")].databases = 64
    stage.toys["ab".replace(name, "")].dbs[50] = {b"far": b"1"}
    sync.begin()
    stage.run()
    assert sync.problem == (
        "a and b do not both have database 50 (ERR DB index is out of range); set 'databases' alike"
    )
    assert all(stage.play.connection(each).reconnects == 0 for each in "ab")


def test_a_larger_copy_is_not_cut_down_without_a_record() -> None:
    """Without a record of who is right a copy that holds much more than the source is left as it is."""
    stage, sync = two_copies(False)
    stage.toys["a"].dbs = {0: {b"k": b"1"}}
    stage.toys["b"].dbs = {0: {b"k": b"1", b"l": b"1", b"m": b"1"}}
    sync.refuses_larger_target = True
    sync.begin()
    stage.run()
    problem = "it holds 3 keys, a only 1, and no record says who is right; sync it by hand, or trust it"
    assert sync.problem == problem
    assert len(stage.toys["b"].dbs[0]) == 3


def test_a_node_that_does_not_list_its_databases() -> None:
    """A node that does not say which databases have keys is not compared, and so not let in."""
    stage, sync = two_copies(False)
    fill_both(stage)
    stage.toys["a"].lies[b"INFO keyspace"] = b":1\r\n"
    sync.begin()
    stage.run()
    assert sync.problem == "a or b gave no sensible answer to INFO keyspace"


@pytest.mark.parametrize("reply", [b":1\r\n", b"*0\r\n", b"*2\r\n$1\r\nx\r\n*0\r\n", b"*2\r\n$1\r\n0\r\n:1\r\n"])
def test_a_node_that_answers_nonsense_to_scan(reply: bytes) -> None:
    """What is not a cursor with a list of keys ends the sync: nothing is taken for the end of the keys."""
    stage, sync = two_copies(True)
    fill_both(stage)
    stage.toys["a"].lies[b"SCAN"] = reply
    sync.begin()
    stage.run()
    assert sync.problem == "a gave no sensible answer to SCAN"
