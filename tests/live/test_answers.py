"""Answers that are made here look like a real server's: COMMAND, patterns, and what an empty server says."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from kidoproxy.commands.command_reply import command_reply
from kidoproxy.commands.empty_reply import empty_reply
from kidoproxy.commands.find import COMMANDS, all_specs, find
from kidoproxy.commands.glob import matches
from kidoproxy.commands.module_commands import parse_command_info
from kidoproxy.resp.decode import is_null, items, string_value, type_byte
from kidoproxy.resp.encode import array, encode_request
from kidoproxy.resp.reply_reader import ReplyReader
from tests.commands.oracle import SERVERS, ask, running

pytestmark = [pytest.mark.live, pytest.mark.both_builds]

PATTERNS = rb"* c*g get h?et [gs]et [^g]et [a-m]et [m-a]et *|* \g\e\t [g [] [^] ** *e*t* g[e-]t ge\ [\g]et".split()

#: Requests for keys that are not there.
MISSES = """
get k|hget k f|lindex k 0|zscore k m|zrank k m|zrevrank k m|geodist k a b|exists k|strlen k|hexists k f|hlen k|llen k
scard k|sismember k m|zcard k|zcount k 0 1|zlexcount k - +|getbit k 0|bitcount k|xlen k|pfcount k|sintercard 1 k
zintercard 1 k|del k|unlink k|touch k|expire k 9|pexpire k 9|expireat k 9|pexpireat k 9|persist k|lrange k 0 -1|hkeys k
hvals k|zrange k 0 -1|zrangebyscore k 0 1|zrangebylex k - +|zrevrange k 0 -1|zrevrangebyscore k 1 0|zrevrangebylex k + -
xrange k - +|xrevrange k + -|smembers k|sinter k|sunion k|sdiff k|hgetall k|ttl k|pttl k|expiretime k|pexpiretime k
type k|getrange k 0 -1|substr k 0 -1|hmget k f g|zmscore k a b|smismember k a b|mget a b|set k v|setex k 9 v
psetex k 9 v|mset a 1 b 2|hstrlen k f|set k v ex 9|set k v xx|hmset k f v|getex k|dump k|memory usage k
object encoding k|object idletime k|object refcount k|geohash k a b|geopos k a b|srandmember k|srandmember k 2|lpos k x
hrandfield k|hrandfield k 2|hrandfield k 2 withvalues|zrandmember k|zrandmember k 2|zrandmember k 2 withscores
lpos k x count 2|lcs a b|lcs a b len|bitpos k 1|bitpos k 0|bitpos k 0 1 2|bitfield_ro k get u8 0 get i8 9|hscan k 0
sscan k 0|zscan k 0 match * count 5|zdiff 1 k|zinter 1 k withscores|zunion 1 k|sort_ro k
geosearch k fromlonlat 1 1 byradius 1 m asc|georadius_ro k 1 1 1 m
hexpiretime k fields 1 f|hpexpiretime k fields 1 f|httl k fields 2 f g
hpttl k fields 1 f
"""


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each server."""
    with running(request.param) as client:
        yield client


class Wire:
    """A connection that shows raw replies, in one protocol."""

    def __init__(self, client: Any, proto: int) -> None:
        self.reader = ReplyReader()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(client.connection_pool.connection_kwargs["path"])
        self.raw([b"HELLO", b"%d" % proto])

    def raw(self, argv: list[bytes]) -> bytes:
        """The reply as it came."""
        self.socket.sendall(encode_request(argv))
        while True:
            reply = self.reader.next()
            if reply is not None:
                return reply
            self.reader.feed(self.socket.recv(1 << 20))


@pytest.fixture(params=[2, 3])
def wire(server: Any, request: pytest.FixtureRequest) -> Iterator[tuple[Wire, int]]:
    """A raw connection and its protocol."""
    found = Wire(server, request.param)
    yield found, request.param
    found.socket.close()


def shape(raw: bytes) -> Any:
    """A reply without the order of its items."""
    if is_null(raw):
        return None
    if chr(type_byte(raw)) in "*~%":
        return chr(type_byte(raw)), sorted((shape(item) for item in items(raw)), key=repr)
    return chr(type_byte(raw)), string_value(raw)


def places(entry: bytes) -> list[str]:
    """Where this entry of COMMAND INFO says that the keys are."""
    spec = parse_command_info(array([entry]))
    assert spec is not None
    return [repr(key) for key in spec.key_specs]


def test_command_info(server: Any, wire: tuple[Wire, int]) -> None:
    """Every command's entry has a real server's fields, types and key specifications."""
    said, proto = wire
    alike = 0
    for name in COMMANDS:
        theirs = items(said.raw([b"COMMAND", b"INFO", name]))[0]
        if is_null(theirs):
            continue
        ours = items(command_reply([b"COMMAND", b"INFO", name], proto))[0]
        our_fields, their_fields = items(ours), items(theirs)
        assert [type_byte(field) for field in our_fields[:9]] == [type_byte(field) for field in their_fields[:9]], name
        # Versions differ in a few flags, hints and arities; where the keys are is the same in all of them.
        assert places(ours) == places(theirs), name
        assert our_fields[3:6] == their_fields[3:6], name
        alike += shape(our_fields[2]) == shape(their_fields[2])
    assert alike > 200


def test_command_docs(wire: tuple[Wire, int]) -> None:
    """Maps of maps, as theirs."""
    said, proto = wire
    for argv in ([b"COMMAND", b"DOCS", b"xgroup"], [b"COMMAND", b"DOCS", b"nonsense"]):
        ours, theirs = command_reply(argv, proto), said.raw(argv)
        assert type_byte(ours) == type_byte(theirs)
        assert items(ours)[:1] == items(theirs)[:1]
        for one, other in zip(items(ours)[1:2], items(theirs)[1:2], strict=True):
            assert type_byte(one) == type_byte(other)
            assert items(one)[0] == items(other)[0]


@pytest.mark.parametrize(
    "line",
    [
        "getkeysandflags set a b",
        "getkeysandflags set a b get",
        "getkeysandflags bitfield a get u8 0",
        "getkeysandflags bitfield a set u8 0 1",
        "getkeysandflags sort a store b",
        "getkeysandflags xread streams a b 0 0",
        "getkeysandflags zunionstore d 2 a b",
        "getkeysandflags georadius a 1 2 3 m store b",
        "getkeysandflags lmove a b left right",
        "getkeysandflags del a b",
        "getkeys nonsense a b",
        "getkeys ping a b c",
        "getkeys get a b c",
        "list filterby aclcat nonsense",
        "list filterby nonsense x",
        "info nonsense",
        "nonsense",
    ],
)
def test_same(wire: tuple[Wire, int], line: str) -> None:
    """The very same reply, error sentences included; the order in a set is nobody's."""
    said, proto = wire
    argv = [b"COMMAND", *line.encode().split()]
    assert shape(command_reply(argv, proto)) == shape(said.raw(argv))


def test_patterns(server: Any) -> None:
    """The same keys match as for KEYS, odd patterns included."""
    names = [spec.name for spec in all_specs()] + [b"[", b"ge\\", b"^et", b"g-t"]
    for name in names:
        server.execute_command("SET", name, "")
    for pattern in PATTERNS:
        assert sorted(server.execute_command("KEYS", pattern)) == sorted(
            {name for name in names if matches(pattern, name)}
        ), pattern


@pytest.mark.parametrize("line", MISSES.strip().replace("\n", "|").split("|"))
def test_misses(server: Any, wire: tuple[Wire, int], line: str) -> None:
    """A node that is taken for empty answers as an empty server does."""
    said, proto = wire
    argv = line.encode().split()
    spec = find(argv)
    assert spec is not None
    ask(server, [b"FLUSHALL"])
    real = said.raw(argv)
    # Redis 7.0 does not know times to live of fields; Valkey is asked too.
    assert empty_reply(spec, encode_request(argv), proto) == real or real.startswith(b"-ERR unknown command")
