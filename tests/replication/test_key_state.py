"""The state of a key, as replies say it."""

import pytest

from kidoproxy.replication.key_state import expiry_request, parse_key_state
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
