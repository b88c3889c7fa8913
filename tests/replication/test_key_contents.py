"""The commands that rebuild a key from what a server says of it; real servers try them in the live tests."""

from typing import Final

import pytest

from kidoproxy.replication.key_contents import ARGUMENTS, rebuild_requests
from kidoproxy.resp.encode import array, bulk, integer, null

LAST_ID: Final = (bulk(b"last-generated-id"), bulk(b"1-1"))


def bulks(*words: bytes) -> bytes:
    return array([bulk(word) for word in words])


def rebuilt(kind: bytes, raw: bytes, expires_ms: int = 0, knows_counters: bool = True) -> list[bytes]:
    """The commands, each as one line."""
    requests = rebuild_requests(kind, b"k", raw, expires_ms, knows_counters)
    assert requests is not None
    return [b" ".join(argv) for argv in requests]


@pytest.mark.parametrize(
    ("kind", "raw", "commands"),
    [
        (b"string", bulk(b"v"), [b"SET k v"]),
        (b"list", bulks(b"a", b"b"), [b"RPUSH k a b"]),
        (b"set", bulks(b"a"), [b"SADD k a"]),
        (b"hash", bulks(b"f", b"1", b"g", b"2"), [b"HSET k f 1 g 2"]),
        (b"zset", bulks(b"a", b"0.5", b"b", b"inf"), [b"ZADD k 0.5 a inf b"]),
    ],
)
def test_values(kind: bytes, raw: bytes, commands: list[bytes]) -> None:
    """Whatever was there goes first, and an expiry comes last."""
    assert rebuilt(kind, raw) == [b"UNLINK k", *commands]
    assert rebuilt(kind, raw, 99) == [b"UNLINK k", *commands, b"PEXPIREAT k 99"]


@pytest.mark.parametrize("kind", [b"list", b"hash", b"zset"])
def test_many_members(kind: bytes) -> None:
    """No command has very many arguments, and none splits a pair."""
    requests = rebuild_requests(kind, b"k", bulks(*[b"%d" % at for at in range(2 * ARGUMENTS + 10)]), 0, True)
    assert requests is not None
    assert [len(argv) - 2 for argv in requests[1:]] == [ARGUMENTS, ARGUMENTS, 10]


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (b"string", null(2)),
        (b"string", integer(1)),
        (b"list", array([])),
        (b"set", array([integer(1)])),
        (b"hash", bulk(b"x")),
        (b"stream", array([])),
        (b"stream", bulk(b"x")),
        (b"stream", array([*LAST_ID, bulk(b"entries"), array([bulk(b"x")])])),
        (b"stream", array([*LAST_ID, bulk(b"entries"), array([array([null(2), bulks(b"a")])])])),
    ],
)
def test_what_makes_no_sense(kind: bytes, raw: bytes) -> None:
    """Replies of another shape are refused."""
    assert rebuild_requests(kind, b"k", raw, 0, True) is None


def stream(deleted: bytes, pel: bytes = b"pending", gone: bytes = b"1-1") -> bytes:
    """A stream of two entries, and a group in which one of them and one that is ``gone`` are pending."""
    pending = [
        array([bulk(gone), bulk(b"c"), integer(7), integer(2)]),
        array([bulk(b"2-1"), bulk(b"c"), integer(8), integer(1)]),
        array([bulk(b"odd")]),
    ]
    consumer = array([bulk(b"name"), bulk(b"c"), bulk(b"seen-time"), integer(7)])
    group = [bulk(b"name"), bulk(b"g"), bulk(b"last-delivered-id"), bulk(b"2-1"), bulk(b"entries-read"), integer(2)]
    group += [bulk(pel), array(pending), bulk(b"consumers"), array([consumer])]
    entries = array([array([bulk(b"10-1"), bulks(b"a", b"b")]), array([bulk(b"2-1"), bulks(b"a", b"c")])])
    fields = [bulk(b"last-generated-id"), bulk(b"10-2"), bulk(b"max-deleted-entry-id"), bulk(deleted)]
    fields += [bulk(b"entries-added"), integer(4), bulk(b"entries"), entries, bulk(b"groups"), array([array(group)])]
    return array(fields)


@pytest.mark.parametrize("pel", [b"pel", b"pending"])
def test_a_stream(pel: bytes) -> None:
    """What is gone is written, claimed and trimmed; then come entries, what is pending, and the counters."""
    assert rebuilt(b"stream", stream(b"1-1", pel)) == [
        b"UNLINK k",
        b"XGROUP CREATE k kidoproxy:new 0 MKSTREAM",
        b"XGROUP DESTROY k kidoproxy:new",
        b"XGROUP CREATE k g 2-1 ENTRIESREAD 2",
        b"XGROUP CREATECONSUMER k g c",
        b"XADD k 1-1  ",
        b"XCLAIM k g c 0 1-1 TIME 7 RETRYCOUNT 2 FORCE JUSTID",
        b"XTRIM k MAXLEN 0",
        b"XSETID k 0-0",
        b"XADD k 2-1 a c",
        b"XADD k 10-1 a b",
        b"XCLAIM k g c 0 2-1 TIME 8 RETRYCOUNT 1 FORCE JUSTID",
        b"XSETID k 10-2 ENTRIESADDED 4 MAXDELETEDID 1-1",
    ]


def test_a_stream_on_an_old_server() -> None:
    """Before Redis 7 there are no counters."""
    lines = rebuilt(b"stream", stream(b"0-0"), knows_counters=False)
    assert lines[-1] == b"XSETID k 10-2"
    assert b"XGROUP CREATE k g 2-1" in lines


@pytest.mark.parametrize("gone", [b"1-1", b"5-1", b"10-2"])
@pytest.mark.parametrize("deleted", [b"0-0", b"5-1"])
def test_no_entry_that_is_there_is_removed(gone: bytes, deleted: bytes) -> None:
    """Wherever the one stood that is gone, and whether the source knows what was deleted: Redis 6 did not keep that."""
    lines = rebuilt(b"stream", stream(deleted, gone=gone))
    trim = lines.index(b"XTRIM k MAXLEN 0")
    assert [line for line in lines[:trim] if line.startswith(b"XADD")] == [b"XADD k " + gone + b"  "]
    assert lines[trim + 2 : trim + 4] == [b"XADD k 2-1 a c", b"XADD k 10-1 a b"]


def test_a_stream_of_nothing() -> None:
    """A server that keeps no counters, a group of which little is known."""
    group = array([bulk(b"name"), bulk(b"g")])
    raw = array([bulk(b"last-generated-id"), bulk(b"0-0"), bulk(b"groups"), array([group])])
    assert rebuilt(b"stream", raw)[-2:] == [b"XGROUP CREATE k g 0-0", b"XSETID k 0-0"]
