"""What waits for its turn at a key: nothing of it is sent before, and it is sent as it must be then. Stories."""

from tests.replication.test_key_turns import Recorded
from tests.story import TICK, WALL_MS, Story, client, copies, given, led_by, node, silence, story, tick, to, to_client


def taken(play: Story, key: str, db: int = 0) -> Recorded:
    """Somebody has a turn at this key."""
    turn = Recorded("other", [], [(db, key.encode())])
    play.pool.groups[0].key_turns.ask(turn)
    return turn


def test_an_expiry_counts_from_the_sending() -> None:
    """A relative expiry counts from when the write is sent; other payloads stay what they are."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    play = story(pool)
    turn = taken(play, key)
    later = WALL_MS + 10_000 + round(TICK * 1000)
    (
        play
        >> client(f"SET {key} v EX 10", f"SET {key} v", f"EVALSHA {'0' * 40} 0") << to_client() << silence()
        >> tick(TICK)
        >> given(lambda play: play.pool.groups[0].key_turns.leave(turn))
        << to("a", f"SET {key} v PXAT {later}", f"SET {key} v") << to("b", f"SET {key} v PXAT {later}", f"SET {key} v")
        >> node("a", "+OK", "+OK") >> node("b", "+OK", "+OK")
        << to_client("+OK", "+OK", "-NOSCRIPT No matching script. Please use EVAL.")
    )  # fmt: skip


def test_a_script_waits_for_all_keys() -> None:
    """What may write to keys that are not known waits for every turn; so does what is sent in another form."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    text = "return redis.call('SET',redis.call('GET',KEYS[1]),1)"
    play = story(pool)
    turn = taken(play, key)
    eval_request = b"*4\r\n$4\r\nEVAL\r\n$%d\r\n%b\r\n$1\r\n1\r\n$1\r\nk\r\n" % (len(text), text.encode())
    (
        play
        >> client(eval_request) << silence()
        >> given(lambda play: play.pool.groups[0].key_turns.leave(turn))
        << to("a", eval_request) << to("b", eval_request)
    )  # fmt: skip


def test_two_databases() -> None:
    """MOVE waits for the key in both databases, COPY within one for both of its keys."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    play = story(pool)
    turn = taken(play, key, 3)
    (
        play
        >> client(f"MOVE {key} 3") << silence()
        >> client(f"MOVE {key} 2", name="you") << silence()
        >> given(lambda play: play.pool.groups[0].key_turns.leave(turn))
        << to("a", f"MOVE {key} 3", f"MOVE {key} 2") << to("b", f"MOVE {key} 3", f"MOVE {key} 2")
    )  # fmt: skip


def test_too_many() -> None:
    """There is a bound; beyond, nothing is sent and the client hears so."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    play = story(pool)
    taken(play, key)
    pool.groups[0].key_turns.waiting_count = 200_000
    (
        play
        >> client(f"SET {key} v")
        << to_client("-OVERLOADED a a:6379 (too many commands wait for others on the same keys)")
    )  # fmt: skip


def test_too_late() -> None:
    """Nothing is sent of what was given up; the client's requests are in flight until then, by their bytes."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    play = story(pool)
    turns = pool.groups[0].key_turns
    turn = taken(play, key)
    replies = play.client("me").session.replies
    play >> client(f"SET {key} {'v' * 200_000}", f"GET {key}")
    assert replies.in_flight_bytes() >= 200_000
    turns.tick(play.executor.now + 1.0)
    late = "-TIMEOUT a a:6379 (earlier commands on its keys are not decided yet)"
    play << to_client(late, late)
    assert replies.in_flight_bytes() == 0
    turns.leave(turn)
    play << silence()
