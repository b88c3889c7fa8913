"""What follows from the handshake: what a node must grant, what it may refuse, which server it is."""

import pytest
from hypothesis import given as each
from hypothesis import strategies as st

from kidoproxy.replication.election import make_trusted
from kidoproxy.replication.group import CopyGroup
from kidoproxy.resp.encode import bulk, mapping
from kidoproxy.routes.build import set_pool_neighbours
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions, handshake_requests, parse_handshake, role_in
from kidoproxy.upstream.master_view import MasterView
from kidoproxy.upstream.states import DOWN
from tests.greet import HANDSHAKE, greet
from tests.story import (
    Event,
    Story,
    accepted,
    client,
    copies,
    given,
    greeted,
    led_by,
    lost,
    node,
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
from tests.strategies import replies
from tests.upstream.handshakes import INFO, KINDS, NOPERM, UNKNOWN, command_names, good_replies, handshaking


def test_login_refused() -> None:
    """A node that refuses the login is down, and says so itself."""
    (
        story(ring("a"), shy=True, logins=ConnectionOptions("", "wrong"))
        >> client("GET {a}1") >> accepted("a") << to("a", "AUTH wrong", *HANDSHAKE)
        >> node("a", "-WRONGPASS no such", *["-NOAUTH Authentication required."] * 3)
        << to_client("-NODEDOWN a a:6379 (WRONGPASS no such)")
        << then(lambda play: play.dropped == 1) << silence()
    )  # fmt: skip


@pytest.mark.parametrize("error", [NOPERM, UNKNOWN], ids=["not allowed", "renamed"])
@pytest.mark.parametrize("name", [b"HELLO", b"PING", b"INFO", b"CLIENT"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_refused_is_done_without(kind: tuple[str, ...], name: bytes, error: bytes) -> None:
    """A login, a database and a protocol that are wanted must be granted; of a copy, its run id must be known."""
    conn = handshaking(*kind)
    names = command_names(handshaking(*kind))
    said = good_replies(conn)
    for at, asked in enumerate(names):
        if asked == name:
            said[at] = error % name.lower()
    conn.feed(b"".join(said), 0.0)
    needed = name in names and ((name == b"HELLO" and "resp3" in kind) or (name == b"INFO" and "copy" in kind))
    assert conn.is_ready() is not needed
    if name == b"HELLO" and name in names and not needed:
        assert not conn.node.resp3
    told = b"9" if name != b"CLIENT" and not needed else b""
    assert conn.client_id == (told if "dedicated" in kind else b"")
    assert conn.node.last_connection[1] == (told if "copy" in kind else b"")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [b"WRONGPASS no", b"NOAUTH no", b"BUSY a script", b"ERR no such db"])
def test_who_refuses_everything_is_down(kind: tuple[str, ...], text: bytes) -> None:
    """A node that answers nothing but errors is quoted."""
    conn = handshaking(*kind)
    conn.feed(b"-%b\r\n" % text * len(good_replies(conn)), 0.0)
    assert conn.state == DOWN
    assert conn.cause == text.decode()


@pytest.mark.parametrize("text", [b"LOADING Redis is loading", b"MASTERDOWN Link with MASTER is down"])
def test_a_node_that_loads_is_there(text: bytes) -> None:
    """It answers INFO, and each request says for itself that it cannot be served now."""
    conn = handshaking()
    said = good_replies(conn)
    said[2] = b"-%b\r\n" % text
    conn.feed(b"".join(said), 0.0)
    assert conn.is_ready()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "banner", [b"+hello\r\n", b"$5\r\nhello\r\n", b":1\r\n", b"$-1\r\n", b"*0\r\n", b"-ERR hi\r\n"]
)
def test_a_banner_shifts_nothing(kind: tuple[str, ...], banner: bytes) -> None:
    """A reply too many, wherever it comes in the handshake: the connection is of no use, and no answer is wrong."""
    for at in range(len(good_replies(handshaking(*kind)))):
        conn = handshaking(*kind)
        said = good_replies(conn)
        said.insert(at, banner)
        conn.feed(b"".join(said), 0.0)
        assert not conn.is_ready()
        assert conn.cause


@each(st.sampled_from(KINDS), st.integers(0, 4), replies())
def test_handshakes_of_any_shape(kind: tuple[str, ...], at: int, raw: bytes) -> None:
    """Whatever one of the replies is: the handshake succeeds or it does not, and nothing is raised."""
    conn = handshaking(*kind)
    said = good_replies(conn)
    said[at % len(said)] = raw
    conn.feed(b"".join(said), 0.0)
    assert "internal error" not in conn.node.failure_counts
    for request in ([b"AUTH", b"x"], [b"HELLO", b"2"], [b"PING", b"x"], [b"INFO"], [b"CLIENT", b"ID"]):
        assert (
            parse_handshake([request], [raw]).client_id.strip(b"-").isdigit()
            or not parse_handshake([request], [raw]).client_id
        )


def test_a_client_can_fall_back() -> None:
    """HELLO 3 is refused while a node has no RESP3, HELLO 2 is not; once it has, it is served."""
    play = story(ring("a"), shy=True) >> client("GET {a}1") >> accepted("a") << to("a", *HANDSHAKE)
    play >> node("a", UNKNOWN % b"HELLO", "$9 kidoproxy", bulk(INFO)) << to("a", "GET {a}1")
    play >> node("a", "$1 x") << to_client("$1 x")
    play >> client("HELLO 3") << to_client("-NOPROTO unsupported protocol version")
    play >> client("HELLO 2") << then(lambda play: b"$5\r\nproto\r\n:2" in play.client("me").received) << given(unheard)
    play >> lost("a") >> greeted("a")
    play >> client("HELLO 3") << then(lambda play: b"$5\r\nproto\r\n:3" in play.client("me").received) << given(unheard)


def test_a_new_run_may_know_more() -> None:
    """What no node knew is asked again after a new handshake: it may have a module now."""
    play = story(ring("a")) >> client("GET {a}k") << given(unheard) >> node("a", "$-1") << given(unheard) >> tick()
    play >> client("JSON.GET {a}k") << to("a", "COMMAND INFO JSON.GET") >> node("a", "*1 *-1") << given(unheard)
    play >> tick() >> client("JSON.GET {a}k") << then(lambda play: not play.sent["a"]) << given(unheard)
    play >> lost("a") >> tick() >> client("JSON.GET {a}k") << to("a", "COMMAND INFO JSON.GET")


# -- another run ------------------------------------------------------------------------------------


def test_restart() -> None:
    """Another run id of a copy means that it may have lost data: it is not read while another one is."""
    (
        story(copies("a", "b"))
        >> client("SET k x") << to("a", "SET k x") << to("b", "SET k x")
        >> node("a", "+OK") >> node("b", "+OK") << to_client("+OK")
        >> restarted("b") << then(lambda play: play.pool.groups[0].behind_names() == ["b"])
        << to("a", "FUNCTION LIST WITHCODE") << silence()
    )  # fmt: skip


def test_restart_fails_what_waits() -> None:
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


# -- one server under two names ---------------------------------------------------------------------


def apart(nodes: str) -> Story:
    """A shy story over a ring whose nodes must be different servers."""
    play = story(ring(*nodes), shy=True)
    set_pool_neighbours(play.pool.nodes)
    for member in play.pool.nodes:
        play.executor.connection(member, 2, 0).start_connecting()
    return play


def is_down_as(name: str, other: str) -> Event:
    """The node is down, and its cause names the other one."""

    def expectation(play: Story) -> None:
        assert not play.node(name).live
        assert play.node(name).cause.startswith(f"it is the same server as {other} ")
        assert play.node(other).live

    return given(expectation)


def test_one_server_under_two_names() -> None:
    """The one whose handshake is later is refused, whichever it is; the others do not care."""
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
    play.connection("b").tick(play.executor.now + 60)
    assert play >> greeted("b")
    assert play.node("b").live
    assert play.node("b").same_server_as is None


def test_it_becomes_the_same_server_at_a_reconnect() -> None:
    """A name that has moved to the other node's server is refused at the next handshake, and missed nothing."""
    play = apart("ab")
    assert play >> greeted("a") >> greeted("b") >> lost("b")
    play.run_ids["b"] = play.run_ids["a"]
    assert play >> greeted("b") << is_down_as("b", "a")


def test_a_server_that_is_gone_is_no_duplicate() -> None:
    """What a node that is down once was does not keep another name from that server."""
    play = apart("ab")
    assert play >> greeted("a") >> greeted("b") >> refused("a")
    play.run_ids["b"] = play.run_ids["a"]
    assert play >> lost("b") >> greeted("b")
    assert play.node("b").live
    assert play.node("b").same_server_as is None


def test_without_a_run_id_nothing_can_be_said() -> None:
    """A node that does not say which run it is, is no duplicate."""
    play = apart("ab")
    play.run_ids["a"] = play.run_ids["b"] = ""
    assert play >> greeted("a") >> greeted("b")
    assert play.node("a").live
    assert play.node("b").live


@pytest.mark.parametrize("kind", [(), ("db",), ("resp3",), ("dedicated",), ("dedicated", "resp3", "db")])
@pytest.mark.parametrize(
    ("role", "is_refused"),
    [(b"master", False), (b"replica", True), (b"slave", True), (b"", False), (b"active-replica", False)],
)
def test_a_replica_where_sentinels_name_the_master(kind: tuple[str, ...], role: bytes, is_refused: bool) -> None:
    """Every kind of connection asks for the role, and one to a replica is given up; the sentinels are asked at once."""
    conn = NodeConnection(
        Node(0, "a", "a:6379", 1), ConnectionOptions(), 3 if "resp3" in kind else 2, 7 * ("db" in kind), []
    )
    calls: list[int] = []
    conn.node.master_view = MasterView(3)
    conn.node.ask_sentinels = lambda: calls.append(1)
    conn.dedicated = "dedicated" in kind
    conn.shared = not conn.dedicated
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    hello = mapping(conn.proto, [bulk(b"proto"), b":2\r\n", bulk(b"role"), bulk(role)]) if role else b"+OK\r\n"
    names = [
        request[0]
        for request in handshake_requests(conn.login, conn.base_proto, conn.base_db, conn.dedicated, needs_role=True)
    ]
    good = {b"PING": bulk(b"kidoproxy"), b"INFO": bulk(INFO), b"HELLO": hello, b"CLIENT": b":7\r\n"}
    assert names.count(b"HELLO") == 1
    conn.feed(b"".join([good.get(name, b"+OK\r\n") for name in names]), 0.0)

    assert (conn.state == DOWN, bool(calls)) == (is_refused, is_refused)
    assert conn.cause == ("it is a replica, and its sentinels name no other master yet" if is_refused else "")


@pytest.mark.parametrize(
    "hello",
    [
        b"*-1\r\n",
        b"*0\r\n",
        b"*1\r\n$4\r\nrole\r\n",
        b"*2\r\n*0\r\n$1\r\nx\r\n",
        b"*2\r\n$4\r\nrole\r\n:1\r\n",
        b"$4\r\nrole\r\n",
    ],
)
def test_a_greeting_without_a_role(hello: bytes) -> None:
    """Whatever a node answers to HELLO, it has a role only if it says so."""
    assert role_in(hello) == b""
