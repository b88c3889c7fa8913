"""One large key on several copies, piece by piece: what differs is found, and nothing else."""

from collections.abc import Callable

import pytest

from kidoproxy.replication.batch import BatchReply, Callback
from kidoproxy.replication.batch_size import BATCH_BYTES
from kidoproxy.replication.large_comparison import LargeComparison
from kidoproxy.resp.encode import array, bulk, error, integer, null
from tests.replication.supervised import supervised_copies
from tests.replication.test_key_turns import Recorded
from tests.story import client, lost
from tests.toy import ToyNodes


class Heard(Callback):
    """How often a piece was compared, and what the problems were."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def on_done(self, batch_reply: BatchReply) -> None:
        self.problems.append(batch_reply.problem)


def bulks(*words: bytes) -> bytes:
    return array([bulk(word) for word in words])


def large(stage: ToyNodes, size: int = 8 << 20) -> LargeComparison:
    """Not begun yet; its scans go on connections of its own."""
    play = stage.play
    nodes = play.pool.nodes
    scans = [play.executor.new_unshared(node, 2, 0, False) for node in nodes]
    return LargeComparison(play.executor, play.pool.groups[0], nodes, scans, 0, b"k", play.proxy.wall_ms, size)


def compare(
    stage: ToyNodes, comparison: LargeComparison, between: Callable[[], object] = lambda: None
) -> tuple[bool, bool, list[str]]:
    """Until it is over: whether the copies differ, whether the contents were compared, and the problems."""
    heard = Heard()
    comparison.begin(heard)
    stage.run()
    while not comparison.is_over:
        between()
        comparison.next_piece(heard, stage.play.proxy.wall_ms)
        stage.run()
    return comparison.differs, comparison.is_complete, [problem for problem in heard.problems if problem]


def with_strings(first: bytes, second: bytes) -> ToyNodes:
    stage, _ = supervised_copies()
    for toy, value in zip(stage.toys.values(), (first, second), strict=True):
        toy.dbs[0] = {b"k": value}
    return stage


def with_members(kind: bytes, **lies: tuple[bytes, bytes]) -> ToyNodes:
    """Copies that say so of a key of this type."""
    stage = with_strings(b"x", b"y")
    for at, toy in enumerate(stage.toys.values()):
        toy.lies = {b"TYPE": b"+%b\r\n" % kind, **{name.encode(): pair[at] for name, pair in lies.items()}}
    return stage


@pytest.mark.parametrize("changed_at", [None, 0, BATCH_BYTES, 3 * BATCH_BYTES + 6])
def test_strings(changed_at: int | None) -> None:
    """A byte that differs is found wherever it is; no piece is large, and nobody is asked for a DUMP."""
    value = bytearray(b"x" * (3 * BATCH_BYTES + 7))
    other = bytearray(value)
    if changed_at is not None:
        other[changed_at] = 1
    stage = with_strings(bytes(value), bytes(other))
    comparison = large(stage)
    assert compare(stage, comparison) == (changed_at is not None, True, [])
    seen = [request.split(b" ")[0] for request in stage.toys["b"].seen]
    assert b"DUMP" not in seen
    assert seen.count(b"GETRANGE") <= 4


def test_while_it_is_written() -> None:
    """Each piece is of one point of the order, so a write between two of them makes no difference."""
    stage = with_strings(b"x" * (3 * BATCH_BYTES), b"x" * (3 * BATCH_BYTES))
    comparison = large(stage)

    def write() -> None:
        client("SET k short")(stage.play)
        stage.play.settle()
        stage.step("b", 1)

    assert compare(stage, comparison, write) == (False, True, [])
    assert stage.toys["a"].dbs[0] == stage.toys["b"].dbs[0] == {b"k": b"short"}


def test_what_is_seen_at_once() -> None:
    """Another length, and a key that one copy has not."""
    stage = with_strings(b"x", b"xy")
    assert compare(stage, large(stage)) == (True, True, [])
    stage = with_strings(b"x", b"x")
    del stage.toys["b"].dbs[0][b"k"]
    assert compare(stage, large(stage)) == (True, True, [])
    for toy in stage.toys.values():
        toy.dbs[0].clear()
    assert compare(stage, large(stage)) == (False, True, [])


@pytest.mark.parametrize("other", [b"1", b"2"])
def test_members(other: bytes) -> None:
    """Names come from a scan of the first copy, values from all."""
    names = array([bulk(b"0"), bulks(b"m", b"n")])
    stage = with_members(
        b"set",
        SCARD=(integer(2), integer(2)),
        SSCAN=(names, error(b"ERR not asked")),
        SMISMEMBER=(bulks(b"1", b"1"), bulks(b"1", other)),
    )
    assert compare(stage, large(stage)) == (other != b"1", True, [])


@pytest.mark.parametrize(("moment", "differs"), [(-1, True), (0, False), (60_000, True)])
def test_fields_that_expire(moment: int, differs: bool) -> None:
    """A field that one copy has not any more is a difference, unless it expires about now."""
    later = moment if moment < 0 else supervised_copies()[0].play.proxy.wall_ms + moment
    stage = with_members(
        b"hash",
        HLEN=(integer(1), integer(0)),
        HSCAN=(array([bulk(b"0"), bulks(b"f", b"1")]), array([bulk(b"0"), array([])])),
        HMGET=(bulks(b"1"), array([null(2)])),
        HPEXPIRETIME=(array([integer(later)]), array([integer(-2)])),
    )
    assert compare(stage, large(stage)) == (differs, True, [])
    assert any(seen.startswith(b"HSCAN") for seen in stage.toys["b"].seen) is not differs


def test_a_server_whose_fields_do_not_expire() -> None:
    """It does not know the question: what differs, differs."""
    stage = with_members(
        b"hash",
        HLEN=(integer(1), integer(1)),
        HSCAN=(array([bulk(b"0"), bulks(b"f", b"1")]),) * 2,
        HMGET=(bulks(b"1"), bulks(b"2")),
    )
    comparison = large(stage)
    heard = Heard()
    comparison.begin(heard)
    stage.run()
    comparison.next_piece(heard, 0)
    stage.run()
    comparison.next_piece(heard, 0)
    while not any(b"HPEXPIRETIME" in one.raw for one in stage.play.sent["a"]):
        stage.step("a")
        stage.step("b")
        stage.play.settle()
    for toy in stage.toys.values():
        toy.lies[b"EXEC"] = error(b"EXECABORT unknown command")
    stage.run()
    assert (comparison.differs, comparison.is_complete, comparison.is_over) == (True, True, True)


@pytest.mark.parametrize("scan", [error(b"NOPERM no"), integer(1)])
def test_a_user_who_may_not_read_in_pieces(scan: bytes) -> None:
    """Then type, length and expiry are all that was compared; the same of a module's value."""
    stage = with_members(b"set", SCARD=(integer(2), integer(2)), SSCAN=(scan, scan))
    assert compare(stage, large(stage)) == (False, False, [])
    stage = with_members(b"ReJSON-RL")
    assert compare(stage, large(stage)) == (False, False, [])


def test_in_the_hands_of_its_leader() -> None:
    """It is put off."""
    stage = with_strings(b"x", b"y")
    comparison = large(stage)
    heard = Heard()
    comparison.begin(heard)
    stage.play.pool.groups[0].key_turns.ask(Recorded("a write", [], [(0, b"k")]))
    stage.run()
    assert (comparison.is_over, comparison.put_off(), comparison.differs) == (True, [b"k"], False)


def test_a_copy_is_lost() -> None:
    """It ends with that; one that was cancelled says nothing."""
    stage = with_strings(b"x", b"x")
    comparison, cancelled, heard, silent = large(stage), large(stage), Heard(), Heard()
    comparison.begin(heard)
    cancelled.begin(silent)
    stage.run()
    comparison.next_piece(heard, 0)
    cancelled.next_piece(silent, 0)
    cancelled.cancel()
    stage.play.settle()
    stage.play.sent["b"].clear()
    lost("b")(stage.play)
    stage.run()
    assert comparison.is_over
    assert len(heard.problems) == 2
    assert "b" in heard.problems[1]
    assert silent.problems == [""]
