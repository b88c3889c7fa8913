"""Readers of nodes' replies to the supervisor's requests.

A node may be any server, or lie. So the readers are total: a reply of another type than expected is None (or empty),
never an exception.
"""

from typing import Final

from kidoproxy.resp.decode import error_text, is_error, is_null, items, string_value, type_byte
from kidoproxy.resp.errors import sanitize_bytes
from kidoproxy.resp.scan import COLON, DOLLAR, PLUS, STAR, parse_int64

#: How INFO begins to say which databases have keys; an empty server says that much, too.
KEYSPACE_HEADING: Final = b"# Keyspace"


def first_error(replies: list[bytes]) -> str:
    """The first error among the replies, for a person; empty when there is none."""
    for raw in replies:
        if raw and is_error(raw):
            return sanitize_bytes(error_text(raw))
    return ""


def first_error_within(replies: list[bytes]) -> str:
    """The first error among the replies, or among those of a transaction, for a person; empty when there is none."""
    return first_error(replies) or next((text for raw in replies if (text := first_error(parse_array(raw) or []))), "")


def parse_status(raw: bytes) -> bytes | None:
    """The text of a simple string; None for anything else."""
    return string_value(raw) if type_byte(raw) == PLUS else None


def parse_integer(raw: bytes) -> int | None:
    """The value of an integer reply; None for anything else."""
    if type_byte(raw) != COLON:
        return None
    return parse_int64(string_value(raw))


def parse_array(raw: bytes) -> list[bytes] | None:
    """The raw items of an array; None for anything else, a null array too."""
    return None if type_byte(raw) != STAR or is_null(raw) else items(raw)


def parse_bulk(raw: bytes) -> bytes | None:
    """The bytes of a bulk string; None for anything else, a null too."""
    return None if type_byte(raw) != DOLLAR or is_null(raw) else string_value(raw)


def parse_scan_reply(raw: bytes) -> tuple[bytes, list[bytes]] | None:
    """The cursor and the keys of a reply to SCAN; None for anything else."""
    parts = parse_array(raw)
    if parts is None or len(parts) != 2:
        return None
    cursor = parse_bulk(parts[0])
    key_items = parse_array(parts[1])
    if cursor is None or not cursor.isdigit() or key_items is None:
        return None
    keys: list[bytes] = []
    for item in key_items:
        key = parse_bulk(item)
        if key is None:
            return None
        keys.append(key)
    return cursor, keys


def parse_keyspace(text: bytes) -> dict[int, int]:
    """By database, how many keys INFO says it has; lines that make no sense are passed over."""
    found: dict[int, int] = {}
    for row in text.split(b"\r\n"):
        name, _, value = row.partition(b":keys=")
        db = parse_int64(name[2:]) if name[:2] == b"db" and name[2:3] != b"-" else None
        count = parse_int64(value.partition(b",")[0])
        if db is not None and count is not None and count > 0:
            found[db] = count
    return found


def parse_clock(raw: bytes) -> int | None:
    """What TIME answered, in milliseconds; None for anything else."""
    parts = parse_array(raw) or []
    numbers = [parse_int64(parse_bulk(part) or b"") for part in parts]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        return None
    return numbers[0] * 1000 + numbers[1] // 1000
