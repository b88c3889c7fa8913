"""`kidoproxy.session.handlers.proxy_command`: PROXY explains, asks one node or each, and upsets nobody."""

import pytest

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.replication.group import IN_SYNC, group_of
from kidoproxy.resp import errors
from kidoproxy.routes.topology import Node
from kidoproxy.session.session import ClientSession
from tests.decoding import decode
from tests.greet import greet
from tests.session.stage import Words, asked, copies, heard, key_on, request, ring, say


def rows(reply: bytes) -> list[str]:
    """A list of texts."""
    found = decode(reply)
    assert isinstance(found, list)
    return [row.decode() for row in found]


def explained(session: ClientSession, *words: Words) -> list[str]:
    """PROXY ROUTE."""
    return rows(say(session, "PROXY", "ROUTE", *words))


# -- HELP, NODES, STATS, REPLIES, SYNC ---------------------------------------------------------------------


def test_help() -> None:
    """Every subcommand is named; a wrong one points there."""
    session = ring("a").client()
    text = say(session, "PROXY", "HELP")
    for word in (b"NODES", b"ROUTE", b"NODE ", b"EACH", b"REPLIES", b"SCRUB", b"STATS", b"SYNC", b"HELP"):
        assert b"\r\n+" + word in text
    assert say(session, "PROXY", "DANCE") == b"-ERR unknown subcommand 'DANCE'. Try PROXY HELP.\r\n"
    assert say(session, "PROXY") == b"-ERR wrong number of arguments for 'proxy' command\r\n"
    assert say(session, "PROXY", "ROUTE") == b"-ERR wrong number of arguments for 'proxy|route' command\r\n"


def test_not_in_a_transaction() -> None:
    """PROXY asks and changes what a transaction cannot hold."""
    session = ring("a").client()
    say(session, "MULTI")
    assert say(session, "PROXY", "STATS").startswith(b"-ERR 'proxy|stats' is not served here")
    assert say(session, "EXEC") == errors.EXECABORT


def test_nodes() -> None:
    """One row for each node, with all that is known of it."""
    stage = ring("a", "b")
    stage.connection("a")
    stage.node("b").live = False
    stage.node("b").cause = "connection refused"
    session = stage.client()
    flat = decode(say(session, "PROXY", "NODES"))
    assert isinstance(flat, list)
    first, second = (dict(zip(row[::2], row[1::2], strict=True)) for row in flat)
    assert first == {
        b"pool": b"cache",
        b"name": b"a",
        b"address": b"10.0.0.1:6379",
        b"state": b"up",
        b"version": b"7.0.15",
        b"run_id": b"aaaa",
        b"cause": b"",
        b"sync": b"",
        b"links": 1,
        b"lanes": 0,
        b"waiting": 0,
        b"reconnects": 0,
    }
    assert (second[b"state"], second[b"cause"], second[b"links"]) == (b"down", b"connection refused", 0)
    say(session, "HELLO", "3")
    assert say(session, "PROXY", "NODES").startswith(b"*2\r\n%12\r\n$4\r\npool\r\n")


def test_stats() -> None:
    """The counters, flat in RESP2 and a map in RESP3."""
    stage = ring("a")
    stage.proxy.connections_rejected = 3
    session = stage.client()
    flat = decode(say(session, "PROXY", "STATS"))
    assert isinstance(flat, list)
    shown = dict(zip(flat[::2], flat[1::2], strict=True))
    assert (shown[b"rejected_connections"], shown[b"connected_clients"]) == (3, 1)
    say(session, "HELLO", "3")
    assert say(session, "PROXY", "STATS").startswith(b"%")


def test_replies() -> None:
    """LIST stays on until MERGED or RESET; anything else is a syntax error."""
    stage = ring("a", "b")
    key, conn = key_on(stage, "b"), stage.connection("b")
    session = stage.client()
    assert say(session, "PROXY", "REPLIES", "SOME") == errors.SYNTAX
    assert say(session, "PROXY", "REPLIES", "list") == b"+OK\r\n"
    say(session, "GET", key)
    conn.feed(b"$1\r\nv\r\n", 0.0)
    assert heard(session) == b"*1\r\n$1\r\nv\r\n"
    assert say(session, "PROXY", "REPLIES", "MERGED") == b"+OK\r\n"
    say(session, "GET", key)
    conn.feed(b"$1\r\nv\r\n", 0.0)
    assert heard(session) == b"$1\r\nv\r\n"


def test_sync() -> None:
    """A sync of a copy begins, or cannot for a reason; without a name it is told what syncs are doing."""
    stage = copies("a", "b")
    session = stage.client()
    asked_for: list[str] = []

    def begin(node: Node) -> str:
        asked_for.append(node.name)
        return "" if node.name == "b" else "it is in sync"

    assert say(session, "PROXY", "SYNC", "b").startswith(b"-ERR no sync of 'b': ")
    stage.proxy.request_sync = begin
    assert say(session, "PROXY", "SYNC", "b") == b"+OK\r\n"
    assert say(session, "PROXY", "SYNC", "a") == b"-ERR no sync of 'a': it is in sync\r\n"
    assert asked_for == ["b", "a"]
    stage.proxy.sync_status[stage.node("b").node_id] = "copied 3 of 7 keys"
    assert say(session, "PROXY", "SYNC") == b"*2\r\n$1\r\nb\r\n$18\r\ncopied 3 of 7 keys\r\n"
    unknown = b"-ERR unknown node 'x'; the nodes of this pool are: a, b\r\n"
    assert say(session, "PROXY", "SYNC", "x") == unknown
    assert say(session, "PROXY", "SYNC", "a", "b") == errors.wrong_arity(b"proxy|sync")


def test_requests_about_a_copy() -> None:
    """A word behind the name asks for something else; what it says is a list of lines, or OK, or why not."""
    stage = copies("a", "b")
    session = stage.client()
    stage.proxy.request_sync = lambda node: ""
    given: list[tuple[str, str]] = []

    def run_sync_command(node: Node, word: str) -> tuple[str, list[str]]:
        given.append((node.name, word))
        return ("it is not so", []) if word == "cancel" else ("", ["line"] if word == "trust" else [])

    assert say(session, "PROXY", "SYNC", "b", "CANCEL") == errors.wrong_arity(b"proxy|sync")
    stage.proxy.run_sync_command = run_sync_command
    assert say(session, "PROXY", "SYNC", "b", "refill") == b"+OK\r\n"
    assert say(session, "PROXY", "SYNC", "b", "CANCEL") == b"-ERR no sync of 'b': it is not so\r\n"
    assert say(session, "PROXY", "SYNC", "b", "TRUST") == b"*1\r\n$4\r\nline\r\n"
    assert say(session, "PROXY", "SYNC", "b", "TRUST", "Confirm") == b"+OK\r\n"
    assert given == [("b", "refill"), ("b", "cancel"), ("b", "trust"), ("b", "trust confirm")]
    assert say(session, "PROXY", "SYNC", "b", "TRUST", "CONFIRM", "x") == errors.wrong_arity(b"proxy|sync")


def test_no_sync_in_a_ring() -> None:
    """A key of a ring is nowhere else."""
    stage = ring("a")
    stage.proxy.request_sync = lambda node: ""
    reply = say(stage.client(), "PROXY", "SYNC", "a")
    assert reply == b"-ERR no sync of 'a': it is not part of a copy pool, there is nothing to copy from\r\n"


# -- NODE --------------------------------------------------------------------------------------------------


def test_node_asks_one() -> None:
    """Just this node is asked, in the client's protocol and database; its reply is relayed."""
    stage = ring("a", "b")
    conn = stage.connection("b", 3, 2)
    session = stage.client()
    say(session, "HELLO", "3")
    say(session, "SELECT", "2")
    assert say(session, "PROXY", "NODE", "b", "DBSIZE") == b""
    assert asked(conn) == request("DBSIZE")
    assert stage.executor.all_connections() == [conn]
    conn.feed(b":7\r\n", 0.0)
    assert heard(session) == b":7\r\n"


@pytest.mark.parametrize(
    "words",
    [
        ["PING"],
        ["SET", "k", "v"],
        ["MGET", "k", "l"],
        ["SCAN", "0"],
        ["INFO"],
        ["MEMORY", "STATS"],
        ["LATENCY", "LATEST"],
        ["SLOWLOG", "GET"],
        ["ACL", "WHOAMI"],
        ["MODULE", "LIST"],
        ["XREAD", "STREAMS", "s", "0"],
    ],
)
def test_what_one_node_may_be_asked(words: list[str]) -> None:
    """What is served here, and what is refused only because it speaks of one node."""
    stage = ring("a", "b")
    conn = stage.connection("a")
    assert say(stage.client(), "PROXY", "NODE", "a", *words) == b""
    assert asked(conn) == request(*words)


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        (["NOPE", "x"], b"-ERR unknown command 'NOPE', with args beginning with: 'x' \r\n"),
        (["CONFIG", "NOPE"], b"-ERR unknown subcommand 'NOPE'. Try CONFIG HELP.\r\n"),
        (["GET"], b"-ERR wrong number of arguments for 'get' command\r\n"),
        (
            ["MULTI"],
            b"-ERR 'multi' cannot be sent to one node: it would change a connection that all clients share\r\n",
        ),
        (
            ["SELECT", "1"],
            b"-ERR 'select' cannot be sent to one node: it would change a connection that all clients share\r\n",
        ),
        (["BLPOP", "k", "0"], b"-ERR 'blpop' cannot be sent to one node: it would hold up a connection"),
        (["SUBSCRIBE", "k"], b"-ERR 'subscribe' cannot be sent to one node: it would hold up a connection"),
        (
            ["XREAD", "BLOCK", "0", "STREAMS", "s", "0"],
            b"-ERR 'xread' cannot be sent to one node: it would hold up a connection",
        ),
        (["SHUTDOWN"], b"-ERR 'shutdown' is not served here: "),
        (["CONFIG", "SET", "a", "b"], b"-ERR 'config|set' is not served here: "),
        (["ACL", "SETUSER", "x"], b"-ERR 'acl|setuser' is not served here: "),
        (["KEYS", "*"], b"-ERR 'keys' is not served here: this pool's configuration denies it\r\n"),
        (["MEMORY", "DOCTOR"], b"-ERR 'memory|doctor' is not served here: this pool's configuration denies it\r\n"),
    ],
)
def test_what_one_node_may_not_be_asked(words: list[str], reply: bytes) -> None:
    """What would upset the shared connection, what the pool denies, and what Redis would refuse: nothing is sent."""
    stage = ring("a", words=CommandSet(frozenset([b"keys", b"memory|doctor"]), frozenset(), {}))
    conn = stage.connection("a")
    assert say(stage.client(), "PROXY", "NODE", "a", *words).startswith(reply)
    assert asked(conn) == b""
    assert stage.proxy.commands_rejected == 1


def test_users_are_not_changed_even_where_allowed() -> None:
    """A pool that opens everything does not open the nodes' users."""
    stage = ring("a")
    reply = say(stage.client(), "PROXY", "NODE", "a", "ACL", "DELUSER", "x")
    assert reply.startswith(b"-ERR 'acl|deluser' is not served here: ")


def test_unknown_node() -> None:
    """The names are told."""
    reply = say(ring("a", "b").client(), "PROXY", "NODE", "c", "GET", "k")
    assert reply == b"-ERR unknown node 'c'; the nodes of this pool are: a, b\r\n"


def test_renamed_commands() -> None:
    """A renamed command is known by its new name alone; the node gets the old one."""
    stage = ring("a", words=CommandSet(frozenset(), frozenset(), {b"get": b"fetch"}))
    conn = stage.connection("a")
    session = stage.client()
    say(session, "PROXY", "NODE", "a", "FETCH", "k")
    assert asked(conn) == request("get", "k")
    conn.feed(b"$-1\r\n", 0.0)
    heard(session)
    assert say(session, "PROXY", "NODE", "a", "GET", "k").startswith(b"-ERR unknown command 'GET'")
    assert say(session, "PROXY", "EACH", "GET", "k").startswith(b"-ERR unknown command 'GET'")
    assert explained(session, "GET", "k")[0].startswith("refused: ERR unknown command 'GET'")


@pytest.mark.parametrize("words", [["SET", "k", "v"], ["EVAL", "return 1", "0"], ["FLUSHALL"]])
def test_one_copy_is_not_written(words: list[str]) -> None:
    """It would differ from the others, and the next comparison would undo it."""
    stage = copies("a", "b")
    reply = say(stage.client(), "PROXY", "NODE", "b", *words)
    assert reply.endswith(b"cannot be sent to one node: one copy would then differ from the others\r\n")


@pytest.mark.parametrize("words", [["GET", "k"], ["SCRIPT", "LOAD", "return 1"], ["SLOWLOG", "RESET"]])
def test_one_copy_can_be_read(words: list[str]) -> None:
    """In sync or not: this is how a person compares copies. What is not data is not a copy either."""
    stage = copies("a", "b")
    conn = stage.connection("b")
    session = stage.client()
    assert say(session, "PROXY", "NODE", "b", *words) == b""
    assert asked(conn) == request(*words)


def test_a_read_of_one_node_is_asked_again() -> None:
    """A lost connection costs a read one more attempt, a write an error that says so."""
    stage = ring("a")
    conn = stage.connection("a")
    session = stage.client()
    say(session, "PROXY", "NODE", "a", "GET", "k")
    say(session, "PROXY", "NODE", "a", "SET", "k", "v")
    asked(conn)
    conn.on_connection_lost("cut", 0.0, False)
    conn.on_connected(0.0, 1.0)
    conn.feed(greet(conn, b""), 0.0)
    conn.feed(b"$1\r\nv\r\n", 0.0)
    assert heard(session) == b"$1\r\nv\r\n" + (
        b"-NODEDOWN a 10.0.0.1:6379 (cut); the write may have run, its outcome is unknown\r\n"
    )


# -- EACH ----------------------------------------------------------------------------------------------------


def test_each_lists_the_replies() -> None:
    """Each node's own reply, this once; a node that is down has its error in its place."""
    stage = ring("a", "b")
    stage.ready()
    session = stage.client()
    assert say(session, "PROXY", "EACH", "DBSIZE") == b""
    stage.connection("a").feed(b":1\r\n", 0.0)
    stage.connection("b").on_connection_lost("gone", 0.0, True)
    assert heard(session) == b"*2\r\n:1\r\n-NODEDOWN b 10.0.0.2:6379 (gone)\r\n"
    say(session, "GET", key_on(stage, "a"))
    stage.connection("a").feed(b"+x\r\n", 0.0)
    assert heard(session) == b"+x\r\n"


def test_each_of_a_split_command() -> None:
    """A command that is cut by node lists each node's part."""
    stage = ring("a", "b")
    stage.ready()
    one, two = key_on(stage, "a"), key_on(stage, "b")
    session = stage.client()
    say(session, "PROXY", "EACH", "DEL", one, two)
    stage.connection("b").feed(b":1\r\n", 0.0)
    stage.connection("a").feed(b":0\r\n", 0.0)
    assert heard(session) == b"*2\r\n:0\r\n:1\r\n"


def test_each_of_copies() -> None:
    """A write to copies lists what every copy said, in the order of the configuration."""
    stage = copies("a", "b")
    group = group_of(stage.node("a"))
    assert group is not None
    group.copies[1].state = IN_SYNC
    stage.ready()
    session = stage.client()
    say(session, "PROXY", "EACH", "SET", "k", "v")
    for conn in stage.executor.all_connections():
        conn.feed(b"+OK\r\n", 0.0)
    assert heard(session) == b"*2\r\n+OK\r\n+OK\r\n"


def test_each_of_what_is_answered_here() -> None:
    """A list of one."""
    assert say(ring("a").client(), "PROXY", "EACH", "PING") == b"*1\r\n+PONG\r\n"


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        (["NOPE"], b"-ERR unknown command 'NOPE', "),
        (["GET"], b"-ERR wrong number of arguments for 'get' command\r\n"),
        (["SHUTDOWN"], b"-ERR 'shutdown' is not served here: "),
        (["MULTI"], b"-ERR 'multi' cannot be asked of each node: no node is asked\r\n"),
        (["PROXY", "STATS"], b"-ERR 'proxy|stats' cannot be asked of each node: no node is asked\r\n"),
        (["BLPOP", "k", "0"], b"-ERR 'blpop' cannot be asked of each node: it needs a connection of the client's own"),
        (["SCAN", "0"], b"-ERR 'scan' cannot be asked of each node: it visits one after another; ask one: PROXY NODE"),
    ],
)
def test_what_each_cannot(words: list[str], reply: bytes) -> None:
    """The usual refusals, and what has no list."""
    stage = ring("a", "b")
    assert say(stage.client(), "PROXY", "EACH", *words).startswith(reply)
    assert stage.executor.all_connections() == []
