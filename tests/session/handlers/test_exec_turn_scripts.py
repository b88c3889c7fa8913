"""Scripts in transactions that a leader decides. Stories."""

from kidoproxy.resp.encode import encode_request
from tests.session.handlers.test_exec_turn import idle, known, multi, over, pair, queued, refusal, sizes, taken
from tests.story import client, copies, led_by, node, silence, story, then, to, to_client, unheard


def evaluate(text: bytes, key: str) -> bytes:
    """EVAL with one key."""
    return encode_request([b"EVAL", text, b"1", key.encode()])


def test_a_script_in_it() -> None:
    """One that depends on chance makes the leader decide."""
    pool, key, _ = pair()
    play = story(pool)
    script = evaluate(b"return redis.call('spop',KEYS[1])", key)
    play >> client("MULTI", script, "EXEC") << queued(1) << sizes("a", key)
    play << to("a", "MULTI", script, f"DUMP {key}", f"PEXPIRETIME {key}", "EXEC")
    play >> node("a", "+OK", *["+QUEUED"] * 3, "*3 $1 x $-1 :-2") << to("b", f"UNLINK {key}")
    play >> node("b", ":1") << to_client("*1 $1 x") << then(idle)


def test_a_repeatable_script_on_the_leader() -> None:
    """A script that each copy would run, behind a prologue or not, runs on the leader alone as it was sent."""
    for text in (b"return {KEYS[1], redis.call('incr', KEYS[1])}", b"return redis.call('expire', KEYS[1], 5)"):
        pool, key, other = pair()
        script = evaluate(text, other)
        values = [words for name in (key, other) for words in (f"DUMP {name}", f"PEXPIRETIME {name}")]
        (
            story(pool)
            >> client("MULTI", f"SPOP {key}", script, "EXEC") << queued(2) << sizes("a", key, other)
            << to("a", "MULTI", f"SPOP {key}", script, *values, "EXEC")
            >> node("a", "+OK", *["+QUEUED"] * 6, "*6 $1 x :1 $-1 :-2 $2 dd :77")
            << to("b", *multi(f"UNLINK {key}", f"RESTORE {other} 77 dd REPLACE ABSTTL"))
            >> node("b", "+OK", *["+QUEUED"] * 2, "*2 :1 +OK") << to_client("*2 $1 x :1") << then(idle)
        )  # fmt: skip


def test_a_script_on_the_leader_that_publishes() -> None:
    """The copy is asked that messages are published to; what decides and what is repeated alike."""
    for call in (b"", b"redis.call('spop', KEYS[1]) "):
        pool = known(copies("a", "b"))
        key = led_by(pool, "b")
        script = evaluate(call + b"redis.call('publish', 'c', 'm')", key)
        play = story(pool) >> client("MULTI", f"SPOP {key}", script, "EXEC") << queued(2) << sizes("a", key)
        play << to("a", "MULTI", f"SPOP {key}", script, f"DUMP {key}", f"PEXPIRETIME {key}", "EXEC")


def test_a_script_on_the_leader_whose_keys_are_not_known() -> None:
    """Its effect could not be told to the others: it is refused."""
    pool, key, other = pair()
    script = evaluate(b"redis.call('set', redis.call('get', KEYS[1]), 1)", other)
    play = story(pool)
    play >> client("MULTI", f"SPOP {key}", script, "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED", refusal("eval"))
    assert idle(play)


def test_it_waits_for_what_a_script_uses() -> None:
    """The keys that it computes, those that a read names; or any, if nobody knows which."""
    for text, waits in (
        (b"return redis.call('incr', KEYS[1])", False),
        (b"return redis.call('get', KEYS[1])", False),
        (b"return redis.call('get', KEYS[1] .. ':x')", True),
        (b"return redis.call('set', KEYS[1], redis.call('get', KEYS[1] .. ':x'))", True),
        (b"return redis.call('get', redis.call('get', KEYS[1]))", True),
    ):
        pool, _, other = pair()
        play = story(pool)
        turn = taken(play, f"{other}:x")
        script = evaluate(text, other)
        play >> client("MULTI", script, "EXEC") << queued(1)
        if waits:
            play << silence() >> over(turn)
        play << to("a", "MULTI", script, "EXEC") << unheard


def test_a_leader_that_may_read_any_key() -> None:
    """A transaction that the leader decides waits until nothing else is being decided, if a script of it may."""
    for text, waits in (
        ("SORT {other} GET w_*", True),
        ("SORT {other} GET #", False),
    ):
        pool, key, other = pair()
        play = story(pool)
        turn = taken(play, "w_1")
        play >> client("MULTI", f"SPOP {key}", text.format(other=other), "EXEC") << queued(2)
        if waits:
            play << silence() >> over(turn)
        play << to("a", f"MEMORY USAGE {key}")
