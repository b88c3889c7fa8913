"""PROXY SLOWLOG, HOTKEYS and BIGKEYS: of the nodes of the client's pool, and bounded."""

import pytest

from kidoproxy.resp import errors
from kidoproxy.resp.decode import integer_value, items
from tests.session.joined import Joined
from tests.session.stage import InMemoryProxy, request, ring, say


def slow_stage() -> InMemoryProxy:
    """Twelve slow requests, and one of another pool's node."""
    stage = ring("a", "b")
    stage.executor.now = 100.0
    for number in range(12):
        stage.proxy.slow_log.add(98.5, "1.2.3.4:5", 1, "b", [b"GET", b"k%d" % number], 0.25, 1.0)
    stage.proxy.slow_log.add(98.5, "1.2.3.4:5", 77, "other", [b"GET", b"secret"], 0.0, 1.0)
    return stage


def test_the_slow_log() -> None:
    """The newest ten, or as many as are wanted, with the split of the time."""
    stage = slow_stage()
    session = stage.client()
    reply = say(session, "PROXY", "SLOWLOG")
    assert reply.startswith(b"*10\r\n")
    assert b"secret" not in reply
    seconds = (stage.proxy.wall_ms - 1500) // 1000
    assert say(session, "PROXY", "SLOWLOG", "get", "1") == (
        b"*1\r\n*16\r\n$2\r\nid\r\n:12\r\n$4\r\ntime\r\n:%d\r\n$8\r\ntotal_us\r\n:1250000\r\n$8\r\nqueue_us\r\n:250000\r\n"
        b"$7\r\nnode_us\r\n:1000000\r\n$7\r\ncommand\r\n*2\r\n$3\r\nGET\r\n$3\r\nk11\r\n$6\r\nclient\r\n$9\r\n1.2.3.4:5\r\n"
        b"$4\r\nnode\r\n$1\r\nb\r\n" % seconds
    )
    assert say(session, "PROXY", "SLOWLOG", "GET", "-1").startswith(b"*12\r\n")
    assert say(session, "PROXY", "SLOWLOG", "LEN") == b":12\r\n"
    assert say(session, "PROXY", "SLOWLOG", "RESET") == b"+OK\r\n"
    assert say(session, "PROXY", "SLOWLOG", "LEN") == b":0\r\n"
    assert len(stage.proxy.slow_log.requests) == 1


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["SLOWLOG", "NOPE"], errors.SYNTAX),
        (["SLOWLOG", "LEN", "1"], errors.SYNTAX),
        (["SLOWLOG", "GET", "1", "2"], errors.SYNTAX),
        (["SLOWLOG", "GET", "x"], errors.NOT_INTEGER),
        (["SLOWLOG", "GET", "-2"], errors.NOT_INTEGER),
        (["HOTKEYS", "x"], errors.NOT_INTEGER),
        (["HOTKEYS", "-1"], errors.NOT_INTEGER),
        (["BIGKEYS", "x"], errors.NOT_INTEGER),
    ],
)
def test_wrong_words(words: list[str], error: bytes) -> None:
    """As in Redis."""
    assert say(ring("a").client(), "PROXY", *words) == error


def test_hot_and_big_keys() -> None:
    """The hottest and the largest first, with their node."""
    stage = ring("a", "b")
    for _ in range(3):
        stage.node("a").traffic.hot_keys.add(b"hot")
    stage.node("a").traffic.hot_keys.add(b"rare")
    for _ in range(2):
        stage.node("b").traffic.hot_keys.add(b"warm")
    session = stage.client()
    assert say(session, "PROXY", "HOTKEYS", "1") == (
        b"*1\r\n*8\r\n$3\r\nkey\r\n$3\r\nhot\r\n$4\r\nnode\r\n$1\r\na\r\n$7\r\npercent\r\n:75\r\n$7\r\nsamples\r\n:3\r\n"
    )
    assert say(session, "PROXY", "HOTKEYS").startswith(b"*2\r\n")
    stage.node("a").traffic.big_keys.note(b"big", 5)
    stage.node("b").traffic.big_keys.note(b"bigger", 6)
    assert say(session, "PROXY", "BIGKEYS", "1") == (
        b"*1\r\n*6\r\n$3\r\nkey\r\n$6\r\nbigger\r\n$4\r\nnode\r\n$1\r\nb\r\n$5\r\nbytes\r\n:6\r\n"
    )
    assert say(session, "PROXY", "BIGKEYS").startswith(b"*2\r\n")


@pytest.mark.parametrize("proto", [2, 3])
def test_what_several_workers_have_seen(proto: int) -> None:
    """The newest of all, sums of samples and shares, the largest; a reset is one of all, or says PARTIAL."""
    joined = Joined(slow_stage(), slow_stage())
    here, there = joined.stages
    me = here.client()
    say(me, "HELLO", str(proto))
    there.proxy.slow_log.add(99.0, "1.2.3.4:6", 1, "a", [b"GET", b"newest"], 0.25, 1.0)
    rows = [items(row) for row in items(joined.say(me, "PROXY", "SLOWLOG", "GET", "-1"))]
    ids = [integer_value(row[1]) for row in rows]
    assert (len(ids), len(set(ids))) == (25, 25)
    newest = joined.say(me, "PROXY", "SLOWLOG", "GET", "1")
    assert b"newest" in newest
    assert newest.startswith(b"*1\r\n%8\r\n" if proto == 3 else b"*1\r\n*16\r\n")
    assert joined.say(me, "PROXY", "SLOWLOG", "LEN") == b":25\r\n"
    for stage, times in ((here, 3), (there, 2)):
        for _ in range(times):
            stage.node("a").traffic.hot_keys.add(b"hot")
        stage.node("a").traffic.hot_keys.add(b"rare")
        stage.node("b").traffic.big_keys.note(b"big", times)
    (hot,) = items(joined.say(me, "PROXY", "HOTKEYS", "1"))
    assert items(hot)[5] == b":71\r\n"
    assert items(hot)[7] == b":5\r\n"
    (big,) = items(joined.say(me, "PROXY", "BIGKEYS"))
    assert items(big)[5] == b":3\r\n"
    joined.silent = {1}
    assert joined.say(me, "PROXY", "SLOWLOG", "RESET").startswith(b"-PARTIAL 'proxy|slowlog' reached 1 of 2 workers")
    joined.silent = set()
    assert joined.say(me, "PROXY", "SLOWLOG", "RESET") == b"+OK\r\n"
    assert joined.say(me, "PROXY", "SLOWLOG", "LEN") == b":0\r\n"


def test_large_requests_and_replies_are_noted() -> None:
    """Whichever way they come: whole, in pieces, as a reply; a write's reply and what has no key are not."""
    stage = ring("a")
    conn = stage.connection("a")
    session = stage.client()
    megabyte = "x" * (1 << 20)
    session.feed(request("SET", "set", megabyte))
    session.feed(request("APPEND", "get", "x"))
    session.feed(request("GET", "get"))
    conn.take_output()
    conn.feed(b"+OK\r\n$2000000\r\n" + b"x" * 1_500_000, 0.0)
    conn.feed(b"x" * 500_000 + b"\r\n$1999999\r\n" + b"x" * 1_800_000, 0.0)
    big = stage.node("a").traffic.big_keys.sizes
    assert set(big) == {b"set", b"get"}
    assert big[b"set"] >= 1 << 20
    assert 1_800_000 <= big[b"get"] < 2_000_000
    say(session, "PROXY", "NODE", "a", "SET", "whole", megabyte)
    assert b"whole" in big
    for size in (100_000, 3 << 20):
        pieces = request("SET", f"pieces{size}", "x" * size)
        for start in range(0, len(pieces), 60_000):
            session.feed(pieces[start : start + 60_000])
    assert b"pieces100000" not in big
    assert big[b"pieces3145728"] >= 2 << 20
