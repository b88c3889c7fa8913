"""What a command would answer if there were nothing: for pools that treat a node that is down as a miss.

Reads find nothing. Writes that neither ask nor depend on what was there are taken as done, and are lost. A write on
a condition (SET NX) is answered with the one honest thing that there is to say, that it was not done: a lock is not
taken, and what Django's ``add`` and ``get_or_set`` make of it is right.
Everything else (INCR, pops, pushes, scripts) has no such answer: pretending would be wrong.
"""

from typing import Final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import build
from kidoproxy.resp.open import bulk, items

NIL: Final = 0
ZERO: Final = 1
LIST: Final = 2
SET: Final = 3
MAP: Final = 4
NO_KEY: Final = 5
NO_TYPE: Final = 6
TEXT: Final = 7
NILS: Final = 8
ZEROS: Final = 9
DONE: Final = 10
NO_KEYS: Final = 11
RANK: Final = 12
SOME: Final = 13
LPOS: Final = 14
LCS: Final = 15
BIT: Final = 16
FIELDS: Final = 17
LIFETIMES: Final = 18
PLACES: Final = 19
STEP: Final = 20

_ANSWERS: Final[tuple[tuple[int, str], ...]] = (
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
        LIST,
        "lrange hkeys hvals zrange zrangebyscore zrangebylex zrevrange zrevrangebyscore zrevrangebylex "
        "xrange xrevrange zdiff zinter zunion sort_ro geosearch georadius_ro georadiusbymember_ro",
    ),
    (SET, "smembers sinter sunion sdiff"),
    (MAP, "hgetall"),
    (NO_KEY, "ttl pttl expiretime pexpiretime"),
    (NO_TYPE, "type"),
    (TEXT, "getrange substr"),
    (NILS, "hmget zmscore geohash"),
    (PLACES, "geopos"),
    (SOME, "srandmember hrandfield zrandmember"),
    (LPOS, "lpos"),
    (LCS, "lcs"),
    (BIT, "bitpos"),
    (FIELDS, "bitfield_ro"),
    (LIFETIMES, "httl hpttl hexpiretime hpexpiretime"),
    (STEP, "hscan sscan zscan"),
    (ZEROS, "smismember"),
    (NO_KEYS, "mget"),
    (DONE, "set setex psetex mset hmset"),
)

#: Options of SET: those under which it may do nothing, and those that make its reply the old value, which a null
#: would give away as none, or that hold where there is no key: then it would have been done.
CONDITIONS: Final = (b"NX", b"XX", b"IFEQ", b"IFDEQ")
UNKNOWABLE: Final = (b"GET", b"IFNE", b"IFDNE")

_KINDS: Final[dict[bytes, int]] = {name.encode(): kind for kind, names in _ANSWERS for name in names.split()}


def nothing(spec: CommandSpec, raw: bytes, proto: int) -> bytes | None:
    """The reply to the request frame ``raw`` where no key exists; None when the command has no honest one."""
    kind = _KINDS.get(spec.name, -1)
    if kind == NIL:
        return build.null(proto)
    if kind == RANK:
        scored = raw.rstrip().upper().endswith(b"WITHSCORE")
        return build.null_array(proto) if scored else build.null(proto)
    if kind == ZERO:
        return build.integer(0)
    if kind == LIST:
        return build.array([])
    if kind == SET:
        return build.setof(proto, [])
    if kind == MAP:
        return build.mapping(proto, [])
    if kind == NO_KEY:
        return build.integer(-2)
    if kind == NO_TYPE:
        return build.simple(b"none")
    if kind == TEXT:
        return build.bulk(b"")
    return by_arguments(kind, [bulk(item) for item in items(raw)], proto)


def by_arguments(kind: int, argv: list[bytes], proto: int) -> bytes | None:
    """Replies with as many items as were asked for, and writes that are taken as done."""
    if kind == NO_KEYS:
        return build.array([build.null(proto)] * (len(argv) - 1))
    if kind == NILS:
        return build.array([build.null(proto)] * (len(argv) - 2))
    if kind == ZEROS:
        return build.array([build.integer(0)] * (len(argv) - 2))
    if kind == PLACES:
        return build.array([build.null_array(proto)] * (len(argv) - 2))
    if kind == DONE:
        return done(argv, proto)
    return by_options(kind, argv, proto)


def done(argv: list[bytes], proto: int) -> bytes | None:
    """A blind write is taken as done; a SET on a condition was not done, which its null says."""
    options = [word.upper() for word in argv[3:]] if argv[0].upper() == b"SET" else []
    if any(word in UNKNOWABLE for word in options):
        return None
    return build.null(proto) if any(word in CONDITIONS for word in options) else build.OK


def by_options(kind: int, argv: list[bytes], proto: int) -> bytes | None:
    """Reads whose shape depends on their options."""
    options = [word.upper() for word in argv[2:]]
    if kind == SOME:
        return build.array([]) if options else build.null(proto)
    if kind == LPOS:
        return build.array([]) if b"COUNT" in options else build.null(proto)
    if kind == LCS:
        return lcs(options)
    if kind == BIT:
        return build.integer(0 if options[:1] == [b"0"] else -1)
    if kind == FIELDS:
        return build.array([build.integer(0)] * options.count(b"GET"))
    if kind == LIFETIMES:
        # key FIELDS number field …
        return build.array([build.integer(-2)] * (len(argv) - 4))
    if kind == STEP:
        return build.array([build.bulk(b"0"), build.array([])])
    return None


def lcs(options: list[bytes]) -> bytes | None:
    """The common part of two absent strings, or its length."""
    if b"IDX" in options:
        return None
    return build.integer(0) if b"LEN" in options else build.bulk(b"")
