"""Replies of any shape are read or said to be wrong; never an exception."""

from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replication.census import Census
from kidoproxy.replication.parse_replies import (
    first_error,
    parse_array,
    parse_bulk,
    parse_integer,
    parse_keyspace,
    parse_scan_reply,
)
from kidoproxy.resp.encode import array, bulk
from tests.strategies import replies


@given(replies())
def test_any_reply_can_be_read(raw: bytes) -> None:
    """Each reader takes each reply, of whatever type."""
    assert first_error([raw, b""]) is not None
    for read in (parse_integer, parse_bulk, parse_array, parse_scan_reply):
        read(raw)
    census = Census([])
    census.is_loaded, census.key_counts = [False], [0]
    census.on_replies(0, raw, raw)


@given(st.binary())
def test_any_keyspace(text: bytes) -> None:
    """Lines that make no sense are passed over; a number has a sane length."""
    assert all(db >= 0 and keys > 0 for db, keys in parse_keyspace(text).items())
    assert parse_keyspace(b"db3:keys=7,expires=0\r\n" + text.replace(b"\r\n", b"")).get(3) == 7


def test_keyspace_rows() -> None:
    """By database, how many keys."""
    text = b"# Keyspace\r\ndb0:keys=1,expires=0\r\ndb-1:keys=2\r\ndb12:keys=0\r\ndb2:keys=x\r\ndb3:7\r\nx:keys=1\r\n"
    assert parse_keyspace(text + b"db" + b"9" * 5000 + b":keys=1\r\n") == {0: 1}


def test_scan_reply() -> None:
    """A cursor and keys, or nothing."""
    assert parse_scan_reply(array([bulk(b"7"), array([bulk(b"k")])])) == (b"7", [b"k"])
    for raw in (
        b":1\r\n",
        b"*-1\r\n",
        array([bulk(b"7")]),
        array([bulk(b"x"), array([])]),
        array([b":7\r\n", array([])]),
        array([bulk(b"7"), bulk(b"k")]),
        array([bulk(b"7"), array([b":1\r\n"])]),
    ):
        assert parse_scan_reply(raw) is None


def test_first_error() -> None:
    """The first error among the replies, for a person."""
    assert first_error([b"+OK\r\n", b"-ERR one\r\n", b"-ERR two\r\n"]) == "ERR one"
    assert first_error([b"+OK\r\n"]) == ""
