"""What the arguments decide: waiting, reaching other keys, and what copies do."""

from math import inf

import pytest

from kidoproxy.commands.find import all_specs, find
from kidoproxy.commands.request_traits import (
    block_timeout,
    external_key_patterns,
    has_no_relative_expiry,
    may_block,
    replication_class,
    replication_refusal,
    target_database,
)
from kidoproxy.commands.spec import (
    COPY_ABSOLUTE_EXPIRY,
    COPY_BROADCAST,
    COPY_LEADER,
    COPY_READ,
    COPY_REFUSED,
    COPY_STREAM_WRITE,
    COPY_WAIT,
    CommandSpec,
)

CLASSES = {
    COPY_READ: """
get k
mget a b
getex k
hgetex k fields 1 ex
sort k by w_* get o_*
sort_ro k
georadius k 1 2 3 m
georadiusbymember k store 3 m
pfcount a b
bitfield k
bitfield k get u8 0 overflow wrap
xread streams a 0
eval_ro s 1 k
dbsize
touch k
""",
    COPY_BROADCAST: """
set k v
set k v nx get
set k ex
set k ex nx
set k v pxat 5
set k v exat 5 xx
set k v keepttl
set k v ifeq ex
getex k persist
getex k pxat 5
hgetex k persist fields 1 f
hsetex k fields 1 ex 10
msetex 1 k v nx
msetex 1 ex ex
del a
mset a 1
flushall
incr k
pfcount k
bitfield k get u8 0 set u8 0 1
bitfield k INCRBY u8 0 1
georadius k 1 2 3 m STORE d
sort k store d
sort k store by
sort k alpha limit 0 5 store d get x
expireat k 5
restore k 0 x
restore k 5 x absttl
script load x
""",
    COPY_ABSOLUTE_EXPIRY: """
set k v ex 10
SET k v NX PX 10
set k v get Ex 10
setex k 10 v
psetex k 10 v
getex k ex 10
hgetex k px 10 fields 1 f
hsetex k ex 10 fields 1 f v
msetex 1 k v ex 10
expire k 10
hpexpire k 10 fields 1 f
restore k 5 x replace
restore k
""",
    COPY_REFUSED: """
waitaof 1 1 0
xreadgroup group g c claim 5 streams k >
""",
    COPY_LEADER: """
spop k
eval s 1 k
evalsha s 0
fcall f 1 k
xclaim k g c 0 1-1
xautoclaim k g c 0 0
sort k by nosort store d
sort k store d by w_*
""",
    COPY_STREAM_WRITE: """
xadd k * f v
xtrim k maxlen ~ 5
""",
    COPY_WAIT: """
blpop k 0
xreadgroup group g c streams k >
""",
}

CASES = [(line, replication) for replication, text in CLASSES.items() for line in text.strip().splitlines()]


@pytest.mark.parametrize(("line", "replication"), CASES)
def test_replication_class(line: str, replication: int) -> None:
    """What copies come to by themselves is broadcast, what chance or time decides is refused with a reason."""
    argv = line.encode().split()
    spec = find(argv)
    assert spec is not None
    assert replication_class(spec, argv) == replication
    assert bool(replication_refusal(spec, argv)) == (replication == COPY_REFUSED)


def test_careful() -> None:
    """What the spec says is the most careful case that the arguments can give."""
    for line, replication in CASES:
        spec = find(line.encode().split())
        assert spec is None or replication <= spec.replication or spec.replication == COPY_REFUSED


def test_blocks() -> None:
    """XREAD blocks with BLOCK only; the others that may block always do."""
    waiting = b"blpop k 0|xread block 0 streams a 0|xreadgroup group g c BLOCK 1 streams a >|wait 0 0|bzmpop 0 1 a min"
    ready = b"get k|lpop k|xread streams block 0|xreadgroup group block block streams a >|xread count 1 streams a 0"
    for line in waiting.split(b"|"):
        spec = find(line.split())
        assert spec is not None
        assert may_block(spec, line.split())
    for line in ready.split(b"|"):
        spec = find(line.split())
        assert spec is not None
        assert not may_block(spec, line.split())


def test_external_key_patterns() -> None:
    """A pattern with a star reads keys that SORT does not name; one without reads none."""
    for line, patterns in (
        (b"sort k by w_*", [b"w_*"]),
        (b"SORT_RO k GET # GET o_*->f BY w_*", [b"o_*->f", b"w_*"]),
        (b"sort k by nosort get * store d", [b"*"]),
        (b"sort k by nosort get #", []),
        (b"sort k limit by * alpha", []),
        (b"sort k store *", []),
        (b"sort k by", []),
        (b"sort *", []),
        (b"get *", []),
    ):
        spec = find(line.split())
        assert spec is not None
        assert external_key_patterns(spec, line.split()) == patterns


def test_reasons() -> None:
    """A client whom a copy pool refuses reads why."""
    for spec in all_specs():
        assert (spec.replication == COPY_REFUSED) == bool(spec.replication_reason), spec


@pytest.mark.parametrize(
    ("line", "database"),
    [
        (b"move k 3", 3),
        (b"move k x", None),
        (b"copy a b", None),
        (b"copy a b replace", None),
        (b"copy a b replace db 7", 7),
        (b"copy a b db x replace", None),
        (b"copy a b db 3 DB 5", 5),
        (b"copy a db db 5", 5),
        (b"copy a b db", None),
        (b"copy a b db " + b"9" * 5000, None),
        (b"move k " + b"9" * 4300, None),
        (b"move k " + b"9" * 5000, None),
        (b"move k -1", None),
        (b"move k 01", None),
        (b"rename a b", None),
    ],
)
def test_other_database(line: bytes, database: int | None) -> None:
    """MOVE, and COPY with DB, write to a second database."""
    argv = line.split()
    spec = find(argv)

    assert spec is not None
    assert target_database(spec, argv) == database


PATIENCE = [
    ("blpop a b 2.5", 2.5),
    ("brpoplpush a b 0", inf),
    ("blmove a b left right 1e1", 10.0),
    ("bzmpop 3 1 a min", 3.0),
    ("bzmpop 0 1 a min", inf),
    ("xread block 1500 streams a 0", 1.5),
    ("xread count 5 block 0 streams a 0", inf),
    ("xreadgroup group g c block 20 streams a >", 0.02),
    ("wait 1 250", 0.25),
    ("waitaof 1 1 0", inf),
    ("blpop a 0x2", 2.0),
    ("blpop a 0X1p-4", 0.0625),
    ("blpop a 0x.8", 0.5),
    ("blpop a +.5", 0.5),
    ("blpop a 2.", 2.0),
    ("blpop a -0", inf),
    ("blpop a 0x0", inf),
    ("blpop a 1_0", 0.0),
    ("blpop a 0x", 0.0),
    ("blpop a 0x1p99999", 0.0),
    ("blpop a 1e400", 0.0),
    ("blpop a 9223372036854776", 0.0),
    ("blpop a -0x2", 0.0),
    ("blpop a " + "9" * 6000, 0.0),
    ("blpop a 0." + "0" * 4000 + "x", 0.0),
    ("blpop a infinity", 0.0),
    ("xread block 0x10 streams a 0", 0.0),
    ("xread block 1e1 streams a 0", 0.0),
    ("wait 1 010", 0.0),
    ("wait 1 " + "9" * 6000, 0.0),
    ("blpop a nan", 0.0),
    ("blpop a inf", 0.0),
    ("blpop a -1", 0.0),
    ("blpop a soon", 0.0),
    ("blpop", 0.0),
    ("xread block", 0.0),
]


@pytest.mark.parametrize(("line", "seconds"), PATIENCE)
def test_block_timeout(line: str, seconds: float) -> None:
    """A request's own time-out says how long its node may take; what makes no sense is refused by the node at once."""
    argv = line.encode().split()
    spec = find(argv)
    assert spec is not None
    assert block_timeout(spec, argv) == seconds


def test_block_timeout_of_a_module() -> None:
    """A module's command may wait for any time, so for ever."""
    spec = CommandSpec(("x.wait", -2, "write blocking", 1, 1, 1, "", "", (), "", "", ""))
    assert block_timeout(spec, [b"x.wait", b"k"]) == inf


@pytest.mark.parametrize(
    ("line", "sure"),
    [
        ("set k v", True),
        ("set k ?", True),
        ("set k v ?", False),
        ("set k v pxat ?", True),
        ("set k v px 5", False),
        ("getex k", True),
        ("getex k exat 5", True),
        ("getex k ?", False),
    ],
)
def test_no_relative_expiry_for_sure(line: str, sure: bool) -> None:
    """An argument that is not known may be any option, but no moment makes an expiry relative."""
    argv = line.encode().split()
    spec = find(argv)
    assert spec is not None
    assert has_no_relative_expiry(spec, argv, b"?") is sure
