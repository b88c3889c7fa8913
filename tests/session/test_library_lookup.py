"""Asking a copy about a function that nobody has loaded through this process: the session waits, and nobody else."""

from typing import Final

import pytest

from kidoproxy.resp.encode import array, bulk, encode_request
from kidoproxy.session.library_lookup import LOOKUP_MS, REFRESH_MS
from tests.story import (
    Pool,
    Story,
    client,
    copies,
    given,
    gone,
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

LIST: Final = "FUNCTION LIST WITHCODE"
NOT_KNOWN: Final = "-ERR 'fcall' is not served here: what it does is not known here"
NOT_FOUND: Final = "-ERR Function not found"


def listed(*codes: str) -> bytes:
    """What a copy replies that has these libraries."""
    return array(
        [array([bulk(b"library_name"), bulk(b"x"), bulk(b"library_code"), bulk(code.encode())]) for code in codes]
    )


def code(name: str, command: str = "incr") -> str:
    """A library of one function, both of this name."""
    return f"#!lua name={name}\nredis.register_function('{name}', function(k) return redis.call('{command}', k[1]) end)"


def asked(pool: Pool) -> Story:
    """A client has called an unknown function, and the leader is asked for its libraries."""
    return story(pool) >> client("FCALL f 1 k", "PING") << to("a", LIST)


def test_only_this_client_waits() -> None:
    """What the copy has is known to all from then on, also in a transaction."""
    (
        asked(copies("a", "b"))
        >> client("PING", name="you") << to_client("+PONG", name="you")
        >> node("a", listed(code("F"), code("g", "get"))) << to("a", "FCALL f 1 k") << to("b", "FCALL f 1 k")
        >> node("a", ":1") >> node("b", ":1") << to_client(":1", "+PONG")
        >> client("MULTI", "FCALL F 1 k", "EXEC") << to_client("+OK", "+QUEUED")
        << to("a", "MULTI", "FCALL F 1 k", "EXEC") << to("b", "MULTI", "FCALL F 1 k", "EXEC") << silence()
    )  # fmt: skip


def test_queued() -> None:
    """Also a command that is only queued waits for the answer."""
    (
        story(copies("a", "b"))
        >> client("MULTI", "FCALL f 1 k", "EXEC") << to("a", LIST) << to_client("+OK")
        >> node("a", listed(code("f"))) << to_client("+QUEUED")
        << to("a", "MULTI", "FCALL f 1 k", "EXEC") << to("b", "MULTI", "FCALL f 1 k", "EXEC")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (listed(), NOT_FOUND),
        (listed(code("g")), NOT_FOUND),
        (listed(*[code(f"f{number}") for number in range(101)]), NOT_KNOWN),
        (b"-NOPERM no\r\n", NOT_KNOWN),
    ],
)
def test_still_unknown(answer: bytes, said: str) -> None:
    """If all functions are known there is none of this name, as a server says; for a while nobody is asked again."""
    play = asked(copies("a", "b")) >> node("a", answer) << to_client(said, "+PONG")
    play = play >> client("FCALL f 1 k") << to_client(said) << silence()
    play >> tick(LOOKUP_MS / 1000 - 0.1) << given(unheard) >> client("FCALL f 1 k") << to_client(said) << silence()
    play >> tick(0.2) << given(unheard) >> client("FCALL f 1 k") << to("a", LIST)


def test_restored() -> None:
    """What FUNCTION RESTORE brings is asked for at once."""
    play = asked(copies("a", "b")) >> node("a", listed()) << to_client(NOT_FOUND, "+PONG")
    restore = "FUNCTION RESTORE dump"
    play = play >> client(restore) << to("a", restore) << to("b", restore) >> node("a", "+OK") >> node("b", "+OK")
    play << to_client("+OK") >> client("FCALL f 1 k") << to("a", LIST) << silence()


def test_what_was_loaded_through_the_pool_is_known_better() -> None:
    """A library that is on its way is not what the copy had before."""
    new = encode_request([b"FUNCTION", b"LOAD", b"REPLACE", code("f").encode()])
    (
        asked(copies("a", "b"))
        >> client(new, name="you") << to("a", new) << to("b", new)
        >> node("a", listed(code("f", "spop"))) << to("a", "FCALL f 1 k") << to("b", "FCALL f 1 k")
    )  # fmt: skip


def test_known_ones_are_looked_at_again() -> None:
    """Now and then, and nobody waits: what was replaced or deleted past the proxy is noticed, whoever has loaded it."""
    load = encode_request([b"FUNCTION", b"LOAD", code("f").encode()])
    play = story(copies("a", "b")) >> client(load) << to("a", load) << to("b", load)
    play = play >> node("a", "$1 f") >> node("b", "$1 f") << to_client("$1 f")
    play = play >> client("FCALL f 1 k") << to("a", "FCALL f 1 k") << to("b", "FCALL f 1 k")
    play = play >> node("a", ":1") >> node("b", ":1") << to_client(":1") >> tick(REFRESH_MS / 1000) << given(unheard)
    play = play >> node("a", "+PONG") >> node("b", "+PONG")
    play = play >> client("FCALL f 1 k") << to("a", LIST, "FCALL f 1 k") << to("b", "FCALL f 1 k")
    play = play >> node("a", listed(code("f", "get")), ":1") >> node("b", ":1") << to_client(":1")
    play = play >> client("FCALL f 1 k") << to("a", "FCALL f 1 k") >> node("a", "$1 2") << to_client("$1 2")
    play = play >> tick(REFRESH_MS / 1000) << given(unheard) >> node("a", "+PONG")
    play = play >> client("FCALL f 1 k") << to("a", LIST, "FCALL f 1 k")
    play = play >> node("a", listed(), "$1 2") << to_client("$1 2") >> client("FCALL f 1 k") << to("a", LIST)
    play >> node("a", listed()) << to_client(NOT_FOUND) << silence()


@pytest.mark.parametrize("answer", [b"-NOPERM no\r\n", None])
def test_no_answer_about_known_ones(answer: bytes | None) -> None:
    """Then they are what they were."""
    play = asked(copies("a", "b")) >> node("a", listed(code("f", "get"))) << to("a", "FCALL f 1 k")
    play = play >> node("a", "$1 2") << to_client("$1 2", "+PONG") >> tick(REFRESH_MS / 1000) << given(unheard)
    play = play >> client("FCALL f 1 k") << to("a", LIST, "FCALL f 1 k")
    play = play >> (node("a", answer, "$1 2") if answer is not None else refused("a")) << given(unheard)
    play.client("me").received = b""
    for sent in play.sent.values():
        sent.clear()
    play >> client("FCALL f 1 k")
    assert NOT_FOUND.encode() not in play.client("me").received
    assert [one.raw for sent in play.sent.values() for one in sent] == [encode_request([b"FCALL", b"f", b"1", b"k"])]


def function(*words: str) -> bytes:
    """A request that changes libraries."""
    return encode_request([b"FUNCTION", *[word.encode() for word in words]])


@pytest.mark.parametrize(
    "change", [function("DELETE", "f"), function("FLUSH"), function("RESTORE", "dump"), function("FLUSH", "nonsense")]
)
def test_behind_a_removal(change: bytes) -> None:
    """What is sent behind it in one batch is not run from memory: a copy is asked what is left."""
    play = asked(copies("a", "b")) >> node("a", listed(code("f"))) << to("a", "FCALL f 1 k") << to("b", "FCALL f 1 k")
    play = play >> node("a", ":1") >> node("b", ":1") << to_client(":1", "+PONG")
    play = play >> client(change, "FCALL f 1 k") << to("a", change, LIST) << to("b", change)
    play = play >> node("a", "+OK", listed()) >> node("b", "+OK") << to_client("+OK", NOT_FOUND)
    play << silence()


@pytest.mark.parametrize("change", [function("LOAD", "REPLACE", code("f", "get")), function("DELETE", "f")])
def test_behind_a_change_in_a_transaction(change: bytes) -> None:
    """What a function does then is not known: it is refused on copies. A ring's nodes know it."""
    play = asked(copies("a", "b")) >> node("a", listed(code("f"))) << to("a", "FCALL f 1 k") << to("b", "FCALL f 1 k")
    play = play >> node("a", ":1") >> node("b", ":1") << to_client(":1", "+PONG")
    play = play >> client("MULTI", "FCALL f 1 k", change, "FCALL f 1 k", "EXEC")
    play = play << to("a", "MULTI", "FCALL f 1 k", change, "EXEC") << to("b", "MULTI", "FCALL f 1 k", change, "EXEC")
    play = play << to_client("+OK", "+QUEUED", "+QUEUED", "+QUEUED")
    for name in "ab":
        play = play >> node(name, "+OK", "+QUEUED", "+QUEUED", "*2 :2 +OK")
    refusal = "-ERR 'fcall' is not served here: its transaction changes the libraries of functions"
    received = play.client("me").received
    assert received.endswith(b"*3\r\n:2\r\n+OK\r\n" + refusal.encode() + b"\r\n")
    play.client("me").received = b""
    play = story(ring("a")) >> client("MULTI", change, "FCALL f 1 {a}k", "EXEC")
    play << to("a", "MULTI", change, "FCALL f 1 {a}k", "EXEC") << given(unheard)


def test_failure() -> None:
    """A copy that dies under the question is the answer; the next client may ask another one."""
    play = asked(copies("a", "b")) >> refused("a")
    assert play.client("me").received.startswith(b"-NODEDOWN a")
    play.client("me").received = b""
    play >> client("FCALL f 1 k") << to("b", LIST)


def test_client_gone() -> None:
    """What it has asked is run, and what was learnt stays."""
    play = asked(copies("a", "b")) >> gone() >> node("a", listed(code("f"))) << to("a", "FCALL f 1 k")
    assert not play.proxy.sessions


def test_who_is_not_asked() -> None:
    """A ring's nodes know themselves, and so does the copy that runs what only reads."""
    story(ring("a")) >> client("FCALL f 1 k") << to("a", "FCALL f 1 k") << silence()
    story(copies("a", "b")) >> client("FCALL_RO f 1 k") << to("a", "FCALL_RO f 1 k") << silence()
    pool = copies("a", "b")
    pool.groups[0].elected = False
    story(pool) >> client("FCALL f 1 k") << given(unheard) << silence()
