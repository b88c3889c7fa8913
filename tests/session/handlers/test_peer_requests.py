"""What one worker answers another: counts of subscribers, scripts, and what a worker knows that replaces one."""

import pytest

from kidoproxy.resp.encode import array, bulk, encode_request, integer
from kidoproxy.scripts.interposed import hex_digest
from kidoproxy.session.handlers import peer_requests
from kidoproxy.session.peers import NOT_SERVED
from kidoproxy.session.session import ClientSession
from tests.session.joined import Joined
from tests.session.stage import InMemoryProxy, asked, heard, listening, request, ring

SCRIPT = b"return 1"
DIGEST = hex_digest(SCRIPT)
LIBRARY = b"#!lua name=mine\nredis.register_function('f', function() return 1 end)"
NOSCRIPT = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"


def two() -> tuple[Joined, ClientSession, ClientSession]:
    """Two workers with a client each, over a node of the same name each."""
    joined = Joined(ring("a"), ring("a"))
    for stage in joined.stages:
        stage.ready()
    return joined, joined.stages[0].client(), joined.stages[1].client()


def node_says(stage: InMemoryProxy, raw: bytes) -> bytes:
    """What the node was sent; it answers."""
    conn = stage.connection("a")
    sent = asked(conn)
    conn.feed(raw, 0.0)
    return sent


@pytest.mark.parametrize(("counted_there", "silent", "total"), [(True, False, 3), (True, True, 2), (False, False, 1)])
def test_numsub(counted_there: bool, silent: bool, total: int) -> None:
    """The node counts each worker as one client; the reply counts clients, of this worker and the others."""
    joined, me, other = two()
    if counted_there:
        listening(joined.stages[1], other, "news")
        third = joined.stages[1].client()
        third.feed(request("SUBSCRIBE", "news"))
    listening(joined.stages[0], joined.stages[0].client(), "news")
    joined.silent = {1} if silent else set()
    me.feed(request("PUBSUB", "NUMSUB", "news", "old", "news"))
    reported = 2 if counted_there else 1
    node_says(joined.stages[0], array([bulk(b"news"), integer(reported), bulk(b"old"), integer(0)]))
    joined.deliver()
    assert heard(me) == array([bulk(b"news"), integer(total), bulk(b"old"), integer(0)])


def test_numsub_of_no_node() -> None:
    """A failure is the reply, without a question."""
    joined, me, _ = two()
    me.feed(request("PUBSUB", "NUMSUB", "news"))
    joined.stages[0].connection("a").on_connection_lost("it closed the connection", 0.0, True)
    assert heard(me).startswith(b"-NODEDOWN")
    assert not joined.questions


@pytest.mark.parametrize(
    ("load", "forget", "known"),
    [
        (["SCRIPT", "LOAD", SCRIPT], ["SCRIPT", "FLUSH"], lambda registry: registry.loaded),
        (["FUNCTION", "LOAD", LIBRARY], ["FUNCTION", "DELETE", "mine"], lambda registry: registry.library_changes),
        (["FUNCTION", "LOAD", LIBRARY], ["FUNCTION", "FLUSH"], lambda registry: registry.functions),
    ],
)
def test_scripts(load, forget, known) -> None:  # type: ignore[no-untyped-def]
    """What one worker loads all know before its client hears that it is loaded; so it is with the end."""
    joined, me, _ = two()
    registry = joined.stages[1].pool.script_registry
    me.feed(request(*load))
    node_says(joined.stages[0], b"+OK\r\n")
    assert heard(me) == b""
    assert not known(registry)
    joined.deliver()
    assert heard(me) == b"+OK\r\n"
    assert known(registry)
    me.feed(request(*load))
    node_says(joined.stages[0], b"-ERR no\r\n")
    assert heard(me) == b"-ERR no\r\n"
    me.feed(request(*forget))
    node_says(joined.stages[0], b"+OK\r\n")
    joined.deliver()
    assert heard(me) == b"+OK\r\n"
    assert not known(registry)


def test_a_change_that_some_nodes_have_made() -> None:
    """A library that one node has deleted must be loaded by no worker again; a load that failed is no load."""
    joined = Joined(ring("a", "b"), ring("a", "b"))
    for stage in joined.stages:
        stage.ready()
        stage.pool.script_registry.load_library(LIBRARY)
    me = joined.stages[0].client()
    me.feed(request("FUNCTION", "DELETE", "mine"))
    joined.stages[0].connection("a").feed(b"+OK\r\n", 0.0)
    joined.stages[0].connection("b").on_connection_lost("it closed the connection", 0.0, True)
    joined.deliver()
    assert heard(me).startswith(b"-PARTIAL")
    assert not joined.stages[1].pool.script_registry.library_changes
    me.feed(request("FUNCTION", "LOAD", LIBRARY))
    joined.stages[0].connection("a").on_connection_lost("it closed the connection", 0.0, True)
    assert heard(me).startswith(b"-")
    assert not joined.questions


@pytest.mark.parametrize(("seen_there", "silent"), [(True, False), (True, True), (False, False)])
def test_evalsha(seen_there: bool, silent: bool) -> None:
    """A script that only another worker has seen is sent to the node, which had lost it."""
    joined, me, other = two()
    joined.silent = {1} if silent else set()
    if seen_there:
        other.feed(request("EVAL", SCRIPT, "0"))
        node_says(joined.stages[1], b":1\r\n")
    me.feed(request("EVALSHA", DIGEST, "0"))
    node_says(joined.stages[0], NOSCRIPT)
    assert heard(me) == b""
    joined.deliver()
    if silent or not seen_there:
        assert heard(me) == NOSCRIPT
        return
    sent = node_says(joined.stages[0], bulk(DIGEST) + b":1\r\n")
    assert sent == encode_request([b"SCRIPT", b"LOAD", SCRIPT]) + request("EVALSHA", DIGEST, "0")
    assert heard(me) == b":1\r\n"


def test_evalsha_of_one_that_has_gone_on() -> None:
    """What it has sent since might have run first: it gets NOSCRIPT, as ever."""
    joined, me, other = two()
    other.feed(request("EVAL", SCRIPT, "0"))
    me.feed(request("EVALSHA", DIGEST, "0"))
    node_says(joined.stages[0], NOSCRIPT)
    me.feed(request("GET", "k"))
    joined.deliver()
    node_says(joined.stages[0], b"$-1\r\n")
    assert heard(me) == NOSCRIPT + b"$-1\r\n"


def test_one_that_replaces_another() -> None:
    """It learns scripts, libraries and the pause of its pool from the others, if one answers."""
    joined, me, _ = two()
    old, new = joined.stages[0], ring("a")
    registry = old.pool.script_registry
    registry.remember(SCRIPT)
    registry.mark_loaded(SCRIPT)
    registry.load_library(LIBRARY)
    registry.restore_libraries(b"dump", b"append")
    registry.delete_library(b"mine")
    joined.say(me, "CLIENT", "PAUSE", "60000", "WRITE")
    asked_for = encode_request([b"cache", peer_requests.STATE])
    session = new.client()
    peer_requests.learn_state(new.proxy, new.pool, {1: None})
    peer_requests.learn_state(new.proxy, new.pool, {0: joined.part(0, asked_for), 1: None})
    assert new.pool.script_registry.script_load_requests() == registry.script_load_requests()
    assert new.pool.script_registry.library_requests() == registry.library_requests()
    assert new.pool.pause_writes_only
    assert new.pool.paused_until_ms == old.pool.paused_until_ms > 0
    assert not session.fast_path


def test_a_pool_that_is_not_served() -> None:
    """By this worker: it has no part in it."""
    joined, _, _ = two()
    assert joined.part(0, encode_request([b"other", b"client|list", b"CLIENT", b"LIST"])) == NOT_SERVED
    assert b"total_commands_processed" in joined.part(0, encode_request([b"other", b"numbers"]))
