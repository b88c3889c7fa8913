"""The state of a key, as replies say it."""

from typing import Final

import pytest

from kidoproxy.replication.key_state import (
    KeyState,
    expiry_request,
    one_has_expired,
    parse_key_state,
    parse_key_states,
    state_requests,
)
from kidoproxy.resp.encode import array, bulk, error, integer, null
from kidoproxy.routes.topology import Node


@pytest.mark.parametrize(
    ("version", "name"), [(b"7.0.15", b"PEXPIRETIME"), (b"10.1", b"PEXPIRETIME"), (b"6.2.1", b"PTTL"), (b"", b"PTTL")]
)
def test_expiry_request(version: bytes, name: bytes) -> None:
    """A moment where the server can say it, time left elsewhere."""
    server = Node(0, "a", "a:6379", 1)
    server.version = version

    assert expiry_request(server, b"k") == [name, b"k"]


@pytest.mark.parametrize(
    ("dump", "expiry", "found"),
    [
        (b"$1\r\nv\r\n", b":123\r\n", (b"v", 123, 1123)),
        (b"$1\r\nv\r\n", b":-1\r\n", (b"v", 0, 0)),
        (b"$1\r\nv\r\n", b":-2\r\n", (None, 0, 0)),
        (b"$-1\r\n", b":-2\r\n", (None, 0, 0)),
        (b"_\r\n", b":-1\r\n", (None, 0, 0)),
        (b"$1\r\nv\r\n", b":-3\r\n", None),
        (b"$1\r\nv\r\n", b"+OK\r\n", None),
        (b":1\r\n", b":-1\r\n", None),
        (b"*0\r\n", b":-1\r\n", None),
        (b"-ERR no\r\n", b":-1\r\n", None),
        (b"$1\r\nv\r\n", b":9999999999999999999999999\r\n", None),
    ],
)
def test_the_state_of_a_key(dump: bytes, expiry: bytes, found: tuple[bytes | None, int, int] | None) -> None:
    """A value and a moment, however it was asked for; a key that has just expired is none, and never lives for ever."""
    for name, at in ((b"PEXPIRETIME", 1), (b"PTTL", 2)):
        held = parse_key_state([name, b"k"], dump, expiry, 1000)
        assert (None if held is None else (held.dump, held.expires_ms)) == (
            None if found is None else (found[0], found[at])
        )


def test_several_keys_in_one_transaction() -> None:
    """Value and expiry of each; a reply of another shape makes no sense as a whole."""
    server = Node(0, "a", "a:6379", 1)
    server.version = b"7.2"
    keys, dumps = [b"k", b"l"], [[b"DUMP", b"k"], [b"DUMP", b"l"]]
    requests = state_requests(server, keys, dumps)
    assert requests == [dumps[0], [b"PEXPIRETIME", b"k"], dumps[1], [b"PEXPIRETIME", b"l"]]
    raw = array([bulk(b"v"), integer(5), null(2), integer(-2)])
    states = parse_key_states(server, 2, raw, 1000)
    assert states is not None
    assert [(state.dump, state.expires_ms) for state in states] == [(b"v", 5), (None, 0)]
    for nonsense in (
        array([bulk(b"v"), integer(5)]),
        error(b"NOPERM"),
        array([bulk(b"v"), bulk(b"x"), *[integer(-2)] * 2]),
    ):
        assert parse_key_states(server, 2, nonsense, 1000) is None


def test_lengths() -> None:
    """A length, or the error of a key that is of another type, stands for the value."""
    server = Node(0, "a", "a:6379", 1)
    raw = array([integer(7), integer(-1), error(b"WRONGTYPE x"), integer(-1)])
    states = parse_key_states(server, 2, raw, 1000, True)
    assert states is not None
    assert [state.dump for state in states] == [integer(7), error(b"WRONGTYPE x")]


@pytest.mark.parametrize(
    ("states", "expired"),
    [
        ([KeyState(b"v", 1500), KeyState(None, 0)], True),
        ([KeyState(None, 0), KeyState(b"v", 2000)], True),
        ([KeyState(b"v", 2001), KeyState(None, 0)], False),
        ([KeyState(b"v", 0), KeyState(None, 0)], False),
        ([KeyState(b"v", 1500), KeyState(b"v", 1500)], False),
        ([KeyState(None, 0), KeyState(None, 0)], False),
        ([KeyState(b"v", 1500), KeyState(b"w", 0), KeyState(None, 0)], False),
    ],
)
def test_one_has_expired(states: list[KeyState], expired: bool) -> None:
    """The key is gone somewhere, and where it is not it expires about now, at 1000."""
    assert one_has_expired(states, 1000) is expired


OF_REDIS_7: Final = b"\x00\x01v\x0a\x00checksum"


@pytest.mark.parametrize(
    ("other", "is_equal"),
    [
        (OF_REDIS_7, True),
        (b"\x00\x01v\x50\x00another!", True),
        (b"\x00\x01w\x50\x00another!", False),
        (b"\x00\x01v\x50\x01another!", False),
        (b"\x00\x01vv\x50\x00another!", False),
        (None, False),
    ],
)
def test_the_footers_of_two_versions(other: bytes | None, is_equal: bool) -> None:
    """The same value in DUMPs of two servers is no difference: a sync would find new ones as long as keys are made."""
    assert KeyState(OF_REDIS_7, 0).is_equal(KeyState(other, 0)) is is_equal
    assert KeyState(other, 0).is_equal(KeyState(OF_REDIS_7, 0)) is is_equal
    assert not KeyState(b"\x16" + OF_REDIS_7, 0).is_equal(KeyState(b"\x16\x00\x01v\x50\x00another!", 0))
    assert not KeyState(b"\x00" * 10, 0).is_equal(KeyState(b"\x00" * 9 + b"\x01", 0))
