"""`kidoproxy.session.handlers.info`: INFO of the nodes and of the proxy; one bad node never fails it."""

import pytest

from kidoproxy.replication.group import SYNCING, group_of
from kidoproxy.replication.sync_progress import SyncProgress
from kidoproxy.resp.decode import string_value as text_of
from kidoproxy.resp.encode import bulk
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.placement.owners import ketama
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.ring import Ring
from kidoproxy.session.handlers import info
from tests.session.stage import InMemoryProxy, asked, copies, heard, request, ring, say

THEIRS = (
    b"# Server\r\nredis_version:7.0.15\r\nredis_mode:cluster\r\nprocess_id:1\r\ntcp_port:6379\r\n"
    b"uptime_in_seconds:9\r\n\r\n# Clients\r\nconnected_clients:%d\r\n\r\n# Memory\r\nused_memory:%d\r\n"
    b"\r\n# Replication\r\nrole:slave\r\nconnected_slaves:1\r\n"
)


def sections(raw: bytes) -> dict[str, dict[str, str]]:
    """An INFO text, taken apart."""
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in text_of(raw).decode().split("\r\n"):
        if line.startswith("# "):
            section = found.setdefault(line[2:], {})
        elif line:
            name, _, value = line.partition(":")
            section[name] = value
    return found


def told(stage: InMemoryProxy, *words: str, proto: int = 2) -> bytes:
    """The reply to INFO when both nodes have answered."""
    session = stage.client(local="127.0.0.1:7000")
    if proto == 3:
        say(session, "HELLO", "3")
    a, b = stage.connection("a", proto), stage.connection("b", proto)
    assert say(session, "INFO", *words) == b""
    assert asked(a) == asked(b) == request("INFO", *words)
    for number, conn in enumerate((a, b)):
        reply = bulk(THEIRS % (50, 1000 + number))
        conn.feed(reply, 0.0)
    return heard(session)


def test_info_is_theirs_corrected_and_ours() -> None:
    """Version and memory are the nodes'; port, process, uptime, clients and role are ours; our sections follow."""
    shown = sections(told(ring("a", "b")))
    assert list(shown) == ["Server", "Clients", "Memory", "Replication", "Kidoproxy", "KidoproxyNodes"]
    assert shown["Memory"]["used_memory"] == "2001"
    server = shown["Server"]
    assert (server["redis_version"], server["redis_mode"], server["tcp_port"]) == ("7.0.15", "standalone", "7000")
    assert (server["process_id"], server["uptime_in_seconds"], server["uptime_in_days"]) == ("4242", "90", "0")
    assert (shown["Clients"]["connected_clients"], shown["Clients"]["maxclients"]) == ("1", "10000")
    assert shown["Replication"] == {"role": "master", "connected_slaves": "0"}
    ours = shown["Kidoproxy"]
    assert (ours["kidoproxy_version"], ours["build"], ours["mode"]) == ("1.2.3", "interpreted", "ring")
    assert "Stats" not in shown


def test_names_with_a_colon_stay_apart() -> None:
    """A node is named after its address by default; each keeps its line, for stock parsers too."""
    stage = ring("127.0.0.1:7001", "127.0.0.1:7002")
    stage.ready()
    session = stage.client()
    say(session, "INFO")
    for conn in stage.executor.all_connections():
        conn.feed(bulk(THEIRS % (1, 1)), 0.0)
    found = sections(heard(session))["KidoproxyNodes"]
    assert [row.partition(",")[0] for row in found.values()] == ["name=127.0.0.1:7001", "name=127.0.0.1:7002"]


def test_info_for_resp3() -> None:
    """A verbatim text."""
    reply = told(ring("a", "b"), proto=3)
    assert reply.startswith(b"=")
    assert b"\r\ntxt:# Server" in reply


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], ["Kidoproxy", "KidoproxyNodes"]),
        (["all"], ["Kidoproxy", "KidoproxyNodes"]),
        (["EVERYTHING"], ["Kidoproxy", "KidoproxyNodes"]),
        (["server", "default"], ["Kidoproxy", "KidoproxyNodes"]),
        (["memory"], []),
        (["memory", "Kidoproxy"], ["Kidoproxy"]),
        (["kidoproxynodes", "memory"], ["KidoproxyNodes"]),
    ],
)
def test_sections_are_chosen(words: list[str], shown: list[str]) -> None:
    """Our sections obey INFO's arguments as Redis's own do."""
    found = sections(told(ring("a", "b"), *words))
    assert [name for name in found if name.startswith("Kido")] == shown


def test_our_sections_alone_ask_no_node() -> None:
    """They can be read when every node is down."""
    stage = ring("a", "b")
    session = stage.client()
    found = sections(say(session, "INFO", "KIDOPROXY", "kidoproxynodes"))
    assert list(found) == ["Kidoproxy", "KidoproxyNodes"]
    assert stage.executor.all_connections() == []


def test_one_line_for_each_node() -> None:
    """Address, state, connections, open requests, version, reconnects, cause; commas and line ends cannot break it."""
    stage = ring("a", "b")
    stage.ready()
    session = stage.client()
    say(session, "DBSIZE")
    node = stage.node("b")
    node.live = False
    node.cause = "refused, twice\r\n# Server"
    assert say(session, "INFO", "kidoproxynodes") == b""  # it waits behind DBSIZE
    for conn in stage.executor.all_connections():
        conn.feed(b":1\r\n", 0.0)
    lines = sections(heard(session)[4:])
    assert lines["KidoproxyNodes"] == {
        "node0": "name=a,address=10.0.0.1:6379,state=up,links=1,lanes=0,waiting=1,version=7.0.15,reconnects=0,cause=",
        "node1": "name=b,address=10.0.0.2:6379,state=down,links=1,lanes=0,waiting=1,version=7.0.15,reconnects=0,"
        "cause=refused; twice  # Server",
    }


def test_states_of_copies() -> None:
    """A copy that is reached shows what it is to its pool; one that is not is down."""
    stage = copies("a", "b", "c")
    group = group_of(stage.node("b"))
    assert group is not None
    group.copies[1].state = SYNCING
    stage.node("c").live = False
    assert [info.node_state(node) for node in stage.nodes] == ["in sync", "syncing", "down"]
    stage.node("a").suspect = True
    assert info.node_state(stage.node("a")) == "suspect"


def test_how_far_a_sync_is() -> None:
    """A copy that is not in sync shows what it has missed; while it is synced also keys, rate and time left."""
    stage = copies("a", "b")
    group = group_of(stage.node("b"))
    assert group is not None
    copy = group.copies[1]
    copy.missed.reset(b"")
    copy.missed.add(0, [b"k", b"l"])
    copy.state = SYNCING
    assert info.missed_and_synced_counts(stage.node("a")) == []
    assert info.missed_and_synced_counts(copy.node) == [("missed_keys", 2)]
    progress = copy.sync_progress = SyncProgress(0, 0.0)
    progress.begin_pass(500)
    progress.add(200)
    progress.tick(1.0)
    line = sections(say(stage.client(), "INFO", "kidoproxynodes"))["KidoproxyNodes"]["node1"]
    shown = "missed_keys=2,sync_keys=200,sync_keys_expected=500,sync_keys_per_s=200,sync_seconds_left=1"
    assert line.endswith("," + shown)


def test_info_of_nodes_that_give_none() -> None:
    """When a node is down INFO still says the version and what is known here, and why it is not more."""
    stage = ring("a", "b")
    stage.ready()
    session = stage.client()
    say(session, "INFO")
    stage.connection("a").feed(bulk(THEIRS % (1, 1)), 0.0)
    stage.connection("b").on_connection_lost("it is silent", 0.0, True)
    found = sections(heard(session))
    assert found["Server"]["redis_version"] == "7.0.15"
    assert found["Replication"]["role"] == "master"
    assert found["Kidoproxy"]["nodes_gave_no_info"] == "NODEDOWN b 10.0.0.2:6379 (it is silent)"
    say(session, "INFO", "kidoproxy", "stats")
    stage.connection("a").feed(b"-NOPERM not for you\r\n", 0.0)
    found = sections(heard(session))
    assert list(found) == ["Stats", "Kidoproxy"]


def test_info_of_a_single_node() -> None:
    """A pool of one node relays everything, INFO is completed all the same; its failure too."""
    stage = ring("a")
    stage.pool.root = NodeRoute(stage.nodes[0])
    conn = stage.connection("a")
    session = stage.client()
    say(session, "INFO")
    conn.feed(bulk(THEIRS % (1, 1)), 0.0)
    found = sections(heard(session))
    assert (found["Server"]["process_id"], found["Memory"]["used_memory"]) == ("4242", "1")
    assert list(found["KidoproxyNodes"]) == ["node0"]
    say(session, "INFO")
    conn.on_connection_lost("it is silent", 0.0, True)
    assert sections(heard(session))["Kidoproxy"]["nodes_gave_no_info"] == "NODEDOWN a 10.0.0.1:6379 (it is silent)"


def test_lists_of_replies_are_left_alone() -> None:
    """With PROXY REPLIES LIST each node's own INFO is wanted, as it is."""
    stage = ring("a", "b")
    stage.ready()
    session = stage.client()
    say(session, "PROXY", "REPLIES", "LIST")
    say(session, "INFO")
    for conn in stage.executor.all_connections():
        conn.feed(bulk(b"x:1\r\n"), 0.0)
    assert heard(session) == b"*2\r\n" + bulk(b"x:1\r\n") * 2


def test_nodes_know_their_own_pool() -> None:
    """In a ring over copy pools each node is shown with the pool that it is directly in."""
    inner = copies("a", "b")
    outer = Ring(
        "outer", [inner.pool.root, NodeRoute(ring("z").nodes[0])], ketama(["x", "y"], [1, 1]), Tags(123, 125, [])
    )
    found = info.nodes_with_pool_name("top", outer)
    assert [(pool, node.name) for pool, node in found] == [("cache", "a"), ("cache", "b"), ("outer", "z")]


@pytest.mark.parametrize(
    ("local", "port"), [("127.0.0.1:6380", "6380"), ("[::1]:7", "7"), ("/run/x.sock:0", "0"), ("", "0")]
)
def test_port(local: str, port: str) -> None:
    """The number behind the last colon."""
    assert info.port_of(local) == port


def test_errors_are_those_that_clients_got() -> None:
    """The counts of both the proxy's errors and those of nodes are in Redis's fields; what nodes count is dropped."""
    stage = ring("a")
    conn, session = stage.connection("a"), stage.client()
    say(session, "GET")
    say(session, "HELLO", "9")
    for error in (b"-OOM no\r\n", b"-OOM no\r\n", b"-MYMODULE no\r\n", b"-ERR no\r\n"):
        say(session, "SET", "k", "v")
        conn.feed(error, 0.0)
    heard(session)
    say(session, "INFO", "all")
    conn.feed(bulk(b"# Stats\r\ntotal_error_replies:77\r\n\r\n# Errorstats\r\nerrorstat_MOVED:count=70\r\n"), 0.0)
    found = sections(heard(session))
    assert found["Stats"]["total_error_replies"] == "6"
    assert found["Errorstats"] == {
        "errorstat_ERR": "count=2",
        "errorstat_NOPROTO": "count=1",
        "errorstat_other": "count=1",
        "errorstat_OOM": "count=2",
    }
