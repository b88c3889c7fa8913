"""The greeting: what a node must grant, what it may refuse, and replies that are not those to our requests."""

import pytest
from hypothesis import given as each
from hypothesis import strategies as st

from kidoproxy.resp.encode import bulk, encode_request
from kidoproxy.resp.replies import ReplyReader
from kidoproxy.routes.topology import CopyGroup, Node
from kidoproxy.upstream.backoff import Backoff
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions, parse_handshake
from kidoproxy.upstream.states import DOWN
from tests.greet import GREETING, answers
from tests.story import (
    LANE,
    accepted,
    client,
    copies,
    given,
    greeted,
    lost,
    node,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)
from tests.strategies import replies

NOPERM = b"-NOPERM User app has no permissions to run the '%b' command\r\n"
UNKNOWN = b"-ERR unknown command '%b', with args beginning with: 'x' \r\n"
INFO = b"redis_version:6.0.1\r\nrun_id:1\r\n"


def linked(*ways: str) -> NodeConnection:
    """A link that has queued its greeting; ``ways``: what it is, else a shared one for RESP2."""
    found = NodeConnection(
        Node(0, "a", "a:6379", 1), ConnectionOptions("me", "pw"), 3 if "resp3" in ways else 2, 7 * ("db" in ways), []
    )
    found.dedicated = "lane" in ways
    found.shared = not found.dedicated
    if "copy" in ways:
        CopyGroup("pair", [found.node, Node(1, "b", "b:6379", 2)])
    found.start_connecting()
    found.on_connected(0.0, 1.0)
    return found


def good(conn: NodeConnection) -> list[bytes]:
    """What a good node answers, reply by reply."""
    reader = ReplyReader()
    reader.feed(answers(b"".join(conn.take_output()), INFO, 9))
    found: list[bytes] = []
    while (raw := reader.next()) is not None:
        found.append(raw)
    return found


WAYS = ((), ("db",), ("resp3",), ("resp3", "db"), ("lane",), ("lane", "resp3", "db"), ("copy",))


@pytest.mark.parametrize("error", [NOPERM, UNKNOWN], ids=["not allowed", "renamed"])
@pytest.mark.parametrize("name", [b"HELLO", b"PING", b"INFO", b"CLIENT"])
@pytest.mark.parametrize("ways", WAYS)
def test_what_is_refused_is_done_without(ways: tuple[str, ...], name: bytes, error: bytes) -> None:
    """A login, a database and a protocol that are wanted must be granted; of a copy, its run id must be known."""
    conn = linked(*ways)
    words = [one.split(b" ")[0] for one in heard_words(linked(*ways))]
    said = good(conn)
    for at, word in enumerate(words):
        if word == name:
            said[at] = error % name.lower()
    conn.feed(b"".join(said), 0.0)
    needed = name in words and ((name == b"HELLO" and "resp3" in ways) or (name == b"INFO" and "copy" in ways))
    assert conn.is_ready() is not needed
    if name == b"HELLO" and name in words and not needed:
        assert not conn.node.resp3
    assert conn.client_id == (b"9" if "lane" in ways and name != b"CLIENT" and not needed else b"")


def heard_words(conn: NodeConnection) -> list[bytes]:
    """The greeting, a request a line."""
    return [b" ".join(one.split(b"\r\n")[2::2]) for one in b"".join(conn.take_output()).split(b"*")[1:]]


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("text", [b"WRONGPASS no", b"NOAUTH no", b"BUSY a script", b"ERR no such db"])
def test_who_refuses_everything_is_down(ways: tuple[str, ...], text: bytes) -> None:
    """A node that answers nothing but errors is quoted."""
    conn = linked(*ways)
    conn.feed(b"-%b\r\n" % text * len(good(conn)), 0.0)
    assert conn.state == DOWN
    assert conn.cause == text.decode()


@pytest.mark.parametrize("text", [b"LOADING Redis is loading", b"MASTERDOWN Link with MASTER is down"])
def test_a_node_that_loads_is_there(text: bytes) -> None:
    """It answers INFO, and each request says for itself that it cannot be served now."""
    conn = linked()
    said = good(conn)
    said[2] = b"-%b\r\n" % text
    conn.feed(b"".join(said), 0.0)
    assert conn.is_ready()


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize(
    "banner", [b"+hello\r\n", b"$5\r\nhello\r\n", b":1\r\n", b"$-1\r\n", b"*0\r\n", b"-ERR hi\r\n"]
)
def test_a_banner_shifts_nothing(ways: tuple[str, ...], banner: bytes) -> None:
    """A reply too many, wherever it comes in the greeting: the connection is of no use, and no answer is wrong."""
    for at in range(len(good(linked(*ways)))):
        conn = linked(*ways)
        said = good(conn)
        said.insert(at, banner)
        conn.feed(b"".join(said), 0.0)
        assert not conn.is_ready()
        assert conn.cause


def test_a_number_with_attributes_in_front() -> None:
    """They are no part of it; what has too many digits is none."""
    words = [[b"CLIENT", b"ID"]]
    assert parse_handshake(words, [b"|1\r\n+a\r\n+b\r\n:12\r\n"]).client_id == b"12"
    assert parse_handshake(words, [b":" + b"9" * 40 + b"\r\n"]).client_id == b""


@each(st.sampled_from(WAYS), st.integers(0, 4), replies())
def test_greetings_of_any_shape(ways: tuple[str, ...], at: int, raw: bytes) -> None:
    """Whatever one of the replies is: the node is greeted or it is not, and nothing is raised."""
    conn = linked(*ways)
    said = good(conn)
    said[at % len(said)] = raw
    conn.feed(b"".join(said), 0.0)
    assert "mishap" not in conn.node.failure_counts
    for words in ([b"AUTH", b"x"], [b"HELLO", b"2"], [b"PING", b"x"], [b"INFO"], [b"CLIENT", b"ID"]):
        assert (
            parse_handshake([words], [raw]).client_id.strip(b"-").isdigit()
            or not parse_handshake([words], [raw]).client_id
        )


# -- a node that is full ---------------------------------------------------------------------------------------

FULL = b"-ERR max number of clients reached\r\n"


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("lane", [True, False])
def test_a_full_node(early: bool, lane: bool) -> None:
    """It says so and hangs up, before our greeting or behind it: that is the cause, and nothing was sent."""
    conn = linked("lane") if lane else linked()
    conn.shared = True
    if early:
        conn.on_early_data(FULL, 0.0)
    else:
        conn.feed(FULL, 0.0)
        conn.on_connection_lost("connection reset by peer", 0.0, True)
    assert conn.cause == "it is full, and nothing was sent to it: ERR max number of clients reached"


def test_a_node_without_hello_that_hangs_up() -> None:
    """Its error is none that says why it hangs up."""
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, [])
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    conn.feed(UNKNOWN % b"HELLO", 0.0)
    conn.on_connection_lost("it closed the connection", 0.0, True)
    assert conn.cause == "it closed the connection"


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"220 mail.example.com ESMTP\r\n", "it does not speak the Redis protocol: expected a reply, got '2'"),
        (b"+hello\r\n", "it sends what nobody asked for"),
        (b"+hel", "it sends what nobody asked for"),
        (b"-ERR go away\r\n", "ERR go away"),
    ],
)
def test_who_speaks_first(data: bytes, cause: str) -> None:
    """A server that speaks before it is asked is no Redis, or will not have us."""
    conn = linked()
    conn.on_early_data(data, 0.0)
    assert (conn.state, conn.cause) == (DOWN, cause)


# -- a node without RESP3 ----------------------------------------------------------------------------------------


def test_a_client_can_fall_back() -> None:
    """HELLO 3 is refused while a node has no RESP3, HELLO 2 is not; once it has, it is served."""
    play = story(ring("a"), shy=True) >> client("GET {a}1") >> accepted("a") << to("a", *GREETING)
    play >> node("a", UNKNOWN % b"HELLO", "$9 kidoproxy", bulk(INFO)) << to("a", "GET {a}1")
    play >> node("a", "$1 x") << to_client("$1 x")
    play >> client("HELLO 3") << to_client("-NOPROTO unsupported protocol version")
    play >> client("HELLO 2") << then(lambda play: b"$5\r\nproto\r\n:2" in play.guest("me").heard) << given(unheard)
    play >> lost("a") >> greeted("a")
    play >> client("HELLO 3") << then(lambda play: b"$5\r\nproto\r\n:3" in play.guest("me").heard) << given(unheard)


# -- a name that has moved -----------------------------------------------------------------------------------------

READONLY = "-READONLY You can't write against a read only replica."


def test_a_name_that_has_moved() -> None:
    """READONLY: the name is looked up again as soon as nothing is under way, and what comes meanwhile waits."""
    play = story(ring("a"), shy=True) >> client("SET {a}1 x", "GET {a}1") >> greeted("a")
    play << to("a", "SET {a}1 x", "GET {a}1") >> node("a", READONLY) << to_client(READONLY)
    play >> tick() >> client("GET {a}2") << silence() >> node("a", "$1 x") << to_client("$1 x")
    play >> tick() << then(lambda play: play.dropped == 1) << silence()
    play >> greeted("a") << to("a", "GET {a}2") >> node("a", "$1 y") << to_client("$1 y")
    assert play.node("a").live


def test_a_replica_is_not_looked_up_all_the_time() -> None:
    """Once a second at most, if the name still stands for it; every link of the node follows."""
    play = story(ring("a")) >> client("GET {a}1") << given(unheard) >> node("a", "$-1") << given(unheard)
    for _ in range(30):
        play >> client("SET {a}1 x") << given(unheard) >> node("a", READONLY) << given(unheard) >> tick(0.1)
    assert 3 <= play.dropped <= 4
    assert play.node("a").failure_counts == {"moved": play.dropped}


def test_lanes_follow() -> None:
    """A lane that nobody has is not lent again; one that waits is left to its node."""
    play = story(ring("a")) >> client("BLPOP {a}q 1") << to("a", "BLPOP {a}q 1", on=LANE)
    play >> client("SET {a}1 x", name="you") << to("a", "SET {a}1 x") >> node("a", READONLY) << given(unheard)
    play >> tick() << then(lambda play: play.link("a", LANE).is_ready())
    play >> node("a", "*-1", on=LANE) << to_client("*-1")
    play >> tick() << then(lambda play: not play.link("a", LANE).is_ready())


def test_a_copy_that_is_a_replica_now() -> None:
    """The ordered link of a copy is made anew as well; a sync that holds it is not disturbed."""
    play = story(copies("a", "b")) >> client("SET k x") << to("a", "SET k x") << to("b", "SET k x")
    play >> node("a", READONLY) >> node("b", "+OK") << to_client("+OK")
    play.link("a").hold()
    play >> tick() << then(lambda play: play.dropped == 0)
    play.link("a").unhold(play.exchange.now)
    play >> tick() << then(lambda play: play.dropped == 1)


def test_a_new_run_may_know_more() -> None:
    """What no node knew is asked again when a node has been greeted anew: it may have a module now."""
    play = story(ring("a")) >> client("GET {a}k") << given(unheard) >> node("a", "$-1") << given(unheard) >> tick()
    play >> client("JSON.GET {a}k") << to("a", "COMMAND INFO JSON.GET") >> node("a", "*1 *-1") << given(unheard)
    play >> tick() >> client("JSON.GET {a}k") << then(lambda play: not play.told["a"]) << given(unheard)
    play >> lost("a") >> tick() >> client("JSON.GET {a}k") << to("a", "COMMAND INFO JSON.GET")


def test_the_words_of_the_greeting() -> None:
    """Every request of it is one that the tests know."""
    assert b"".join(linked().take_output()) == b"".join(
        [encode_request([word.encode() for word in row.split()]) for row in ("AUTH me pw", *GREETING)]
    )


@pytest.mark.parametrize(
    ("reply", "known"),
    [
        (b"*0\r\n", True),
        (b"-ERR unknown command 'HELLO'\r\n", False),
        (b"-NOPERM no\r\n", False),
        (b"-NOAUTH no\r\n", None),
    ],
)
def test_what_an_answer_to_hello_tells(reply: bytes, known: bool | None) -> None:
    """Whether the node has RESP3 for us; an error that is about something else tells nothing of that."""
    found = parse_handshake([[b"HELLO", b"2"]], [reply])
    assert (found.resp3, found.rejection) == (known, b"")


@pytest.mark.parametrize(("seconds", "replies", "useful"), [(0.5, 3, False), (2.0, 3, True), (0.5, 100, True)])
def test_which_connections_were_of_use(seconds: float, replies: int, useful: bool) -> None:
    """One that lasted, or answered its share: after it the next attempt is made at once."""
    backoff = Backoff()
    assert backoff.take_immediate_retry()
    backoff.on_ready(10.0, 1000)
    backoff.on_closed(10.0 + seconds, 1000 + replies)
    assert backoff.take_immediate_retry() is useful
