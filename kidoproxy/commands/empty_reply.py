"""What a command would reply if no key existed: for pools that treat a node that is down as a miss.

Reads find nothing. Writes that neither ask nor depend on what was there count as done, and are lost. A conditional
write (SET NX) is answered that it was not done, which is true: a lock is not taken, and what Django's ``add`` and
``get_or_set`` make of it is right. Everything else (INCR, pops, pushes, scripts) has no such reply.
"""

from typing import Final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import encode
from kidoproxy.resp.decode import items, string_value

# Shapes of replies.
NIL: Final = 0
ZERO: Final = 1
EMPTY_LIST: Final = 2
EMPTY_SET: Final = 3
EMPTY_MAP: Final = 4
NO_KEY_TTL: Final = 5
TYPE_NONE: Final = 6
EMPTY_STRING: Final = 7
NIL_PER_MEMBER: Final = 8
ZERO_PER_MEMBER: Final = 9
BLIND_WRITE: Final = 10
NIL_PER_KEY: Final = 11
RANK: Final = 12
RANDOM_MEMBERS: Final = 13
LPOS: Final = 14
LCS: Final = 15
BITPOS: Final = 16
BITFIELD: Final = 17
FIELD_TTLS: Final = 18
NULL_ARRAY_PER_MEMBER: Final = 19
SCAN_END: Final = 20

_COMMANDS_BY_SHAPE: Final[tuple[tuple[int, str], ...]] = (
    (
        NIL,
        "get hget lindex zscore geodist dump getex memory|usage object|encoding object|freq object|idletime "
        "object|refcount",
    ),
    (RANK, "zrank zrevrank"),
    (
        ZERO,
        "exists strlen hexists hlen hstrlen llen scard sismember zcard zcount zlexcount getbit bitcount xlen pfcount "
        "sintercard zintercard del unlink touch expire pexpire expireat pexpireat persist "
        "publish spublish setnx msetnx hsetnx",
    ),
    (
        EMPTY_LIST,
        "lrange hkeys hvals zrange zrangebyscore zrangebylex zrevrange zrevrangebyscore zrevrangebylex "
        "xrange xrevrange zdiff zinter zunion sort_ro geosearch georadius_ro georadiusbymember_ro",
    ),
    (EMPTY_SET, "smembers sinter sunion sdiff"),
    (EMPTY_MAP, "hgetall"),
    (NO_KEY_TTL, "ttl pttl expiretime pexpiretime"),
    (TYPE_NONE, "type"),
    (EMPTY_STRING, "getrange substr"),
    (NIL_PER_MEMBER, "hmget zmscore geohash"),
    (NULL_ARRAY_PER_MEMBER, "geopos"),
    (RANDOM_MEMBERS, "srandmember hrandfield zrandmember"),
    (LPOS, "lpos"),
    (LCS, "lcs"),
    (BITPOS, "bitpos"),
    (BITFIELD, "bitfield_ro"),
    (FIELD_TTLS, "httl hpttl hexpiretime hpexpiretime"),
    (SCAN_END, "hscan sscan zscan"),
    (ZERO_PER_MEMBER, "smismember"),
    (NIL_PER_KEY, "mget"),
    (BLIND_WRITE, "set setex psetex mset hmset"),
)

#: Options of SET under which it may do nothing.
CONDITIONAL_OPTIONS: Final = (b"NX", b"XX", b"IFEQ", b"IFDEQ")
#: Those that make its reply the old value, of which nothing is known, or that hold where there is no key.
UNANSWERABLE_OPTIONS: Final = (b"GET", b"IFNE", b"IFDNE")

_SHAPES: Final[dict[bytes, int]] = {name.encode(): kind for kind, names in _COMMANDS_BY_SHAPE for name in names.split()}


def empty_reply(spec: CommandSpec, raw: bytes, proto: int) -> bytes | None:
    """The reply to the request frame ``raw`` where no key exists; None if every reply might be wrong."""
    shape = _SHAPES.get(spec.name, -1)
    if shape == NIL:
        return encode.null(proto)
    if shape == RANK:
        with_score = raw.rstrip().upper().endswith(b"WITHSCORE")
        return encode.null_array(proto) if with_score else encode.null(proto)
    if shape == ZERO:
        return encode.integer(0)
    if shape == EMPTY_LIST:
        return encode.array([])
    if shape == EMPTY_SET:
        return encode.set_of(proto, [])
    if shape == EMPTY_MAP:
        return encode.mapping(proto, [])
    if shape == NO_KEY_TTL:
        return encode.integer(-2)
    if shape == TYPE_NONE:
        return encode.simple(b"none")
    if shape == EMPTY_STRING:
        return encode.bulk(b"")
    return _reply_by_arguments(shape, [string_value(item) for item in items(raw)], proto)


def _reply_by_arguments(shape: int, argv: list[bytes], proto: int) -> bytes | None:
    """Replies with as many items as were asked for, and writes that count as done."""
    if shape == NIL_PER_KEY:
        return encode.array([encode.null(proto)] * (len(argv) - 1))
    if shape == NIL_PER_MEMBER:
        return encode.array([encode.null(proto)] * (len(argv) - 2))
    if shape == ZERO_PER_MEMBER:
        return encode.array([encode.integer(0)] * (len(argv) - 2))
    if shape == NULL_ARRAY_PER_MEMBER:
        return encode.array([encode.null_array(proto)] * (len(argv) - 2))
    if shape == BLIND_WRITE:
        return _blind_write_reply(argv, proto)
    return _reply_by_options(shape, argv, proto)


def _blind_write_reply(argv: list[bytes], proto: int) -> bytes | None:
    """A blind write counts as done; a conditional SET was not done, which its null says."""
    options = [word.upper() for word in argv[3:]] if argv[0].upper() == b"SET" else []
    if any(word in UNANSWERABLE_OPTIONS for word in options):
        return None
    return encode.null(proto) if any(word in CONDITIONAL_OPTIONS for word in options) else encode.OK


def _reply_by_options(shape: int, argv: list[bytes], proto: int) -> bytes | None:
    """Reads whose shape depends on their options."""
    options = [word.upper() for word in argv[2:]]
    if shape == RANDOM_MEMBERS:
        return encode.array([]) if options else encode.null(proto)
    if shape == LPOS:
        return encode.array([]) if b"COUNT" in options else encode.null(proto)
    if shape == LCS:
        return _lcs_reply(options)
    if shape == BITPOS:
        return encode.integer(0 if options[:1] == [b"0"] else -1)
    if shape == BITFIELD:
        return encode.array([encode.integer(0)] * options.count(b"GET"))
    if shape == FIELD_TTLS:
        # key FIELDS number field …
        return encode.array([encode.integer(-2)] * (len(argv) - 4))
    if shape == SCAN_END:
        return encode.array([encode.bulk(b"0"), encode.array([])])
    return None


def _lcs_reply(options: list[bytes]) -> bytes | None:
    """The common part of two absent strings, or its length."""
    if b"IDX" in options:
        return None
    return encode.integer(0) if b"LEN" in options else encode.bulk(b"")
