"""Commands that go to several nodes: one request each, one reply to the client."""

import pytest

from kidoproxy.resp.encode import bulk
from tests.story import (
    client,
    given,
    lost,
    node,
    received,
    refused,
    ring,
    silence,
    story,
    then,
    to,
    to_client,
    unheard,
)


def test_mget() -> None:
    """One request per node, not per key; the values come back in the order of the keys."""
    (
        story(ring("a", "b"))
        >> client("MGET {a}1 {b}2 {a}3") << to("a", "MGET {a}1 {a}3") << to("b", "MGET {b}2")
        >> node("b", "*1 $1 2") << silence()
        >> node("a", "*2 $1 1 $-1") << to_client("*3 $1 1 $1 2 $-1")
        >> client("MGET {a}1 {a}3") << to("a", "MGET {a}1 {a}3")
        >> node("a", "*2 $-1 $-1") << to_client("*2 $-1 $-1") << silence()
    )  # fmt: skip


def test_mset() -> None:
    """All parts done: done."""
    (
        story(ring("a", "b"))
        >> client("MSET {a}1 x {b}2 y {b}3 z") << to("a", "MSET {a}1 x") << to("b", "MSET {b}2 y {b}3 z")
        >> node("a", "+OK") >> node("b", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


@pytest.mark.parametrize("name", ["DEL", "UNLINK", "EXISTS", "TOUCH"])
def test_sums(name: str) -> None:
    """What counts keys is summed up."""
    (
        story(ring("a", "b"))
        >> client(f"{name} {{a}}1 {{b}}2 {{b}}3") << to("a", f"{name} {{a}}1") << to("b", f"{name} {{b}}2 {{b}}3")
        >> node("a", ":1") >> node("b", ":2") << to_client(":3") << silence()
    )  # fmt: skip


def test_split_read_fails() -> None:
    """A read of which a part fails is an error, never a nil that looks like a miss."""
    (
        story(ring("a", "b"))
        >> client("MGET {a}1 {b}2") << to("a", "MGET {a}1") << to("b", "MGET {b}2")
        >> node("a", "*1 $1 1") >> refused("b", "connection refused")
        << to_client("-NODEDOWN b b:6379 (connection refused)")
        >> client("EXISTS {a}1 {b}2") << to("a", "EXISTS {a}1")
        >> node("a", ":1") << to_client("-NODEDOWN b b:6379 (connection refused)")
        << silence()
    )  # fmt: skip


def test_split_read_errors() -> None:
    """So is one of which a node says no."""
    (
        story(ring("a", "b"))
        >> client("MGET {a}1 {b}2") << to("a", "MGET {a}1") << to("b", "MGET {b}2")
        >> node("a", "*1 $1 1") >> node("b", "-LOADING soon") << to_client("-LOADING soon") << silence()
    )  # fmt: skip


def test_split_write_fails() -> None:
    """A write that is done in part says for how many keys it is not, where, why, and that the others have it."""
    (
        story(ring("a", "b"))
        >> client("MSET {a}1 x {b}2 y {b}3 z") << to("a", "MSET {a}1 x") << to("b", "MSET {b}2 y {b}3 z")
        >> node("a", "+OK") >> lost("b")
        << to_client("-PARTIAL 'mset' failed for 2 of 3 keys on b (it closed the connection); "
                     "1 applied, 2 may have been applied")
        >> client("DEL {a}1 {b}2") << to("a", "DEL {a}1") << to("b", "DEL {b}2")
        >> node("a", "-READONLY no") >> node("b", ":1")
        << to_client("-PARTIAL 'del' failed for 1 of 2 keys on a node (READONLY no); 1 applied")
        << silence()
    )  # fmt: skip


def test_crossslot() -> None:
    """Several keys on several nodes that cannot be split: refused with Redis's code word, nothing is sent."""
    (
        story(ring("a", "b"))
        >> client("RENAME {a}1 {b}2")
        << to_client(
            "-CROSSSLOT Keys in request don't hash to the same node "
            "(command='rename', first-key='{a}1', violating-key='{b}2')"
        )
        >> client("RENAME {a}1 {a}2") << to("a", "RENAME {a}1 {a}2")
        >> node("a", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_every_node() -> None:
    """Commands about the whole are asked of every node and summed up or joined; one failure fails a read."""
    (
        story(ring("a", "b"))
        >> client("DBSIZE") << to("a", "DBSIZE") << to("b", "DBSIZE")
        >> node("a", ":3") >> node("b", ":4") << to_client(":7")
        >> client("KEYS *") << to("a", "INFO memory") << to("b", "INFO memory") >> node("a", "$0 ") >> node("b", "$0 ")
        << to("a", "KEYS *") << to("b", "KEYS *")
        >> node("b", "*1 $1 y") >> node("a", "*1 $1 x") << to_client("*2 $1 x $1 y")
        >> client("FLUSHALL") << to("a", "INFO memory") << to("b", "INFO memory")
        >> node("a", "$0 ") >> node("b", "$0 ") << to("a", "FLUSHALL") << to("b", "FLUSHALL")
        >> node("a", "+OK") >> refused("b")
        << to_client("-PARTIAL 'flushall' failed for 1 of 2 nodes on b (connection refused); "
                     "1 applied, 1 may have been applied")
        << silence()
    )  # fmt: skip


def test_scan() -> None:
    """SCAN visits the nodes one after another; its cursor carries the node, and ends as it began."""
    (
        story(ring("a", "b"))
        >> client("SCAN 0 COUNT 5") << to("a", "SCAN 0 COUNT 5")
        >> node("a", "*2 $1 7 *1 $1 x") << to_client(f"*2 $9 {7 << 24 | 1} *1 $1 x")
        >> client(f"SCAN {7 << 24 | 1}") << to("a", "SCAN 7")
        >> node("a", "*2 $1 0 *0") << to_client("*2 $1 2 *0")
        >> client("SCAN 2") << to("b", "SCAN 0")
        >> node("b", "*2 $1 0 *1 $1 y") << to_client("*2 $1 0 *1 $1 y")
        >> client("SCAN 77", "SCAN x") << to_client("-ERR invalid cursor", "-ERR invalid cursor") << silence()
    )  # fmt: skip


def test_info() -> None:
    """INFO is asked of the nodes and completed here; what is only ours needs no node."""
    (
        story(ring("a"))
        >> client("INFO kidoproxy") << then(lambda play: b"# Kidoproxy" in play.client("me").received)
        << given(unheard)
        >> client("INFO server") << to("a", "INFO server")
        >> node("a", bulk(b"# Server\r\nredis_version:7.2.4\r\n"))
        << then(lambda play: b"redis_version:7.2.4" in play.client("me").received)
    )  # fmt: skip


def test_proxy_each() -> None:
    """Each node's own reply, in a list; an error stands in its place."""
    (
        story(ring("a", "b"))
        >> client("PROXY EACH DBSIZE") << to("a", "DBSIZE") << to("b", "DBSIZE")
        >> node("b", ":2") >> lost("a")
        << to_client(b"*2\r\n-NODEDOWN a a:6379 (it closed the connection)\r\n:2\r\n")
        >> client("PROXY EACH GET {b}1") << to("b", "GET {b}1") >> node("b", "$1 x") << to_client("*1 $1 x")
        << silence()
    )  # fmt: skip


def test_replies_list() -> None:
    """PROXY REPLIES LIST: from now on every reply of nodes is a list; transactions too."""
    (
        story(ring("a", "b"))
        >> client("PROXY REPLIES LIST") << to_client("+OK")
        >> client("GET {a}1", "PING") << to("a", "GET {a}1")
        >> node("a", "$1 x") << to_client("*1 $1 x", "*1 +PONG")
        >> client("MULTI", "GET {a}1", "EXEC") << to_client("+OK", "+QUEUED") << to("a", "MULTI", "GET {a}1", "EXEC")
        >> node("a", "+OK", "+QUEUED", "*1 $1 x") << to_client("*1 *1 $1 x")
        >> client("RENAME {a}1 {b}1") << then(lambda play: received(play).startswith(b"-CROSSSLOT"))
        >> client("PROXY REPLIES MERGED") << to_client("+OK") << silence()
    )  # fmt: skip


def test_on_down_miss() -> None:
    """Where a pool wants misses, a read of a dead node finds nothing, a blind write is dropped, both are counted."""
    (
        story(ring("a", "b", miss_on_down=True))
        >> client("GET {a}1") << to("a", "GET {a}1") >> node("a", "$1 x") << to_client("$1 x")
        >> refused("b") << silence()
        >> client("GET {b}1", "SET {b}1 x", "INCR {b}1", "MGET {a}1 {b}1") << to("a", "MGET {a}1")
        << to_client("$-1", "+OK", "-NODEDOWN b b:6379 (connection refused)")
        >> node("a", "*1 $1 x") << to_client("*2 $1 x $-1")
        >> client("MULTI", "GET {b}1", "SET {b}1 x", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED", "*2 $-1 +OK")
        << then(lambda play: (play.executor.misses_on_down, play.executor.dropped_writes) == (3, 2)) << silence()
    )  # fmt: skip
