"""The cursor of a SCAN over several nodes: the node's own cursor and the node's cursor id in one number.

A client gets an unsigned 64-bit decimal, ``node_cursor << 24 | cursor_id``. There is no state, and a node's cursor id
depends on its name and its pool's alone, so a cursor means the same to every worker, through another proxy, and after
pools and nodes were added or removed. ``0`` begins and ends.
"""

import hashlib
from typing import Final

from kidoproxy.resp import errors
from kidoproxy.resp.decode import is_error, items, string_value
from kidoproxy.resp.encode import array
from kidoproxy.resp.encode import bulk as build_bulk
from kidoproxy.resp.scan import parse_int64

CURSOR_ID_BITS: Final = 24
#: A node's own cursor must be below this to leave room for the id; Redis's, which are hash table indexes, are.
NODE_CURSOR_LIMIT: Final = 1 << (64 - CURSOR_ID_BITS)


def pack(node_cursor: int, cursor_id: int) -> bytes:
    """The cursor that the client gets."""
    return b"%d" % (node_cursor << CURSOR_ID_BITS | cursor_id)


def unpack(cursor: bytes) -> tuple[int, int] | None:
    """``(node_cursor, cursor_id)`` of a client's cursor; None when it is not an unsigned 64-bit decimal.

    As servers do with ``strtoull``, it accepts a plus sign, leading zeros, and an empty string for 0.
    """
    digits = cursor[1:] if cursor[:1] in (b"+", b"-") else cursor
    if cursor and not digits.isdigit():
        return None
    value = parse_uint64(digits.lstrip(b"0"))
    if value is None or (value and cursor[:1] == b"-"):
        return None
    return value >> CURSOR_ID_BITS, value & ((1 << CURSOR_ID_BITS) - 1)


def parse_uint64(digits: bytes) -> int | None:
    """An unsigned number without leading zeros, 0 for an empty string; None when it has more than 64 bits."""
    value = int(digits) if 0 < len(digits) <= 20 else 0
    return value if len(digits) <= 20 and value < 1 << 64 else None


def rewrite_cursor(replies: list[bytes], cursor_id: int, next_cursor_id: int) -> bytes:
    """The one node's reply with our cursor in place of its own; when it is done, the next node's cursor begins."""
    raw = replies[0]
    if is_error(raw):
        return raw
    parts = items(raw)
    node_cursor = parse_int64(string_value(parts[0]))
    if node_cursor is None or not 0 <= node_cursor < NODE_CURSOR_LIMIT:
        return errors.cursor_overflow(string_value(parts[0]))
    if node_cursor:
        cursor = pack(node_cursor, cursor_id)
    else:
        cursor = pack(0, next_cursor_id) if next_cursor_id else b"0"
    return array([build_bulk(cursor), parts[1]])


def cursor_id_of(pool: str, node: str) -> int:
    """The id of a node, never 0. A configuration with two nodes of one pool that have the same id is refused."""
    name = f"{pool}\0{node}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") % ((1 << CURSOR_ID_BITS) - 1) + 1
