"""Writes that the leader decides: what it is asked, what the others are told, and what becomes of failures. Stories."""

import pytest

from kidoproxy.replication.group import BEHIND
from kidoproxy.resp.encode import encode_request
from tests.replication.decided import idle, in_sync, noted
from tests.replication.three import three
from tests.story import (
    client,
    copies,
    given,
    led_by,
    node,
    silence,
    story,
    then,
    to,
    to_client,
)


def test_decided_and_told() -> None:
    """The leader pops, the others remove what it has popped; the client hears of it when all have."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> node("a", "$1 x") << to("b", f"SREM {key} x") << to("c", f"SREM {key} x")
        >> node("c", ":1") << silence()
        >> node("b", ":1") << to_client("$1 x") << noted() << then(idle)
    )  # fmt: skip


def test_nothing_to_tell() -> None:
    """Nothing was popped, or the leader has refused it: no copy is told, the reply is the leader's."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SPOP {key}", f"SPOP {key} 2", f"SPOP {key} no") << to("a", f"SPOP {key}")
        >> node("a", "$-1") << to_client("$-1") << to("a", f"SPOP {key} 2")
        >> node("a", "*0") << to_client("*0") << to("a", f"SPOP {key} no")
        >> node("a", "-ERR value is out of range") << to_client("-ERR value is out of range") << then(idle)
    )  # fmt: skip


def test_others_wait_their_turn() -> None:
    """What is asked of the key meanwhile is sent to nobody before the others are told; other keys do not wait."""
    pool, key = three()
    other = led_by(pool, "a", 2)
    (
        story(pool)
        >> client(f"SPOP {key} 2") << to("a", f"SPOP {key} 2")
        >> client(f"SADD {key} z", f"SCARD {key}", f"SADD {other} z", name="you")
        << to("a", f"SADD {other} z") << to("b", f"SADD {other} z") << to("c", f"SADD {other} z")
        >> node("a", "*2 $1 x $1 y", ":1")
        << to("b", f"SREM {key} x y", f"SADD {key} z") << to("c", f"SREM {key} x y", f"SADD {key} z")
        << to("a", f"SADD {key} z", f"SCARD {key}")
        >> node("b", ":1", ":2", ":1") >> node("c", ":1", ":2", ":1") << to_client("*2 $1 x $1 y")
        >> node("a", ":1", ":1") << to_client(":1", ":1", ":1", name="you") << then(idle)
    )  # fmt: skip


def test_whole_keyspace() -> None:
    """FLUSHDB and what looks at all keys wait for every turn; what comes behind them waits for them."""
    pool, key = three()
    other = led_by(pool, "a", 2)
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> client("RANDOMKEY", "SCRIPT LOAD return", name="you")
        << to("a", "SCRIPT LOAD return") << to("b", "SCRIPT LOAD return") << to("c", "SCRIPT LOAD return")
        >> client(f"GET {other}", name="other")
        >> node("a", "$1 x") << to("b", f"SREM {key} x") << to("c", f"SREM {key} x")
        << to("a", "RANDOMKEY", f"GET {other}") << then(lambda play: not play.pool.groups[0].key_turns.busy)
    )  # fmt: skip


LIBRARY = b"#!lua name=lib\nredis.register_function('f', function(k) %b end)"
#: In place of the first function, which only reads, comes one that writes, and one that depends on chance.
LIBRARIES = [
    encode_request([b"FUNCTION", b"LOAD", b"REPLACE", LIBRARY % body])
    for body in (
        b"return redis.call('get', k[1])",
        b"return redis.call('incr', k[1])",
        b"return redis.call('set', k[1], tostring({}))",
    )
]
REMOVALS = ["FUNCTION FLUSH", "FUNCTION DELETE lib", "FUNCTION RESTORE dump"]


@pytest.mark.parametrize("first", LIBRARIES, ids=["reads", "writes", "chance"])
@pytest.mark.parametrize("change", [*LIBRARIES, *REMOVALS], ids=["reads", "writes", "chance", *REMOVALS])
def test_a_library_does_not_change_under_a_call(first: bytes, change: bytes | str) -> None:
    """A call that waits runs what it was planned for: the change waits for it, and what comes then for the change."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    call, spop = f"FCALL f 1 {key}", f"SPOP {key}"
    play = story(pool) >> client(first) << to("a", first) << to("b", first)
    play = play >> node("a", "$3 lib") >> node("b", "$3 lib") << to_client("$3 lib")
    play = play >> client(spop) << to("a", spop) >> client(call, change, name="you")
    assert play >> client("FCALL f 0", name="other") << silence()
    for text in ("MULTI", "FCALL f 0", "EXEC"):
        client(text, name="third")(play)
    play.settle()
    play.client("third").received = b""
    assert play << silence()
    if first is LIBRARIES[2]:
        assert play >> node("a", "$-1") << to("a", f"MEMORY USAGE {key}") << to_client("$-1") << silence()
        assert play >> node("a", "$-1") << to("a", "MULTI", call, f"DUMP {key}", f"PEXPIRETIME {key}", "EXEC")
        assert play << silence() >> node("a", "+OK", *["+QUEUED"] * 3, "*3 +OK $2 dd :-1")
        assert play << to("b", f"RESTORE {key} 0 dd REPLACE ABSTTL", change) << to("a", change)
    else:
        assert play >> node("a", "$-1") << to("a", call, change)
        assert play << (to("b", call, change) if first is LIBRARIES[1] else to("b", change))


@pytest.mark.parametrize(
    "body", ["return redis.call('incr', KEYS[1])", "return redis.call('set', KEYS[1], tostring({}))"]
)
def test_a_script_that_waits_does_not_need_its_digest(body: str) -> None:
    """SCRIPT FLUSH goes past it, and it carries its text."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    play = story(pool)
    digest = play.context.script_registry.remember(body.encode()).decode()
    call = encode_request([b"EVAL", body.encode(), b"1", key.encode()])
    play = play >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
    play = play >> client(f"EVALSHA {digest} 1 {key}", name="you") << silence()
    play = play >> client("SCRIPT FLUSH") << to("a", "SCRIPT FLUSH") << to("b", "SCRIPT FLUSH")
    if "incr" in body:
        assert play >> node("a", "$-1", "+OK") << to("a", call) << to("b", call)
    else:
        play = play >> node("a", "$-1", "+OK") << to("a", f"MEMORY USAGE {key}") << to_client("$-1")
        assert play >> node("a", ":9") << to("a", "MULTI", call, f"DUMP {key}", f"PEXPIRETIME {key}", "EXEC")


def test_a_change_of_libraries_does_not_give_up() -> None:
    """Those behind it are given up when they have waited for too long, but it is sent in its turn."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    late = "-TIMEOUT a a:6379 (earlier commands on its keys are not decided yet)"
    play = (
        story(pool) >> client(f"SPOP {key}") << to("a", f"SPOP {key}") >> client(LIBRARIES[1], f"GET {key}", name="you")
    )
    play = play >> given(lambda play: pool.groups[0].key_turns.tick(play.executor.now + 60.0)) << silence()
    assert play >> node("a", "$-1") << to("a", LIBRARIES[1]) << to("b", LIBRARIES[1]) << to_client("$-1")
    assert play >> node("a", "$3 lib") >> node("b", "$3 lib") << to_client("$3 lib", late, name="you")


def test_watched_keys() -> None:
    """A key that is popped from has changed for those who watch it, from the moment on at which the leader is asked."""
    pool, key = three()
    (
        story(pool)
        >> client(f"WATCH {key}") << to("a", f"PTTL {key}") >> node("a", ":-1") << to_client("+OK")
        >> client(f"SPOP {key}", name="you") << to("a", f"SPOP {key}")
        >> client("MULTI", "PING", "EXEC") << to_client("+OK", "+QUEUED", "*-1")
    )  # fmt: skip


def test_each() -> None:
    """PROXY EACH lists one reply for each copy."""
    pool, key = three()
    pool.groups[0].copies[2].state = BEHIND
    (
        story(pool)
        >> client(f"PROXY EACH SPOP {key}") << to("a", f"SPOP {key}")
        >> node("a", "$1 x") << to("b", f"SREM {key} x") << to("c", f"SREM {key} x")
        >> node("b", ":1") << to_client(b"*3\r\n$1\r\nx\r\n$1\r\nx\r\n-BEHIND c is not in sync; it gets writes and is "
                                        b"not read\r\n")
    )  # fmt: skip


def test_too_large() -> None:
    """Where the others would be sent more than the pool allows nothing is run; who cannot say how much may be empty."""
    pool = copies("a", "b")
    pool.groups[0].effect_max_bytes = 2 << 20
    key = led_by(pool, "a")
    text = f"SORT {key} BY w_* STORE {key}"
    play = story(pool)
    (
        play
        >> client(text)
        << to("a", f"MEMORY USAGE {key}")
        >> node("a", ":2097153")
        << to_client(
            "-ERR 'sort' is not served here: its keys are larger than 2 MiB, which the other copies would be sent"
        )
    )
    play << noted() << then(idle)
    play >> client(text) << to("a", f"MEMORY USAGE {key}") >> node("a", "-NOPERM no")
    play << to("a", "MULTI", text, f"DUMP {key}", f"PEXPIRETIME {key}", "EXEC")


def test_those_who_wait() -> None:
    """A value that the leader has stored is one that others may wait for."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    for each in pool.nodes:
        each.version = b"7.2.4"
    pop = ("MULTI", f"BLPOP {key} 0", "EXEC")
    (
        story(pool)
        >> client(f"BLPOP {key} 0", name="you") << to("a", *pop) << to("b", *pop)
        >> node("a", "+OK", "+QUEUED", "*1 *-1") >> node("b", "+OK", "+QUEUED", "*1 *-1") << silence()
        >> client(f"SORT {key} BY w_* STORE {key}") << to("a", f"MEMORY USAGE {key}") >> node("a", "$-1")
        << to("a", "MULTI", f"SORT {key} BY w_* STORE {key}", f"DUMP {key}", f"PEXPIRETIME {key}", "EXEC")
        >> node("a", "+OK", *["+QUEUED"] * 3, "*3 :1 $1 x :-1")
        << to("b", f"RESTORE {key} 0 x REPLACE ABSTTL", *pop) << to("a", *pop)
    )  # fmt: skip


def test_claims() -> None:
    """The leader says what it has claimed and when; the others claim the same, in one transaction."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"XAUTOCLAIM {key} g c 5 0 JUSTID")
        << to("a", "MULTI", f"XAUTOCLAIM {key} g c 5 0 JUSTID", "TIME", "EXEC")
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "*2 *3 $3 0-0 *1 $3 1-1 *1 $3 2-2 *2 $1 7 $4 5000")
        << to("b", "MULTI", f"XCLAIM {key} g c 0 1-1 TIME 7005 FORCE JUSTID", f"XACK {key} g 2-2", "EXEC")
        >> node("b", "+OK", "+QUEUED", "+QUEUED", "*2 *1 $3 1-1 :1")
        << to_client("*3 $3 0-0 *1 $3 1-1 *1 $3 2-2") << noted() << then(idle)
    )  # fmt: skip


def test_a_claim_that_is_refused() -> None:
    """Refused before it ran or by the command itself: the client hears why, and nobody is told."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    asked, asked_next = [to(name, "MULTI", f"XCLAIM {key} g c 5 1", "TIME", "EXEC") for name in "ab"]
    (
        story(pool)
        >> client(f"XCLAIM {key} g c 5 1") << asked
        >> node("a", "+OK", "+QUEUED", "+QUEUED", b"*2\r\n-NOGROUP no\r\n*2\r\n$1\r\n7\r\n$1\r\n0\r\n")
        << to_client("-NOGROUP no")
        >> client(f"XCLAIM {key} g c 5 1") << asked
        >> node("a", "+OK", "-ERR no", "+QUEUED", "-EXECABORT no") << to_client("-ERR no")
        >> client(f"XCLAIM {key} g c 5 1") << asked
        >> node("a", "+OK", "-NOPERM no", "+QUEUED", "-EXECABORT no") << asked_next
        >> node("b", "+OK", "-ERR no", "+QUEUED", "-EXECABORT no") << to_client("-ERR no") << in_sync("a", "b")
        >> client(f"XCLAIM {key} g c 5 1") << asked
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "-BUSY no") << asked_next
    )  # fmt: skip
