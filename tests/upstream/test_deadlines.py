"""Who gets TIMEOUT, when a node is suspect or given up, and when its name is looked up again."""

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.net.node_io import NodeIO
from kidoproxy.resp.encode import encode_request
from kidoproxy.upstream.deadlines import mark_suspect
from kidoproxy.upstream.handlers import PushHandler
from kidoproxy.upstream.sending import WRITE_GRACE_BYTES
from tests.greet import HANDSHAKE
from tests.net.fakes import Net, Socket
from tests.session.stage import ring as stage_ring
from tests.story import (
    LEASED,
    accepted,
    client,
    copies,
    given,
    greeted,
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
from tests.upstream.rig import LATE, LATE_WRITE, SUSPECT, Rig


def test_accepts_and_says_nothing() -> None:
    """A node that accepts and never answers is down when its time is over; what comes after that fails at once."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> accepted("a") << to("a", *HANDSHAKE)
        >> tick(0.6) << to_client(LATE)
        >> client("GET {a}2") >> tick(0.5)
        << to_client("-NODEDOWN a a:6379 (it accepts connections and does not answer)")
        << silence()
    )  # fmt: skip


def test_late() -> None:
    """A late reply is dropped by its position; the next one is for the next request."""
    (
        story(ring("a"))
        >> client("GET {a}1", "SET {a}1 x") << to("a", "GET {a}1", "SET {a}1 x")
        >> tick(0.45) << silence()
        >> client("GET {a}2") << to("a", "GET {a}2")
        >> tick(0.15) << to_client(LATE, LATE_WRITE)
        >> node("a", "$1 1", "+OK", "$1 2") << to_client("$1 2")
        << then(lambda play: play.connection("a").timeouts == 2) << silence()
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
    """An idle connection asks for a sign of life; without one it is given up before a client notices."""
    (
        story(ring("a"))
        >> client("GET {a}1") << to("a", "GET {a}1") >> node("a", "$-1") << to_client("$-1")
        >> tick(1.0) << silence()
        >> tick(0.1) << to("a", "PING") >> node("a", "+PONG")
        >> tick(1.1) << to("a", "PING")
        >> tick(1.1) << then(lambda play: not play.node("a").live or play.connection("a").cause == "") << silence()
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


@pytest.mark.parametrize("moves", [True, False])
def test_a_large_payload_that_moves_is_waited_for(moves: bool) -> None:
    """However slow, progress keeps it and all behind it alive; without any, the connection is lost."""
    rig = Rig()
    socket = Socket()
    peer = NodeIO(Net(stage_ring("a")).bridge, rig.conn)
    peer.connection_made(socket)
    peer.written_bytes = socket.unwritten = 20 * WRITE_GRACE_BYTES
    rig.conn.transport = peer
    rig.conn.submit(
        rig.replies.open_pending(COMMANDS[b"set"]),
        encode_request([b"SET", b"k", b"x" * (10 * WRITE_GRACE_BYTES)]),
        2,
        0,
        0.0,
    )
    rig.submit()
    now = 0.0
    while now < 20.0 and rig.conn.is_ready():
        now += 0.05
        socket.unwritten -= 50_000 if moves else 0
        rig.conn.tick(now)
    if moves:
        rig.conn.feed(b"+OK\r\n", now)
        rig.conn.tick(now + 0.3)
        rig.conn.feed(b"+PONG\r\n", now + 0.4)
        assert rig.received() == ["+OK", "+PONG"]
    else:
        assert now < 3.0
        assert [text[:8] for text in rig.received()] == ["-TIMEOUT", "-TIMEOUT"]


def test_nobody_is_timed_out_twice() -> None:
    """While a large payload moves nobody behind it is late; who had TIMEOUT before does not get it again."""
    rig = Rig()
    rig.submit()
    rig.submit()
    rig.conn.take_output()
    rig.conn.tick(0.55)
    first, second = rig.received()
    assert first == second == LATE
    rig.conn.write_progress_until = 9.0
    rig.conn.tick(0.7)
    assert rig.received() == []
    assert rig.conn.timeouts == 2


# -- suspect ----------------------------------------------------------------------------------------


def test_a_suspect_node_is_not_waited_for() -> None:
    """What is sent to a node that is always late fails at once, until a probe is answered in time."""
    play = story(ring("a")) >> client("GET {a}1") << to("a", "GET {a}1")
    play >> tick(0.55) << to_client(LATE) >> node("a", "$1 1") << silence()
    play >> client("GET {a}2") << to("a", "GET {a}2") >> tick(0.55) << to_client(LATE) << to("a", "PING")
    play >> client("GET {a}3", "SET {a}3 x") << to_client(SUSPECT, SUSPECT) >> node("a", "$1 2") << silence()
    assert play.node("a").suspect
    assert play.node("a").cause
    assert play.node("a").failure_counts["unresponsive"] == 2
    for _ in range(5):
        play >> tick(0.6) << given(lambda play: play.sent["a"].clear()) >> node("a", "+PONG") << silence()
    assert play.connection("a").suspect
    assert not play.connection("a").can_send
    conn = play.connection("a")
    play >> node("a", *["+PONG"] * (len(conn.reply_handlers) - conn.head))
    assert not play.node("a").suspect
    assert conn.reconnects == 0
    assert not play.node("a").cause
    play >> client("GET {a}3") << to("a", "GET {a}3") >> node("a", "$1 x") << to_client("$1 x") << silence()
    assert play.connection("a").timeouts == 2


def test_a_suspect_node_that_falls_silent_is_down() -> None:
    """Up, suspect, down: and a node that comes back from there is not suspect."""
    play = story(ring("a"), shy=True) >> client("GET {a}1") >> greeted("a") << to("a", "GET {a}1")
    play >> tick(0.55) << to_client(LATE) >> node("a", "$1 1")
    play >> client("GET {a}2") << to("a", "GET {a}2") >> tick(0.55) << to_client(LATE) << given(unheard)
    assert play.node("a").suspect
    play >> tick(1.5) << given(unheard)
    assert "down" in repr(play.connection("a")) or "connecting" in repr(play.connection("a"))
    assert not play.node("a").suspect
    play >> greeted("a") >> client("GET {a}3") << to("a", "GET {a}3")


def test_one_late_reply_makes_nobody_suspect() -> None:
    """A node of which some replies are late and others are not is up."""
    play = story(ring("a"))
    for at in range(4):
        play >> client(f"GET {{a}}{at}") << to("a", f"GET {{a}}{at}") >> tick(0.55) << to_client(LATE)
        play >> node("a", "$1 x") >> client("GET {a}x") << to("a", "GET {a}x") >> node("a", "$1 x") << to_client("$1 x")
    assert not play.node("a").suspect
    assert play.node("a").failure_counts == {"timeout": 4}


@pytest.mark.parametrize("shared", [True, False])
def test_only_a_shared_connection_makes_its_node_suspect(shared: bool) -> None:
    """An unshared one is suspect by itself, and sends probes when nothing else is in flight."""
    rig = Rig()
    rig.conn.shared = shared
    mark_suspect(rig.conn, 1.0)
    assert rig.conn.suspect
    assert rig.conn.node.suspect == shared
    rig.conn.take_output()
    rig.conn.feed(b"+PONG\r\n", 1.1)
    rig.conn.tick(2.0)
    assert rig.conn.take_output() == [encode_request([b"PING"])]
    rig.conn.clear_suspect()
    assert not rig.conn.node.suspect


# -- a name that has moved --------------------------------------------------------------------------


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
    """Once a second at most, if the name still stands for it; every connection to the node follows."""
    play = story(ring("a")) >> client("GET {a}1") << given(unheard) >> node("a", "$-1") << given(unheard)
    for _ in range(30):
        play >> client("SET {a}1 x") << given(unheard) >> node("a", READONLY) << given(unheard) >> tick(0.1)
    assert 3 <= play.dropped <= 4
    assert play.node("a").failure_counts == {"role changed": play.dropped}


def test_dedicated_connections_follow() -> None:
    """One that nobody has is not given to anybody again; one that waits is left to its node."""
    play = story(ring("a")) >> client("BLPOP {a}q 1") << to("a", "BLPOP {a}q 1", on=LEASED)
    play >> client("SET {a}1 x", name="you") << to("a", "SET {a}1 x") >> node("a", READONLY) << given(unheard)
    play >> tick() << then(lambda play: play.connection("a", LEASED).is_ready())
    play >> node("a", "*-1", on=LEASED) << to_client("*-1")
    play >> tick() << then(lambda play: not play.connection("a", LEASED).is_ready())


def test_a_copy_that_is_a_replica_now() -> None:
    """The ordered connection of a copy is made anew as well; a sync that holds it is not disturbed."""
    play = story(copies("a", "b")) >> client("SET k x") << to("a", "SET k x") << to("b", "SET k x")
    play >> node("a", READONLY) >> node("b", "+OK") << to_client("+OK")
    play.connection("a").hold()
    play >> tick() << then(lambda play: play.dropped == 0)
    play.connection("a").unhold(play.executor.now)
    play >> tick() << then(lambda play: play.dropped == 1)


def test_a_listener_whose_node_has_moved() -> None:
    """A dedicated connection with a push handler is left to it; one that nobody has is closed."""
    for handler in (PushHandler(), None):
        rig = Rig()
        rig.conn.dedicated = True
        rig.conn.push_handler = handler
        rig.conn.node.role_changes += 1
        rig.conn.tick(0.1)
        assert rig.conn.is_ready() == (handler is not None)
