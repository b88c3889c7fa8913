"""Writes that are answered before every copy has them (the setting ``ack``). Stories."""

import pytest

from kidoproxy.replication.write import CopyWrite
from kidoproxy.replies.aggregate import AggregateSlot
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.plan import Gather, Send, WriteScope
from kidoproxy.routes.route import RequestContext, WallClock
from tests.replication.three import ALL, three
from tests.story import Story, client, given, lost, node, silence, story, then, tick, to, to_client


def three_with(acks_needed: int, min_in_sync: int = 1) -> tuple[Story, str]:
    """Three copies that have got SET of a key which ``a`` leads."""
    pool, key = three(min_in_sync=min_in_sync)
    pool.groups[0].acks_needed = acks_needed
    play = story(pool) >> client(f"SET {key} x")
    for name in ALL:
        assert play << to(name, f"SET {key} x")
    return play, key


def test_leader_acknowledges() -> None:
    """The leader's reply is the answer; whoever misses the write afterwards is behind, and the journal learns of it."""
    play, key = three_with(1)
    group = play.pool.groups[0]
    assert play >> node("b", "+OK") << silence() >> node("a", "+OK") << to_client("+OK")
    assert group.open_writes
    assert play >> client(f"GET {key}") << to("a", f"GET {key}") >> node("a", "$1 x") << to_client("$1 x")
    assert play >> lost("c") << silence() << then(lambda _: group.behind_names() == ["c"])
    assert (group.open_writes, group.to_repair) == (0, {})


def test_quorum_acknowledges() -> None:
    """Two of three, the leader one of them; a reply that differs is seen afterwards."""
    play, key = three_with(2)
    group = play.pool.groups[0]
    assert play >> node("c", "+OK") << silence() >> node("a", "+OK") << to_client("+OK")
    assert play >> node("b", "$-1") << silence()
    assert (group.mismatches, group.to_repair, group.open_writes) == (1, {(0, key.encode()): True}, 0)


def test_quorum_without_the_leader() -> None:
    """What the others have is no answer while the leader may have it: it is asked for the key."""
    play, _ = three_with(2)
    assert play >> node("b", "+OK") >> node("c", "+OK") << silence() >> tick(0.6) << to_client("+OK")
    assert play.pool.groups[0].behind_names() == ["a"]


def test_unfit_leader() -> None:
    """A leader that refuses it does not acknowledge it, nor one that has fallen behind meanwhile."""
    play, _ = three_with(1)
    assert play >> node("a", "-OOM no") >> node("b", "+OK") << silence() >> node("c", "+OK") << to_client("+OK")
    play, _ = three_with(1)
    assert (
        play >> given(lambda play: play.pool.groups[0].mark_behind([play.node("a")])) >> node("a", "+OK") << silence()
    )
    assert play >> node("b", "+OK") >> node("c", "+OK") << to_client("+OK")


def test_a_copy_that_failed_before_the_answer() -> None:
    """It is behind, and that is on disk, before the client hears of the write."""
    play, _ = three_with(2)
    group = play.pool.groups[0]
    journal: list[list[str]] = []
    group.journal = lambda group: journal.append(group.behind_names())
    assert play >> node("b", "-OOM no") >> node("a", "+OK") << silence() << then(lambda _: not journal)
    assert play >> node("c", "+OK") << silence() << then(lambda _: journal == [["b"]])
    assert play >> given(lambda _: group.durability.on_recorded(1)) << to_client("+OK")
    play, _ = three_with(1)
    group = play.pool.groups[0]
    group.journal = lambda group: journal.append(group.behind_names())
    assert play >> node("b", "-OOM no") >> node("a", "+OK") << silence()
    assert play >> given(lambda _: group.durability.on_recorded(1)) << to_client("+OK") >> node("c", "+OK") << silence()


def test_acknowledged_by_a_leader_that_left() -> None:
    """The write stands on no copy that counts: the client has its answer, and the copies are compared."""
    play, key = three_with(1)
    group = play.pool.groups[0]
    assert play >> node("a", "+OK") << to_client("+OK")
    assert play >> given(lambda play: group.mark_behind([play.node("a")])) >> lost("b") >> lost("c") << silence()
    assert (group.to_repair, group.open_writes) == ({(0, key.encode()): True}, 0)


def test_min_in_sync_acknowledges() -> None:
    """As many as ``min_in_sync`` must have it in any case; all that there are, if there are no more."""
    pool, key = three(behind="c", min_in_sync=2)
    pool.groups[0].acks_needed = 2
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x") << to("c", f"SET {key} x")
        >> node("a", "+OK") << silence() >> node("b", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_a_list_of_replies_needs_all() -> None:
    """PROXY EACH shows every node's reply."""
    pool, key = three()
    pool.groups[0].acks_needed = 1
    play = story(pool) >> client(f"PROXY EACH SET {key} x")
    for name in ALL:
        assert play << to(name, f"SET {key} x")
    assert play >> node("a", "+OK") >> node("b", "+OK") << silence() >> node("c", "+OK")
    assert play << to_client("*3 +OK +OK +OK")


def test_transactions_are_acknowledged_early() -> None:
    """EXEC is answered when the first copy has run it; what the others say to each command is seen afterwards."""
    pool, key = three()
    group = pool.groups[0]
    group.acks_needed = 1
    sent = ("MULTI", f"INCR {key}", f"GET {key}", "EXEC")
    play = story(pool) >> client("MULTI", f"INCR {key}", f"GET {key}", "EXEC")
    assert play << to_client("+OK", "+QUEUED", "+QUEUED")
    for name in ALL:
        assert play << to(name, *sent)
    assert play >> node("a", "+OK", "+QUEUED", "+QUEUED", "*2 :1 $1 1") << to_client("*2 :1 $1 1")
    for name, count in (("b", 1), ("c", 2)):
        assert play >> node(name, "+OK", "+QUEUED", "+QUEUED", f"*2 :{count} $1 {count}")
    assert play << silence()
    assert (group.mismatches, group.open_writes) == (1, 0)


def test_a_comparison_that_fails_after_the_answer() -> None:
    """The client gets no other answer; the copies may differ, and are repaired."""
    pool, _ = three()
    group = pool.groups[0]
    group.acks_needed = 1
    replies = ReplyQueue(TurnWork())
    plan = Gather([Send(one) for one in pool.nodes], 0, group=group, write=WriteScope([b"k"], False, None, [], None))
    write = CopyWrite(replies.open_pending(None), plan, group, RequestContext(0, 2, False, False, WallClock(0)))
    write.set_reply(0, b"+OK\r\n")
    assert replies.take_output() == [b"+OK\r\n"]
    AggregateSlot(write, 1).abort(NodeFailure("BADREPLY", "b", "b:6379", "a bug", True), False)
    write.set_reply(2, b"+OK\r\n")
    assert (replies.take_output(), group.to_repair, group.open_writes) == ([], {(0, b"k"): True}, 0)


@pytest.mark.parametrize("count", [1, 3])
def test_a_write_keeps_the_rules_by_which_it_began(count: int) -> None:
    """What is asked of writes while it is under way counts for the next one."""
    pool, key = three(min_in_sync=4 - count)
    group = pool.groups[0]
    play = story(pool) >> client(f"SET {key} x")
    for name in ALL:
        assert play << to(name, f"SET {key} x")
    group.min_in_sync, group.acks_needed = count, count
    assert play >> node("a", "+OK") << silence()
    if count == 3:
        assert play >> node("b", "-MISCONF no") >> node("c", "-MISCONF no") << to_client("+OK")
    else:
        assert play >> node("b", "+OK") >> node("c", "-MISCONF no")
        assert play << to_client("-NOREPLICAS the write was applied on a, b only, 3 copies are wanted")
