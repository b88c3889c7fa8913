"""How a client may end, and what of it: what came whole is run, and nobody pops an element for the dead."""

import pytest

from kidoproxy.resp import limits
from tests.greet import LEASED_HANDSHAKE
from tests.session.handlers.leases import free
from tests.story import (
    LEASED,
    LEASED2,
    PLAIN,
    Event,
    Story,
    accepted,
    client,
    closed,
    copies,
    given,
    gone,
    greeted,
    half_closed,
    leased,
    lost,
    node,
    open_still,
    ring,
    silence,
    story,
    to,
    to_client,
    unheard,
)

#: Every kind of command that waits at a node, and what it is there.
WAITS = [
    "BLPOP {a}q 0",
    "BRPOP {a}q 0",
    "BLMOVE {a}q {a}w LEFT RIGHT 0",
    "BRPOPLPUSH {a}q {a}w 0",
    "BLMPOP 0 1 {a}q LEFT",
    "BZPOPMIN {a}q 0",
    "BZPOPMAX {a}q 0",
    "BZMPOP 0 1 {a}q MIN",
    "XREAD BLOCK 0 STREAMS {a}q $",
    "XREADGROUP GROUP g c BLOCK 0 STREAMS {a}q >",
]
ENDED = "CLIENT UNBLOCK 101 ERROR"


def killed(play: Story) -> None:
    """Another client says so."""
    client(f"CLIENT KILL ID {play.client('me').session.id}", name="admin")(play)
    play.settle()
    to_client(":1", name="admin")(play)


#: Every way in which a client that waits may end, as the session is told of it.
ENDS: dict[str, Event] = {"close": gone(), "half-close": half_closed(), "kill": killed}


@pytest.mark.parametrize("end", sorted(ENDS))
@pytest.mark.parametrize("asked", WAITS)
def test_the_waiting_ends_before_what_comes_after(asked: str, end: str) -> None:
    """A node is told to unblock ahead of whatever is sent in the same turn, or later, on any shared connection."""
    play = story(ring("a"))
    for proto, db in ((2, 0), (3, 0), (2, 1)):
        play.executor.connection(play.node("a"), proto, db).start_connecting()
    play.settle()
    play >> client("HELLO 3", name="three") << given(unheard)
    play >> client("SELECT 1", name="one") << to_client("+OK", name="one")
    play >> client(asked) << to("a", asked, on=LEASED)

    def all_at_once(play: Story) -> None:
        """The push is there already when the end is noticed, in the same turn."""
        for name in ("two", "three", "one"):
            client("RPUSH {a}q x", name=name)(play)
        ENDS[end](play)

    play >> all_at_once
    for way in (PLAIN, (3, 0), (2, 1)):
        play << to("a", ENDED, "RPUSH {a}q x", on=way)
    play >> node("a", ":1", ":1") << to_client(":1", name="two")
    play >> node("a", ":0", ":2", on=(3, 0)) << to_client(":2", name="three")
    play >> node("a", ":0", ":1", on=(2, 1)) << to_client(":1", name="one")
    play >> node("a", "-UNBLOCKED no", on=LEASED) << closed() << free(1) << silence()


@pytest.mark.parametrize("said", [":1", ":0"])
def test_connections_of_others_wait_for_the_end(said: str) -> None:
    """Requests on dedicated connections wait until the node has unblocked those that ended before."""
    play = story(ring("a"))
    play >> client("WATCH {a}w", name="other") << to("a", "WATCH {a}w", on=LEASED)
    play >> node("a", "+OK", on=LEASED) << to_client("+OK", name="other")
    play >> client("MULTI", "RPUSH {a}q x", name="other") << to_client("+OK", "+QUEUED", name="other")
    play >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED2)
    play >> gone() << to("a", "CLIENT UNBLOCK 102 ERROR")
    play >> client("EXEC", name="other") << silence() >> client("BLMOVE {a}u {a}q LEFT LEFT 0", name="third")
    play << silence()
    play >> node("a", said)
    if said == ":0":
        # It was answered already, and that answer is on its way.
        play << to("a", "CLIENT UNBLOCK 102 ERROR") >> node("a", "*2 $4 {a}q $1 x", on=LEASED2)
    play << to("a", "MULTI", "RPUSH {a}q x", "EXEC", on=LEASED)
    play << to("a", "BLMOVE {a}u {a}q LEFT LEFT 0", on=(-3, 0))


def test_later_ends_do_not_hold_earlier_connections() -> None:
    """A dedicated connection waits for those that ended before it was asked, not for all that end while it waits."""
    play = story(ring("a"))
    for at, name in enumerate(("me", "you")):
        play >> client("BLPOP {a}q 0", name=name) << to("a", "BLPOP {a}q 0", on=(-1 - at, 0))
    play >> gone() << to("a", ENDED)
    play >> client("BLPOP {a}r 0", name="next") << silence()
    play >> gone("you") << to("a", "CLIENT UNBLOCK 102 ERROR")
    play >> client("BLPOP {a}s 0", name="last") << silence()
    play >> node("a", ":1") << to("a", "BLPOP {a}r 0", on=(-3, 0))
    play >> node("a", ":1") << to("a", "BLPOP {a}s 0", on=(-4, 0))


def test_what_is_held_may_end_too() -> None:
    """A client whose dedicated connection is held back leaves: nothing was sent for it, and nothing will be."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    play >> gone() << to("a", ENDED) >> client("BLPOP {a}r 0", name="next") << silence()
    play >> gone("next") << to("a", "MULTI", "BLPOP {a}r 0", "EXEC")
    (
        play
        >> node("a", ":1", "+OK", "+QUEUED", "*1 *-1")
        << silence()
        >> node("a", "-UNBLOCKED no", on=LEASED)
        << free(1)
    )


def test_a_node_that_cannot_be_told() -> None:
    """Where the node's user may not ask for its number, or may not unblock, the connection is cut at once."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    play.dedicated["a"][0].client_id = b""
    play >> gone() << silence() << free(0)
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    play >> gone() << to("a", ENDED) >> lost("a") << free(0)


def test_one_link_of_several_is_lost() -> None:
    """One shared connection that has told the node is enough; a dedicated one in doubt is not leased again."""
    play = story(ring("a"))
    play.executor.connection(play.node("a"), 2, 0).start_connecting()
    play >> client("HELLO 3", "GET {a}1", name="three") << to("a", "GET {a}1", on=(3, 0)) << given(unheard)
    play >> node("a", "$-1", on=(3, 0)) << given(unheard)
    play >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    play >> gone() << to("a", ENDED) << to("a", ENDED, on=(3, 0))
    play >> lost("a", on=(3, 0)) >> node("a", ":1") << silence()
    play >> node("a", "-UNBLOCKED no", on=LEASED) << silence()
    assert leased(play) == [0]


def test_a_link_that_is_down_is_no_way_to_tell() -> None:
    """Where no shared connection is left the dedicated one is closed."""
    play = story(ring("a"), shy=True) >> client("BLPOP {a}q 0") >> greeted("a", on=LEASED)
    play << to("a", "BLPOP {a}q 0", on=LEASED) >> gone() << silence() >> greeted("a") << to("a", ENDED)
    play >> node("a", ":1") >> node("a", "-UNBLOCKED no", on=LEASED) << free(1)
    play = story(ring("a"), shy=True) >> client("BLPOP {a}q 0") >> greeted("a", on=LEASED)
    conn = play.executor.connection(play.node("a"), 2, 0)
    conn.start_connecting()
    (
        play
        << to("a", "BLPOP {a}q 0", on=LEASED)
        >> given(lambda play: conn.on_connection_lost("refused", play.executor.now, True))
    )
    play >> gone() << free(0)


# -- what has come whole is run ----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["close", "half-close"])
def test_what_came_whole_is_run_in_order(end: str) -> None:
    """A push, a move that may wait, a write: as on a server, where all of it was run before the end was read."""
    play = story(ring("a")) >> client(
        "RPUSH {a}q x", "BLMOVE {a}q {a}w LEFT LEFT 0", "SET {a}1 y", b"*2\r\n$3\r\nGET\r\n"
    )
    play << to("a", "RPUSH {a}q x") >> ENDS[end] << silence()
    told = end == "half-close"
    play >> node("a", ":1") << to("a", "MULTI", "BLMOVE {a}q {a}w LEFT LEFT 0", "EXEC")
    play << (to_client(":1") if told else silence())
    play >> node("a", "+OK", "+QUEUED", "*1 $1 x") << to("a", "SET {a}1 y")
    play << (to_client("$1 x") if told else silence())
    play >> node("a", "+OK") << (to_client("+OK") if told else silence()) << closed() << silence()
    assert told or not play.proxy.sessions


@pytest.mark.parametrize("nothing", ["*1 *-1", "*1 $-1", b"*1\r\n_\r\n"])
def test_who_would_have_to_wait_is_forgotten(nothing: str) -> None:
    """A server frees a client that blocks when it hangs up: it is told nothing more, and the rest is not run."""
    play = (
        story(ring("a")) >> client("SET {a}1 x", "BLMOVE {a}q {a}w LEFT LEFT 0", "SET {a}1 y") << to("a", "SET {a}1 x")
    )
    play >> half_closed() << silence()
    play >> node("a", "+OK") << to_client("+OK") << to("a", "MULTI", "BLMOVE {a}q {a}w LEFT LEFT 0", "EXEC")
    play >> node("a", "+OK", "+QUEUED", nothing) << closed() << silence() << free(0)


@pytest.mark.parametrize("refusal", [("-ERR no", "-ERR no MULTI", "-ERR no"), ("+OK", "-ERR no", "-EXECABORT no")])
def test_an_error_is_an_answer(refusal: tuple[str, ...]) -> None:
    """What the node refuses would not have waited: the client is told, and the rest is run."""
    play = story(ring("a")) >> client("GET {a}1", "BLPOP {a}q 0", "SET {a}1 y") << to("a", "GET {a}1") >> half_closed()
    play >> node("a", "$-1") << to_client("$-1") << to("a", "MULTI", "BLPOP {a}q 0", "EXEC")
    play >> node("a", *refusal) << to_client("-ERR no") << to("a", "SET {a}1 y") >> node("a", "+OK") << to_client("+OK")
    play << closed()


def test_a_refusal_of_the_proxy_is_an_answer() -> None:
    """What the pool does not serve is refused, so that the replies behind keep their places."""
    play = story(copies("a")) >> client("GET k", "WAITAOF 1 1 0", "PING x") << to("a", "GET k") >> half_closed()
    play >> node("a", "$-1")
    play.settle()
    nothing, refusal, pong, _ = play.client("me").received.split(b"\r\n", 3)
    assert (nothing, refusal[:1], pong) == (b"$-1", b"-", b"$1")
    play << given(unheard) << closed()


def test_a_lost_node_is_an_answer() -> None:
    """So is a failure."""
    play = (
        story(ring("a", "b")) >> client("GET {a}1", "BLPOP {a}q 0", "GET {b}1") << to("a", "GET {a}1") >> half_closed()
    )
    play >> node("a", "$-1") << to_client("$-1") << to("a", "MULTI", "BLPOP {a}q 0", "EXEC") >> lost("a")
    play << to("b", "GET {b}1") << given(unheard) >> node("b", "$-1") << to_client("$-1") << closed()


def test_a_lost_connection_is_an_answer() -> None:
    """And so is a dedicated connection that is lost while its node is told."""
    play = story(ring("a")) >> client("BLPOP {a}q 0", "GET {a}1") << to("a", "BLPOP {a}q 0", on=LEASED)
    play >> half_closed() << to("a", ENDED) >> lost("a", on=LEASED) << to("a", "GET {a}1") << given(unheard)
    play >> node("a", "-NOPERM no", "$-1") << to_client("$-1") << closed() << free(0)


@pytest.mark.parametrize("popped_reply", ["*2 $4 {a}q $1 x", "-WRONGTYPE no"])
def test_what_came_before_the_end_is_told(popped_reply: str) -> None:
    """The node had answered when it was told to unblock: the client gets that, and what follows is run."""
    play = story(ring("a")) >> client("BLPOP {a}q 0", "GET {a}1") << to("a", "BLPOP {a}q 0", on=LEASED)
    (
        play
        >> half_closed()
        << to("a", ENDED)
        >> node("a", popped_reply, on=LEASED)
        << to_client(popped_reply)
        << to("a", "GET {a}1")
    )
    play >> node("a", ":0", "$-1") << to_client("$-1") << closed() << free(1)


def test_a_large_answer_leaves_in_pieces() -> None:
    """An element that has begun to arrive is an answer before all of it is there."""
    size = limits.MIN_CUT_THROUGH_BYTES + 1
    play = (
        story(ring("a"))
        >> client("BLMOVE {a}q {a}w LEFT LEFT 0", "PING")
        << to("a", "BLMOVE {a}q {a}w LEFT LEFT 0", on=LEASED)
    )
    head = b"$%d\r\n" % (size + 10) + b"x" * size
    play >> node("a", head, on=LEASED) << to_client(head) >> half_closed() << to("a", ENDED)
    play >> node("a", b"x" * 10 + b"\r\n", on=LEASED) << to_client(b"x" * 10 + b"\r\n", "+PONG") << closed()
    play >> node("a", ":0") << free(1)
    # What is part of another reply is not let through.
    play = (
        story(ring("a")) >> client("GET {a}1", "BLMOVE {a}q {a}w LEFT LEFT 0") << to("a", "GET {a}1") >> half_closed()
    )
    play >> node("a", "$-1") << to_client("$-1") << to("a", "MULTI", "BLMOVE {a}q {a}w LEFT LEFT 0", "EXEC")
    play >> node("a", "+OK", "+QUEUED", b"*1\r\n" + head) << silence()
    play >> node("a", b"x" * 10 + b"\r\n") << to_client(head + b"x" * 10 + b"\r\n") << closed()


def test_a_dedicated_connection_that_is_not_open() -> None:
    """What was not sent yet is asked without waiting; a client that is killed is owed nothing."""
    play = story(ring("a"), shy=True)
    play.executor.connection(play.node("a"), 2, 0).start_connecting()
    (
        play
        >> greeted("a")
        >> client("BLPOP {a}q 0", "PING")
        >> accepted("a", on=LEASED)
        << to("a", *LEASED_HANDSHAKE, on=LEASED)
    )
    play >> half_closed() << to("a", "MULTI", "BLPOP {a}q 0", "EXEC") << free(0)
    play >> node("a", "+OK", "+QUEUED", "*1 *2 $4 {a}q $1 x") << to_client("*2 $4 {a}q $1 x", "+PONG") << closed()
    play >> client("BLPOP {a}q 0", name="next") >> given(lambda play: play.client("next").session.close()) << free(0)
    play << closed("next")


def test_copies_keep_their_order() -> None:
    """In a copy pool the connection serves all databases: what is asked without waiting keeps its place there."""
    play = story(copies("a"))
    play >> client("SET k v", "XREAD BLOCK 0 STREAMS s $") << to("a", "SET k v") >> half_closed()
    play >> node("a", "+OK") << to_client("+OK") << to("a", "MULTI", "XREAD BLOCK 0 STREAMS s $", "EXEC")
    play >> node("a", "+OK", "+QUEUED", "*1 *-1") << closed() << silence()


def test_streams_of_several_nodes() -> None:
    """Who hangs up is told what one of them had; the others are ended before anything that comes later."""
    asked = "XREADGROUP GROUP g c BLOCK 0 STREAMS {a}s {b}s > >"
    one, two = "XREADGROUP GROUP g c BLOCK 0 STREAMS {a}s >", "XREADGROUP GROUP g c BLOCK 0 STREAMS {b}s >"
    found = "*1 *2 $4 {a}s *1 *2 $3 1-1 *2 $1 f $1 v"
    play = story(ring("a", "b")) >> client(asked, "PING") << to("a", one, on=LEASED) << to("b", two, on=LEASED)
    play >> half_closed() << to("a", ENDED) << to("b", ENDED)
    play >> node("b", ":1") >> node("b", "-UNBLOCKED no", on=LEASED) << silence()
    (play >> node("a", found, on=LEASED) << to_client(found, "+PONG") << closed() >> node("a", ":0") << free(1, 1))
    play = story(ring("a", "b")) >> client(asked, "PING") << to("a", one, on=LEASED) << to("b", two, on=LEASED)
    play >> half_closed() << to("a", ENDED) << to("b", ENDED)
    for name in ("a", "b"):
        play >> node(name, ":1") >> node(name, "-UNBLOCKED no", on=LEASED)
    play << closed() << free(1, 1) << silence()


def test_a_client_that_is_held() -> None:
    """A server forgets what a client has sent that CLIENT PAUSE holds when it hangs up."""
    for end in (half_closed(), gone()):
        play = story(ring("a")) >> client("CLIENT PAUSE 10000", name="admin") << to_client("+OK", name="admin")
        play >> client("SET {a}1 x") >> end << silence() << closed()
        play >> client("CLIENT UNPAUSE", name="admin") << to_client("+OK", name="admin") << silence()
    play = story(ring("a")) >> client("GET {a}1", "WAIT 0 1", "SET {a}1 x") << to("a", "GET {a}1") >> half_closed()
    play >> client("CLIENT PAUSE 10000", name="admin") << to_client("+OK", name="admin")
    play >> node("a", "$-1") << to_client("$-1") << closed() << silence()


def test_who_has_hung_up_is_not_listened_to() -> None:
    """Nothing more is read from it; hanging up twice, or when all is over, changes nothing."""
    play = story(ring("a")) >> client("MGET {a}1 {a}2", "SELECT 1") << to("a", "MGET {a}1 {a}2") >> half_closed()
    session = play.client("me").session
    assert not session.wants_input()
    play >> half_closed() << open_still() >> node("a", "*2 $-1 $-1") << to_client("*2 $-1 $-1", "+OK") << closed()
    play >> half_closed() << silence()


def test_who_is_done_is_closed() -> None:
    """Subscribers and those in MULTI too: nothing that a server would still do for them is left."""
    for asked, told in (("PING", "+PONG"), ("MULTI", "+OK")):
        story(ring("a")) >> client(asked) << to_client(told) >> half_closed() << closed() << silence()
