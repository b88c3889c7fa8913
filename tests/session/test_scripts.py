"""What the session notes of EVAL, SCRIPT and FUNCTION, alone and inside MULTI. Stories."""

import hashlib

import pytest

from kidoproxy import errors
from kidoproxy.resp.build import array, command
from tests.story import (
    Event,
    Story,
    client,
    copies,
    frame,
    given,
    led_by,
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

TEXT = b"return 1"
DIGEST = hashlib.sha1(TEXT).hexdigest()
LOAD = command([b"SCRIPT", b"LOAD", TEXT])
SAID = f"$40 {DIGEST}"
CODE = b"#!lua name=lib\n"


def function(*words: bytes) -> bytes:
    """A FUNCTION request."""
    return command([b"FUNCTION", *words])


def sha(key: str = "{a}k", name: str = "EVALSHA") -> str:
    """A request for the script."""
    return f"{name} {DIGEST} 1 {key}"


def lessons(play: Story) -> list[bytes]:
    """What a node would be taught."""
    return play.facts.book.libraries() + play.facts.book.texts()


@pytest.mark.parametrize("name", [b"EVAL", b"EVAL_RO"])
def test_seen(name: bytes) -> None:
    """A text that passes by is known, but not taught: it was loaded nowhere."""
    ask = command([name, TEXT, b"0"])
    assert (
        story(ring("a")) >> client(ask) << to("a", ask) >> node("a", ":1") << to_client(":1")
        << then(lambda play: play.facts.book.script(DIGEST.encode()) is not None and lessons(play) == [])
    )  # fmt: skip


def test_loaded() -> None:
    """SCRIPT LOAD and FUNCTION LOAD are taught from the moment that they have succeeded."""
    load = function(b"LOAD", b"replace", CODE)
    lesson = function(b"LOAD", b"REPLACE", CODE)
    play = story(ring("a")) >> client(LOAD, load) << to("a", LOAD, load) << then(lambda play: lessons(play) == [])
    assert (
        play
        >> node("a", SAID, "$3 lib")
        << to_client(SAID, "$3 lib")
        << then(lambda play: lessons(play) == [lesson, LOAD])
    )


def test_not_loaded() -> None:
    """What no node has taken is not taught."""
    load = function(b"LOAD", CODE)
    play = story(ring("a")) >> client(LOAD, load, load, load) << to("a", LOAD, load, load, load)
    assert play >> node("a", "-ERR no", "-ERR Library 'lib' already exists") << given(unheard)
    assert play >> lost("a") << given(unheard) << then(lambda play: lessons(play) == [])


def test_flushed_under_way() -> None:
    """What is flushed before its load is answered is not taught."""
    play = story(ring("a")) >> client(LOAD, "SCRIPT FLUSH") << to("a", LOAD, "SCRIPT FLUSH")
    assert play >> node("a", SAID, "+OK") << to_client(SAID, "+OK") << then(lambda play: lessons(play) == [])


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ((b"DELETE", b"lib"), []),
        ((b"FLUSH",), []),
        ((b"FLUSH", b"SYNC"), []),
        ((b"RESTORE", b"dump", b"FLUSH"), [function(b"RESTORE", b"dump", b"REPLACE")]),
        (
            (b"RESTORE", b"dump"),
            [function(b"LOAD", b"REPLACE", CODE), function(b"RESTORE", b"dump", b"REPLACE")],
        ),
    ],
)
@pytest.mark.parametrize("other", [node("b", "+OK"), node("b", "-READONLY no"), lost("b")])
def test_changed(words: tuple[bytes, ...], left: list[bytes], other: Event) -> None:
    """What is deleted is not taught any more, even if one node could not delete it: it must not come back by itself."""
    play = story(ring("a", "b"))
    play.facts.book.load_library(CODE)
    ask = function(*words)
    assert play >> client(ask) << to("a", ask) << to("b", ask) >> node("a", "+OK")
    assert play >> other << given(unheard)
    assert lessons(play) == left


def test_not_changed() -> None:
    """What every node refuses changes nothing."""
    play = story(ring("a"))
    play.facts.book.load_library(CODE)
    assert play >> client("FUNCTION DELETE x") << to("a", "FUNCTION DELETE x") >> node("a", "-ERR Library not found")
    assert play << to_client("-ERR Library not found") << then(lambda play: len(lessons(play)) == 1)


def test_nobody_answers() -> None:
    """Copies that are all lost tell their failure, and nothing is noted."""
    play = story(copies("a"))
    play.facts.book.load_library(CODE)
    assert play >> client("FUNCTION FLUSH") << to("a", "FUNCTION FLUSH") >> lost("a")
    assert play << then(lambda play: play.guest("me").heard.startswith(b"-NODEDOWN a")) << given(unheard)
    assert len(lessons(play)) == 1


def test_nothing_to_note() -> None:
    """The others are asked as ever."""
    ask = "FUNCTION LIST"
    assert (
        story(ring("a"))
        >> client(ask)
        << to("a", ask)
        >> node("a", "*0")
        << to_client("*0")
        << then(lambda play: not lessons(play))
    )


# -- MULTI -------------------------------------------------------------------------------------------------


def test_multi_on_one_node() -> None:
    """The text goes ahead of MULTI, in the same turn as the transaction, whatever the connection has carried."""
    play = story(ring("a"))
    play.facts.book.learn(TEXT)
    queued = ("+OK", "+QUEUED", "+QUEUED")
    for _ in range(2):
        assert play >> client("MULTI", sha(), "GET {a}k", "EXEC") << to("a", LOAD, "MULTI", sha(), "GET {a}k", "EXEC")
        assert play << to_client(*queued) >> node("a", SAID, *queued, "*2 :1 $1 v") << to_client("*2 :1 $1 v")
        play.exchange.now += 1


def test_multi_on_several_nodes() -> None:
    """Each node's part has the texts that it needs ahead of it, each once."""
    play = story(ring("a", "b"))
    play.facts.book.learn(TEXT)
    assert (
        play
        >> client("MULTI", sha(), sha(), "GET {b}k", "EXEC")
        << to("a", LOAD, "MULTI", sha(), sha(), "EXEC") << to("b", "MULTI", "GET {b}k", "EXEC")
        << to_client("+OK", "+QUEUED", "+QUEUED", "+QUEUED")
        >> node("a", SAID, "+OK", "+QUEUED", "+QUEUED", "*2 :1 :2") >> node("b", "+OK", "+QUEUED", "*1 $-1")
        << to_client("*3 :1 :2 $-1")
    )  # fmt: skip


def test_multi_unknown() -> None:
    """What nobody has shown the proxy is for the node to know; what is shown inside is known afterwards."""
    ask = command([b"EVAL", TEXT, b"1", b"{a}k"])
    inside = frame("*2 #no :1").replace(b"#no\r\n", errors.NOSCRIPT)
    assert (
        story(ring("a"))
        >> client("MULTI", sha(), ask, "EXEC") << to("a", "MULTI", sha(), ask, "EXEC")
        << to_client("+OK", "+QUEUED", "+QUEUED")
        >> node("a", "+OK", "+QUEUED", "+QUEUED", inside) << to_client(inside)
        << then(lambda play: play.facts.book.script(DIGEST.encode()) is not None)
    )  # fmt: skip


def test_multi_of_copies() -> None:
    """Copies get EVAL where the script writes, and the text ahead where it reads."""
    pool = copies("a", "b")
    play = story(pool)
    play.facts.book.learn(TEXT)
    run = command([b"EVAL", TEXT, b"1", b"k"])
    read = sha("k", "EVALSHA_RO")
    play = play >> client("MULTI", sha("k"), "EXEC") << to("a", "MULTI", run, "EXEC") << to("b", "MULTI", run, "EXEC")
    play = play << to_client("+OK", "+QUEUED")
    assert play >> node("a", "+OK", "+QUEUED", "*1 :1") >> node("b", "+OK", "+QUEUED", "*1 :1") << given(unheard)
    assert play >> client("MULTI", read, "EXEC") << to("a", LOAD, "MULTI", read, "EXEC")


def test_multi_loads() -> None:
    """SCRIPT LOAD and FUNCTION LOAD inside a transaction count when their own replies are good."""
    load = function(b"LOAD", CODE)
    play = story(ring("a")) >> client("MULTI", LOAD, load, "EXEC") << to("a", "MULTI", LOAD, load, "EXEC")
    play = play << given(unheard)
    reply = array([frame(SAID), b"-ERR no\r\n"])
    assert play >> node("a", "+OK", "+QUEUED", "+QUEUED", reply) << given(unheard)
    assert lessons(play) == [LOAD]


def test_multi_refused() -> None:
    """Keys that do not meet are refused while queueing, as ever."""
    play = story(ring("a", "b"))
    play.facts.book.learn(TEXT)
    both = f"EVALSHA {DIGEST} 2 {{a}}k {{b}}k"
    assert play >> client(both) << given(unheard) << silence()
    assert play >> client("MULTI", both, "EXEC") << then(lambda play: b"EXECABORT" in play.guest("me").heard)
    assert play << given(unheard) << silence()
    assert led_by(copies("a"), "a")
