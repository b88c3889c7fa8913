"""The cursor of a SCAN over several nodes: the node's own cursor, and the small number of the node.

A client gets one unsigned 64-bit decimal, ``own << 24 | number``. It is stateless, and since a node's number
comes from its name and its pool's alone it means the same to every worker, through another proxy, and after pools and
nodes have come or gone. ``0`` begins and ends.
"""

import hashlib
from typing import Final

from kidoproxy.resp import errors
from kidoproxy.resp.decode import is_error, items, string_value
from kidoproxy.resp.encode import array
from kidoproxy.resp.encode import bulk as build_bulk
from kidoproxy.resp.scan import parse_int64

CURSOR_ID_BITS: Final = 24
#: A node's own cursor must leave room for the number; Redis's stay far below (they are hash table indexes).
NODE_CURSOR_LIMIT: Final = 1 << (64 - CURSOR_ID_BITS)


def pack(node_cursor: int, cursor_id: int) -> bytes:
    """The cursor that the client gets."""
    return b"%d" % (node_cursor << CURSOR_ID_BITS | cursor_id)


def unpack(cursor: bytes) -> tuple[int, int] | None:
    """(own, number) of a client's cursor; None when it is not an unsigned 64-bit decimal.

    Read as ``strtoull`` reads one, and servers with it: a plus sign, zeros in front, and nothing at all for 0.
    """
    digits = cursor[1:] if cursor[:1] in (b"+", b"-") else cursor
    if cursor and not digits.isdigit():
        return None
    value = parse_uint64(digits.lstrip(b"0"))
    if value is None or (value and cursor[:1] == b"-"):
        return None
    return value >> CURSOR_ID_BITS, value & ((1 << CURSOR_ID_BITS) - 1)


def parse_uint64(digits: bytes) -> int | None:
    """An unsigned 64-bit number without zeros in front; nothing is 0, None is what does not fit."""
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
    """The number of a node, never 0. Two of one pool's nodes that have the same are refused with the configuration."""
    name = f"{pool}\0{node}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") % ((1 << CURSOR_ID_BITS) - 1) + 1
