"""What a request costs grows as the request does: every command, n and 4n times as long, in every situation.

Two measures, since neither sees all: the lines that the proxy's own code runs, which is exact (and nothing where it is
compiled); and, for requests that are long, the processor's time, which sees what one line does to a long list. A cost
that grows with the square is sixteen times as much; the bounds lie far from both that and what is right.
"""

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import pytest

from kidoproxy.commands.acl import Acl
from kidoproxy.commands.find import all_specs
from kidoproxy.commands.spec import DEDICATED, FIND_KEYNUM, REFUSED, SUBSCRIBE, CommandSpec
from kidoproxy.resp.encode import array, bulk, encode_request
from kidoproxy.resp.request_reader import RequestReader
from kidoproxy.resp.request_scanner import RequestLimits
from kidoproxy.session.users import User, Users, password_digest
from kidoproxy.upstream import connection
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.states import CONNECTING
from tests.session.stage import InMemoryProxy, copies, ring

#: Whether the code under test runs in lines.
INTERPRETED: Final = str(connection.__file__).endswith(".py")

#: What four times as much may cost: four times as much, and a little for what is done once in a while.
LINES: Final = 4.6
SECONDS: Final = 9.0
#: What a busy machine may add; a square of these lengths takes far more.
SLACK: Final = 0.05
#: Words of the shorter request, and of one whose time is taken.
WORDS: Final = 24
LONG: Final = 2000


class Meter:
    """Lines and seconds that the proxy's own code has run."""

    def __init__(self) -> None:
        self.lines = 0
        self.seconds = 0.0
        self.counts = True

    def run(self, work: Callable[[], object]) -> None:
        """Do this, measured."""
        before = sys.gettrace()
        if self.counts:
            sys.settrace(self.called)
        began = time.process_time()
        try:
            work()
        finally:
            self.seconds += time.process_time() - began
            sys.settrace(before)

    def called(self, frame: FrameType, event: str, arg: object) -> Any:
        """A function begins."""
        return self.passed if "/kidoproxy/" in frame.f_code.co_filename else None

    def passed(self, frame: FrameType, event: str, arg: object) -> Any:
        """A line runs."""
        self.lines += 1
        return self.passed


class Play:
    """A client, the turns of the loop, and nodes that have an answer to everything."""

    def __init__(self, stage: InMemoryProxy, meter: Meter) -> None:
        self.stage = stage
        self.meter = meter
        stage.ready()
        self.session = stage.client()
        self.queued: dict[int, int] = {}

    def say(self, raw: bytes) -> None:
        """The client sends this, and all goes its way until nothing is left to do."""
        self.meter.run(lambda: self.session.feed(raw))
        self.settle()

    def settle(self) -> None:
        """Turn by turn."""
        executor = self.stage.executor
        turn = executor.turn_work
        for _ in range(100_000):
            if not (turn.jobs.queue or turn.to_resume or self.answer()):
                self.session.replies.take_output()
                return
            turn.spent_units = 0
            self.meter.run(lambda: turn.jobs.step_all(lambda: False))
            drained, turn.to_resume = turn.to_resume, []
            for replies in drained:
                if replies is self.session.replies:
                    self.meter.run(self.session.resume)
        raise AssertionError("it does not come to an end")

    def answer(self) -> bool:
        """The nodes read and answer; whether there was anything."""
        found = False
        for conn in self.stage.executor.all_connections():
            if conn.state == CONNECTING:
                conn.on_connected(0.0, 1.0)
                conn.take_output()
                self.feed(conn, b"+OK\r\n" * (len(conn.reply_handlers) - 1) + bulk(b"run_id:x\r\n"))
                found = True
            reader = RequestReader(RequestLimits())
            reader.feed(b"".join(conn.take_output()))
            replies = []
            while (request := reader.next()) is not None:
                replies.append(self.reply(id(conn), request.argv))
            if replies:
                self.feed(conn, b"".join(replies))
                found = True
        return found

    def feed(self, conn: NodeConnection, raw: bytes) -> None:
        """The node sends this."""
        self.meter.run(lambda: conn.feed(raw, 0.0))

    def reply(self, conn: int, argv: list[bytes]) -> bytes:
        """As a server would, about."""
        name = argv[0].upper()
        if name in (b"PING", b"ECHO"):
            return bulk(argv[-1])
        if name == b"MULTI":
            self.queued[conn] = 0
            return b"+OK\r\n"
        if name == b"EXEC":
            return array([b":1\r\n"] * self.queued.pop(conn))
        if conn in self.queued:
            self.queued[conn] += 1
            return b"+QUEUED\r\n"
        if name in (b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE"):
            return b"".join([b">3\r\n" + bulk(name.lower()) + bulk(word) + b":1\r\n" for word in argv[1:]])
        if name == b"MGET":
            return array([b"$-1\r\n"] * (len(argv) - 1))
        return b"+OK\r\n" if name in (b"MSET", b"WATCH", b"UNWATCH") else b":1\r\n"


# -- situations --------------------------------------------------------------------------------------------

RULES: Final = Users(
    [User(b"default", Acl("+@all +@scripting", (b"~{t}*", b"~nothing*"), (b"&{t}*",)), True, True, [])]
)
LOCKED: Final = Users([User(b"default", Acl(), True, False, [password_digest(b"secret")])])


def plain() -> InMemoryProxy:
    """A ring, and a client that may do everything."""
    return ring("a", "b", "c")


def limited() -> InMemoryProxy:
    """A ring, and a user with rules for keys and channels."""
    stage = ring("a", "b", "c")
    stage.pool.users = RULES
    return stage


def locked() -> InMemoryProxy:
    """A ring, and a client that has not said AUTH."""
    stage = ring("a")
    stage.pool.users = LOCKED
    return stage


def strict() -> InMemoryProxy:
    """A ring whose transactions must not span nodes."""
    stage = ring("a", "b", "c")
    stage.pool.strict_transactions = True
    return stage


def miss_on_down() -> InMemoryProxy:
    """A ring where a node that is down is a miss."""
    stage = ring("a", "b", "c")
    stage.pool.miss_on_down = stage.pool.needs_arguments = True
    return stage


def paired() -> InMemoryProxy:
    """A copy pool."""
    return copies("a", "b")


SITUATIONS: Final[dict[str, tuple[Callable[[], InMemoryProxy], str]]] = {
    "ring": (plain, ""),
    "copies": (paired, ""),
    "rules": (limited, ""),
    "on_down miss": (miss_on_down, ""),
    "strict": (strict, ""),
    "in MULTI": (plain, "MULTI"),
    "copies in MULTI": (paired, "MULTI"),
    "watched": (plain, "WATCH {t}w;MULTI"),
    "copies watched": (paired, "WATCH {t}w;MULTI"),
    "each": (plain, "PROXY REPLIES LIST"),
    "resp3": (plain, "HELLO 3"),
    "subscribed": (plain, "HELLO 3;SUBSCRIBE {t}c"),
    "before AUTH": (locked, ""),
}
#: Situations that look at commands as others do, too: for them every command, for the rest what floods.
THOROUGH: Final = ("ring", "copies", "rules", "in MULTI", "watched", "copies watched")


def cost(situation: str, raw: bytes, counts: bool) -> Meter:
    """What it costs from the first byte to the last reply, EXEC included."""
    make, before = SITUATIONS[situation]
    meter = Meter()
    meter.counts = False
    play = Play(make(), meter)
    for words in before.split(";") if before else []:
        play.say(encode_request([word.encode() for word in words.split(" ")]))
    meter.counts = counts
    meter.seconds = 0.0
    play.say(raw)
    if "MULTI" in before:
        play.say(encode_request([b"EXEC"]))
    return meter


def compare(situation: str, short: bytes, long: bytes) -> None:
    """What is four times as long costs four times as much at most. What is made once is made before.

    A compiled build has no lines to count: there it is played once, and must come to an end.
    """
    if not INTERPRETED:
        cost(situation, long, False)
        return
    cost(situation, short, False)
    assert cost(situation, long, True).lines <= LINES * cost(situation, short, True).lines, situation


# -- one request, n words long ----------------------------------------------------------------------------


def head(name: str, shape: str, count: int) -> list[bytes]:
    """The words before the names."""
    words = name.upper().encode().split(b"|")
    if shape == "number first":
        return [*words, b"%d" % count]
    if shape == "number second":
        return [*words, b"{t}x", b"%d" % count]
    if shape == "streams":
        return [*words, b"STREAMS"] if name == "xread" else [*words, b"GROUP", b"g", b"c", b"STREAMS"]
    return words


def shapes(spec: CommandSpec) -> list[str]:
    """The ways in which this command can be made longer."""
    found = ["words"]
    if any(key.find_kind == FIND_KEYNUM for key in spec.key_specs):
        found += ["number first", "number second"]
    return [*found, "streams"] if spec.name in (b"xread", b"xreadgroup") else found


def requests(name: str, shape: str) -> Callable[[int], bytes]:
    """The request of so many names; keys have values between them where they must."""

    def make(count: int) -> bytes:
        return encode_request([*head(name, shape, count // 2), *[b"{t}%d" % at for at in range(count // 2 * 2)]])

    return make


def is_served(spec: CommandSpec) -> bool:
    """Whether it may have many words, and is more than refused."""
    refused = spec.reach in (REFUSED, SUBSCRIBE) or (spec.reach == DEDICATED and spec.reason != "")
    return not refused and spec.subcommands is None and spec.arity < 0


TABLE: Final = [(spec.name.decode(), shape) for spec in all_specs() if is_served(spec) for shape in shapes(spec)]


@pytest.mark.parametrize(("name", "shape"), TABLE)
def test_a_long_request(name: str, shape: str) -> None:
    """Every command that may have many words."""
    make = requests(name, shape)
    for situation in THOROUGH:
        compare(situation, make(WORDS), make(4 * WORDS))


# -- n requests ----------------------------------------------------------------------------------------------

FLOODS: Final = [
    *(
        "PING",
        "GET {t}k",
        "SET {t}k v",
        "MGET {t}k k l m",
        "DEL a b c d",
        "NOSUCH {t}k",
        "GET",
        "ECHO x",
        "TIME",
        "DBSIZE",
    ),
    *("COMMAND", "COMMAND DOCS", "COMMAND INFO get", "CLIENT LIST", "CLIENT LIST ID 1", "CLIENT SETNAME n", "ACL LIST"),
    *("PROXY NODES", "PROXY ROUTE GET k", "PROXY EACH GET k", "INFO kidoproxy", "EVAL return 0", "SORT {t}k", "DBSIZE"),
    *("XREAD STREAMS {t}k 0", "SUBSCRIBE {t}x", "UNSUBSCRIBE", "PUBLISH {t}x m", "WATCH {t}w", "UNWATCH", "MULTI"),
    *("DISCARD", "SCAN 0", "SELECT 0", "HELLO 3", "RESET", "AUTH x"),
]


@pytest.mark.parametrize("words", FLOODS)
def test_a_flood(words: str) -> None:
    """The same request again and again, as frames; as lines where that makes a difference."""
    frame, line = encode_request([word.encode() for word in words.split(" ")]), words.encode() + b"\r\n"
    for situation in SITUATIONS:
        one = line if situation == "before AUTH" else frame
        compare(situation, one * WORDS, one * (4 * WORDS))


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize(
    ("first", "second"), [("PING", "GET {t}k"), ("GET {t}k", "PING"), ("SET {t}k v", "MGET {t}a {t}b")]
)
def test_one_kind_behind_another(situation: str, first: str, second: str) -> None:
    """What is looked for among those before must not be looked for again each time."""

    def raw(count: int) -> bytes:
        return b"".join(
            [encode_request([word.encode() for word in words.split(" ")]) * count for words in (first, second)]
        )

    compare(situation, raw(WORDS), raw(4 * WORDS))


# -- what only the time shows -----------------------------------------------------------------------------------


def best(situation: str, raw: bytes) -> float:
    """The least of a few: what is more is somebody else's."""
    return min(cost(situation, raw, False).seconds for _ in range(4))


TIMED: Final = [
    *(
        "MGET",
        "DEL",
        "SUNION",
        "SADD {t}k",
        "SINTERCARD 10",
        "COMMAND GETKEYSANDFLAGS MGET",
        "CLIENT LIST ID",
        "CLIENT KILL",
    ),
    *("SUBSCRIBE", "WATCH", "EVAL x 10", "PROXY ROUTE MGET", "ACL DRYRUN default MGET", "COMMAND INFO"),
]


@pytest.mark.parametrize("situation", ["ring", "copies", "rules"])
@pytest.mark.parametrize("words", TIMED)
def test_a_very_long_request(situation: str, words: str) -> None:
    """Lists are not copied, nor searched, once for each of their items."""

    def raw(count: int) -> bytes:
        return encode_request([word.encode() for word in words.split(" ")] + [b"{t}%d" % at for at in range(count)])

    assert best(situation, raw(4 * LONG)) <= SECONDS * best(situation, raw(LONG)) + SLACK


@pytest.mark.parametrize("line", [b"a ", b'"\\x41" ', b"'\\'' ", b"\t\t", b'x"y" ', b'"' + b"\\x41"])
def test_a_long_line(line: bytes) -> None:
    """Words as people type them: however many quotes and escapes, each byte is looked at once."""

    def raw(count: int) -> bytes:
        return (line * count + b"\r\n") * 4

    assert best("ring", raw(8000)) <= SECONDS * best("ring", raw(2000)) + SLACK
