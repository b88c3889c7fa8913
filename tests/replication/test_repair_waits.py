"""A write that copies have taken differently is acknowledged when they are equal. Stories."""

from kidoproxy.replication.repair_waits import MAX_WAIT_SECONDS, RepairWaits, UnrepairedReply
from tests.replication.supervised import run_ticks, supervised_copies
from tests.story import client, copies, led_by, node, refused, story, to, to_client
from tests.toy import ToyNodes

K, L = (0, b"k"), (0, b"l")
LOST = b"-BEHIND a a:6379 (it fell behind meanwhile)"


class Reply(UnrepairedReply):
    """Notes that it has left."""

    has_left = False

    def release(self) -> None:
        self.has_left = True


def test_until_the_last_key_is_repaired() -> None:
    """Each reply for its own keys, in their order."""
    waits = RepairWaits()
    both, one = Reply([K, L]), Reply([L])
    for reply in (both, one):
        waits.hold(reply)
    waits.tick(1.0, {K: True, L: False})
    assert (both.has_left, one.has_left) == (False, False)
    waits.tick(1.1, {K: True})
    assert (both.has_left, one.has_left) == (False, True)
    waits.tick(1.1, {})
    assert both.has_left
    assert waits.waiting == []


def test_not_for_ever() -> None:
    """While a sync runs nothing is repaired: it waits for so long, counted from the first tick."""
    waits = RepairWaits()
    reply = Reply([K])
    waits.hold(reply)
    for now in (100.0, 100.0 + MAX_WAIT_SECONDS - 0.01):
        waits.tick(now, {K: True})
        assert not reply.has_left
    waits.tick(100.0 + MAX_WAIT_SECONDS, {K: True})
    assert reply.has_left


def differing() -> tuple[ToyNodes, str]:
    """Two copies whose outcomes of APPEND differ, and the key; ``a`` leads."""
    stage, _ = supervised_copies()
    key = led_by(stage.play.pool, "a")
    stage.toys["b"].dbs[0] = {key.encode(): b"xx"}
    client(f"APPEND {key} y")(stage.play)
    stage.run()
    assert heard(stage) == b""
    return stage, key


def heard(stage: ToyNodes) -> bytes:
    """What the client has been told."""
    stage.play.settle()
    return bytes(stage.play.client("me").received)


def test_a_write_that_differs() -> None:
    """The client hears of it when both copies hold the same."""
    stage, key = differing()
    run_ticks(stage)
    assert heard(stage) == b":1\r\n"
    assert stage.toys["a"].dbs == stage.toys["b"].dbs == {0: {key.encode(): b"y"}}


def test_its_copy_is_lost_before() -> None:
    """What the other one holds is not what the write came to: nobody knows its outcome."""
    stage, _ = differing()
    stage.play.shy = True
    refused("a")(stage.play)
    run_ticks(stage)
    assert heard(stage).startswith(LOST)


def test_trust_is_lost_before() -> None:
    """Nobody decides any more what is right."""
    stage, _ = differing()
    group = stage.play.pool.groups[0]
    group.lose_trust(stage.play.node("a"))
    for _ in range(2):
        group.repair_waits.tick(stage.play.executor.now, group.to_repair)
        assert heard(stage) == b""
    group.repair_waits.tick(stage.play.executor.now + MAX_WAIT_SECONDS, group.to_repair)
    assert heard(stage).startswith(LOST)


def test_nobody_repairs() -> None:
    """Without a supervisor there is nothing to wait for."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"APPEND {key} y") << to("a", f"APPEND {key} y") << to("b", f"APPEND {key} y")
        >> node("a", ":1") >> node("b", ":3") << to_client(":1")
    )  # fmt: skip
