"""What one node holds for a key, as its replies say it, and the commands that make another node hold the same."""

from typing import Final, final

from kidoproxy.replication.parse_replies import parse_array, parse_bulk, parse_integer
from kidoproxy.resp.decode import is_null
from kidoproxy.resp.encode import bulk
from kidoproxy.resp.scan import parse_int64
from kidoproxy.routes.topology import Node

#: The expiry of a key that does not exist.
NO_SUCH_KEY: Final = -2
#: Two clocks, and times left that are read from answers, may differ by so much; what expires so soon is expired.
ROUNDING_MS: Final = 1000
#: A DUMP ends with the version of its format (two bytes, the second one is 0) and a checksum.
_FOOTER_BYTES: Final = 10
#: Types of values from here on are others in Redis and in Valkey.
_FIRST_OWN_TYPE: Final = 22


@final
class KeyState:
    """What one node holds for a key: its DUMP (None: no such key), and its expiry in Unix milliseconds (0: never)."""

    def __init__(self, dump: bytes | None, expires_ms: int) -> None:
        self.dump = dump
        self.expires_ms = expires_ms

    def is_equal(self, other: "KeyState") -> bool:
        """Whether no difference can be seen; two clocks may round an expiry differently."""
        return is_same_dump(self.dump, other.dump) and abs(self.expires_ms - other.expires_ms) <= 1

    def restore_request(self, key: bytes) -> list[bytes]:
        """The command that makes a node hold this for ``key``."""
        if self.dump is None:
            return [b"UNLINK", key]
        return [b"RESTORE", key, b"%d" % self.expires_ms, self.dump, b"REPLACE", b"ABSTTL"]


def is_same_dump(first: bytes | None, second: bytes | None) -> bool:
    """Whether two DUMPs hold the same in the same form; those of two versions of servers end differently."""
    if first is None or second is None or first == second:
        return first == second
    if len(first) != len(second) or len(first) <= _FOOTER_BYTES or first[0] >= _FIRST_OWN_TYPE:
        return False
    return first[-9] == second[-9] == 0 and first[:-_FOOTER_BYTES] == second[:-_FOOTER_BYTES]


def one_has_expired(states: list[KeyState], now_ms: int) -> bool:
    """Whether the key is gone somewhere, and expires about now where it is not: that is no difference."""
    present = [state for state in states if state.dump is not None]
    is_partial = 0 < len(present) < len(states)
    return is_partial and all(0 < state.expires_ms <= now_ms + ROUNDING_MS for state in present)


def tells_expiry_as_moment(node: Node) -> bool:
    """Whether the server can tell a key's expiry as a moment (7.0), not only as the time left."""
    major = parse_int64(node.version.partition(b".")[0])
    return major is not None and major >= 7


def expiry_request(node: Node, key: bytes) -> list[bytes]:
    """The command for a key's expiry: as a moment where the server can tell it, as time left elsewhere."""
    return [b"PEXPIRETIME" if tells_expiry_as_moment(node) else b"PTTL", key]


def parse_key_state(request: list[bytes], dump: bytes, expiry: bytes, wall_ms: int) -> KeyState | None:
    """The replies to DUMP and to `expiry_request` as one state; None if they make no sense."""
    expiry_value = parse_integer(expiry)
    value = parse_bulk(dump)
    if expiry_value is None or expiry_value < NO_SUCH_KEY or (value is None and not is_null(dump)):
        return None
    if value is None or expiry_value == NO_SUCH_KEY:
        return KeyState(None, 0)
    if expiry_value < 0:
        return KeyState(value, 0)
    return KeyState(value, expiry_value if request[0] == b"PEXPIRETIME" else wall_ms + expiry_value)


def state_requests(node: Node, keys: list[bytes], value_requests: list[list[bytes]]) -> list[list[bytes]]:
    """For each key the command about its value (DUMP, say), and that for its expiry; for one transaction."""
    requests: list[list[bytes]] = []
    for at, key in enumerate(keys):
        requests += [value_requests[at], expiry_request(node, key)]
    return requests


def parse_key_states(
    node: Node, count: int, raw: bytes, wall_ms: int, is_length: bool = False
) -> list[KeyState] | None:
    """The reply to the transaction of `state_requests` with so many keys; None if it makes no sense.

    ``is_length``: what was asked for is not DUMP but a length; the reply to that, an error too, stands for the value.
    """
    parts = parse_array(raw) or []
    if len(parts) != 2 * count:
        return None
    found: list[KeyState] = []
    for at in range(count):
        value = bulk(parts[2 * at]) if is_length else parts[2 * at]
        state = parse_key_state(expiry_request(node, b""), value, parts[2 * at + 1], wall_ms)
        if state is None:
            return None
        found.append(state)
    return found
