"""What a key means: equal contents in other forms are equal, and nothing else is."""

import pytest

from kidoproxy.replication.key_meaning import (
    content_request,
    field_names,
    field_requests,
    fields_differ,
    fields_may_expire,
    group_names,
    length_request,
    meaning,
    pending_meaning,
)
from kidoproxy.resp.encode import array, bulk, error, integer, null


def bulks(*words: bytes) -> bytes:
    return array([bulk(word) for word in words])


@pytest.mark.parametrize(
    ("kind", "one", "other", "equal"),
    [
        (b"set", bulks(b"a", b"b"), bulks(b"b", b"a"), True),
        (b"set", bulks(b"a", b"b"), bulks(b"b", b"c"), False),
        (b"hash", bulks(b"f", b"1", b"g", b"2"), bulks(b"g", b"2", b"f", b"1"), True),
        (b"hash", bulks(b"f", b"1", b"g", b"2"), bulks(b"f", b"2", b"g", b"1"), False),
        (b"list", bulks(b"a", b"b"), bulks(b"b", b"a"), False),
        (b"zset", bulks(b"a", b"1"), bulks(b"a", b"1"), True),
        (b"zset", bulks(b"a", b"0.1", b"b", b"inf"), bulks(b"a", b"0.10000000000000001", b"b", b"inf"), True),
        (b"zset", bulks(b"a", b"0.1"), bulks(b"a", b"0.2"), False),
        (b"zset", bulks(b"a", b"x"), bulks(b"a", b"y"), False),
        (b"string", bulk(b"a"), bulk(b"b"), False),
        (b"hash", error(b"WRONGTYPE x"), bulks(), False),
        (b"stream", error(b"ERR no such key"), bulks(), False),
    ],
)
def test_contents(kind: bytes, one: bytes, other: bytes, equal: bool) -> None:
    """The order of members and fields does not matter, the order of a list does; a reply of another shape stays."""
    assert (meaning(kind, one) == meaning(kind, other)) is equal


def stream(seen: int, count: int = 1, entry: bytes = b"1-1", nodes: int = 1) -> bytes:
    """What XINFO STREAM FULL says of a stream with a group, a consumer and a pending entry."""
    group_pending = array([array([bulk(b"1-1"), bulk(b"c"), integer(seen), integer(count)])])
    pending = array([array([bulk(b"1-1"), integer(seen), integer(count)])])
    consumer = array([bulk(b"name"), bulk(b"c"), bulk(b"seen-time"), integer(seen), bulk(b"pending"), pending])
    group = array(
        [
            *[bulk(b"name"), bulk(b"g"), bulk(b"pel-count"), integer(1), bulk(b"pel"), group_pending],
            *[bulk(b"consumers"), array([consumer])],
        ]
    )
    return array(
        [
            *[bulk(b"length"), integer(1), bulk(b"radix-tree-nodes"), integer(nodes)],
            *[bulk(b"entries"), array([bulk(entry)]), bulk(b"groups"), array([group])],
        ]
    )


def test_streams() -> None:
    """When each node delivered an entry, and how it stores them, does not matter; entries and counts do."""
    assert meaning(b"stream", stream(100)) == meaning(b"stream", stream(200, nodes=2))
    assert meaning(b"stream", stream(100)) != meaning(b"stream", stream(100, count=2))
    assert meaning(b"stream", stream(100)) != meaning(b"stream", stream(100, entry=b"2-1"))
    odd = array([bulk(b"groups"), integer(1), bulk(b"pel"), integer(2)])
    assert meaning(b"stream", odd) == bulk(b"groups") + bulk(b"pel")


def test_requests() -> None:
    """Each type is read as a whole, or measured; what is of another one has no content that could be asked for."""
    assert content_request(b"zset", b"k") == [b"ZRANGE", b"k", b"0", b"-1", b"WITHSCORES"]
    assert content_request(b"ReJSON-RL", b"k") is None
    assert length_request(b"hash", b"k") == [b"HLEN", b"k"]
    assert length_request(b"none", b"k") == [b"EXISTS", b"k"]


def test_fields_that_expire() -> None:
    """The type in the DUMP says whether a field may expire; those of all copies are asked for in one order."""
    assert [fields_may_expire(dump) for dump in (b"\x16x", b"\x04x", b"")] == [True, False, False]
    names = field_names([bulks(b"g", b"1", b"f", b"2"), bulks(b"h", b"1"), error(b"WRONGTYPE x")])
    assert names == [b"f", b"g", b"h"]
    assert field_requests(b"k", names) == [
        [b"HMGET", b"k", b"f", b"g", b"h"],
        [b"HPEXPIRETIME", b"k", b"FIELDS", b"3", b"f", b"g", b"h"],
    ]


def fields(*pairs: tuple[bytes, int]) -> list[bytes]:
    """One copy's replies about its fields; an empty value is no field."""
    values = [bulk(value) if value else null(2) for value, _ in pairs]
    return [array(values), array([integer(moment) for _, moment in pairs])]


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        (fields((b"1", -1)), fields((b"1", -1)), False),
        (fields((b"1", -1)), fields((b"2", -1)), True),
        (fields((b"1", 9000)), fields((b"1", 9001)), False),
        (fields((b"1", 9000)), fields((b"1", 9002)), True),
        (fields((b"1", 9000)), fields((b"1", -1)), True),
        (fields((b"1", 9000)), fields((b"", -2)), True),
        (fields((b"1", 4000)), fields((b"", -2)), False),
        (fields((b"1", 4000)), [array([null(2)]), array([])], False),
        (fields((b"1", 4000)), [array([null(2)]), null(2)], False),
        (fields((b"1", 9000)), [array([null(2)]), array([])], True),
        (fields((b"1", -1)), fields((b"1", -1), (b"1", -1)), True),
        ([error(b"WRONGTYPE x")] * 2, [error(b"WRONGTYPE x")] * 2, False),
        ([error(b"WRONGTYPE x")] * 2, fields((b"1", -1)), True),
        ([array([bulk(b"1")]), array([bulk(b"x")])], fields((b"1", -1)), True),
    ],
)
def test_what_fields_mean(one: list[bytes], other: list[bytes], differs: bool) -> None:
    """Values and moments count, but for what expires about now (until 5000): one copy may have let it go."""
    assert fields_differ([one, other], 5000) is differs
    assert fields_differ([other, one], 5000) is differs


def test_groups_and_what_is_pending() -> None:
    """Names come from what XINFO says; what is no list of pending entries stays as it is."""
    assert group_names(stream(100)) == [b"g"]
    assert group_names(array([bulk(b"length"), integer(1)])) == []
    assert group_names(array([bulk(b"groups"), array([array([]), bulks(b"name", b"g")])])) == [b"g"]
    assert group_names(error(b"ERR no such key")) == []
    one, other = [array([array([bulk(b"1-1"), bulk(b"c"), integer(idle), integer(1)])]) for idle in (5, 70)]
    assert pending_meaning(one) == pending_meaning(other)
    assert pending_meaning(error(b"NOGROUP x")) == error(b"NOGROUP x")
