"""WAIT where writes are answered before all copies have them. Stories."""

from tests.replication.three import ALL, three
from tests.story import client, copies, lost, node, ring, silence, story, to, to_client


def test_wait_asks_behind_the_writes() -> None:
    """Each copy in sync is asked on the connection of the writes: its reply comes behind them."""
    pool, key = three()
    pool.groups[0].acks_needed = 1
    play = story(pool) >> client(f"SET {key} x", "WAIT 2 0")
    for name in ALL:
        assert play << to(name, f"SET {key} x")
    assert play >> node("a", "+OK") << to_client("+OK")
    for name in ALL:
        assert play << to(name, "PING")
    assert play >> node("a", "+PONG") >> node("b", "+OK", "+PONG") << silence()
    assert play >> node("c", "+OK", "+PONG") << to_client(":2")


def test_wait_counts_copies_that_missed_nothing() -> None:
    """Not one whose connection was lost, that refused the write, or that says that it serves nobody."""
    pool, key = three()
    pool.groups[0].acks_needed = 1
    play = story(pool) >> client(f"SET {key} x", "WAIT 2 0")
    for name in ALL:
        assert play << to(name, f"SET {key} x")
    assert play >> node("a", "+OK") << to_client("+OK")
    for name in ALL:
        assert play << to(name, "PING")
    assert play >> node("a", "+PONG") >> node("b", "-OOM no", "+PONG") >> lost("c") << to_client(":0")
    assert pool.groups[0].behind_names() == ["b", "c"]
    assert play >> client("WAIT 1 0") << to("a", "PING") >> node("a", "-LOADING soon") << to_client(":0")


def test_wait_in_a_transaction() -> None:
    """It waits for nothing, as in Redis: what every write has is the answer."""
    pool, _ = three()
    for acks_needed, reply in ((0, ":2"), (1, ":0"), (2, ":1"), (7, ":2")):
        pool.groups[0].acks_needed = acks_needed
        play = story(pool) >> client("MULTI", "WAIT 2 0", "EXEC")
        assert play << to_client("+OK", "+QUEUED", f"*1 {reply}"), acks_needed


def test_wait_in_a_ring_of_copies() -> None:
    """The smallest count of all shards."""
    pool = ring(copies("a", "b", "c", name="left"), copies("d", "e", name="right"))
    for group in pool.groups:
        group.acks_needed = 1
    play = story(pool) >> client("WAIT 1 0")
    for name in "abcde":
        assert play << to(name, "PING")
    for name in "abcd":
        assert play >> node(name, "+PONG") << silence()
    assert play >> node("e", "+PONG") << to_client(":1")
