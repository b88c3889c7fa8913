"""`kidoproxy.session.handlers.pubsub`: what one client gets, in Redis's own shape, and what it may say meanwhile."""

import pytest

from kidoproxy.resp import limits
from kidoproxy.resp.encode import encode_request
from kidoproxy.session.mode import READY
from tests.session.pubsub.pubsub_story import (
    PubSubStory,
    became,
    confirm_all,
    confirms,
    message,
    pubsub,
    pushes,
    refuses,
    sent,
    with_protocol,
)
from tests.story import Event, Story, client, closed, given, gone, node, ring, silence, tick, to, to_client

ONLY = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"


def subscribed(*, proto: int = 2) -> Story:
    """A client that has the channel ``{a}x``."""
    return (
        pubsub(ring("a", "b"))
        >> with_protocol(proto)
        >> client("SUBSCRIBE {a}x")
        << sent("a", "SUBSCRIBE {a}x")
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 1, proto))
    )


def test_confirmations_wait_for_the_nodes() -> None:
    """A subscription is confirmed to the client when every node has confirmed it: one frame for each name, counted."""
    (
        pubsub(ring("a", "b"))
        >> client("SUBSCRIBE {a}x {b}y {a}x")
        << sent("a", "SUBSCRIBE {a}x")
        << sent("b", "SUBSCRIBE {b}y")
        >> confirms("a", "subscribe {a}x")
        << silence()
        >> confirms("b", "subscribe {b}y")
        << to_client(became("subscribe", "{a}x", 1), became("subscribe", "{b}y", 2), became("subscribe", "{a}x", 2))
        >> pushes("a", "message {a}x hello")
        << to_client(message("message {a}x hello"))
    )


def test_what_comes_before_and_behind() -> None:
    """Earlier requests are answered before the nodes are sent, later ones wait for the confirmation."""
    (
        pubsub(ring("a"))
        >> client("GET {a}k", "SUBSCRIBE {a}x", "PING")
        << to("a", "GET {a}k")
        << silence()
        >> node("a", "$1 v")
        << to_client("$1 v")
        << sent("a", "SUBSCRIBE {a}x")
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 1), "*2 $4 pong", b"$0\r\n\r\n")
    )


def test_counts_of_kinds() -> None:
    """Channels and patterns are counted together, shard channels apart; patterns are listened to on every node."""
    (
        subscribed()
        >> client("PSUBSCRIBE p*")
        << sent("a", "PSUBSCRIBE p*")
        << sent("b", "PSUBSCRIBE p*")
        >> confirms("a", "psubscribe p*")
        >> confirms("b", "psubscribe p*")
        << to_client(became("psubscribe", "p*", 2))
        >> client("SSUBSCRIBE {b}s")
        << sent("b", "SSUBSCRIBE {b}s")
        >> confirms("b", "ssubscribe {b}s")
        << to_client(became("ssubscribe", "{b}s", 1))
        >> client("UNSUBSCRIBE {a}x nosuch")
        << sent("a", "UNSUBSCRIBE {a}x")
        >> confirms("a", "unsubscribe {a}x")
        << to_client(became("unsubscribe", "{a}x", 1), became("unsubscribe", "nosuch", 1))
        >> client("UNSUBSCRIBE")
        << to_client(became("unsubscribe", "_", 1))
        >> client("PUNSUBSCRIBE")
        << sent("a", "PUNSUBSCRIBE p*")
        << sent("b", "PUNSUBSCRIBE p*")
        >> confirms("a", "punsubscribe p*")
        >> confirms("b", "punsubscribe p*")
        << to_client(became("punsubscribe", "p*", 0))
        >> client("GET {a}k")
        << to_client(f"-ERR Can't execute 'get': {ONLY}")
        >> client("SUNSUBSCRIBE")
        << sent("b", "SUNSUBSCRIBE {b}s")
        >> confirms("b", "sunsubscribe {b}s")
        << to_client(became("sunsubscribe", "{b}s", 0))
        >> client("GET {a}k")
        << to("a", "GET {a}k")
    )


def test_a_name_that_it_has_already() -> None:
    """Subscribing again asks nobody and counts nothing."""
    subscribed() >> client("SUBSCRIBE {a}x") << to_client(became("subscribe", "{a}x", 1)) << silence()


def test_resp2_serves_little_else() -> None:
    """Who has subscribed in RESP2 can do what Redis lets it do, and is told so in Redis's words."""
    (
        subscribed()
        >> client("GET {a}k", "CLIENT ID", "HELLO 3")
        << to_client(
            f"-ERR Can't execute 'get': {ONLY}",
            f"-ERR Can't execute 'client|id': {ONLY}",
            f"-ERR Can't execute 'hello': {ONLY}",
        )
        >> client("PING hi", "PING")
        << to_client("*2 $4 pong $2 hi", "*2 $4 pong", b"$0\r\n\r\n")
    )


def test_resp3_serves_everything() -> None:
    """In RESP3 a message cannot be mistaken for a reply: all commands are served, and pushes are pushes."""
    (
        subscribed(proto=3)
        >> client("PING", "UNSUBSCRIBE nosuch", "PSUBSCRIBE", "PUNSUBSCRIBE")
        << to_client(
            "+PONG",
            became("unsubscribe", "nosuch", 1, 3),
            "-ERR wrong number of arguments for 'psubscribe' command",
            became("punsubscribe", "_", 1, 3),
        )
        >> pushes("a", "message {a}x hello")
        << to_client(message("message {a}x hello", 3))
        >> client("GET {a}k")
        << to("a", "GET {a}k", on=(3, 0))
    )


def test_hello_while_subscribed() -> None:
    """HELLO 2 turns a subscribed client of RESP3 into one of RESP2, with all that this means."""
    play = subscribed(proto=3) >> client("HELLO 2")
    assert play.client("me").received.startswith(b"*14\r\n")
    play.client("me").received = b""
    (
        play
        >> client("GET {a}k")
        << to_client(f"-ERR Can't execute 'get': {ONLY}")
        >> pushes("a", "message {a}x hello")
        << to_client(message("message {a}x hello"))
    )


def test_reset() -> None:
    """RESET takes the subscriptions away without a word, here and at the node."""
    (
        subscribed()
        >> client("RESET")
        << sent("a", "UNSUBSCRIBE {a}x")
        << to_client("+RESET")
        >> confirms("a", "unsubscribe {a}x")
        >> client("GET {a}k")
        << to("a", "GET {a}k")
    )


@pytest.mark.parametrize("end", [client("QUIT"), gone(), given(lambda play: play.client("me").session.close())])
def test_the_end_of_a_client(end: Event) -> None:
    """QUIT, a closed socket and CLIENT KILL leave nothing at the nodes; the last one closes the connection."""
    play = subscribed()
    play >> end
    play.client("me").received = b""
    play << sent("a", "UNSUBSCRIBE {a}x") >> confirms("a", "unsubscribe {a}x") >> tick()
    assert play.executor.unshared_connections == []


@pytest.mark.parametrize("end", [gone(), given(lambda play: play.client("me").session.close())])
def test_the_end_of_a_client_that_waits(end: Event) -> None:
    """Who goes before the node has confirmed leaves nothing behind either."""
    play = pubsub(ring("a")) >> client("SUBSCRIBE {a}x") << sent("a", "SUBSCRIBE {a}x")
    (
        play
        >> end
        >> confirms("a", "subscribe {a}x")
        << sent("a", "UNSUBSCRIBE {a}x")
        >> confirms("a", "unsubscribe {a}x")
        >> tick()
    )
    assert play.executor.unshared_connections == []
    assert play.client("me").received == b""


def test_killed_while_it_waits() -> None:
    """Its socket is closed though the node has not answered."""
    play = pubsub(ring("a")) >> client("SUBSCRIBE {a}x") << sent("a", "SUBSCRIBE {a}x")
    play >> given(lambda play: play.client("me").session.close()) << closed()


def test_a_refusal_is_the_reply() -> None:
    """What the node says is what the client gets, and nothing of its request comes true."""
    (
        pubsub(ring("a", "b"))
        >> client("SUBSCRIBE {a}x {b}y")
        << sent("a", "SUBSCRIBE {a}x")
        << sent("b", "SUBSCRIBE {b}y")
        >> confirms("b", "subscribe {b}y")
        >> refuses("a", "-NOPERM no")
        << sent("b", "UNSUBSCRIBE {b}y")
        << to_client("-NOPERM no")
        >> pushes("b", "message {b}y z")
        << silence()
        >> client("GET {a}k")
        << to("a", "GET {a}k")
    )


def test_in_a_transaction() -> None:
    """SUBSCRIBE cannot be part of a transaction; PUBLISH can, and counts clients."""
    (
        subscribed(proto=3)
        >> client("MULTI", "SUBSCRIBE {a}y", "DISCARD")
        << to_client("+OK", "-ERR 'subscribe' is not served here: it cannot be part of a transaction here", "+OK")
        >> client("SUBSCRIBE {a}x", name="you")
        << to_client(became("subscribe", "{a}x", 1), name="you")
        >> client("MULTI", "SET {a}k v", "PUBLISH {a}x m", "EXEC")
        << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "SET {a}k v", "PUBLISH {a}x m", "EXEC", on=(3, 0))
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "*2 +OK :1", on=(3, 0))
        << to_client("*2 +OK :2")
    )


def test_reply_off() -> None:
    """CLIENT REPLY OFF silences replies, not what is pushed; SKIP is for this command as for any."""
    (
        subscribed(proto=3)
        >> client("CLIENT REPLY OFF", "SUBSCRIBE {a}x")
        << to_client(became("subscribe", "{a}x", 1, 3))
        >> client("PING")
        >> pushes("a", "message {a}x hello")
        << to_client(message("message {a}x hello", 3))
        >> client("CLIENT REPLY ON", "CLIENT REPLY SKIP", "SUBSCRIBE {a}x", "PING")
        << to_client("+OK", became("subscribe", "{a}x", 1, 3), "+PONG")
    )


def test_names_in_a_list_of_replies() -> None:
    """PROXY EACH shows what each node itself counts."""
    (
        subscribed(proto=3)
        >> client("PROXY EACH PUBLISH {a}x m")
        << to("a", "PUBLISH {a}x m", on=(3, 0))
        >> node("a", ":7", on=(3, 0))
        << to_client("*1 :7")
        >> client("PROXY REPLIES LIST", "MULTI", "PUBLISH {a}x m", "EXEC")
        << to_client("+OK", "+OK", "+QUEUED")
        << to("a", "MULTI", "PUBLISH {a}x m", "EXEC", on=(3, 0))
        >> node("a", "+OK", "+QUEUED", "*1 :7", on=(3, 0))
        << to_client("*1 *1 :7")
    )


# -- very many names ---------------------------------------------------------------------------------------

MANY = 3 * limits.NAMES_PER_SLICE + 7
NAMES = [f"{{a}}{at}" for at in range(MANY)]


def crowded(kind: str = "SUBSCRIBE") -> PubSubStory:
    """A client that has very many names, and has been told so."""
    play = pubsub(ring("a"))
    play.client("me").session.feed(encode_request([kind.encode(), *[name.encode() for name in NAMES]]) + b"PING\r\n")
    confirm_all(play)
    word = kind.lower()
    heard = b"".join([became(word, name, at + 1) for at, name in enumerate(NAMES)])
    assert play << to_client(heard, "*2 $4 pong", b"$0\r\n\r\n")
    return play


@pytest.mark.parametrize("kind", ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"])
def test_very_many_names(kind: str) -> None:
    """In slices: each is confirmed in the order in which it was said, and what is behind waits for the last one."""
    play = crowded(kind)
    play.client("me").session.feed(
        encode_request([b"P" * (kind[0] == "P") + b"S" * (kind[:2] == "SS") + b"UNSUBSCRIBE"])
    )
    confirm_all(play)
    word = kind.lower().replace("subscribe", "unsubscribe")
    left = b"".join([became(word, name, MANY - at - 1) for at, name in enumerate(NAMES)])
    assert play << to_client(left) << silence()
    assert play.client("me").session.subscriber is not None
    assert play.subscriptions.topics == [{}, {}, {}]


def test_very_many_names_that_are_there() -> None:
    """Where no node has to be asked they are confirmed in slices, too."""
    play = crowded() >> client("SUBSCRIBE " + " ".join(NAMES), "PING", name="you")
    heard = b"".join([became("subscribe", name, at + 1) for at, name in enumerate(NAMES)])
    play << to_client(heard, "*2 $4 pong", b"$0\r\n\r\n", name="you")


def test_one_of_very_many_is_refused() -> None:
    """The client gets the error, and the rest is not tried."""
    play = pubsub(ring("a", "b"))
    play.node("b").live = False
    names = [*NAMES[: limits.NAMES_PER_SLICE], "{b}x", *NAMES[limits.NAMES_PER_SLICE :]]
    play.client("me").session.feed(encode_request([b"SUBSCRIBE", *[name.encode() for name in names]]))
    confirm_all(play)
    heard = play.client("me").received
    assert heard.count(b"$9\r\nsubscribe") == limits.NAMES_PER_SLICE
    assert b"-NODEDOWN b" in heard
    assert play.client("me").session.mode == READY


@pytest.mark.parametrize("end", ["gone", "RESET"])
def test_who_leaves_very_many_names(end: str) -> None:
    """They are left in slices; no message of them comes any more, and who begins anew has only its new ones."""
    play = crowded()
    session = play.client("me").session
    if end == "gone":
        session.on_disconnect()
    else:
        session.feed(b"RESET\r\nSUBSCRIBE {a}1\r\n")
    assert len(play.executor.turn_work.jobs.queue) == 1
    confirm_all(play)
    topics = play.subscriptions.topics[0]
    if end == "gone":
        assert topics == {}
        return
    assert list(topics) == [b"{a}1"]
    assert play << to_client("+RESET", became("subscribe", "{a}1", 1))
    assert play >> pushes("a", "message {a}1 hello", "message {a}2 hello") << to_client(message("message {a}1 hello"))
