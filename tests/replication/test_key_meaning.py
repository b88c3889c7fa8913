"""What a key means: equal contents in other forms are equal, and nothing else is."""

import pytest

from kidoproxy.replication.key_meaning import (
    content_request,
    field_expiry_request,
    fields_may_expire,
    length_request,
    meaning,
)
from kidoproxy.resp.encode import array, bulk, error, integer


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
    """The type in the DUMP says whether a field may expire; they are asked for in one order."""
    assert [fields_may_expire(dump) for dump in (b"\x16x", b"\x04x", b"")] == [True, False, False]
    request = field_expiry_request(b"k", bulks(b"g", b"1", b"f", b"2"))
    assert request == [b"HPEXPIRETIME", b"k", b"FIELDS", b"2", b"f", b"g"]
