"""Where two features meet: what each of them promises holds for the other one too."""

import pytest

from kidoproxy.session import cleanup
from tests.session.handlers.leases import free
from tests.session.handlers.test_monitor import LINE
from tests.session.pubsub.pubsub_story import granted, pubsub
from tests.story import (
    LEASED,
    LEASED2,
    Event,
    Story,
    client,
    closed,
    copies,
    given,
    greeted,
    led_by,
    lost,
    node,
    refused,
    ring,
    silence,
    story,
    tick,
    to,
    to_client,
    unheard,
)


def watching(play: Story) -> Story:
    """The client watches a key."""
    play >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED)
    return play >> node("a", "+OK", on=LEASED) << to_client("+OK")


# -- WATCH ------------------------------------------------------------------------------------------------------


def test_watch_and_publish_in_the_transaction() -> None:
    """PUBLISH on a dedicated connection is corrected too: the node counts one subscription, the client gets all."""
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}x", name="one") >> granted("SUBSCRIBE {a}x", name="two")
    (
        watching(play)
        >> client("MULTI", "SET {a}1 x", "PUBLISH {a}x hi", "PING", "EXEC")
        << to_client("+OK", "+QUEUED", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "SET {a}1 x", "PUBLISH {a}x hi", "PING", "EXEC", on=LEASED)
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3 +OK :1 +PONG", on=LEASED)
        << to_client(b"*3\r\n+OK\r\n:2\r\n+PONG\r\n")
    )  # fmt: skip


@pytest.mark.parametrize(("said", "told"), [("*-1", "*-1"), ("-EXECABORT no", "-EXECABORT no")])
def test_watch_and_publish_that_is_not_run(said: str, told: str) -> None:
    """A lost race is null as ever, and an error is the error of the whole."""
    play = watching(pubsub(ring("a"))) >> client("MULTI", "PUBLISH {a}x hi", "EXEC")
    play << to_client("+OK", "+QUEUED") << to("a", "MULTI", "PUBLISH {a}x hi", "EXEC", on=LEASED)
    play >> node("a", "+OK", "+QUEUED", said, on=LEASED) << to_client(told)


def test_killed_while_it_begins_to_watch() -> None:
    """A client that is killed before its connection is there is closed at once, and nothing is left behind."""
    play = story(ring("a"), shy=True) >> client("WATCH {a}1")
    number = play.client("me").session.id
    play >> client(f"CLIENT KILL ID {number}", name="admin") << to_client(":1", name="admin") << closed() << free(0)
    play << to_client("-NODEDOWN a a:6379 (its client watches nothing any more)")


# -- the end of the process ----------------------------------------------------------------------------------------


def test_who_would_wait_again_is_closed() -> None:
    """A worker that asks again as soon as it is let go does not hold up the end, nor lose an element at it."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    play.proxy.draining = True
    cleanup.drain(play.client("me").session)
    (
        play
        << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
        >> node("a", ":1")
        >> node("a", "*-1", on=LEASED)
        << to_client("*-1")
    )
    play >> client("BLPOP {a}q 0") << closed() << silence() << free(1)


# -- MONITOR ----------------------------------------------------------------------------------------------------


def test_lines_come_behind_the_reply_to_monitor() -> None:
    """The first thing that a client reads is +OK, though one node speaks before another has answered."""
    (
        story(ring("a", "b"))
        >> client("MONITOR") << to("a", "MONITOR", on=LEASED) << to("b", "MONITOR", on=LEASED)
        >> node("a", "+OK", LINE, on=LEASED) << silence()
        >> node("b", "+OK", LINE, on=LEASED) << to_client("+OK", LINE)
    )  # fmt: skip


def test_lines_never_fall_into_a_reply() -> None:
    """A large reply of one node that leaves in pieces is not cut in two by a line of MONITOR."""
    play = story(ring("a")) >> client("MONITOR") << to("a", "MONITOR", on=LEASED)
    (play >> node("a", "+OK", on=LEASED) << to_client("+OK") >> client("PROXY NODE a GET {a}1") << to("a", "GET {a}1"))
    big = b"$100000\r\n" + b"x" * 100_000 + b"\r\n"
    play >> node("a", big[:60_000]) << to_client(big[:60_000])
    play >> node("a", LINE, on=LEASED) << silence()
    play >> node("a", big[60_000:]) << to_client(big[60_000:], LINE)


@pytest.mark.parametrize("refusal", [node("a", "-BUSY no", on=LEASED), refused("a", on=LEASED)])
def test_a_node_that_will_not_be_monitored_is_not_pestered(refusal: Event) -> None:
    """It is asked again after a while, not at every tick: each time costs a connection."""
    play = story(ring("a", "b")) >> client("MONITOR")
    play << to("a", "MONITOR", on=LEASED) << to("b", "MONITOR", on=LEASED)
    play >> refusal >> node("b", "+OK", on=LEASED) << to_client("+OK")
    play >> tick(0.9) << silence() >> tick(0.2) << to("a", "MONITOR", on=LEASED2)


# -- transactions that stay together ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "stray", "key", "other"),
    [
        ("SET {a}1 x", "EVAL return(1) 1 {b}1", "{a}1", "{b}1"),
        ("EVAL return(1) 1 {a}1", "SET {b}1 x", "{a}1", "{b}1"),
        ("PUBLISH {a}x m", "SET {b}1 x", "{a}x", "{b}1"),
    ],
)
def test_a_strict_pool_names_the_keys_of_scripts(first: str, stray: str, key: str, other: str) -> None:
    """CROSSSLOT names keys, or the channel of a PUBLISH, and not the text of a script."""
    said = "-CROSSSLOT Keys in request don't hash to the same node "
    said += f"(command='{stray.split(' ')[0].lower()}', first-key='{key}', violating-key='{other}')"
    play = story(ring("a", "b", strict=True)) >> client("MULTI", first) << to_client("+OK", "+QUEUED")
    play >> client(stray) << to_client(said)


# -- a pool that misses softly ------------------------------------------------------------------------------------


def test_each_nodes_own_reply_is_never_made_up() -> None:
    """Where a miss stands for a node that is down, PROXY EACH still tells the failure."""
    play = story(ring("a", "b", miss_on_down=True)) >> client("GET {a}1") << to("a", "GET {a}1")
    play >> refused("a", "gone") << to_client("$-1") >> client("GET {a}1") << to_client("$-1")
    play >> client("PROXY EACH GET {a}1") << to_client(b"*1\r\n-NODEDOWN a a:6379 (gone)\r\n")


# -- CLIENT PAUSE -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["PROXY EACH SET {a}1 x", "PROXY NODE a SET {a}1 x", "PROXY NODE a PUBLISH x y"])
def test_a_pause_of_writes_holds_those_of_proxy(words: str) -> None:
    """PROXY is a reader or a writer as the command is that it carries."""
    play = story(ring("a")) >> client("CLIENT PAUSE 1000 WRITE", name="admin") << to_client("+OK", name="admin")
    play >> client(words.replace("SET {a}1 x", "GET {a}1")) << given(unheard)
    play >> client(words, name="other") << silence()
    play >> tick(1.0) << to("a", " ".join(words.split(" ")[2 + ("NODE" in words) :]))


# -- a copy that was restarted --------------------------------------------------------------------------------------


def test_who_listens_does_not_hide_a_restart() -> None:
    """What waits for a restarted copy is asked elsewhere, though the listening connection has met its new run first."""
    play = pubsub(copies("a", "b")) >> granted("SUBSCRIBE x", name="listener")
    key = led_by(play.pool, "a")
    play >> client(f"GET {key}") << to("a", f"GET {key}") >> node("a", "$1 1") << to_client("$1 1")
    play.shy = True
    play.run_ids["a"] = "a-again"
    play >> lost("a+") >> lost("a") >> client("MULTI", f"GET {key}", "EXEC") << to_client("+OK", "+QUEUED")
    play >> greeted("a+") << given(unheard)
    play >> greeted("a") << given(unheard) >> greeted("b") << to("b", "MULTI", f"GET {key}", "EXEC")
    play >> node("b", "+OK", "+QUEUED", "*1 $1 1") << to_client("*1 $1 1")
