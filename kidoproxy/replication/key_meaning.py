"""What a key means, where its DUMP may differ although it means the same.

A set may be stored in another order, a hash in another encoding, and a stream remembers when each node delivered an
entry. So where two DUMPs differ the content is asked for (`content_request`) and brought to one form (`meaning`).
"""

from typing import Final

from kidoproxy.replication.parse_replies import parse_array, parse_bulk

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
#: Of XINFO STREAM: when a node saw a consumer, and how it stores the entries, is its own affair.
_OF_THE_NODE: Final = (b"seen-time", b"active-time", b"radix-tree-keys", b"radix-tree-nodes")
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
    return b"".join(sorted(parts)) if kind == b"set" else raw


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


def _pending_meaning(raw: bytes) -> bytes:
    """A pending entry without its time: (id, consumer, time, count) of a group, (id, time, count) of a consumer."""
    parts = parse_array(raw) or []
    return b"".join(parts[:-2] + parts[-1:])


def fields_may_expire(dump: bytes) -> bool:
    """Whether this is a hash some of whose fields expire by themselves."""
    return dump[:1] != b"" and dump[0] in _FIELDS_EXPIRE


def field_expiry_request(key: bytes, content: bytes) -> list[bytes]:
    """The command for when the fields of a hash expire; ``content`` is the reply to its `content_request`."""
    fields = sorted([parse_bulk(raw) or b"" for raw in (parse_array(content) or [])[::2]])
    return [b"HPEXPIRETIME", key, b"FIELDS", b"%d" % len(fields), *fields]
