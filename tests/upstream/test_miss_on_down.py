"""Pools with ``on_down = "miss"``: which failures and errors are misses, and which replies there are for them."""

import pytest

from tests.story import client, copies, given, node, refused, ring, silence, story, to, to_client, unheard


@pytest.mark.parametrize("code", ["LOADING", "OOM", "MISCONF", "MASTERDOWN", "READONLY", "BUSY", "NOREPLICAS"])
def test_a_node_that_cannot_serve_is_a_miss(code: str) -> None:
    """A node that says that it cannot serve is as good as down; where no miss can be told the error is."""
    error = f"-{code} it cannot"
    play = story(ring("a", miss_on_down=True))
    for asked, heard in (
        ("GET {a}1", "$-1"),
        ("MGET {a}1 {a}2", "*2 $-1 $-1"),
        ("SET {a}1 x", "+OK"),
        ("SET {a}1 x NX", "$-1"),
        ("DEL {a}1", ":0"),
        ("INCR {a}1", error),
        ("LPOP {a}1", error),
        ("EVAL return(1) 1 {a}1", error),
    ):
        play >> client(asked) << given(unheard) >> node("a", error)
        play << to_client(heard)
    assert (play.executor.misses_on_down, play.executor.dropped_writes) == (2, 3)


@pytest.mark.parametrize("text", ["ERR no", "NOPERM no", "WRONGTYPE no", "NOAUTH no", "EXECABORT no"])
def test_other_errors_are_told(text: str) -> None:
    """A pool that misses hides no mistakes, neither the client's nor the operator's."""
    (
        story(ring("a", miss_on_down=True))
        >> client("GET {a}1")
        << to("a", "GET {a}1")
        >> node("a", f"-{text}")
        << to_client(f"-{text}")
    )


def test_a_copy_that_is_down_is_no_miss_to_the_others() -> None:
    """In a ring of copy pools a write that one copy lacks leaves it behind; with none left reads find nothing."""
    pool = copies("a", "b")
    play = story(ring(pool, miss_on_down=True)) >> client("SET k x") << to("a", "SET k x") << to("b", "SET k x")
    play >> refused("a") >> node("b", "+OK") << to_client("+OK")
    assert pool.groups[0].behind_names() == ["a"]
    assert play.executor.dropped_writes == 0
    play >> refused("b") >> client("GET k") << to_client("$-1")
    assert (play.executor.dropped_writes, play.executor.misses_on_down) == (0, 1)


def test_large_reply() -> None:
    """A large reply leaves piece by piece here, too."""
    body = b"$50000\r\n" + b"x" * 50_000
    (
        story(ring("a", miss_on_down=True))
        >> client("GET {a}1") << to("a", "GET {a}1")
        >> node("a", body) << to_client(body) >> node("a", b"\r\n") << to_client(b"\r\n") << silence()
    )  # fmt: skip
