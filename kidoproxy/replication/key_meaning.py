"""What a key means, where its DUMP may differ although it means the same.

A set may be stored in another order, a hash in another encoding, and a stream remembers when each node delivered an
entry. So where two DUMPs differ the content is asked for (`content_request`) and brought to one form (`meaning`).
"""

from typing import Final

from kidoproxy.replication.parse_replies import parse_array, parse_bulk, parse_integer
from kidoproxy.resp.decode import is_null
from kidoproxy.resp.encode import bulk

#: By type as TYPE says it: the command for its content, and the arguments behind the key.
_CONTENT: Final[dict[bytes, tuple[list[bytes], list[bytes]]]] = {
    b"string": ([b"GET"], []),
    b"list": ([b"LRANGE"], [b"0", b"-1"]),
    b"set": ([b"SMEMBERS"], []),
    b"hash": ([b"HGETALL"], []),
    b"zset": ([b"ZRANGE"], [b"0", b"-1", b"WITHSCORES"]),
    b"stream": ([b"XINFO", b"STREAM"], [b"FULL", b"COUNT", b"0"]),
}
#: The command for its length. What is of another type, or is not there, has none.
_LENGTH: Final[dict[bytes, bytes]] = {
    b"string": b"STRLEN",
    b"list": b"LLEN",
    b"set": b"SCARD",
    b"hash": b"HLEN",
    b"zset": b"ZCARD",
    b"stream": b"XLEN",
}
#: Of XINFO STREAM: when a node saw a consumer, and how it stores the entries, is its own affair; and what follows from
#: the rest, in each version by rules of its own.
_OF_THE_NODE: Final = (b"seen-time", b"active-time", b"radix-tree-keys", b"radix-tree-nodes", b"lag")
#: What HPEXPIRETIME says of a field that is not there.
NO_SUCH_FIELD: Final = -2
#: The first byte of the DUMP of a hash some of whose fields expire (Redis 7.4 and newer, Valkey 9): RDB types.
_FIELDS_EXPIRE: Final = (22, 23, 24, 25)


def content_request(kind: bytes, key: bytes) -> list[bytes] | None:
    """The command for all that a key of this type holds; None if there is none for its type (a module's)."""
    found = _CONTENT.get(kind)
    return None if found is None else [*found[0], key, *found[1]]


def length_request(kind: bytes, key: bytes) -> list[bytes]:
    """The command for how much a key of this type holds, or whether it is there."""
    return [_LENGTH.get(kind, b"EXISTS"), key]


def meaning(kind: bytes, raw: bytes) -> bytes:
    """The reply to `content_request` without what does not matter; a reply of another shape as it is."""
    if kind == b"stream":
        return _stream_meaning(raw)
    parts = parse_array(raw)
    if parts is None:
        return raw
    if kind == b"hash":
        return b"".join(sorted([parts[at] + parts[at + 1] for at in range(0, len(parts) - 1, 2)]))
    if kind == b"zset":
        return b"".join([parts[at] if at % 2 == 0 else score_meaning(parts[at]) for at in range(len(parts))])
    return b"".join(sorted(parts)) if kind == b"set" else raw


def score_meaning(raw: bytes) -> bytes:
    """A score of a sorted set in one form: newer servers write 0.1 where older ones write 0.10000000000000001."""
    try:
        return bulk(b"%r" % float(parse_bulk(raw) or b""))
    except ValueError:
        return raw


def _stream_meaning(raw: bytes) -> bytes:
    """Entries, ids, groups, consumers, and who has how often been given what: a map as RESP2 shows it."""
    parts = parse_array(raw)
    if parts is None:
        return raw
    kept: list[bytes] = []
    for at in range(0, len(parts) - 1, 2):
        name, value = parse_bulk(parts[at]), parts[at + 1]
        if name in _OF_THE_NODE:
            continue
        if name in (b"groups", b"consumers"):
            value = b"".join([_stream_meaning(each) for each in parse_array(value) or []])
        elif name in (b"pel", b"pending"):
            value = b"".join([_pending_meaning(each) for each in parse_array(value) or []])
        kept += [parts[at], value]
    return b"".join(kept)


def group_names(raw: bytes) -> list[bytes]:
    """The names of a stream's groups in the reply to its `content_request`, or to a shorter XINFO STREAM FULL."""
    parts = parse_array(raw) or []
    groups = [parts[at + 1] for at in range(0, len(parts) - 1, 2) if parse_bulk(parts[at]) == b"groups"]
    fields = [parse_array(group) or [] for group in parse_array(groups[0]) or []] if groups else []
    return [parse_bulk(group[1]) or b"" for group in fields if len(group) > 1]


def pending_meaning(raw: bytes) -> bytes:
    """The reply to XPENDING with a range without its times; one of another shape as it is."""
    parts = parse_array(raw)
    return raw if parts is None else b"".join([_pending_meaning(each) for each in parts])


def _pending_meaning(raw: bytes) -> bytes:
    """A pending entry without its time: (id, consumer, time, count) of a group, (id, time, count) of a consumer."""
    parts = parse_array(raw) or []
    return b"".join(parts[:-2] + parts[-1:])


def fields_may_expire(dump: bytes) -> bool:
    """Whether this is a hash some of whose fields expire by themselves."""
    return dump[:1] != b"" and dump[0] in _FIELDS_EXPIRE


def field_names(contents: list[bytes]) -> list[bytes]:
    """The names of the fields that any of these replies to HGETALL has."""
    found: dict[bytes, bool] = {}
    for raw in contents:
        for name in (parse_array(raw) or [])[::2]:
            found[parse_bulk(name) or b""] = True
    return sorted(found)


def field_requests(key: bytes, names: list[bytes]) -> list[list[bytes]]:
    """The commands for the values of these fields, and for when they expire."""
    return [[b"HMGET", key, *names], [b"HPEXPIRETIME", key, b"FIELDS", b"%d" % len(names), *names]]


def fields_differ(replies: list[list[bytes]], expired_until: int) -> bool:
    """Whether copies hold other fields, by their replies to `field_requests`; what expires about now is let go."""
    rows: list[list[tuple[bytes, int]]] = []
    for values_raw, moments_raw in replies:
        values = parse_array(values_raw) or []
        moments = [parse_integer(raw) for raw in parse_array(moments_raw) or []]
        if not moments and values and all(is_null(raw) for raw in values):
            moments = [NO_SUCH_FIELD] * len(values)
        known = [moment for moment in moments if moment is not None]
        if not values or len(known) != len(values):
            return any(pair != replies[0] for pair in replies)
        rows.append(list(zip(values, known, strict=True)))
    if any(len(row) != len(rows[0]) for row in rows):
        return True
    return any(_field_differs([row[at] for row in rows], expired_until) for at in range(len(rows[0])))


def _field_differs(copies: list[tuple[bytes, int]], expired_until: int) -> bool:
    """Value and moment of one field on each copy."""
    moments = [moment for _, moment in copies]
    if all(moment == NO_SUCH_FIELD or 0 <= moment <= expired_until for moment in moments):
        return False
    return max(moments) - min(moments) > 1 or any(value != copies[0][0] for value, _ in copies)
