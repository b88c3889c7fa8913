"""READONLY from a node that sentinels name: the write did not run, so it waits for the new master, in its order."""

from typing import Final

import pytest

from kidoproxy.upstream.disconnect import follow_node
from kidoproxy.upstream.master_view import MasterView
from tests.story import Story, client, closed, given, lost, node, ring, silence, story, tick, to, to_client

READONLY: Final = "-READONLY You can't write against a read only replica."
TIMEOUT: Final = "-TIMEOUT a a:6379 (no reply in 500 ms)"
UNKNOWN: Final = f"{TIMEOUT}; the write may have run, its outcome is unknown"

PROMOTED: Final = "-NODEDOWN a a:6379 (it refused this as a replica, and took a later write as a master)"
LARGE_HALF: Final = b"$100000\r\n" + b"x" * 50000
LARGE_REST: Final = b"x" * 50000 + b"\r\n"


def followed(play: Story) -> None:
    """Sentinels name both nodes."""
    for name in ("a", "b"):
        play.node(name).master_view = MasterView(3)


def moved(play: Story) -> None:
    for conn in play.executor.all_connections():
        follow_node(conn, "its master has moved to b:6379", play.executor.now)


def a_little_later(play: Story) -> None:
    """Sooner than deadlines are looked at."""
    play.executor.now += 0.04


def served() -> Story:
    """A ring of two such nodes."""
    return story(ring("a", "b")) >> given(followed)


def test_a_write_is_sent_to_the_new_master() -> None:
    """With the reads behind it, which must see it; what others send waits, and an answer is an answer."""
    (
        served()
        >> client("SET {a}1 x", "GET {a}1", "SET {a}1 y")
        << to("a", "SET {a}1 x", "GET {a}1", "SET {a}1 y")
        >> node("a", READONLY, "$3 old", READONLY) << silence()
        >> client("SET {a}2 z", name="other") << silence()
        >> given(moved)
        << to("a", "SET {a}1 x", "GET {a}1", "SET {a}1 y", "SET {a}2 z")
        >> node("a", "+OK", "$1 x", "+OK", "+OK")
        << to_client("+OK", "$1 x", "+OK") << to_client("+OK", name="other") << silence()
    )  # fmt: skip


def test_only_once() -> None:
    """The new master that refuses it as well is believed."""
    (
        served()
        >> client("SET {a}1 x") << to("a", "SET {a}1 x") >> node("a", READONLY) << silence()
        >> given(moved) << to("a", "SET {a}1 x")
        >> node("a", READONLY) << to_client(READONLY) << silence()
    )  # fmt: skip


def test_until_its_deadline() -> None:
    """The sentinels name nobody in time: it did not run, and its error does not say that it may have."""
    (
        served()
        >> client("SET {a}1 x") << to("a", "SET {a}1 x") >> node("a", READONLY) << silence()
        >> tick(0.3) << silence()
        >> tick(0.3) << to_client(TIMEOUT)
        >> tick(0.1) >> client("SET {a}2 x") << to("a", "SET {a}2 x")
        >> node("a", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_what_is_kept_survives_the_connection() -> None:
    """The old master hangs up before the sentinels have spoken: what it refused goes first on the next connection."""
    (
        served()
        >> client("SET {a}1 x", "GET {a}1", "GET {a}2") << to("a", "SET {a}1 x", "GET {a}1", "GET {a}2")
        >> node("a", READONLY) >> client("SET {a}3 x") << silence()
        >> lost("a") << to("a", "SET {a}1 x", "GET {a}1", "GET {a}2", "SET {a}3 x")
        >> node("a", "+OK", "$1 x", "$-1", "+OK") << to_client("+OK", "$1 x", "$-1", "+OK") << silence()
    )  # fmt: skip


def test_parts_of_a_split_write() -> None:
    """Each part is such a write; a script is none, it may say so by itself."""
    (
        served()
        >> client("MSET {a}1 x {b}1 y") << to("a", "MSET {a}1 x") << to("b", "MSET {b}1 y")
        >> node("b", "+OK") >> node("a", READONLY) << silence()
        >> given(moved) << to("a", "MSET {a}1 x") >> node("a", "+OK") << to_client("+OK") << silence()
        >> client("EVAL x 1 {a}1") << to("a", "EVAL x 1 {a}1")
        >> node("a", READONLY) << to_client(READONLY) << silence()
    )  # fmt: skip


def test_how_often_a_node_is_believed() -> None:
    """A node that says READONLY to everything is asked anew once a second; what is between goes to the client."""
    (
        served()
        >> client("SET {a}1 x") << to("a", "SET {a}1 x") >> node("a", READONLY) << silence()
        >> given(moved) << to("a", "SET {a}1 x") >> node("a", READONLY) << to_client(READONLY)
        >> client("SET {a}2 x") << to("a", "SET {a}2 x") >> node("a", READONLY) << to_client(READONLY) << silence()
    )  # fmt: skip


def test_an_answer_behind_a_refusal() -> None:
    """What is neither such a write nor a read is answered: it may have run."""
    (
        served()
        >> client("SET {a}1 x", "EVAL x 1 {a}1") << to("a", "SET {a}1 x", "EVAL x 1 {a}1")
        >> node("a", READONLY, ":1") << silence()
        >> given(moved) << to("a", "SET {a}1 x") >> node("a", "+OK") << to_client("+OK", ":1") << silence()
    )  # fmt: skip


def test_after_all_that_waits_for_the_sentinels() -> None:
    """Whoever asks in between is not told that the node is down, however little was under way at the refusal."""
    (
        served()
        >> client("SET {a}1 x") << to("a", "SET {a}1 x") >> node("a", READONLY) >> tick(0.1)
        >> client("GET {a}2") << silence()
        >> given(moved) << to("a", "SET {a}1 x", "GET {a}2")
        >> node("a", "+OK", "$-1") << to_client("+OK", "$-1") << silence()
    )  # fmt: skip


def test_kept_although_the_sentinels_say_nothing_for_long() -> None:
    """The server is asked again what it is: what was refused since then goes first on that connection."""
    (
        served()
        >> client("EVAL x 1 {a}1") << to("a", "EVAL x 1 {a}1") >> node("a", READONLY) << to_client(READONLY)
        >> given(a_little_later)
        >> client("SET {a}1 x", "GET {a}1") << to("a", "SET {a}1 x", "GET {a}1")
        >> node("a", READONLY, "$3 old") << silence()
        >> tick(0.47) << to("a", "SET {a}1 x", "GET {a}1")
        >> node("a", "+OK", "$1 x") << to_client("+OK", "$1 x") << silence()
    )  # fmt: skip


@pytest.mark.parametrize("taken", ["+OK", "-WRONGTYPE no"])
def test_a_later_write_was_taken(taken: str) -> None:
    """The server was promoted in between: sent once more the first write might undo the second; the read is kept."""
    (
        served()
        >> client("SET {a}1 x", "GET {a}1", "GETSET {a}1 y", "GET {a}1")
        << to("a", "SET {a}1 x", "GET {a}1", "GETSET {a}1 y", "GET {a}1")
        >> node("a", READONLY, "$3 old", taken) << to_client(PROMOTED)
        >> node("a", "$1 y") << silence()
        >> given(moved) << to("a", "GET {a}1", "GET {a}1")
        >> node("a", "$1 y", "$1 y") << to_client("$1 y", taken, "$1 y") << silence()
    )  # fmt: skip


def test_a_part_of_the_reply_to_a_later_write() -> None:
    """It says as much as the whole one."""
    (
        served()
        >> client("SET {a}1 x") << to("a", "SET {a}1 x")
        >> client("GETSET {a}1 y", name="other") << to("a", "GETSET {a}1 y")
        >> node("a", READONLY, LARGE_HALF) << to_client(PROMOTED) << to_client(LARGE_HALF, name="other")
        >> node("a", LARGE_REST) << to_client(LARGE_REST, name="other") << silence()
    )  # fmt: skip


def test_reads_off_the_fast_path() -> None:
    """Parts of a read, and those with a stand-in for a node that is down, wait behind the write as well."""
    (
        story(ring("a", "b", miss_on_down=True)) >> given(followed)
        >> client("SET {a}1 x", "MGET {a}1 {b}1", "GET {a}1")
        << to("a", "SET {a}1 x", "MGET {a}1", "GET {a}1") << to("b", "MGET {b}1")
        >> node("b", "*1 $1 z") >> node("a", READONLY, "*1 $3 old", "$3 old") << silence()
        >> given(moved) << to("a", "SET {a}1 x", "MGET {a}1", "GET {a}1")
        >> node("a", "+OK", "*1 $1 x", "$1 x") << to_client("+OK", "*2 $1 x $1 z", "$1 x") << silence()
    )  # fmt: skip


def test_half_a_reply_is_not_asked_for_again() -> None:
    """It would begin anew in the middle of what the client has."""
    (
        story(ring("a", "b", miss_on_down=True)) >> given(followed)
        >> client("SET {a}1 x", name="other") << to("a", "SET {a}1 x") >> client("GET {a}1") << to("a", "GET {a}1")
        >> node("a", READONLY, LARGE_HALF) << to_client(LARGE_HALF)
        >> node("a", LARGE_REST) << to_client(LARGE_REST) << silence()
        >> given(moved) << to("a", "SET {a}1 x") >> node("a", "+OK") << to_client("+OK", name="other")
        >> client("GET {a}1") << to("a", "GET {a}1") >> node("a", LARGE_HALF) << to_client(LARGE_HALF)
        >> given(moved) << closed() << silence()
    )  # fmt: skip


def test_no_request_is_kept_longer_than_needed() -> None:
    """Answered, refused or timed out: the connection may know the handler for a while, but not what it has sent."""
    writes = ("SET {a}1 x", "SET {a}2 x", "SET {a}3 x")
    play = served() >> client(*writes) << to("a", *writes)
    (conn,) = [each for each in play.executor.all_connections() if each.in_flight_count()]
    handlers = list(conn.reply_handlers)
    assert [handler.payload is None for handler in handlers] == [False, False, False]
    assert play >> node("a", "+OK", READONLY) << to_client("+OK")
    assert [handler.payload is None for handler in handlers] == [True, True, False]
    assert play >> tick(0.6) << to_client(TIMEOUT, UNKNOWN)
    assert [handler.payload is None for handler in handlers] == [True, True, True]
    assert play << silence()
