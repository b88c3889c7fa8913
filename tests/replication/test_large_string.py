"""A large string comes over in pieces while writes go on, as one value of one point of the order of writes."""

import pytest

from kidoproxy.replication.large_string import LARGE_BYTES, MAX_ATTEMPTS, PIECE_BYTES
from kidoproxy.replication.sync import Sync
from kidoproxy.resp.encode import integer, null
from tests.replication.syncing import answer_until, hold_the_same, two_copies
from tests.story import client, lost
from tests.toy import ToyNodes

#: Two pieces and a half.
UNFINISHED = b"kidoproxy:unfinished:"
VALUE = b"%d" % 12345 * (PIECE_BYTES // 2)


def large(value: bytes = VALUE, expires: int = -1) -> tuple[ToyNodes, Sync]:
    """``big`` is at the source, which calls it larger than it is here; ``b`` is behind, and has another value."""
    stage, sync = two_copies(False)
    for name, held in (("a", value), ("b", b"old")):
        stage.toys[name].dbs = {0: {b"big": held, b"small": b"1"}}
        stage.toys[name].lies[b"MEMORY USAGE"] = integer(LARGE_BYTES)
    stage.toys["a"].until[b"big"] = expires
    sync.begin()
    return stage, sync


def has_unfinished(stage: ToyNodes) -> bool:
    return any(key.startswith(UNFINISHED) for key in stage.toys["b"].dbs[0])


def was_dumped(stage: ToyNodes) -> bool:
    return b"DUMP big" in stage.toys["a"].seen


@pytest.mark.parametrize("expires", [-1, 1_800_000_000_000])
def test_in_pieces(expires: int) -> None:
    """No request has more than a piece; the expiry comes with it, and the key of its own is gone."""
    stage, sync = large(expires=expires)
    stage.run()
    assert (sync.problem, hold_the_same(stage), was_dumped(stage)) == ("", True, False)
    assert sorted(stage.toys["b"].dbs[0]) == [b"big", b"small"]
    ranges = [line for line in stage.toys["a"].seen if line.startswith(b"GETRANGE big")]
    assert len(ranges) == 3
    last_words = (b"PEXPIREAT " + UNFINISHED, b"PERSIST " + UNFINISHED)
    renamed = [line for line in stage.toys["b"].seen if line.startswith(last_words) and b":big" in line]
    assert len(renamed) == 1
    assert (b"PEXPIREAT" in renamed[0]) is (expires > 0)
    # The next pass takes it for copied.
    assert sync.passes == 1


def test_a_write_while_it_is_read() -> None:
    """It is read once more, and again as a key that was written; other writes wait for nothing but the last step."""
    stage, sync = large()
    answer_until(stage, "a", b"GETRANGE")
    client("SET small 2")(stage.play)
    client("APPEND big x")(stage.play)
    stage.run()
    assert (sync.problem, hold_the_same(stage), was_dumped(stage)) == ("", True, False)
    assert stage.toys["b"].dbs[0] == {b"big": VALUE + b"x", b"small": b"2"}
    assert stage.toys["a"].seen.count(b"WATCH big") == 3
    assert not stage.play.connection("b").held


def test_time_goes_by_while_it_is_read() -> None:
    """However long its pieces take, the sync does not count as stalled; it would if it waited for anything else."""
    stage, sync = large()
    began_at = sync.progress_at
    sync.tick(began_at + 50.0, sync.wall_ms)
    assert sync.progress_at == began_at
    answer_until(stage, "a", b"GETRANGE")
    sync.tick(began_at + 100.0, sync.wall_ms)
    assert sync.progress_at == began_at + 100.0
    stage.run()
    assert (sync.problem, hold_the_same(stage), was_dumped(stage)) == ("", True, False)


def test_a_shorter_value_while_it_is_read() -> None:
    """A piece that is not all there tells that at once."""
    stage, sync = large()
    answer_until(stage, "a", b"GETRANGE")
    client("SET big short")(stage.play)
    stage.run()
    assert (sync.problem, hold_the_same(stage)) == ("", True)
    assert stage.toys["b"].dbs[0][b"big"] == b"short"


def test_a_key_that_is_written_all_the_time() -> None:
    """After a few attempts it is copied at one go."""
    stage, sync = large()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        while stage.toys["a"].seen.count(b"WATCH big") < attempt:
            stage.play.settle()
            stage.step("a")
            stage.step("b")
        client("APPEND big x")(stage.play)
    stage.run()
    assert (sync.problem, hold_the_same(stage), was_dumped(stage)) == ("", True, True)
    assert sorted(stage.toys["b"].dbs[0]) == [b"big", b"small"]


@pytest.mark.parametrize(
    ("name", "word", "reply"),
    [
        ("a", b"TYPE", b"+hash\r\n"),
        ("a", b"STRLEN", b":0\r\n"),
        ("a", b"WATCH", b"-NOPERM no\r\n"),
        ("b", b"SETRANGE", b"-NOPERM no\r\n"),
        ("a", b"GETRANGE", null(2)),
    ],
)
def test_what_cannot_be_copied_in_pieces(name: str, word: bytes, reply: bytes) -> None:
    """Another type, a user who may not, nonsense as an answer: it is copied at one go, and nothing is left over."""
    stage, sync = large()
    stage.toys[name].lies[word] = reply
    stage.run()
    assert (sync.problem, hold_the_same(stage), was_dumped(stage)) == ("", True, True)
    assert not has_unfinished(stage)
    assert not stage.play.connection("b").held


def test_a_key_that_is_gone_at_last() -> None:
    """What has expired when its pieces are there is removed at the target; so is what was unfinished."""
    stage, sync = large()
    stage.toys["a"].lies[b"PEXPIRETIME"] = b":-2\r\n"
    stage.run()
    assert sync.problem == ""
    assert b"big" not in stage.toys["b"].dbs[0]
    assert not has_unfinished(stage)
    assert not stage.play.connection("b").held


def test_late_pieces_of_a_sync_that_failed() -> None:
    """They go into a key that no later sync uses, so its value cannot be mixed with them."""
    stage, sync = large()
    names: list[bytes] = []
    for _ in range(2):
        answer_until(stage, "b", b"SETRANGE")
        assert sync.large_string is not None
        names.append(sync.large_string.unfinished_key)
        sync.finish("cancelled")
        stage.run()
        sync = Sync(stage.play.executor, sync.group, sync.source, sync.target, False)
        sync.begin()
    assert len(set(names)) == 2
    assert all(name.startswith(UNFINISHED) and name.endswith(b":big") for name in names)


@pytest.mark.parametrize("word", [b"GETRANGE", b"EXISTS", b"MULTI"])
@pytest.mark.parametrize("how", ["lost", "cancelled", "source behind"])
def test_it_ends_half_way(word: bytes, how: str) -> None:
    """Wherever it is: nothing is held, and the key that was there is as it was."""
    stage, sync = large()
    answer_until(stage, "a", b"GETRANGE")
    answer_until(stage, "a", word)
    if how == "lost":
        lost("a")(stage.play)
    elif how == "cancelled":
        sync.finish("cancelled")
    else:
        stage.play.pool.groups[0].elected = False
    stage.run()
    assert sync.problem
    assert not stage.play.connection("b").held
    assert stage.toys["b"].dbs[0][b"big"] == b"old"
