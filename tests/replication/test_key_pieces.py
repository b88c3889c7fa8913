"""The way through a large value: every part of it is asked for once, and no piece is large."""

import pytest

from kidoproxy.replication.batch_size import BATCH_BYTES
from kidoproxy.replication.key_pieces import MEMBER_BYTES, PIECE_MEMBERS, KeyPieces, has_pieces
from kidoproxy.resp.encode import array, bulk, error, integer, null

LARGE = 8 << 20


def bulks(*words: bytes) -> bytes:
    return array([bulk(word) for word in words])


def scan(cursor: bytes, *words: bytes) -> bytes:
    return array([bulk(cursor), bulks(*words)])


def entries(*ids: bytes) -> bytes:
    return array([array([bulk(each), bulks(b"f", b"v")]) for each in ids])


def test_what_can_be_read_so() -> None:
    """A module's value cannot, nor what is not there, nor what has huge members."""
    kinds = (b"string", b"list", b"hash", b"set", b"zset", b"stream")
    assert all(has_pieces(kind, 100, LARGE) for kind in kinds)
    assert not any(has_pieces(kind, 100, LARGE) for kind in (b"none", b"ReJSON-RL"))
    assert [has_pieces(kind, 1, MEMBER_BYTES + 1) for kind in kinds] == [True, *[False] * 5]


def test_a_string() -> None:
    """Ranges of bytes, the last one to its end or beyond."""
    length = 3 * BATCH_BYTES - 5
    pieces = KeyPieces(b"string", b"k", length, length)
    asked = []
    while not pieces.is_over:
        asked.append(pieces.piece_request())
        pieces.take_piece(bulk(b"x"))
    last = b"%d" % (3 * BATCH_BYTES - 1)
    assert len(asked) == 3
    assert asked[0] == [b"GETRANGE", b"k", b"0", b"%d" % (BATCH_BYTES - 1)]
    assert asked[2] == [b"GETRANGE", b"k", b"%d" % (2 * BATCH_BYTES), last]


@pytest.mark.parametrize(
    ("length", "size", "count"),
    [(LARGE, LARGE, PIECE_MEMBERS), (32, LARGE, 1), (320, LARGE, 10), (5, 10 * LARGE, 1), (0, 0, 1)],
)
def test_how_many_members(length: int, size: int, count: int) -> None:
    """As many as fill a piece on the average, at least one, and never more than a thousand."""
    assert KeyPieces(b"list", b"k", length, size).count == count


def test_a_list() -> None:
    pieces = KeyPieces(b"list", b"k", 25, LARGE)
    pieces.count = 20
    asked = []
    while not pieces.is_over:
        asked.append(pieces.piece_request())
        pieces.take_piece(bulks(b"x"))
    assert asked == [[b"LRANGE", b"k", b"0", b"19"], [b"LRANGE", b"k", b"20", b"39"]]


@pytest.mark.parametrize(
    ("kind", "words", "requests"),
    [
        (b"hash", (b"f", b"1", b"g", b"2"), [[b"HSCAN"], [b"HMGET", b"k", b"f", b"g"]]),
        (b"zset", (b"f", b"1", b"g", b"2"), [[b"ZSCAN"], [b"ZMSCORE", b"k", b"f", b"g"]]),
        (b"set", (b"f", b"g"), [[b"SSCAN"], [b"SMISMEMBER", b"k", b"f", b"g"]]),
    ],
)
def test_members_that_a_scan_finds(kind: bytes, words: tuple[bytes, ...], requests: list[list[bytes]]) -> None:
    """Each step of the scan is followed by a look at what all copies have; an empty step by the next one."""
    pieces = KeyPieces(kind, b"k", 100, 1)
    assert pieces.needs_scan
    assert pieces.scan_request() == [requests[0][0], b"k", b"0", b"COUNT", b"1000"]
    assert pieces.take_scan(scan(b"7"))
    assert pieces.scan_request()[2] == b"7"
    assert pieces.take_scan(scan(b"9", *words))
    assert (pieces.needs_scan, pieces.is_over) == (False, False)
    assert pieces.piece_request() == requests[1]
    pieces.take_piece(bulks(b"1", b"2"))
    assert (pieces.needs_scan, pieces.is_over) == (True, False)
    assert pieces.take_scan(scan(b"0", *words))
    pieces.take_piece(bulks(b"1", b"2"))
    assert pieces.is_over


def test_a_scan_that_ends_with_nothing() -> None:
    """It is over; one that makes no sense, or goes round in a circle, is said to."""
    pieces = KeyPieces(b"set", b"k", 100, 1)
    assert pieces.take_scan(scan(b"0"))
    assert pieces.is_over
    pieces = KeyPieces(b"set", b"k", 100, 1)
    assert pieces.take_scan(scan(b"5"))
    assert not pieces.take_scan(scan(b"5"))
    assert not pieces.take_scan(integer(1))


def test_all_copies_are_scanned() -> None:
    """Where one may have names that another one has not."""
    pieces = KeyPieces(b"hash", b"k", 100, 1, 2)
    assert pieces.take_scan(scan(b"0", b"f", b"1"))
    assert (pieces.copy_at, pieces.is_over) == (0, False)
    pieces.take_piece(bulks(b"1"))
    assert (pieces.copy_at, pieces.needs_scan, pieces.is_over) == (1, True, False)
    assert pieces.take_scan(scan(b"0"))
    assert pieces.is_over


def pending(count: int, idle: int, first: int = 1) -> bytes:
    """So many pending entries, which were delivered some time ago."""
    ids = [b"1-%d" % (first + at) for at in range(count)]
    return array([array([bulk(each), bulk(b"c"), integer(idle), integer(1)]) for each in ids])


def test_a_stream() -> None:
    """Its entries from id to id, then its groups, then what is pending in each; times do not matter."""
    pieces = KeyPieces(b"stream", b"k", 5, LARGE)
    pieces.count = 2
    groups = array([bulks(b"name", b"g", b"pel-count", b"1"), bulks(b"name", b"h")])
    info = array([bulk(b"length"), integer(3), bulk(b"radix-tree-keys"), integer(9), bulk(b"groups"), groups])
    full, rest = pending(PIECE_MEMBERS, 70), pending(1, 70, 2000)
    asked = []
    for raw in (entries(b"1-1", b"1-2"), entries(b"1-3"), info, full, rest, array([])):
        asked.append(pieces.piece_request())
        assert not pieces.is_over
        if raw is info:
            assert b"radix" not in pieces.meaning_of(raw)
        elif raw is rest:
            assert pieces.meaning_of(raw) == pieces.meaning_of(pending(1, 5, 2000))
            assert pieces.meaning_of(raw) != pieces.meaning_of(pending(1, 70, 2001))
        elif len(asked) < 3:
            assert pieces.meaning_of(raw) == raw
        pieces.take_piece(raw)
    assert pieces.is_over
    thousand = b"%d" % PIECE_MEMBERS
    assert asked == [
        [b"XRANGE", b"k", b"-", b"+", b"COUNT", b"2"],
        [b"XRANGE", b"k", b"(1-2", b"+", b"COUNT", b"2"],
        [b"XINFO", b"STREAM", b"k", b"FULL", b"COUNT", b"1"],
        [b"XPENDING", b"k", b"g", b"-", b"+", thousand],
        [b"XPENDING", b"k", b"g", b"(1-" + thousand, b"+", thousand],
        [b"XPENDING", b"k", b"h", b"-", b"+", thousand],
    ]


def test_a_stream_without_groups() -> None:
    """It is over when that is known."""
    pieces = KeyPieces(b"stream", b"k", 5, LARGE)
    pieces.take_piece(array([]))
    pieces.take_piece(array([bulk(b"length"), integer(0), bulk(b"groups"), array([])]))
    assert pieces.is_over


@pytest.mark.parametrize("raw", [bulk(b"x"), array([integer(1), integer(2)]), array([])])
def test_a_stream_that_is_none_any_more(raw: bytes) -> None:
    """Whatever the reply is, there is an end."""
    pieces = KeyPieces(b"stream", b"k", 5, LARGE)
    pieces.take_piece(raw)
    pieces.take_piece(raw)
    assert pieces.is_over


def test_scores_of_two_servers() -> None:
    """One writes 0.1 where the other writes 0.10000000000000001; what is no list of scores stays as it is."""
    pieces = KeyPieces(b"zset", b"k", 1, 10)
    newer, older = [array([bulk(score), null(2)]) for score in (b"0.1", b"0.10000000000000001")]
    assert pieces.meaning_of(newer) == pieces.meaning_of(older) != pieces.meaning_of(array([bulk(b"0.2"), null(2)]))
    assert pieces.meaning_of(error(b"WRONGTYPE x")) == error(b"WRONGTYPE x")
