"""A scrub: every key of every copy is compared while writes go on, and what differs is repaired from its leader."""

import pytest

from kidoproxy.replication.batch import BatchReply
from kidoproxy.replication.batch_size import BATCH_BYTES
from kidoproxy.replication.large_string import LARGE_BYTES
from kidoproxy.replication.scrub import MAX_TRIES, Scrub
from kidoproxy.replication.scrub_record import DONE, FAILED, RUNNING, ScrubRecord
from kidoproxy.replication.supervisor import CopySupervisor
from kidoproxy.resp.encode import array, bulk, error, integer
from tests.replication.supervised import run_ticks, supervised_copies
from tests.replication.test_key_turns import Recorded
from tests.story import led_by, lost, tick
from tests.toy import ToyNodes


def filled(names: str = "ab") -> tuple[ToyNodes, CopySupervisor, ScrubRecord]:
    """Copies with the same keys in two databases."""
    stage, supervisor = supervised_copies("", names)
    for toy in stage.toys.values():
        toy.dbs = {db: {b"k%d" % number: b"v" for number in range(5)} for db in (0, 3)}
    return stage, supervisor, supervisor.group.scrub


def run(stage: ToyNodes, record: ScrubRecord, dry_run: bool = False, ticks: int = 10) -> None:
    """Request it, and let time go by."""
    assert record.request(dry_run) == ""
    run_ticks(stage, ticks)


def begin(stage: ToyNodes, record: ScrubRecord) -> None:
    """Request it; its first questions are sent. In the tick before the pace has let it do nothing."""
    assert record.request(False) == ""
    run_ticks(stage, 1)
    tick()(stage.play)
    stage.play.settle()


def until_it_compares(stage: ToyNodes, supervisor: CopySupervisor) -> Scrub:
    """Nodes answer until a comparison is under way."""
    scrub = supervisor.scrubs.scrub
    assert scrub is not None
    for _ in range(50):
        if scrub.comparison is not None:
            return scrub
        for name in stage.play.sent:
            stage.step(name)
        stage.play.settle()
    raise AssertionError(scrub.step)


def test_equal_copies() -> None:
    """All keys of all databases are compared, each once, and nothing is changed."""
    stage, _, record = filled()
    run(stage, record)
    assert (record.state, record.keys, record.differences) == (DONE, 10, 0)
    assert (record.scanned, record.expected, record.nodes) == (20, 20, ["a", "b"])
    assert not any(seen.startswith((b"RESTORE", b"UNLINK")) for toy in stage.toys.values() for seen in toy.seen)
    assert not stage.play.executor.unshared_connections


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_differs(dry_run: bool) -> None:
    """Keys of three copies: one that a copy lacks, another value, one that two have and the first has not."""
    stage, _, record = filled("abc")
    key = led_by(stage.play.pool, "a").encode()
    a, b, c = stage.toys.values()
    del c.dbs[0][b"k1"]
    for toy, value in zip((a, b, c), (b"1", b"2", b"2"), strict=True):
        toy.dbs[0][key] = value
    b.dbs[5] = {b"only": b"1"}
    c.dbs[5] = {b"only": b"1"}
    run(stage, record, dry_run)
    assert record.state == DONE
    assert sorted(record.reported) == sorted([(0, b"k1"), (0, key), (5, b"only")])
    assert (record.differences, record.repaired) == (3, 0 if dry_run else 3)
    assert (a.dbs[0] == b.dbs[0] == c.dbs[0]) is not dry_run
    assert c.dbs[0].get(key) == (b"2" if dry_run else b"1")
    run(stage, record)
    assert record.differences == (3 if dry_run else 0)


def test_keys_in_the_hands_of_their_leader() -> None:
    """Such a key waits; if it is never free it is left out, and the others are compared."""
    stage, supervisor, record = filled()
    turns = supervisor.group.key_turns
    busy = [Recorded("a write", [], [(0, b"k1")]), Recorded("another", [], [(3, b"k%d" % at) for at in range(5)])]
    for turn in busy:
        turns.ask(turn)
    run(stage, record, ticks=2)
    assert (record.state, record.skipped) == (RUNNING, 0)
    turns.leave(busy[0])
    run_ticks(stage, MAX_TRIES + 10)
    assert (record.state, record.keys, record.skipped) == (DONE, 5, 5)


def test_large_values() -> None:
    """They are compared piece by piece, and repaired; what cannot be read so by type, length and expiry."""
    stage, _, record = filled()
    a, b = stage.toys.values()
    a.lies = {b"MEMORY": integer(LARGE_BYTES)}
    b.dbs[3][b"k1"] = b"w"
    run(stage, record, ticks=20)
    assert (record.state, record.keys, record.large, record.differences, record.repaired) == (DONE, 10, 0, 1, 1)
    assert list(record.large_sizes.values()) == [LARGE_BYTES]
    assert a.dbs[3] == b.dbs[3]
    a.lies[b"TYPE"] = b"+ReJSON-RL\r\n"
    run(stage, record, ticks=20)
    assert (record.state, record.keys, record.large, record.differences) == (DONE, 10, 10, 0)


def test_a_value_that_is_larger_than_a_batch() -> None:
    """Where its DUMPs differ the contents are compared in pieces, so that the loop goes round meanwhile."""
    stage, _, record = filled()
    for toy, value in zip(stage.toys.values(), (b"x", b"y"), strict=True):
        toy.dbs = {0: {b"k": value * (2 * BATCH_BYTES)}}
    run(stage, record, ticks=20)
    assert (record.state, record.keys, record.differences, record.repaired) == (DONE, 1, 1, 1)
    assert any(seen.startswith(b"DUMP") for seen in stage.toys["a"].seen)
    assert any(seen.startswith(b"GETRANGE") for seen in stage.toys["a"].seen)
    assert not any(seen.startswith(b"GET ") for seen in stage.toys["a"].seen)


def test_sizes_that_nobody_tells() -> None:
    """They are guessed."""
    stage, _, record = filled()
    stage.toys["a"].lies = {b"MEMORY": error(b"NOPERM x")}
    stage.toys["b"].dbs[3][b"k1"] = b"w"
    run(stage, record)
    assert (record.state, record.large, record.differences) == (DONE, 0, 1)


def with_one_large_key() -> tuple[ToyNodes, CopySupervisor, ScrubRecord]:
    """Nothing else is there; its pieces are many."""
    stage, supervisor, record = filled()
    for toy in stage.toys.values():
        toy.dbs = {0: {b"k": b"x" * (50 * BATCH_BYTES)}}
    stage.toys["a"].lies = {b"MEMORY": integer(LARGE_BYTES)}
    return stage, supervisor, record


def test_others_have_their_turn_between_the_pieces_of_a_large_value() -> None:
    """A repair that is needed meanwhile does not wait for its end."""
    stage, supervisor, record = with_one_large_key()
    run(stage, record, ticks=2)
    assert (record.state, record.keys) == (RUNNING, 0)
    stage.toys["b"].dbs[0][b"l"] = b"odd"
    supervisor.group.repair_later(0, [b"l"])
    run_ticks(stage, 2)
    assert stage.toys["a"].dbs[0].get(b"l") == stage.toys["b"].dbs[0].get(b"l")
    run_ticks(stage, 10)
    assert (record.state, record.keys, record.differences) == (DONE, 1, 0)


def test_a_large_value_in_the_hands_of_its_leader() -> None:
    """The next piece waits; if it is never free the key is left out."""
    for ends in (True, False):
        stage, supervisor, record = with_one_large_key()
        turns = supervisor.group.key_turns
        run(stage, record, ticks=2)
        busy = Recorded("a write", [], [(0, b"k")])
        turns.ask(busy)
        run_ticks(stage, 10)
        assert record.state == RUNNING
        if ends:
            turns.leave(busy)
        run_ticks(stage, MAX_TRIES + 10)
        assert (record.state, record.keys, record.skipped) == (DONE, 1 if ends else 0, 0 if ends else 1)


def test_it_is_put_off_when_its_leader_is_ahead_by_then() -> None:
    """Between two steps of its comparison; it comes again, small and large."""
    for size in (0, LARGE_BYTES):
        stage, supervisor, record = filled()
        for toy, value in zip(stage.toys.values(), (b"1", b"2"), strict=True):
            toy.dbs = {0: {b"k": value}}
            toy.lies = {b"MEMORY": integer(size)}
        begin(stage, record)
        turns, busy = supervisor.group.key_turns, Recorded("a write", [], [(0, b"k")])
        while not any(b"TYPE" in one.raw for one in stage.play.sent["a"]):
            for name in stage.play.sent:
                stage.step(name)
            stage.play.settle()
        turns.ask(busy)
        stage.run()
        run_ticks(stage, 3)
        assert (record.state, record.keys) == (RUNNING, 0)
        stage.toys["b"].dbs[0][b"k"] = b"1"
        turns.leave(busy)
        run_ticks(stage, 10)
        assert (record.state, record.keys, record.differences) == (DONE, 1, 0)


def test_it_is_ended_in_the_middle_of_a_large_value() -> None:
    """Late answers change nothing."""
    stage, supervisor, record = with_one_large_key()
    run(stage, record, ticks=2)
    scrub = supervisor.scrubs.scrub
    assert scrub is not None
    assert scrub.large is not None
    supervisor.scrubs.stop("enough", stage.play.executor.now, 0)
    stage.run()
    assert (record.state, record.problem) == (FAILED, "enough")


def test_turns() -> None:
    """It goes on for some batches and no faster than the pace, then others have their turn."""
    stage, supervisor, record = filled()
    for toy in stage.toys.values():
        toy.dbs[0] = {b"k%d" % number: b"v" for number in range(100)}
    run(stage, record, ticks=2)
    assert record.state == RUNNING
    assert record.keys == 20
    supervisor.scrubs.stop("enough", stage.play.executor.now, 0)

    supervisor.group.sync_keys_per_s = 10
    run(stage, record, ticks=20)
    assert record.state == RUNNING
    assert 0 < record.keys < 20


def test_writes_are_kept_back() -> None:
    """While a connection keeps writes back nothing is asked there: it would come before them."""
    stage, supervisor, record = filled()
    connection = stage.play.executor.connection(stage.play.node("b"), 2, 0)
    connection.hold(stage.play.executor.now, 60.0)
    run(stage, record)
    assert (record.state, record.keys) == (RUNNING, 0)
    connection.unhold(stage.play.executor.now)
    run_ticks(stage, 10)
    assert record.state == DONE
    assert supervisor.scrubs.scrub is None


@pytest.mark.parametrize(
    ("lies", "problem"),
    [
        ({b"INFO keyspace": bulk(b"nothing")}, "a copy gave no sensible answer to INFO keyspace"),
        ({b"SCAN": array([])}, "b gave no sensible answer to SCAN"),
        ({b"SCAN": error(b"NOPERM x")}, "NOPERM x"),
        ({b"EXISTS": error(b"NOPERM x")}, ""),
        ({b"EXEC": error(b"NOPERM x")}, "NOPERM x"),
        ({b"SELECT": error(b"ERR out")}, "not all copies have database 0 (ERR out); set 'databases' alike"),
    ],
)
def test_nonsense(lies: dict[bytes, bytes], problem: str) -> None:
    """A copy that gives no sensible answer ends it with that reason."""
    stage, supervisor, record = filled()
    stage.toys["b"].lies.update(lies)
    run(stage, record)
    assert (record.state, record.problem) == (FAILED if problem else DONE, problem)
    assert not supervisor.scrubs.is_busy()


def test_a_copy_leaves() -> None:
    """Nothing can be said any more when one of the copies falls behind."""
    stage, supervisor, record = filled("abc")
    group = supervisor.group
    begin(stage, record)
    group.mark_behind([stage.play.node("c")])
    stage.run()
    run_ticks(stage, 1)
    assert (record.state, record.problem) == (FAILED, "c fell behind meanwhile")


def test_a_copy_leaves_during_a_comparison() -> None:
    """What was found is not counted: the copy is known to differ; its late answers change nothing."""
    stage, supervisor, record = filled()
    stage.toys["b"].dbs[0][b"k1"] = b"w"
    begin(stage, record)
    scrub = until_it_compares(stage, supervisor)
    supervisor.group.mark_behind([stage.play.node("b")])
    stage.run()
    run_ticks(stage, 1)
    assert (record.state, record.differences) == (FAILED, 0)
    scrub.on_done(BatchReply(scrub, 1))
    scrub.finish("once more")
    assert scrub.problem == "b fell behind meanwhile"


def test_it_is_ended_during_a_comparison() -> None:
    """The comparison is ended, too."""
    stage, supervisor, record = filled()
    begin(stage, record)
    until_it_compares(stage, supervisor)
    assert record.cancel() == ""
    tick()(stage.play)
    stage.run()
    assert (record.state, record.problem) == (FAILED, "cancelled")


def test_the_connection_is_lost_between_two_turns() -> None:
    """A copy that does not answer any more cannot be compared."""
    stage, supervisor, record = filled()
    supervisor.group.sync_keys_per_s = 10
    run(stage, record, ticks=1)
    assert record.state == RUNNING
    lost("b")(stage.play)
    tick()(stage.play)
    stage.run()
    run_ticks(stage, 1)
    assert (record.state, record.problem) == (FAILED, "b was lost meanwhile")
