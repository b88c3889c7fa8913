"""Reads of copies: which copy is asked, and which reply counts. Stories."""

from tests.replication.three import three
from tests.story import (
    Pool,
    client,
    copies,
    given,
    led_by,
    lost,
    node,
    refused,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)


def test_read_asks_the_leader() -> None:
    """A read asks the leader of its key alone, so reads are spread."""
    pool, key = three()
    other = led_by(pool, "b")
    (
        story(pool)
        >> client(f"GET {key}", f"GET {other}") << to("a", f"GET {key}") << to("b", f"GET {other}")
        >> node("b", "$1 y") >> node("a", "$1 x") << to_client("$1 x", "$1 y") << silence()
    )  # fmt: skip


def test_read_fails_over() -> None:
    """A copy that dies, is late or unfit: the next one is asked; the last one's answer is the answer."""
    pool = copies("a", "b", "c")
    group = pool.groups[0]
    first, second, third = [copy.node.name for copy in group.ranked_copies(b"k")]
    (
        story(pool)
        >> client("GET k") << to(first, "GET k")
        >> lost(first) << to(second, "GET k")
        >> tick(0.6) << to(third, "GET k")
        >> node(third, "$1 x") << to_client("$1 x")
        >> node(second, "$1 y") << silence()
        >> client("GET k") << to(first, "GET k")
        >> node(first, "-LOADING soon") << to(second, "GET k")
        >> node(second, "-LOADING too") << to(third, "GET k")
        >> node(third, "-LOADING as well") << to_client("-LOADING as well")
        >> client("GET k") << to(first, "GET k")
        >> refused(first) << to(second, "GET k")
        >> refused(second) << to(third, "GET k")
        >> refused(third) << to_client(f"-NODEDOWN {third} {third}:6379 (connection refused)")
        << then(lambda play: group.behind_names() == []) << silence()
    )  # fmt: skip


def test_only_copy() -> None:
    """The only copy is asked once more itself."""
    (
        story(copies("a"))
        >> client("GET k") << to("a", "GET k")
        >> lost("a") << to("a", "GET k") >> node("a", "$1 x") << to_client("$1 x") << silence()
    )  # fmt: skip


def test_large_reply_of_the_second() -> None:
    """The reply of a copy that is asked second may be large, too."""
    pool, key = three()
    body = b"x" * 50_000
    (
        story(pool)
        >> client(f"GET {key}") << to("a", f"GET {key}")
        >> refused("a") << given(unheard)
        >> node(second(pool, key), b"$50000\r\n" + body) << to_client(b"$50000\r\n" + body)
        >> node(second(pool, key), b"\r\n") << to_client(b"\r\n") << silence()
    )  # fmt: skip


def second(pool: Pool, key: str) -> str:
    """Who is asked second for a key."""
    return pool.groups[0].ranked_copies(key.encode())[1].node.name


def test_info_of_copies() -> None:
    """INFO is the leader's, completed here."""
    (
        story(copies("a", "b"))
        >> client("INFO keyspace") << to("a", "INFO keyspace") >> refused("a") << to("b", "INFO keyspace")
    )  # fmt: skip


def test_read_of_one_that_refused() -> None:
    """A copy that refused a write which is still open, or that has left the set: its reply to a read does not count."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"SET {key} x", f"GET {key}") << to("a", f"SET {key} x", f"GET {key}") << to("b", f"SET {key} x")
        >> node("a", "-OOM no", "$3 old") << to("b", f"GET {key}")
        >> node("b", "+OK", "$1 x") << to_client("+OK", "$1 x")
        << then(lambda play: [copy.unconfirmed for copy in pool.groups[0].copies] == [0, 0]) << silence()
    )  # fmt: skip
    pool = copies("a", "b")
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x")
        >> node("b", "+OK")
        >> client(f"GET {key}", name="you") << to("a", f"GET {key}")
        >> node("a", "-OOM no", "$3 old") << to_client("+OK") << to("b", f"GET {key}")
        >> node("b", "$1 x") << to_client("$1 x", name="you") << silence()
    )  # fmt: skip


def test_the_last_one_was_restarted() -> None:
    """It may have lost all that it had: rather than to say that a key is not there the read fails."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"GET {key}") << to("a", f"GET {key}")
        >> given(lambda play: pool.groups[0].mark_behind([pool.nodes[1]]))
        >> lost("a") << to("b", f"GET {key}")
        >> node("b", "$-1") << to_client("-NOREPLICAS No copy is in sync to be read.")
    )  # fmt: skip


def test_it_leaves_after_the_first_piece() -> None:
    """The rest of the reply follows: at that moment it was right."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    head = b"$300000\r\n" + b"x" * 200_000
    (
        story(pool)
        >> client(f"GET {key}") << to("a", f"GET {key}")
        >> node("a", head) << to_client(head)
        >> given(lambda play: pool.groups[0].mark_behind([pool.nodes[0]]))
        >> node("a", b"x" * 100_000 + b"\r\n") << to_client(b"x" * 100_000 + b"\r\n")
    )  # fmt: skip
