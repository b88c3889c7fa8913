"""A real server as oracle: with one node the proxy answers every command as the node itself does, byte for byte.

Two equal servers get the same script, one of them through the proxy. What the proxy does not serve it
refuses with the documented reason; what it answers by itself has the shape of the server's own answer.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.commands.find import all_specs, find
from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.spec import DEDICATED, LOCAL, REFUSED, SESSION, SUBSCRIBE, CommandSpec
from kidoproxy.resp import errors
from tests.commands.oracle import program
from tests.live.asking import exact, first_type, lines, replies
from tests.live.conversations import CONVERSATIONS
from tests.live.proxies import Starter
from tests.live.script import DIFFER, SETUP, TYPED, WHOLE
from tests.live.script_keyed import KEYED

pytestmark = [pytest.mark.live, pytest.mark.both_builds]

HELLO: Final = {2: [b"PING"], 3: [b"HELLO", b"3"]}


class Pair:
    """A server, and an equal one behind the proxy."""

    def __init__(self, server: str, proto: int, straight: str, proxied: str, port: int) -> None:
        self.server = server
        self.proto = proto
        self.straight = straight
        self.proxied = proxied
        self.port = port

    def ask(self, requests: list[list[bytes]]) -> tuple[list[bytes], list[bytes]]:
        """What the server says, and what the proxy says, to the same requests on emptied servers."""
        for url in (self.straight, self.proxied):
            replies(url, [[b"FLUSHALL"], [b"FUNCTION", b"FLUSH"], [b"SCRIPT", b"FLUSH"]])
        both = [HELLO[self.proto], *requests]
        return replies(self.straight, both)[1:], replies(self.proxied, both)[1:]


@pytest.fixture(scope="module")
def servers(serve_proxy: Starter) -> Iterator[dict[str, Pair]]:
    """Started when they are first asked for."""
    with EmbeddedNodes() as redis, EmbeddedNodes() as valkey:
        made = {}
        for name, nodes in (("redis", redis), ("valkey", valkey)):
            straight = nodes.start(1, program(name))[0]
            proxy = serve_proxy("ring", 1, server=program(name))
            made[name] = Pair(name, 2, straight, proxy.url, proxy.port)
        yield made


@pytest.fixture(params=[(name, proto) for name in ("redis", "valkey") for proto in (2, 3)], ids=str)
def pair(request: pytest.FixtureRequest, servers: dict[str, Pair]) -> Pair:
    """Both kinds of server, with both protocols."""
    name, proto = request.param
    made = servers[name]
    return Pair(name, proto, made.straight, made.proxied, made.port)


SPECS: Final = all_specs()
#: What changes the conversation is asked in CONVERSATIONS.
TALKATIVE: Final = (b"watch", b"monitor")
#: Subscriptions are confirmed by pushes: their dialogues are in test_pubsub.py.
NOT_RELAYED: Final = (SESSION, LOCAL, SUBSCRIBE, REFUSED)
SERVED: Final = [
    spec for spec in SPECS if spec.reach not in NOT_RELAYED and not spec.reason and spec.name not in TALKATIVE
]
BY_HAND: Final = lines(KEYED) + lines(WHOLE)


def words_of(spec: CommandSpec) -> list[bytes]:
    """Its name as a client writes it."""
    return spec.name.split(b"|")


def least(spec: CommandSpec) -> list[bytes]:
    """The shortest request that has as many words as the command wants; it does not wait for long."""
    name = words_of(spec)
    words = name + [b"1"] * (abs(spec.arity) - len(name))
    if spec.timeout_position and spec.timeout_units_per_second == 1:
        words[spec.timeout_position] = b"0.01"
    return words


def generated(spec: CommandSpec) -> list[list[bytes]]:
    """Too few words, too many, and the fewest, with a key of every type at the place of the first one."""
    name = words_of(spec)
    shortest = least(spec)
    made = [shortest, [name[0].upper(), *shortest[1:]], [*name, *[b"x"] * 7]]
    if spec.arity > 0:
        made.append([*shortest, b"x"])
    if abs(spec.arity) > len(name):
        made += [name, shortest[:-1]]
    places = key_positions(spec, shortest)
    for key in TYPED if places else ():
        made.append([key.encode() if at == places[0] else word for at, word in enumerate(shortest)])
    return made


#: Single requests for which the servers differ from each other, or we from them, and why.
KNOWN: Final[dict[str, str]] = {
    "scan 1": "a cursor is the proxy's own, and one that it did not give is refused",
    "client setinfo lib-name x": "older than this command",
    "client setinfo lib-ver 1": "older than this command",
    "client setinfo lib-nothing 1": "older than this command",
    "client setinfo lib-name a b": "older than this command",
    "client list id x": "the sentence of one is not that of the other",
    "command getkeys ping": "the arity of one is not that of the other",
    "command getkeys get": "the arity of one is not that of the other",
    "multi": "inside MULTI the sentence of one is not that of the other",
    "readonly": "Valkey says +OK, Redis that it is no cluster",
    "readwrite": "Valkey says +OK, Redis that it is no cluster",
    "select 3": "a transaction stays in its database: refused inside MULTI",
}


def unequal(requests: list[list[bytes]], said: tuple[list[bytes], list[bytes]]) -> list[tuple[object, ...]]:
    """The requests whose replies differ more than they may."""
    server, proxy = said
    found: list[tuple[object, ...]] = []
    for request, right, ours in zip(requests, server, proxy, strict=False):
        spec = find(request)
        if right == ours or b" ".join(request).lower().decode("latin-1") in KNOWN:
            continue
        normal = DIFFER.get(spec.name.decode(), (exact, ""))[0] if spec is not None else exact
        if normal(right) != normal(ours) and not is_unknown_there(request, right, ours):
            found.append((request, right, ours))
    return found


def is_unknown_there(request: list[bytes], right: bytes, ours: bytes) -> bool:
    """A wrong number of words is told before a node is asked, so also for a command that the node does not have."""
    return right.startswith((b"-ERR unknown command", b"-ERR unknown subcommand")) and ours.startswith(
        (b"-ERR wrong number of arguments", b"-ERR unknown subcommand")
    )


@pytest.mark.parametrize("spec", SERVED, ids=lambda spec: spec.name.decode())
def test_every_command(pair: Pair, spec: CommandSpec) -> None:
    """Any request, right or wrong, on a key of any type, is answered as the node answers it."""
    requests = [*lines(SETUP), *generated(spec)]
    assert unequal(requests, pair.ask(requests)) == []


@pytest.mark.parametrize("script", [KEYED, WHOLE], ids=["keyed", "whole"])
def test_script(pair: Pair, script: str) -> None:
    """A script with every served command in it is answered as the node answers it."""
    requests = lines(SETUP) + lines(script)
    assert unequal(requests, pair.ask(requests)) == []


def test_script_is_complete() -> None:
    """Every served command stands in the script."""
    asked = {spec.name for request in BY_HAND if (spec := find(request)) is not None}
    assert {spec.name for spec in SERVED} - asked == set()


UNKNOWN: Final = r"""
nosuch
nosuch a b c
"no\r\nsuch" "a\r\nb" "\xff\x00"
"" x
get
get a b
GET a b
config
config nosuch
config nosuch x
CONFIG NoSuch x
object
object nosuch str
object encoding
object encoding a b
xinfo nosuch
xgroup
script
script nosuch a
memory nosuch
function nosuch
slowlog nosuch
latency nosuch
client
client nosuch
client getname x
command nosuch
pubsub nosuch
acl nosuch
cluster nosuch
module nosuch
"""


def test_unknown(pair: Pair) -> None:
    """Unknown commands and subcommands, and wrong numbers of words, get the server's own sentence."""
    long = b"0123456789" * 12
    requests = [*lines(UNKNOWN), [b"nosuch", long, b"x", long, b"y"], [long * 2, b"a"], [b"object", long * 2]]
    assert unequal(requests, pair.ask(requests)) == []


@pytest.mark.parametrize("about", CONVERSATIONS)
def test_conversation(pair: Pair, about: str) -> None:
    """What the proxy answers by itself it says in the server's words."""
    requests = lines(CONVERSATIONS[about])
    said = pair.ask(requests)
    assert len(said[0]) == len(said[1])
    assert unequal(requests, said) == []


#: Answered by the proxy about itself: the shape is the server's.
ITSELF: Final = """
hello
hello 2
hello 3
hello 3 setname me
hello 2 auth default x
time
lastsave
role
command count
command list
command info get
command docs get
command help
client id
client info
client list
client trackinginfo
client help
acl whoami
acl users
acl list
acl cat
acl cat read
acl getuser default
acl genpass
acl log
acl log 3
acl log reset
acl help
"""


def test_about_itself(pair: Pair) -> None:
    """Where the proxy speaks of itself its answer has the shape of the server's."""
    for request in lines(ITSELF):
        server, proxy = pair.ask([request])
        assert first_type(proxy[0]) == first_type(server[0]), request


def test_refused(pair: Pair) -> None:
    """What is not served is refused in one sentence with the command's name and the documented reason."""
    closed = [spec for spec in SPECS if spec.reach in (REFUSED, DEDICATED) or spec.denied_by_default]
    closed = [spec for spec in closed if spec.subcommands is None and spec.reason]
    said = replies(pair.proxied, [HELLO[pair.proto], *[least(spec) for spec in closed]])[1:]
    for spec, reply in zip(closed, said, strict=False):
        reason = f"{spec.reason}; the pool's `allow` opens it" if spec.denied_by_default else spec.reason
        assert spec.reason
        assert reply == errors.not_served(spec.name, reason)
