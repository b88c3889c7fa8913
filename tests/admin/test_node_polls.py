"""Nodes are asked what they are like while somebody looks: seldom, never twice at a time, and only if they answer."""

from kidoproxy.admin.node_polls import POLL_SECONDS, REQUEST, NodePolls, parse_fields
from kidoproxy.resp.encode import bulk
from tests.session.stage import InMemoryProxy, asked, ring

INFO = b"# Memory\r\nused_memory:2048\r\nmaxmemory:x\r\n# Keyspace\r\ndb0:keys=3,expires=0\r\ndb7:keys=4,expires=1\r\n"


class Look:
    """Somebody who looks at one node, and the clock."""

    def __init__(self) -> None:
        self.stage: InMemoryProxy = ring("a")
        self.now = 100.0
        self.polls = NodePolls(lambda: self.now)

    def ask(self) -> bytes:
        """What the node is asked."""
        self.polls.ask(self.stage.executor, self.stage.nodes)
        conns = self.stage.executor.connections_to(self.stage.nodes[0])
        return asked(conns[0]) if conns else b""


def test_a_node_is_asked_now_and_then() -> None:
    """Not before it has answered, and not again before its time has come."""
    look = Look()
    look.stage.ready()
    asked(look.stage.connection("a"))
    assert look.ask() == REQUEST
    look.now += 2 * POLL_SECONDS
    assert look.ask() == b""
    look.stage.connection("a").feed(bulk(INFO), 0.0)
    poll = look.polls.by_node[look.stage.nodes[0]]
    assert poll.latency_ms == 2 * POLL_SECONDS * 1000
    assert poll.fields == {"used_memory_bytes": 2048, "keys": 7}
    assert look.ask() == REQUEST
    look.stage.connection("a").feed(b"-NOPERM no\r\n", 0.0)
    assert (poll.fields, look.ask()) == ({}, b"")


def test_a_node_that_is_lost_shows_nothing() -> None:
    """What it said is old; it is not asked while it is away, and the failure is none of a client's request."""
    look = Look()
    assert look.ask() == b""
    look.stage.ready()
    asked(look.stage.connection("a"))
    assert look.ask() == REQUEST
    node = look.stage.nodes[0]
    look.stage.connection("a").on_connection_lost("gone", 1.0, True)
    poll = look.polls.by_node[node]
    assert (poll.is_open, poll.latency_ms, poll.fields) == (False, None, {})
    assert "connection lost" not in node.failure_counts
    look.now += 2 * POLL_SECONDS
    assert look.ask() == b""


def test_what_is_no_info_shows_nothing() -> None:
    """A node may say anything."""
    assert parse_fields(b"") == {}
    assert parse_fields(b"used_memory:-5\r\ndbx:keys=3\r\ndb0:what") == {"keys": 0}
