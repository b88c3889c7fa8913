"""What a command would answer if there were nothing: for pools that treat a node that is down as a miss.

Reads find nothing. Writes that neither ask nor depend on what was there are taken as done, and are lost.
Everything else (INCR, SET NX, locks, scripts, pushes) has no such answer: pretending would be wrong.
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

_ANSWERS: Final[tuple[tuple[int, str], ...]] = (
    (NIL, "get hget lindex zscore geodist"),
    (RANK, "zrank zrevrank"),
    (
        ZERO,
        "exists strlen hexists hlen hstrlen llen scard sismember zcard zcount zlexcount getbit bitcount xlen pfcount "
        "sintercard zintercard del unlink touch expire pexpire expireat pexpireat persist "
        "publish spublish",
    ),
    (
        LIST,
        "lrange hkeys hvals zrange zrangebyscore zrangebylex zrevrange zrevrangebyscore zrevrangebylex "
        "xrange xrevrange",
    ),
    (SET, "smembers sinter sunion sdiff"),
    (MAP, "hgetall"),
    (NO_KEY, "ttl pttl expiretime pexpiretime"),
    (NO_TYPE, "type"),
    (TEXT, "getrange substr"),
    (NILS, "hmget zmscore"),
    (ZEROS, "smismember"),
    (NO_KEYS, "mget"),
    (DONE, "set setex psetex mset"),
)

#: Options of SET.
CONDITIONS: Final = (b"NX", b"XX", b"GET", b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE")

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
    if kind == DONE:
        return None if is_conditional(argv) else build.OK
    return None


def is_conditional(argv: list[bytes]) -> bool:
    """Whether a SET has an option that makes its reply depend on what was there."""
    return len(argv) > 3 and argv[0].upper() == b"SET" and any(word.upper() in CONDITIONS for word in argv[3:])
