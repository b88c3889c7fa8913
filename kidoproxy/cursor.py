"""The cursor of a SCAN over several nodes: the node's own cursor, and the small number of the node.

A client gets one unsigned 64-bit decimal, ``own << 16 | number``. It is stateless, and since a node's number
comes from its name it means the same after a reload and through another proxy. ``0`` begins and ends.
"""

from typing import Final

from kidoproxy import errors
from kidoproxy.resp.build import array
from kidoproxy.resp.build import bulk as build_bulk
from kidoproxy.resp.open import bulk, is_error, items

BITS: Final = 16
#: A node's own cursor must leave room for the number; Redis's stay far below (they are hash table indexes).
LARGEST_OWN: Final = 1 << (64 - BITS)


def pack(own: int, number: int) -> bytes:
    """The cursor that the client gets."""
    return b"%d" % (own << BITS | number)


def unpack(cursor: bytes) -> tuple[int, int] | None:
    """(own, number) of a client's cursor; None when it is not an unsigned 64-bit decimal."""
    if not cursor.isdigit() or len(cursor) > 20 or int(cursor) >= 1 << 64:
        return None
    value = int(cursor)
    return value >> BITS, value & ((1 << BITS) - 1)


def advance(raw: bytes, number: int, following: int) -> bytes:
    """A node's SCAN reply with its cursor made ours; where the node is done the ``following`` one begins."""
    if is_error(raw):
        return raw
    parts = items(raw)
    own = int(bulk(parts[0]))
    if own >= LARGEST_OWN:
        return errors.line(f"ERR cursor overflow: a node's own cursor {own} leaves no room for the node")
    if own:
        cursor = pack(own, number)
    else:
        cursor = pack(0, following) if following else b"0"
    return array([build_bulk(cursor), parts[1]])


def numbers(names: list[str]) -> list[int]:
    """A number from 1 to 65535 for each name, from the name alone unless two collide."""
    taken: set[int] = set()
    found: list[int] = []
    for name in names:
        h = 0
        for byte in name.encode("utf-8", "surrogateescape"):
            h = (h * 31 + byte) % 65535
        while h + 1 in taken:
            h = (h + 1) % 65535
        taken.add(h + 1)
        found.append(h + 1)
    return found
