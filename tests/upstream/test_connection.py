"""A link and its node: the n-th reply is for the n-th leg, or all that wait fail; late, lost, silent, back again."""

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.net.node_io import NodeIO
from kidoproxy.replication.election import make_trusted
from kidoproxy.replies.queue import PendingWrites, ReplyQueue
from kidoproxy.resp import limits
from kidoproxy.resp.encode import bulk, encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.build import require_distinct_servers
from kidoproxy.routes.topology import CopyGroup, Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.connection_state import ConnectionBase
from kidoproxy.upstream.deadlines import mark_suspect
from kidoproxy.upstream.handlers import ConnectionLost, PushHandler
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.send_first import is_flushed, submit_first
from kidoproxy.upstream.sending import WRITE_GRACE_BYTES
from tests.greet import GREETING, greet
from tests.net.fakes import Net, Socket
from tests.session.stage import ring as stage_ring
from tests.story import (
    Event,
    Story,
    accepted,
    client,
    closed,
    copies,
    given,
    greeted,
    led_by,
    lost,
    node,
    open_still,
    refused,
    restarted,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)

DOWN = "-NODEDOWN a a:6379 (connection refused)"
LATE = "-TIMEOUT a a:6379 (no reply in 500 ms)"
LATE_WRITE = LATE + "; the write may have run, its outcome is unknown"
SUSPECT = "-NODEDOWN a a:6379 (suspect: it answers, but nothing in 500 ms)"
CUT = "-NODEDOWN a a:6379 (it closed the connection)"


# -- connecting ------------------------------------------------------------------------------------------


def test_first_request() -> None:
    """The first request opens the link and waits for it; it is sent behind the greeting."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") << silence()
        >> accepted("a") << to("a", *GREETING)
        >> node("a", "+OK", "$9 kidoproxy")
        >> node("a", bulk(b"run_id:1\r\nredis_version:7.2.4\r\nvalkey_version:8.0.1\r\nuptime_in_seconds:5\r\nx\r\n"))
        << then(lambda play: play.node("a").version == b"8.0.1" and play.node("a").uptime == 5)
        << to("a", "GET {a}1")
        >> node("a", "$-1") << to_client("$-1") << silence()
    )  # fmt: skip


@pytest.mark.parametrize(
    ("login", "way", "words"),
    [
        (ConnectionOptions(), (2, 0), [*GREETING]),
        (ConnectionOptions("", "pw"), (2, 0), ["AUTH pw", *GREETING]),
        (ConnectionOptions("me", "pw"), (2, 3), ["AUTH me pw", "SELECT 3", *GREETING[1:]]),
        (ConnectionOptions(), (3, 0), ["HELLO 3", *GREETING[1:]]),
        (ConnectionOptions("", "pw"), (3, 1), ["HELLO 3 AUTH default pw", "SELECT 1", *GREETING[1:]]),
        (ConnectionOptions("me", "pw"), (3, 0), ["HELLO 3 AUTH me pw", *GREETING[1:]]),
    ],
)
def test_greeting(login: ConnectionOptions, way: tuple[int, int], words: list[str]) -> None:
    """Log in, choose protocol and database, ask who is there."""
    conn = NodeConnection(Node(0, "a", "a:6379", 1), login, way[0], way[1], [])
    conn.start_connecting()
    conn.on_connected(1.0, 1.0)

    assert b"".join(conn.take_output()) == b"".join(
        [encode_request([word.encode() for word in row.split()]) for row in words]
    )


def test_refused() -> None:
    """A connection that is refused fails what waits, and what comes afterwards fails at once."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> refused("a") << to_client(DOWN)
        << then(lambda play: repr(play.link("a")) == "<connection a resp2 db0 down, 0 waiting>")
        << then(lambda play: repr(play.node("a")) == "<node a a:6379 down>")
        >> client("SET {a}1 x") << to_client(DOWN) << silence()
    )  # fmt: skip


def test_greeting_refused() -> None:
    """A node that refuses the login is down, and says so itself."""
    (
        story(ring("a"), shy=True, logins=ConnectionOptions("", "wrong"))
        >> client("GET {a}1") >> accepted("a") << to("a", "AUTH wrong", *GREETING)
        >> node("a", "-WRONGPASS no such", *["-NOAUTH Authentication required."] * 3)
        << to_client("-NODEDOWN a a:6379 (WRONGPASS no such)")
        << then(lambda play: play.dropped == 1) << silence()
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("ERR unknown command 'AUTH', with args beginning with: 'me' 's3cret' ", "ERR unknown command 'AUTH'"),
        ("ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `me`, ", "ERR unknown command `HELLO`"),
        ("ERR what is s3cret?", "ERR what is ***?"),
        ("DENIED \x1b[2J" + "x" * 900, "DENIED  [2J" + "x" * 127 + "..."),
        ("ERR \x00\x7fé", "ERR   é"),
    ],
)
def test_a_node_that_talks_of_secrets_or_without_end(said: str, shown: str) -> None:
    """What a node says about our login is shown without it, without control characters, and never at full length."""
    play = story(ring("a"), shy=True, logins=ConnectionOptions("me", "s3cret"))
    play = play >> client("GET {a}1") >> accepted("a") << to("a", "AUTH me s3cret", *GREETING)
    play = play >> node("a", f"-{said}\r\n".encode(), *["-NOAUTH no"] * 3)
    cause = play.node("a").cause
    line = NodeFailure("NODEDOWN", "a", "a:6379", cause, False).error_reply(False)
    assert play << to_client(line) << silence()
    assert line.startswith(f"-NODEDOWN a a:6379 ({shown[:100]}".encode())
    assert "s3cret" not in cause
    assert cause.isprintable()
    assert len(cause) <= 200


def test_a_login_without_a_password_hides_nothing() -> None:
    """There is nothing to hide."""
    assert ConnectionOptions().redacted_error(b"ERR no") == "ERR no"


def test_accepts_and_says_nothing() -> None:
    """A node that accepts and never greets is down when its time is over; only then may others know."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> accepted("a") << to("a", *GREETING)
        >> tick(0.6) << to_client(LATE)
        >> client("GET {a}2") >> tick(0.5)
        << to_client("-NODEDOWN a a:6379 (it accepts connections and does not answer)")
        << silence()
    )  # fmt: skip


def test_back_off() -> None:
    """Each attempt that fails doubles the pause, up to a limit; nobody waits for a probe; use forgets it all."""
    play = story(ring("a"), shy=True) >> client("GET {a}1") >> refused("a") << to_client(DOWN)
    conn = play.link("a")
    pauses = []
    for _ in range(10):
        pauses.append(conn.backoff.retry_at - play.exchange.now)
        assert play >> tick(pauses[-1] - 0.01) << then(lambda play: "down" in repr(conn))
        assert play >> tick(0.06) << then(lambda play: "connecting" in repr(conn))
        assert play >> client("GET {a}1") << to_client(DOWN) >> refused("a") << silence()
    for at, pause in enumerate(pauses):
        middle = min(0.05 * 2**at, limits.BACKOFF_MAX_SECONDS)
        assert 0.75 * middle - 0.06 <= pause <= min(1.25 * middle, limits.BACKOFF_MAX_SECONDS)
    assert (
        play
        >> tick(7.0)
        >> greeted("a")
        >> client("GET {a}1")
        << to("a", "GET {a}1")
        >> node("a", "$-1")
        << to_client("$-1")
        >> tick(1.1)
        << given(unheard)
        >> refused("a")
        << then(lambda play: conn.backoff.retry_at - play.exchange.now <= 1.25 * limits.BACKOFF_MIN_SECONDS)
    )


# -- losing --------------------------------------------------------------------------------------------------


def test_read_is_asked_once_more() -> None:
    """A read under way when the link is lost is asked again on the next one, once; a write never is."""
    (
        story(ring("a"))
        >> client("GET {a}1", "SET {a}1 x", "GET {a}2") << to("a", "GET {a}1", "SET {a}1 x", "GET {a}2")
        >> lost("a") << to("a", "GET {a}1", "GET {a}2") << silence()
        >> node("a", "$1 x") << to_client("$1 x", CUT + "; the write may have run, its outcome is unknown")
        >> lost("a") << to_client(CUT) << silence()
        << then(lambda play: "down" in repr(play.link("a")))
    )  # fmt: skip


def test_lost_before_written() -> None:
    """What was never written did not run, and the error does not claim that it may have."""
    play = story(ring("a")) >> client("GET {a}1") << to("a", "GET {a}1") >> node("a", "$-1") << to_client("$-1")

    def in_one_turn(play: Story) -> None:
        client("SET {a}1 x")(play)
        lost("a")(play)

    assert play >> given(in_one_turn) << to_client(CUT) << silence()


def test_waits_for_the_next_attempt() -> None:
    """After a loss the next attempt is made at once, and what waited or comes meanwhile waits for it."""
    (
        story(ring("a"), shy=True)
        >> client("SET {a}1 x") >> greeted("a") << to("a", "SET {a}1 x")
        >> node("a", "+OK") << to_client("+OK")
        >> lost("a") >> client("SET {a}2 x") << silence()
        >> greeted("a") << to("a", "SET {a}2 x")
        >> node("a", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_reads_wait_before_what_came_later() -> None:
    """A read that is asked again goes first; if the next attempt fails too, it fails with the others."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> greeted("a") << to("a", "GET {a}1")
        >> lost("a") >> client("GET {a}2") >> greeted("a") << to("a", "GET {a}1", "GET {a}2")
        >> lost("a") << to_client(CUT, CUT) << silence()
    )  # fmt: skip


def test_unasked_reply() -> None:
    """A reply that nobody asked for: the conversation is out of step, so it is given up."""
    (
        story(ring("a"))
        >> client("GET {a}1") << to("a", "GET {a}1")
        >> node("a", "$-1", "$1 x") << to_client("$-1") << then(lambda play: play.dropped == 1)
        << then(lambda play: play.node("a").cause == "" and play.link("a").reconnects == 1) << silence()
    )  # fmt: skip


def test_no_redis() -> None:
    """Bytes that are not RESP: nobody is made to wait for another attempt."""
    (
        story(ring("a"))
        >> client("GET {a}1", "SET {a}1 x") << to("a", "GET {a}1", "SET {a}1 x")
        >> node("a", b"HTTP/1.1 400 Bad Request\r\n")
        << then(lambda play: play.guest("me").heard.count(b"it does not speak the Redis protocol") == 2)
    )  # fmt: skip


def test_pushes() -> None:
    """Pushes are nobody's reply, large ones neither."""
    push = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$40000\r\n" + b"x" * 40000 + b"\r\n"
    (
        story(ring("a"))
        >> client("HELLO 3") << given(unheard)
        >> client("GET {a}1") << to("a", "GET {a}1", on=(3, 0))
        >> node("a", push[:39000], on=(3, 0)) >> node("a", push[39000:], "$1 x", on=(3, 0)) << to_client("$1 x")
        << silence()
    )  # fmt: skip


# -- time ------------------------------------------------------------------------------------------------------


def test_late() -> None:
    """A late reply is dropped by its position; the next one is for the next leg."""
    (
        story(ring("a"))
        >> client("GET {a}1", "SET {a}1 x") << to("a", "GET {a}1", "SET {a}1 x")
        >> tick(0.45) << silence()
        >> client("GET {a}2") << to("a", "GET {a}2")
        >> tick(0.15) << to_client(LATE, LATE_WRITE)
        >> node("a", "$1 1", "+OK", "$1 2") << to_client("$1 2")
        << then(lambda play: play.link("a").timeouts == 2) << silence()
    )  # fmt: skip


def test_silence() -> None:
    """A node that says nothing at all for twice the deadline is given up, even for reads."""
    (
        story(ring("a"))
        >> client("GET {a}1") << to("a", "GET {a}1")
        >> tick(0.6) << to_client(LATE)
        >> client("GET {a}2") << to("a", "GET {a}2")
        >> tick(0.5) << to_client("-NODEDOWN a a:6379 (no reply for 1050 ms)") << silence()
    )  # fmt: skip


def test_slow_but_alive() -> None:
    """A node that answers something now and then is late, and not given up."""
    (
        story(ring("a"))
        >> client("GET {a}1", "GET {a}2", "GET {a}3") << to("a", "GET {a}1", "GET {a}2", "GET {a}3")
        >> tick(0.6) << to_client(LATE, LATE, LATE)
        >> node("a", "$1 1") >> tick(0.4) >> node("a", "$1 2", "$1 3") >> client("GET {a}4") << to("a", "GET {a}4")
        >> node("a", "$1 4") << to_client("$1 4") << silence()
    )  # fmt: skip


def test_sign_of_life() -> None:
    """An idle link asks for a sign of life; without one it is given up before a client notices."""
    (
        story(ring("a"))
        >> client("GET {a}1") << to("a", "GET {a}1") >> node("a", "$-1") << to_client("$-1")
        >> tick(1.0) << silence()
        >> tick(0.1) << to("a", "PING") >> node("a", "+PONG")
        >> tick(1.1) << to("a", "PING")
        >> tick(1.1) << then(lambda play: not play.node("a").live or play.link("a").cause == "") << silence()
    )  # fmt: skip


def test_waiting_has_a_deadline_too() -> None:
    """What waits for a connection gets TIMEOUT in time, and is not sent afterwards; it did not run."""
    (
        story(ring("a"), shy=True)
        >> client("SET {a}1 x") >> tick(0.3) >> client("SET {a}2 x") >> tick(0.3) << to_client(LATE)
        >> greeted("a") << to("a", "SET {a}2 x") >> node("a", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_large_payload() -> None:
    """A large request has more time, and what stands behind it has it too, and the usual time after that."""
    large = encode_request([b"SET", b"{a}1", b"x" * (60 * WRITE_GRACE_BYTES)])
    (
        story(ring("a"))
        >> client(large) << to("a", large)
        >> client("GET {a}2") << to("a", "GET {a}2")
        >> tick(1.2) >> node("a", "+OK") << to_client("+OK")
        >> tick(0.3) << silence()
        >> client("GET {a}3") << to("a", "GET {a}3")
        >> tick(0.3) << to_client(LATE)
        >> node("a", "$-1", "$1 x") << to_client("$1 x") << silence()
    )  # fmt: skip


def test_a_suspect_node_is_not_waited_for() -> None:
    """A node that answers everything too late is failed fast, asked again by the link itself, and used when in time."""
    play = story(ring("a")) >> client("GET {a}1") << to("a", "GET {a}1")
    play >> tick(0.55) << to_client(LATE) >> node("a", "$1 1") << silence()
    play >> client("GET {a}2") << to("a", "GET {a}2") >> tick(0.55) << to_client(LATE) << to("a", "PING")
    play >> client("GET {a}3", "SET {a}3 x") << to_client(SUSPECT, SUSPECT) >> node("a", "$1 2") << silence()
    assert play.node("a").unresponsive
    assert play.node("a").cause
    assert play.node("a").failure_counts["failed at once"] == 2
    for _ in range(5):
        play >> tick(0.6) << given(lambda play: play.told["a"].clear()) >> node("a", "+PONG") << silence()
    assert play.link("a").suspect
    assert not play.link("a").can_send
    conn = play.link("a")
    play >> node("a", *["+PONG"] * (len(conn.reply_handlers) - conn.head))
    assert not play.node("a").unresponsive
    assert conn.reconnects == 0
    assert not play.node("a").cause
    play >> client("GET {a}3") << to("a", "GET {a}3") >> node("a", "$1 x") << to_client("$1 x") << silence()
    assert play.link("a").timeouts == 2


def test_a_suspect_node_that_falls_silent_is_down() -> None:
    """Up, suspect, down: and a node that comes back from there is not suspect."""
    play = story(ring("a"), shy=True) >> client("GET {a}1") >> greeted("a") << to("a", "GET {a}1")
    play >> tick(0.55) << to_client(LATE) >> node("a", "$1 1")
    play >> client("GET {a}2") << to("a", "GET {a}2") >> tick(0.55) << to_client(LATE) << given(unheard)
    assert play.node("a").unresponsive
    play >> tick(1.5) << given(unheard)
    assert "down" in repr(play.link("a")) or "connecting" in repr(play.link("a"))
    assert not play.node("a").unresponsive
    play >> greeted("a") >> client("GET {a}3") << to("a", "GET {a}3")


def test_one_late_reply_makes_nobody_suspect() -> None:
    """A node of which some replies are late and others are not is up."""
    play = story(ring("a"))
    for at in range(4):
        play >> client(f"GET {{a}}{at}") << to("a", f"GET {{a}}{at}") >> tick(0.55) << to_client(LATE)
        play >> node("a", "$1 x") >> client("GET {a}x") << to("a", "GET {a}x") >> node("a", "$1 x") << to_client("$1 x")
    assert not play.node("a").unresponsive
    assert play.node("a").failure_counts == {}


@pytest.mark.parametrize("moves", [True, False])
def test_a_large_payload_that_moves_is_waited_for(moves: bool) -> None:
    """Slower than any datacentre, and progress is life for it and for all behind it; without any, the link is lost."""
    rig = Rig()
    socket = Socket()
    peer = NodeIO(Net(stage_ring("a")).bridge, rig.link)
    peer.connection_made(socket)
    peer.written_bytes = socket.unwritten = 20 * WRITE_GRACE_BYTES
    rig.link.transport = peer
    rig.link.submit(
        rig.ledger.open_pending(COMMANDS[b"set"]),
        encode_request([b"SET", b"k", b"x" * (10 * WRITE_GRACE_BYTES)]),
        2,
        0,
        0.0,
    )
    rig.place()
    now = 0.0
    while now < 20.0 and rig.link.is_ready():
        now += 0.05
        socket.unwritten -= 50_000 if moves else 0
        rig.link.tick(now)
    if moves:
        rig.link.feed(b"+OK\r\n", now)
        rig.link.tick(now + 0.3)
        rig.link.feed(b"+PONG\r\n", now + 0.4)
        assert rig.heard() == ["+OK", "+PONG"]
    else:
        assert now < 3.0
        assert [text[:8] for text in rig.heard()] == ["-TIMEOUT", "-TIMEOUT"]


# -- large replies ------------------------------------------------------------------------------------------------


BODY = b"x" * 100_000
HEAD = b"$100000\r\n"


def test_cut_through() -> None:
    """A large reply leaves piece by piece when it is its client's turn, and its deadline moves along."""
    (
        story(ring("a"))
        >> client("GET {a}1", "PING") << to("a", "GET {a}1")
        >> node("a", HEAD + BODY[:50_000]) << to_client(HEAD + BODY[:50_000])
        >> tick(0.4) >> node("a", BODY[50_000:90_000]) << to_client(BODY[50_000:90_000])
        >> tick(0.4) >> node("a", BODY[90_000:] + b"\r\n") << to_client(BODY[90_000:] + b"\r\n+PONG\r\n") << silence()
    )  # fmt: skip


def test_no_cut_through_out_of_turn() -> None:
    """A large reply whose turn it is not waits; so does one that is part of another."""
    (
        story(ring("a", "b"))
        >> client("GET {b}1", "GET {a}1") << to("b", "GET {b}1") << to("a", "GET {a}1")
        >> node("a", HEAD + BODY[:50_000]) << silence()
        >> node("b", "$-1") << to_client("$-1")
        >> node("a", BODY[50_000:] + b"\r\n") << to_client(HEAD + BODY + b"\r\n")
        >> client("MGET {a}1 {b}1") << to("a", "MGET {a}1") << to("b", "MGET {b}1")
        >> node("a", b"*1\r\n" + HEAD + BODY[:50_000]) << silence()
        >> node("b", "*1 $-1") >> node("a", BODY[50_000:] + b"\r\n")
        << to_client(b"*2\r\n" + HEAD + BODY + b"\r\n$-1\r\n") << silence()
    )  # fmt: skip


def test_node_dies_in_a_reply() -> None:
    """Half a reply has left and its rest will never come: that client is cut, and the read is not asked again."""
    (
        story(ring("a"))
        >> client("GET {a}1") << to("a", "GET {a}1")
        >> client("GET {a}2", name="you") << to("a", "GET {a}2")
        >> node("a", HEAD + BODY[:50_000]) << to_client(HEAD + BODY[:50_000]) << open_still()
        >> lost("a") << closed() << to("a", "GET {a}2") >> node("a", "$-1") << to_client("$-1", name="you")
        << silence()
    )  # fmt: skip


def test_node_dies_in_a_reply_of_a_soft_pool() -> None:
    """Nor is a miss put behind half a reply."""
    (
        story(ring("a", soft=True))
        >> client("GET {a}1") << to("a", "GET {a}1")
        >> node("a", HEAD + BODY[:50_000]) << to_client(HEAD + BODY[:50_000])
        >> refused("a") << closed() << silence()
    )  # fmt: skip


def test_node_dies_in_a_reply_of_a_copy() -> None:
    """Nor is another copy asked for the rest."""
    (
        story(copies("a", "b"))
        >> client("GET k") << given(lambda play: to(leader(play), "GET k")(play))
        >> given(lambda play: node(leader(play), HEAD + BODY[:50_000])(play)) << to_client(HEAD + BODY[:50_000])
        >> given(lambda play: lost(leader(play))(play)) << closed() << silence()
    )  # fmt: skip


def leader(play: Story) -> str:
    """Who is read for the key ``k``."""
    return play.pool.groups[0].ranked_copies(b"k")[0].node.name


def test_late_large_reply() -> None:
    """A large reply that nobody waits for any more is not collected."""
    (
        story(ring("a"))
        >> client("GET {a}1") << to("a", "GET {a}1") >> tick(0.6) << to_client(LATE)
        >> node("a", HEAD + BODY[:50_000]) << then(lambda play: play.link("a").reader.held_bytes() == 0)
        >> client("GET {a}2") << to("a", "GET {a}2")
        >> node("a", BODY[50_000:] + b"\r\n", "$1 x") << to_client("$1 x") << silence()
    )  # fmt: skip


# -- ordered links of copies ----------------------------------------------------------------------------------------


def test_switching() -> None:
    """A node of a copy pool has one link for all; it changes protocol and database when the next leg needs it."""
    (
        story(copies("a"))
        >> client("SELECT 3") << to_client("+OK")
        >> client("SET k x") << to("a", "SELECT 3") >> node("a", "+OK") << to("a", "SET k x")
        >> client("SET k y", "SET k z", name="you") << to("a", "SELECT 0", "SET k y", "SET k z")
        >> client("HELLO 3", name="third") << given(unheard)
        >> client("GET k", name="third") << to("a", "HELLO 3", "GET k")
        >> node("a", "+OK", "+OK", "+OK", "+OK", "%0", "_")
        << to_client("+OK") << to_client("+OK", "+OK", name="you") << to_client("_", name="third")
        >> client("SET k x") << to("a", "HELLO 2", "SELECT 3", "SET k x")
        >> node("a", "*0", "+OK", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


BEYOND = "-ERR DB index is out of range"


def test_switch_refused() -> None:
    """A node that refuses to switch would answer in the wrong way: it is given up, however late it says so."""
    problem = "-NODEDOWN a a:6379 (refused to switch: ERR no HELLO here)"
    (
        story(copies("a"))
        >> client("HELLO 3") << given(unheard)
        >> client("SET k x") << to("a", "HELLO 3", "SET k x")
        >> tick(0.2) >> node("a", "-ERR no HELLO here", "+OK")
        << to_client(problem + "; the write may have run, its outcome is unknown") << silence()
    )  # fmt: skip


def test_a_database_that_there_is_not() -> None:
    """Nothing is sent before the node has it; who asked hears the node's error, and nobody else hears anything."""
    (
        story(copies("a"))
        >> client("GET k", name="you") << to("a", "GET k")
        >> client("SELECT 9") << to_client("+OK")
        >> client("SET k x", "SET k y") << to("a", "SELECT 9")
        >> client("SET k z", name="you") << silence()
        >> node("a", "$1 v", BEYOND) << to_client("$1 v", name="you")
        << to_client(BEYOND, BEYOND) << to("a", "SET k z") >> node("a", "+OK") << to_client("+OK", name="you")
        >> client("SET k x") << to("a", "SELECT 9") >> node("a", BEYOND) << to_client(BEYOND)
        >> client("SELECT 1") << to_client("+OK")
        >> client("GET k") << to("a", "SELECT 1") >> node("a", "+OK") << to("a", "GET k") >> node("a", "$-1")
        << to_client("$-1") << then(lambda play: play.node("a").live) << silence()
    )  # fmt: skip


def test_a_transaction_in_a_database_that_there_is_not() -> None:
    """Each of its replies is that error, so it ends; nothing is run."""
    (
        story(copies("a"))
        >> client("SELECT 9", "MULTI", "SET k x", "EXEC") << to_client("+OK", "+OK", "+QUEUED")
        << to("a", "SELECT 9") >> node("a", BEYOND)
        << then(lambda play: b"DB index is out of range" in play.guest("me").heard) << given(unheard)
        >> client("PING") << to_client("+PONG") << silence()
    )  # fmt: skip


@pytest.mark.parametrize("reply", [BEYOND, "-ERR invalid DB index"])
def test_a_database_that_a_node_of_a_ring_has_not(reply: str) -> None:
    """Its link for that database is refused, and says what the node says; the node is well."""
    there = (2, 9)
    (
        story(ring("a"), shy=True)
        >> client("SELECT 9", "GET {a}1") << to_client("+OK")
        >> accepted("a", on=there) << to("a", "SELECT 9", "PING kidoproxy", "INFO server", on=there)
        >> node("a", reply, "$9 kidoproxy", bulk(b"run_id:1"), on=there) << to_client(reply)
        << then(lambda play: play.node("a").live and not play.node("a").cause)
        >> client("GET {a}1", "SET {a}1 x") << to_client(reply, reply)
        >> tick(0.1) >> accepted("a", on=there) << to("a", "SELECT 9", "PING kidoproxy", "INFO server", on=there)
        >> client("GET {a}1") << to_client(reply)
        >> node("a", "+OK", "$9 kidoproxy", bulk(b"run_id:2"), on=there)
        >> client("GET {a}1") << to("a", "GET {a}1", on=there) >> node("a", "$-1", on=there) << to_client("$-1")
        << silence()
    )  # fmt: skip


def test_a_database_that_is_tried_without_an_answer() -> None:
    """A node that says nothing is given up as ever; what waits has its own deadline."""
    (
        story(copies("a"))
        >> client("SELECT 9", "SET k x") << to_client("+OK") << to("a", "SELECT 9")
        >> tick(0.6) << to_client(LATE_WRITE.partition(";")[0])
        >> tick(0.6) << then(lambda play: play.dropped == 1) << silence()
    )  # fmt: skip


def test_switching_link_lost() -> None:
    """A link that is lost while it switches fails what was behind; the next connection begins at home."""
    (
        story(copies("a"))
        >> client("SELECT 3") << to_client("+OK")
        >> client("SET k x") << to("a", "SELECT 3") >> node("a", "+OK")
        << to("a", "SET k x") >> lost("a") << to_client(CUT + "; the write may have run, its outcome is unknown")
        >> client("SET k x") << to("a", "SELECT 3", "SET k x") >> node("a", "+OK", "+OK") << to_client("+OK")
        << silence()
    )  # fmt: skip


def test_link_lost_while_it_tries_a_database() -> None:
    """What waits for the answer was not sent, so it waits for the next connection."""
    (
        story(copies("a"))
        >> client("SELECT 3") << to_client("+OK")
        >> client("SET k x") << to("a", "SELECT 3") >> lost("a") << to("a", "SELECT 3") >> node("a", "+OK")
        << to("a", "SET k x") >> node("a", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_ordered_reads_are_not_repeated_on_the_link() -> None:
    """Nobody remembers in which database a leg was sent, so a read of one copy is not asked again by the link."""
    (
        story(copies("a"))
        >> client("SELECT 3") << to_client("+OK")
        >> client("PROXY NODE a GET k") << to("a", "SELECT 3") >> node("a", "+OK") << to("a", "GET k")
        >> lost("a") << to_client(CUT) << silence()
    )  # fmt: skip


def test_restart() -> None:
    """Another run id of a copy means that it may have lost data: it is not read while another one is."""
    (
        story(copies("a", "b"))
        >> client("SET k x") << to("a", "SET k x") << to("b", "SET k x")
        >> node("a", "+OK") >> node("b", "+OK") << to_client("+OK")
        >> restarted("b") << then(lambda play: play.pool.groups[0].behind_names() == ["b"])
        << to("a", "FUNCTION LIST WITHCODE") << silence()
    )  # fmt: skip


def test_restart_turns_away() -> None:
    """What waited for the connection was meant for the data that the node had: reads go elsewhere, writes missed it."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool, shy=True)
        >> client(f"INCR {key}")
        >> greeted("a") << to("a", f"INCR {key}") >> greeted("b") << to("b", f"INCR {key}")
        >> node("a", ":6") >> node("b", ":6") << to_client(":6")
        >> restarted("a") >> client(f"GET {key}", f"INCR {key}") << to("b", f"INCR {key}")
        >> greeted("a") << to("b", f"GET {key}", "FUNCTION LIST WITHCODE")
        << then(lambda play: play.pool.groups[0].behind_names() == ["a"])
        >> node("b", ":7", "$1 7") << to_client("$1 7", ":7") << silence()
    )  # fmt: skip


# -- bounds, and what only a link by itself shows ------------------------------------------------------------------


class Rig:
    """A link that is ready, and a ledger whose calls are its legs."""

    def __init__(self) -> None:
        self.ledger = ReplyQueue(PendingWrites())
        self.link = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, [])
        self.link.start_connecting()
        self.link.on_connected(0.0, 1.0)
        self.link.feed(greet(self.link, b"run_id:1\r\n"), 0.0)

    def place(self) -> None:
        """One more leg."""
        self.link.submit(self.ledger.open_pending(None), encode_request([b"PING"]), 2, 0, 0.0)

    def heard(self) -> list[str]:
        """What has become of the legs, in their order."""
        return [raw.decode().strip() for raw in self.ledger.take_output()]


FULL = "-OVERLOADED a a:6379 (its queue is full)"


def test_overloaded() -> None:
    """A link takes a bounded number of legs, ready or not, and a bounded number of bytes."""
    rig = Rig()
    for _ in range(limits.CONNECTION_QUEUE_REPLIES + 1):
        rig.place()
    assert rig.link.pending_count() == limits.CONNECTION_QUEUE_REPLIES
    assert rig.ledger.open_requests[-1].reply == FULL.encode() + b"\r\n"

    rig = Rig()
    rig.link.hold(0.0, 0.0)
    for _ in range(limits.CONNECTION_QUEUE_REPLIES + 1):
        rig.place()
    assert rig.link.pending_count() == limits.CONNECTION_QUEUE_REPLIES
    assert rig.ledger.open_requests[-1].reply == FULL.encode() + b"\r\n"

    rig = Rig()
    rig.link.out_bytes = limits.CONNECTION_QUEUE_BYTES + 1
    rig.place()
    assert rig.heard() == [FULL]


def test_large_request_to_a_full_link() -> None:
    """The later pieces of a request follow its first one, or nothing does."""
    rig = Rig()
    pending = rig.ledger.open_pending(COMMANDS[b"set"])
    rig.link.out_bytes = limits.CONNECTION_QUEUE_BYTES + 1
    rig.link.submit(pending, b"*1\r\n$4\r\n", 2, 0, 0.0)
    rig.link.send_tail(pending, [b"PING", b"\r\n"], 0.0)
    assert rig.heard() == [FULL]
    assert rig.link.take_output() == []


def test_long_fifo() -> None:
    """What is answered is forgotten while much is still owed, and the order stays."""
    rig = Rig()
    for _ in range(2000):
        rig.place()
    rig.link.take_output()
    rig.link.feed(b"".join([b":%d\r\n" % at for at in range(1500)]), 0.0)
    assert len(rig.link.reply_handlers) == 500
    rig.place()
    rig.link.on_connection_lost("gone", 0.0, True)
    assert rig.heard() == [f":{at}" for at in range(1500)] + ["-NODEDOWN a a:6379 (gone)"] * 501


def test_hold() -> None:
    """While a link is held what is placed waits, and what is sent passes; then it goes on in order."""
    rig = Rig()
    rig.link.hold(0.0, 0.0)
    rig.place()
    assert repr(rig.link) == "<connection a resp2 db0 ready held, 1 waiting>"
    passing = rig.ledger.open_pending(None)
    passing.due = 30.0
    rig.link.send(passing, encode_request([b"ECHO"]), 2, 0, 1)
    rig.link.tick(0.6)
    rig.place()
    rig.link.unhold(0.6)
    assert b"".join(rig.link.take_output()) == encode_request([b"ECHO"]) + encode_request([b"PING"])
    rig.link.feed(b":1\r\n:2\r\n", 0.7)
    assert rig.heard() == [LATE, ":1", ":2"]


def test_hold_of_a_link_that_is_down() -> None:
    """Held and down: it waits for the hold's end, and then fails at once."""
    rig = Rig()
    rig.link.hold(0.0, 0.0)
    rig.link.on_connection_lost("gone", 0.0, True)
    rig.place()
    assert rig.heard() == []
    rig.link.unhold(0.0)
    assert rig.heard() == ["-NODEDOWN a a:6379 (gone)"]


def test_woken_before_it_is_looked_after() -> None:
    """A link asks to be looked after once, whatever happens to it in one turn."""
    dirty: list[NodeConnection] = []
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, dirty)
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    conn.on_connection_lost("gone", 0.0, False)
    conn.on_connection_lost("gone", 0.0, True)
    conn.tick(1.0)
    assert dirty == [conn]
    assert repr(conn) == "<connection a resp2 db0 connecting, 0 waiting>"


@pytest.mark.parametrize(("proto", "db", "live"), [(2, 0, False), (3, 0, True), (2, 7, True)])
def test_refusal_of_a_mode_is_not_the_nodes(proto: int, db: int, live: bool) -> None:
    """A node that refuses RESP3, or a database, is down for those who want that, and for nobody else."""
    node = Node(0, "a", "10.0.0.1:6379", 1)
    conn = NodeConnection(node, ConnectionOptions(), proto, db, [])
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    conn.feed(b"-ERR no\r\n" * len(conn.reply_handlers), 0.0)

    assert node.live is live
    assert not conn.is_ready()


def test_restart_of_the_only_copy() -> None:
    """The last copy in sync stays in sync, whatever it lost: what waited for it is sent."""
    node = Node(0, "a", "10.0.0.1:6379", 1)
    group = CopyGroup("pool", [node])
    make_trusted(group, group.copies[0])
    conn = NodeConnection(node, ConnectionOptions(), 2, 0, [])
    for run in (b"one", b"two"):
        info = b"run_id:" + run + b"\r\nredis_version:7.0.15\r\n"
        conn.start_connecting()
        conn.on_connected(0.0, 1.0)
        conn.feed(greet(conn, info), 0.0)

        assert conn.is_ready()
        assert node.run_id == run
    assert group.behind_names() == []


def test_the_state_alone_cannot_write() -> None:
    """Who writes is for the whole connection to say."""
    with pytest.raises(NotImplementedError):
        ConnectionBase(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0).schedule_flush()


def test_what_nobody_asked_for() -> None:
    """A push is dropped unless somebody listens; without a listener any other frame that comes too much is a fault."""
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, [])
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    conn.feed(greet(conn, b""), 0.0)
    conn.feed(b">1\r\n+x\r\n", 0.0)
    assert conn.is_ready()
    conn.push_handler = ear = ConnectionLost()
    conn.feed(b">1\r\n+x\r\n+line\r\n", 0.0)
    assert ear.lost
    assert conn.is_ready()
    conn.push_handler = None
    conn.feed(b"+line\r\n", 0.0)
    assert not conn.is_ready()


def test_an_ear_promises() -> None:
    """Whoever listens must say what it does."""
    ear = PushHandler()
    with pytest.raises(NotImplementedError):
        ear.on_push(b"")
    with pytest.raises(NotImplementedError):
        ear.on_ready()
    with pytest.raises(NotImplementedError):
        ear.on_disconnect(NodeFailure("", "", "", "", False))


# -- one server under two names ------------------------------------------------------------------------------------


def apart(nodes: str) -> Story:
    """A shy story over a ring whose nodes must be different servers."""
    play = story(ring(*nodes), shy=True)
    require_distinct_servers(play.pool.nodes)
    for each in play.pool.nodes:
        play.exchange.connection(each, 2, 0).start_connecting()
    return play


def is_down_as(name: str, other: str) -> Event:
    """The node is down, and its cause names the other one."""

    def expectation(play: Story) -> None:
        assert not play.node(name).live
        assert play.node(name).cause.startswith(f"it is the same server as {other} ")
        assert play.node(other).live

    return given(expectation)


def test_one_server_under_two_names() -> None:
    """The one that greets later is refused, whichever it is; the others do not care."""
    for first, second in (("a", "b"), ("b", "a"), ("a", "c")):
        play = apart("abc")
        play.run_ids[second] = play.run_ids[first]
        assert play >> greeted(first) >> greeted(second) << is_down_as(second, first)
        (other,) = {"a", "b", "c"} - {first, second}
        greeted(other)(play)
        assert play.node(other).live


def test_it_may_become_another_server() -> None:
    """What was refused is asked again and again: its name may come to mean another server."""
    play = apart("ab")
    play.run_ids["b"] = play.run_ids["a"]
    assert play >> greeted("a") >> greeted("b") << is_down_as("b", "a")
    play.run_ids["b"] = "another"
    play.settle()
    play.link("b").tick(play.exchange.now + 60)
    assert play >> greeted("b")
    assert play.node("b").live
    assert play.node("b").same_server_as is None


def test_it_becomes_the_same_server_at_a_reconnect() -> None:
    """A name that has moved to the other node's server is refused when the link is made anew, and missed nothing."""
    play = apart("ab")
    assert play >> greeted("a") >> greeted("b") >> lost("b")
    play.run_ids["b"] = play.run_ids["a"]
    assert play >> greeted("b") << is_down_as("b", "a")


def test_a_server_that_is_gone_is_nobodys_twin() -> None:
    """What a node that is down once was does not keep another name from that server."""
    play = apart("ab")
    assert play >> greeted("a") >> greeted("b") >> refused("a")
    play.run_ids["b"] = play.run_ids["a"]
    assert play >> lost("b") >> greeted("b")
    assert play.node("b").live
    assert play.node("b").same_server_as is None


def test_without_a_run_id_nothing_can_be_said() -> None:
    """A node that does not say which run it is, is nobody's twin."""
    play = apart("ab")
    play.run_ids["a"] = play.run_ids["b"] = ""
    assert play >> greeted("a") >> greeted("b")
    assert play.node("a").live
    assert play.node("b").live


def test_many_arguments_have_time_of_their_own() -> None:
    """A DEL of very many keys is small for its work; what is no large request has the usual time, whatever it says."""
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, [])
    for payload, extra in (
        (encode_request([b"DEL", *[b"k%d" % number for number in range(49_999)]]), 1.0),
        (encode_request([b"SET", b"k", b"x" * 100_000]), 0.0),
        (b"+" + b"x" * 100_000, 0.0),
        (encode_request([b"DEL", *[b"k%d" % number for number in range(1000)]]), 0.0),
    ):
        handler = ReplyQueue(PendingWrites()).open_pending(COMMANDS[b"set"])
        conn.submit(handler, payload, 2, 0, 100.0)
        assert extra <= handler.due - 100.5 <= extra + 0.05


# -- deadlines of links that stand alone ---------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_only_a_shared_link_makes_its_node_suspect(shared: bool) -> None:
    """A link of its own is suspect by itself, and asks again when nothing else is under way."""
    rig = Rig()
    rig.link.shared = shared
    mark_suspect(rig.link, 1.0)
    assert rig.link.suspect
    assert rig.link.node.unresponsive == shared
    rig.link.take_output()
    rig.link.feed(b"+PONG\r\n", 1.1)
    rig.link.tick(2.0)
    assert rig.link.take_output() == [encode_request([b"PING"])]
    rig.link.clear_suspect()
    assert not rig.link.node.unresponsive


def test_time_of_its_own_for_those_who_were_told() -> None:
    """While a large payload moves nobody behind it is late; whoever has been told before is not told again."""
    rig = Rig()
    rig.place()
    rig.place()
    rig.link.take_output()
    rig.link.tick(0.55)
    first, second = rig.heard()
    assert first == second == LATE
    rig.link.write_progress_until = 9.0
    rig.link.tick(0.7)
    assert rig.heard() == []
    assert rig.link.timeouts == 2


def test_ahead_of_the_greeting() -> None:
    """What goes first waits for a greeting that is under way, which is not begun again."""
    dirty: list[NodeConnection] = []
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, dirty)
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    submit_first(conn, ReplyQueue(PendingWrites()).open_pending(None), encode_request([b"PING"]), 0.0)
    assert len(conn.queue) == 1
    assert not is_flushed(conn)


def test_a_listener_whose_node_has_moved() -> None:
    """A lane that somebody listens on is left to its listener; one that nobody has is closed."""
    for ear in (PushHandler(), None):
        rig = Rig()
        rig.link.dedicated = True
        rig.link.push_handler = ear
        rig.link.node.role_changes += 1
        rig.link.tick(0.1)
        assert rig.link.is_ready() == (ear is not None)
