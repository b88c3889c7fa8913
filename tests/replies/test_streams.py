"""`kidoproxy.replies.streams`: the first node with entries ends the blocking; no entry for a group is lost."""

import pytest

from kidoproxy.replies.streams import Unblocker
from tests.session.handlers.leases import free
from tests.story import (
    LEASED,
    client,
    given,
    greeted,
    leased,
    lost,
    node,
    ring,
    silence,
    story,
    then,
    to,
    to_client,
    unheard,
)

A = "*1 *2 $4 {a}s *1 *2 $3 1-1 *2 $1 f $1 v"
B = "*1 *2 $4 {b}s *1 *2 $3 2-1 *2 $1 f $1 w"
BOTH = "*2" + A[2:] + B[2:]
GROUP = "XREADGROUP GROUP g c BLOCK 0 STREAMS"


def test_read() -> None:
    """Sent to each node at once on shared connections; streams are in the order of the request."""
    (
        story(ring("a", "b"))
        >> client("XREAD COUNT 1 STREAMS {a}s {b}s 0 0")
        << to("a", "XREAD COUNT 1 STREAMS {a}s 0") << to("b", "XREAD COUNT 1 STREAMS {b}s 0")
        >> node("b", B) << silence() >> node("a", A) << to_client(BOTH)
        >> client("XREAD STREAMS {a}s {b}s 1 1") << to("a", "XREAD STREAMS {a}s 1") << to("b", "XREAD STREAMS {b}s 1")
        >> node("a", "*-1") >> node("b", "*-1") << to_client("*-1")
        >> client("XREAD STREAMS {a}s {b}s 1 1") << to("a", "XREAD STREAMS {a}s 1") << to("b", "XREAD STREAMS {b}s 1")
        >> node("a", "*-1") >> node("b", B) << to_client(B)
    )  # fmt: skip


def test_replies_that_do_not_fit_together() -> None:
    """They are an error that shows them."""
    play = story(ring("a", "b")) >> client("XREAD STREAMS {a}s {b}s 1 1")
    play << to("a", "XREAD STREAMS {a}s 1") << to("b", "XREAD STREAMS {b}s 1")
    play >> node("a", ":1") >> node("b", B)
    assert play.client("me").received.startswith(b"-ERR the nodes' replies do not fit together: ':1")
    play << given(unheard)


def test_order_of_keys() -> None:
    """Streams of one node that are not adjacent in the request are not in the reply either, in a map or a list."""
    first = "*2 *2 $4 {a}1 *0 *2 $4 {a}2 *0"
    (
        story(ring("a", "b"))
        >> client("XREAD STREAMS {a}1 {b}1 {a}2 0 0 0")
        << to("a", "XREAD STREAMS {a}1 {a}2 0 0") << to("b", "XREAD STREAMS {b}1 0")
        >> node("a", first) >> node("b", "*1 *2 $4 {b}1 *0")
        << to_client("*3 *2 $4 {a}1 *0 *2 $4 {b}1 *0 *2 $4 {a}2 *0")
    )  # fmt: skip
    (
        story(ring("a", "b"))
        >> client("HELLO 3") << given(unheard)
        >> client("XREAD STREAMS {b}1 {a}1 0 0")
        << to("b", "XREAD STREAMS {b}1 0", on=(3, 0)) << to("a", "XREAD STREAMS {a}1 0", on=(3, 0))
        >> node("a", "%1 $4 {a}1 *0", on=(3, 0)) >> node("b", "%1 $4 {b}1 *0", on=(3, 0))
        << to_client("%2 $4 {b}1 *0 $4 {a}1 *0")
    )  # fmt: skip


def test_read_with_a_part_missing() -> None:
    """A plain read that lacks a part is an error: missing streams would look like streams without entries."""
    (
        story(ring("a", "b"))
        >> client("XREAD STREAMS {a}s {b}s 0 0") << to("a", "XREAD STREAMS {a}s 0") << to("b", "XREAD STREAMS {b}s 0")
        >> node("a", A) >> node("b", "-WRONGTYPE no") << to_client("-WRONGTYPE no")
    )  # fmt: skip


def test_group_with_a_part_missing() -> None:
    """No other consumer gets what one node has delivered, so it is the answer whatever the other node replies."""
    (
        story(ring("a", "b"))
        >> client(f"{GROUP} {{a}}s {{b}}s > >")
        << to("a", f"{GROUP} {{a}}s >", on=LEASED) << to("b", f"{GROUP} {{b}}s >", on=LEASED)
        >> node("b", "-NOGROUP no", on=LEASED) << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
        >> node("a", A, on=LEASED) << to_client(A)
        >> node("a", ":0") << silence()
        >> client(f"{GROUP} {{a}}s {{b}}s > >")
        << to("a", f"{GROUP} {{a}}s >", on=LEASED) << to("b", f"{GROUP} {{b}}s >", on=LEASED)
        >> lost("b", on=LEASED) << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
        >> node("a", "*-1", on=LEASED)
        << to_client("-NODEDOWN b b:6379 (it closed the connection); the write may have run, its outcome is unknown")
    )  # fmt: skip


def test_the_first_ends_the_blocking() -> None:
    """The other node is unblocked; if it has entries by then, they are in the answer too."""
    asked = "XREAD BLOCK 0 STREAMS"
    (
        story(ring("a", "b"))
        >> client(f"{asked} {{a}}s {{b}}s $ $")
        << to("a", f"{asked} {{a}}s $", on=LEASED) << to("b", f"{asked} {{b}}s $", on=LEASED)
        >> node("b", B, on=LEASED) << to("a", "CLIENT UNBLOCK 101 TIMEOUT") << silence()
        >> node("a", ":1") >> node("a", "*-1", on=LEASED) << to_client(B) << free(1, 1)
        >> client(f"{asked} {{a}}s {{b}}s $ $")
        << to("a", f"{asked} {{a}}s $", on=LEASED) << to("b", f"{asked} {{b}}s $", on=LEASED)
        >> node("b", B, on=LEASED) << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
        >> node("a", ":0") << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
        >> node("a", A, on=LEASED) << to_client(BOTH) >> node("a", ":0") << free(1, 1)
    )  # fmt: skip


def test_the_timeout_is_over_everywhere() -> None:
    """Nodes that answer by themselves are not unblocked."""
    asked = "XREAD BLOCK 50 STREAMS"
    (
        story(ring("a", "b"))
        >> client(f"{asked} {{a}}s {{b}}s $ $")
        << to("a", f"{asked} {{a}}s $", on=LEASED) << to("b", f"{asked} {{b}}s $", on=LEASED)
        >> node("b", "*-1", on=LEASED) << silence()
        >> node("a", "*-1", on=LEASED) << to_client("*-1") << free(1, 1)
    )  # fmt: skip


def test_a_connection_that_is_not_ready_is_not_waited_for() -> None:
    """Nothing has been sent there, so no entry is lost."""
    play = story(ring("a", "b"), shy=True) >> client("XREAD BLOCK 0 STREAMS {a}s {b}s $ $")
    play >> greeted("b", on=LEASED) << to("b", "XREAD BLOCK 0 STREAMS {b}s $", on=LEASED)
    play >> node("b", B, on=LEASED) << to_client(B) << then(lambda play: leased(play) == [0, 0])


def test_lists_of_replies() -> None:
    """With PROXY REPLIES LIST the streams of several nodes are still one reply, in which each has its name."""
    (
        story(ring("a", "b"))
        >> client("PROXY REPLIES LIST") << to_client("+OK")
        >> client("XREAD STREAMS {a}s {b}s 0 0") << to("a", "XREAD STREAMS {a}s 0") << to("b", "XREAD STREAMS {b}s 0")
        >> node("a", A) >> node("b", B) << to_client(BOTH)
        >> client("XREAD BLOCK 0 STREAMS {a}s 0") << to("a", "XREAD BLOCK 0 STREAMS {a}s 0", on=LEASED)
    )  # fmt: skip


def test_unblockers_say_how() -> None:
    """The base class cannot unblock."""
    with pytest.raises(NotImplementedError):
        Unblocker().unblock_rest()


def test_a_reply_that_is_no_list_of_streams() -> None:
    """It is an error, and the next reply is not affected."""
    play = story(ring("a", "b")) >> client("XREAD STREAMS {a}s {b}s 0 0", "PING")
    play << to("a", "XREAD STREAMS {a}s 0") << to("b", "XREAD STREAMS {b}s 0") >> node("a", A) >> node("b", ":0")
    assert b"-ERR the nodes' replies do not fit together: " in play.client("me").received
    play << given(unheard) << silence()
