"""What one client makes us hold: it waits, or is cut, and the others never notice."""

from typing import Final

import pytest

from kidoproxy.commands.acl import Acl
from kidoproxy.replies.accounting import OUTPUT_LIMIT, QUERY_LIMIT
from kidoproxy.resp import limits
from kidoproxy.session import accounting
from kidoproxy.session.mode import READY
from kidoproxy.session.users import User, Users
from tests.story import client, closed, copies, given, open_still, ring, silence, story, to, to_client

#: More than this is kept for nobody in these stories.
MOST: Final = 5_000
WORD: Final = "x" * 1_000


@pytest.mark.parametrize(
    "texts",
    [
        ["MULTI", *[f"SET {{a}}1 {WORD}"] * 5],
        ["MULTI", *["PING"] * 20],
        [f"SUBSCRIBE {WORD} y z v w"],
        ["PSUBSCRIBE " + " ".join("abcdefgh")],
        ["WATCH {a}1 {a}2 {a}3 {a}4 {a}5 " + WORD],
        [f"CLIENT SETNAME {WORD}", f"CLIENT SETINFO LIB-NAME {WORD * 2}", f"CLIENT SETINFO LIB-VER {WORD * 3}"],
        ["MULTI", "*2\r\n$4\r\nECHO\r\n$4900\r\n" + "x" * 4_000],
    ],
    ids=[
        "a queue of bytes",
        "a queue of requests",
        "names",
        "patterns",
        "watched",
        "its own names",
        "with the query buffer",
    ],
)
def test_what_is_kept_has_a_bound(texts: list[str]) -> None:
    """Whoever would make us remember more than ``query_buffer_mb`` is cut for that; the next client is served."""
    play = story(ring("a"))
    play.context.max_query_bytes = MOST
    me = play.client("me").session
    me.request_limits.query_bytes = 1 << 30
    play >> given(lambda _: None)
    for text in texts:
        raw = text.encode() if text.startswith("*") else (text + "\r\n").encode()
        me.feed(raw)
        play.settle()
    if not play.client("me").closed:
        me.feed(b"x" * 900 + b"\r\n")
        me.feed(b"PING\r\n")
        play.settle()
    assert me.replies.disconnect_reason == QUERY_LIMIT
    assert accounting.state_bytes(me) <= 2 * MOST
    play.client("me").received = b""
    play.sent["a"].clear()
    assert play << closed() >> client("PING", name="you") << to_client("+PONG", name="you") << open_still("you")


def test_what_is_let_go_is_not_counted() -> None:
    """DISCARD, RESET and UNWATCH give back what they forget."""
    play = story(copies("a"))
    me = play.client("me").session
    before = accounting.state_bytes(me)
    for take, drop in (("MULTI", "DISCARD"), ("MULTI", "RESET"), ("WATCH {a}1", "UNWATCH")):
        me.feed(f"{take}\r\n".encode())
        play.settle()
        if take == "MULTI":
            me.feed(b"SET {a}1 v\r\n")
            assert accounting.state_bytes(me) > before
        else:
            play.connection("a").feed(b":-1\r\n" * play.connection("a").pending_count(), play.executor.now)
        me.feed(f"{drop}\r\n".encode())
        play.settle()
        assert accounting.state_bytes(me) == before
    me.feed(b"CLIENT SETNAME abc\r\n")
    assert accounting.state_bytes(me) == before + 3


def test_a_suspended_request_is_counted() -> None:
    """While a request waits for those before it, it is held for its client."""
    play = story(ring("a")) >> client("GET {a}1", "SELECT 1") << to("a", "GET {a}1")
    me = play.client("me").session
    assert accounting.suspended_request_bytes(me) == len(b"*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n")
    assert (
        accounting.total_bytes(me)
        >= accounting.suspended_request_bytes(me) + accounting.in_flight_bytes(me)
        > accounting.suspended_request_bytes(me)
    )
    play.connection("a").feed(b"$-1\r\n", play.executor.now)
    play.settle()
    assert accounting.suspended_request_bytes(me) == accounting.in_flight_bytes(me) == 0


def test_requests_under_way_have_a_bound() -> None:
    """A client whose requests under way are too many bytes is not served further until nodes have answered."""
    play = story(ring("a"))
    me = play.client("me").session
    me.replies.in_flight_limit = 100_000
    large = b"*3\r\n$3\r\nSET\r\n$4\r\n{a}1\r\n$40000\r\n" + b"x" * 40_000 + b"\r\n"
    for _ in range(6):
        me.feed(large)
        play.settle()
    assert len(play.sent["a"]) == 3
    assert (me.mode != READY, me.wants_input()) == (True, False)
    for _ in range(6):
        play.connection("a").feed(b"+OK\r\n", play.executor.now)
        play.settle()
    assert len(play.sent["a"]) == 6
    assert accounting.in_flight_bytes(me) == 0
    assert play.client("me").received == b"+OK\r\n" * 6


def test_a_transaction_under_way_counts() -> None:
    """What MULTI has queued is under way from EXEC on."""
    play = story(ring("a"))
    me = play.client("me").session
    me.feed(b"MULTI\r\n")
    for _ in range(3):
        me.feed(f"SET {{a}}1 {'x' * 20_000}\r\n".encode())
    me.feed(b"EXEC\r\n")
    play.settle()
    assert accounting.in_flight_bytes(me) >= 60_000
    assert accounting.state_bytes(me) == 0
    play.connection("a").feed(b"+OK\r\n" + b"+QUEUED\r\n" * 3 + b"*3\r\n" + b"+OK\r\n" * 3, play.executor.now)
    play.settle()
    assert accounting.in_flight_bytes(me) == 0


def test_small_requests_with_large_answers() -> None:
    """What the proxy itself answers leaves before more of it is made, in the client's order."""
    play = story(ring("a"))
    me = play.client("me").session
    count = 40
    me.feed(b"COMMAND\r\n" * count + b"PING\r\n")
    made = me.replies.out_bytes
    assert 0 < made < limits.READ_STOP_BYTES
    play.settle()
    heard = play.client("me").received
    assert heard.endswith(b"+PONG\r\n")
    assert len(heard) > 2 * made


def test_a_transaction_of_large_answers() -> None:
    """Inside EXEC too: past the output limit no more is made, for the client is cut for what there is."""
    play = story(ring("a"))
    play.context.max_output_bytes = 1_000_000
    me = play.client("me").session
    me.feed(b"MULTI\r\n" + b"COMMAND\r\n" * 100)
    me.feed(b"EXEC\r\n")
    play.settle()
    assert 1_000_000 < len(play.client("me").received) < 3_000_000
    assert me.replies.disconnect_reason == OUTPUT_LIMIT


def test_a_request_that_is_too_large() -> None:
    """It is told so, cut, and counted as what it is; a frame that is none is closed as ever."""
    play = story(ring("a"))
    play.context.max_query_bytes = MOST
    play.client("me").session.update_flags()
    play.client("me").session.feed(b"*500\r\n" + b"$100\r\n" + b"x" * 100 + b"\r\n" + b"$9000\r\n" + b"x" * 8_000)
    assert play.client("me").session.replies.disconnect_reason == QUERY_LIMIT
    assert play << to_client("-ERR Protocol error: too big query") << closed()
    play.client("you").session.feed(b"*1\r\nPING\r\n")
    assert play << to_client("-ERR Protocol error: expected '$', got 'P'", name="you") << closed("you")
    assert play.client("you").session.replies.disconnect_reason == ""


def test_who_may_ask_about_a_name() -> None:
    """A name that is longer than any command is not looked up, nor remembered."""
    play = story(ring("a"))
    for size in (129, 1 << 20):
        play.client("me").session.feed(b"*1\r\n$%d\r\n" % size + b"n" * size + b"\r\n")
        assert play << to_client("-ERR unknown command '" + "n" * 128 + "', with args beginning with: ") << silence()
    play.client("me").session.feed(b"*1\r\n$128\r\n" + b"n" * 128 + b"\r\n")
    assert play << to("a", "COMMAND INFO " + "n" * 128)
    play.connection("a").feed(b"*1\r\n*-1\r\n", play.executor.now)
    play.settle()
    assert play.context.commands.unknown_names == {b"n" * 128}


@pytest.mark.parametrize(
    ("rules", "asked"),
    [
        ("+@all", True),
        ("+@all -@dangerous", True),
        ("-@all +@read", True),
        ("-@all +x.get", True),
        ("-@all +x.get|sub", True),
        ("-@all", False),
        ("-@all +get", False),
        ("+@all -x.get", False),
        ("+@read -x.get", False),
    ],
)
def test_who_may_ask(rules: str, asked: bool) -> None:
    """No node is asked about a command for somebody who could not use it whatever the node said."""
    pool = ring("a")
    pool.users = Users([User(b"default", Acl(rules), True, True, [])])
    play = story(pool) >> client("X.GET {a}1")
    if asked:
        assert play << to("a", "COMMAND INFO X.GET") << silence()
    else:
        assert play << to_client("-ERR unknown command 'X.GET', with args beginning with: '{a}1' ") << silence()
