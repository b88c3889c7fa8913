"""Commands whose work grows with the data: their deadline grows too, and nobody takes a busy node for a silent one."""

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.replies.handler import IgnoreReply
from kidoproxy.resp.encode import bulk
from kidoproxy.resp.errors import NODEDOWN, NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.session.handlers.long_running import MAX_EXTRA_SECONDS, busy_node_handler, estimate_seconds
from tests.story import client, copies, given, node, refused, ring, silence, story, then, tick, to, to_client, unheard

#: 20 MB: a slow node frees them in two seconds.
MUCH = bulk(b"# Memory\r\nused_memory:20000000\r\n")
LATE = "-TIMEOUT a a:6379 (no reply in 500 ms)"
UNKNOWN = "; the write may have run, its outcome is unknown"


@pytest.mark.parametrize("words", ["FLUSHDB", "FLUSHALL ASYNC", "MEMORY PURGE", "flushdb sync"])
def test_it_has_the_time_that_so_much_data_takes(words: str) -> None:
    """The nodes say how much they have; then all are told at once, and have four seconds for 40 MB."""
    (
        story(ring("a", "b"))
        >> client(words) << to("a", "INFO memory") << to("b", "INFO memory")
        >> node("a", MUCH) << silence() >> node("b", MUCH) << to("a", words) << to("b", words)
        >> tick(0.6) >> tick(1.0) >> tick(1.0) >> tick(1.0) << silence()
        >> node("a", "+OK") >> node("b", "+OK") << to_client("+OK")
        << then(lambda play: play.node("a").slow_commands == 0 and play.node("a").busy_until == 0.0)
        >> client("GET {a}1") << to("a", "GET {a}1") >> tick(0.6) << to_client(LATE) << silence()
    )  # fmt: skip


def test_its_client_waits_and_others_share_the_time() -> None:
    """What the client sends behind is sent behind; what others ask of the node is not late while it is busy."""
    (
        story(ring("a"))
        >> client("FLUSHDB", "SET {a}1 x") << to("a", "INFO memory") >> node("a", MUCH) << to("a", "FLUSHDB")
        >> client("GET {a}2", name="you") << to("a", "GET {a}2")
        >> client("HELLO 3", name="third") << given(unheard)
        >> client("GET {a}3", name="third") << to("a", "GET {a}3", on=(3, 0))
        >> tick(0.6) >> tick(0.6) >> tick(0.6) << silence()
        << then(lambda play: play.node("a").live and play.dropped == 0)
        >> node("a", "+OK", "$-1") << to_client("+OK") << to_client("$-1", name="you") << to("a", "SET {a}1 x")
        >> node("a", "+OK") << to_client("+OK") >> node("a", "_", on=(3, 0)) << to_client("_", name="third")
        << silence()
    )  # fmt: skip


def test_its_time_ends() -> None:
    """A node that is silent for longer has failed, and it is said how long that was."""
    (
        story(ring("a"))
        >> client("FLUSHDB") << to("a", "INFO memory") >> node("a", MUCH) << to("a", "FLUSHDB")
        >> tick(1.9) << silence() >> tick(0.2) >> tick(0.6)
        << to_client("-TIMEOUT a a:6379 (no reply in 2 s)" + UNKNOWN) << silence()
    )  # fmt: skip


def test_a_silent_node_is_not_waited_for() -> None:
    """Nobody knows what it has, so it gets the usual time, once more."""
    (
        story(ring("a"))
        >> client("FLUSHDB") << to("a", "INFO memory") >> tick(0.6) << to("a", "FLUSHDB")
        >> tick(0.6) << given(unheard) >> tick(0.6) << then(lambda play: not play.node("a").slow_commands)
    )  # fmt: skip


def test_a_node_that_is_down_is_told_as_ever() -> None:
    """The command itself says what failed and what was done elsewhere."""
    (
        story(ring("a", "b"))
        >> refused("b")
        >> client("FLUSHALL") << to("a", "INFO memory") >> node("a", MUCH) << to("a", "FLUSHALL")
        >> node("a", "+OK")
        << to_client("-PARTIAL 'flushall' failed for 1 of 2 nodes on b (connection refused); 1 applied") << silence()
    )  # fmt: skip


def test_a_node_that_may_not_be_asked() -> None:
    """Its user has no INFO: the number of keys says almost as much; without that it gets the usual time."""
    (
        story(ring("a"))
        >> client("FLUSHDB") << to("a", "INFO memory") >> node("a", "-NOPERM no") << to("a", "DBSIZE")
        >> node("a", ":200000") << to("a", "FLUSHDB") >> tick(0.6) >> tick(0.6) << silence()
        >> node("a", "+OK") << to_client("+OK")
        >> client("FLUSHDB") << to("a", "INFO memory") >> node("a", "-NOPERM no") << to("a", "DBSIZE")
        >> node("a", "-NOPERM no") << to("a", "FLUSHDB") >> node("a", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_copies_get_it_in_one_order() -> None:
    """One copy is asked how much there is, then all are told at the same moment."""
    (
        story(copies("a", "b"))
        >> client("FLUSHDB") << to("a", "INFO memory")
        >> client("SET k 1", name="you") << to("a", "SET k 1") << to("b", "SET k 1")
        >> node("a", MUCH, "+OK") << to("a", "FLUSHDB") << to("b", "FLUSHDB")
        >> node("b", "+OK") << to_client("+OK", name="you")
        >> tick(0.6) >> tick(0.6) << silence()
        >> node("a", "+OK") >> node("b", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_each_nodes_own_reply() -> None:
    """PROXY EACH and LIST mode list them."""
    (
        story(ring("a", "b"))
        >> client("PROXY EACH KEYS *") << to("a", "INFO memory") << to("b", "INFO memory")
        >> node("a", MUCH) >> node("b", MUCH) << to("a", "KEYS *") << to("b", "KEYS *")
        >> node("a", "*1 $1 x") >> node("b", "*0") << to_client("*2 *1 $1 x *0")
        >> client("KEYS *") << to("a", "INFO memory") << to("b", "INFO memory")
        >> node("a", MUCH) >> node("b", MUCH) << to("a", "KEYS *") << to("b", "KEYS *")
        >> node("a", "*1 $1 x") >> node("b", "*0") << to_client("*1 $1 x") << silence()
    )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "raw", "wanted"),
    [
        (b"info", bulk(b"used_memory:10000000\r\n"), 1.0),
        (b"info", bulk(b"used_memory:inf\r\n"), 0.0),
        (b"info", bulk(b"used_memory:-5\r\n"), 0.0),
        (b"info", bulk(b"used_memory:" + b"9" * 18 + b"\r\n"), MAX_EXTRA_SECONDS),
        (b"info", bulk(b"used_memory:" + b"9" * 5000 + b"\r\n"), 0.0),
        (b"info", b":1\r\n", 0.0),
        (b"info", b"*0\r\n", 0.0),
        (b"dbsize", b":100000\r\n", 1.0),
        (b"dbsize", b":" + b"9" * 5000 + b"\r\n", 0.0),
        (b"dbsize", b"+x\r\n", 0.0),
        (b"dbsize", b":-1\r\n", 0.0),
    ],
)
def test_seconds(asked: bytes, raw: bytes, wanted: float) -> None:
    """From whatever nodes say of themselves."""
    assert estimate_seconds(COMMANDS[asked], raw) == wanted


def test_busy_until_the_last_is_over() -> None:
    """Two clients may flush; one that fails with something else than its time says that."""
    server = Node(0, "a", "a:1", 1)
    one, two = (busy_node_handler(IgnoreReply(), server, seconds, 10.0 + seconds) for seconds in (1.0, 5.0))
    assert (server.slow_commands, server.busy_until) == (2, 15.0)
    two.on_failure(NodeFailure(NODEDOWN, "a", "a:1", "gone", True))
    assert (server.slow_commands, server.busy_until) == (1, 15.0)
    one.on_reply(b"+OK\r\n")
    assert (server.slow_commands, server.busy_until) == (0, 0.0)
