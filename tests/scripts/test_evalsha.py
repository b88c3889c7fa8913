"""EVALSHA is retried with its text, texts go ahead of pipelines, loads reach absent nodes later. Stories."""

import hashlib

import pytest

from kidoproxy.resp.encode import encode_request
from kidoproxy.upstream.executor import DelegatingExecutor
from tests.scripts.one_script import DIGEST, LIST, LOAD, NOSCRIPT, SAID, carried, knowing, sha
from tests.story import (
    client,
    copies,
    given,
    gone,
    led_by,
    lost,
    node,
    refused,
    restarted,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)

# -- EVALSHA -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["EVALSHA", "evalsha", "EVALSHA_RO"])
def test_text_goes_ahead(name: str) -> None:
    """The first EVALSHA on a connection has its text ahead of it, the others do not; a new connection begins anew."""
    assert (
        knowing(ring("a", "b"))
        >> client(sha(name=name)) << to("a", LOAD, sha(name=name))
        >> node("a", SAID, ":1") << to_client(":1")
        >> client(sha(name=name)) << to("a", sha(name=name)) >> node("a", ":1") << to_client(":1")
        >> client(sha("{b}k", name)) << to("b", LOAD, sha("{b}k", name)) >> node("b", SAID, ":1") << to_client(":1")
        >> restarted("a") << to("b", LIST) >> node("b", "*0")
        >> client(sha(name=name).replace(DIGEST, DIGEST.upper()))
        << to("a", LOAD, sha(name=name).replace(DIGEST, DIGEST.upper()))
        >> node("a", SAID, ":1") << to_client(":1") << then(lambda play: play.executor.script_preloads == 3)
    )  # fmt: skip


def test_noscript_is_retried() -> None:
    """NOSCRIPT for a script that is known never reaches the client: the request is sent again behind its text."""
    assert (
        carried(ring("a"))
        >> client(sha()) << to("a", sha())
        >> node("a", NOSCRIPT) << to("a", LOAD, sha()) << silence()
        >> node("a", SAID, ":2") << to_client(":2") << then(lambda play: play.executor.noscript_retries == 1)
    )  # fmt: skip


def test_unknown() -> None:
    """NOSCRIPT for a script that nobody has shown the proxy is passed on as it is."""
    assert (
        story(ring("a"))
        >> client(sha()) << to("a", sha()) >> node("a", NOSCRIPT) << to_client(NOSCRIPT)
        << then(lambda play: play.executor.noscript_retries == play.executor.script_preloads == 0)
    )  # fmt: skip


def test_wrong_text() -> None:
    """A text that no node can compile does not help; the client gets the node's reply, after one retry."""
    bad = encode_request([b"EVAL", b"no(", b"1", b"{a}k"])
    digest = hashlib.sha1(b"no(").hexdigest()
    load = encode_request([b"SCRIPT", b"LOAD", b"no("])
    request = f"EVALSHA {digest} 1 {{a}}k"
    assert (
        story(ring("a"))
        >> client(bad) << to("a", bad) >> node("a", "-ERR Error compiling script") << given(unheard)
        >> client(request) << to("a", load, request)
        >> node("a", "-ERR Error compiling script", NOSCRIPT) << to("a", load, request)
        >> node("a", "-ERR Error compiling script", NOSCRIPT) << to_client(NOSCRIPT)
        << then(lambda play: play.executor.noscript_retries == 0)
    )  # fmt: skip


def test_no_retry_out_of_order() -> None:
    """What the client has sent since has run: it gets NOSCRIPT, rather than that the script runs too late."""
    assert (
        carried(ring("a"))
        >> client(sha()) << to("a", sha())
        >> client("GET {a}k") << to("a", "GET {a}k")
        >> node("a", NOSCRIPT) << to_client(NOSCRIPT)
        >> node("a", "$-1") << to_client("$-1") << silence()
    )  # fmt: skip


def test_pipeline() -> None:
    """In a batch the text goes ahead once, whatever the connection has carried, so all of it runs in order."""
    assert (
        carried(ring("a"))
        >> tick() >> client(sha(), "GET {a}k", sha(), sha())
        << to("a", LOAD, sha(), "GET {a}k", sha(), sha())
        >> node("a", SAID, ":1", "$1 1", ":2", ":3") << to_client(":1", "$1 1", ":2", ":3")
    )  # fmt: skip


def test_last_of_a_pipeline() -> None:
    """The last EVALSHA of a batch can still be retried: all that its client has sent before it has run."""
    other = encode_request([b"EVAL", b"return 2", b"1", b"{a}k"])
    assert (
        carried(ring("a"))
        >> tick() >> client("GET {a}k", sha()) << to("a", "GET {a}k", sha())
        >> node("a", "$1 1", NOSCRIPT) << to_client("$1 1") << to("a", LOAD, sha())
        >> client(other, name="other") << to("a", other)
        >> node("a", SAID, ":2") << to_client(":2")
        >> node("a", ":9") << to_client(":9", name="other")
    )  # fmt: skip


def test_deadline() -> None:
    """A retry has no time of its own: the client gets TIMEOUT when its request is due."""
    assert (
        carried(ring("a"))
        >> client(sha()) << to("a", sha())
        >> tick(0.4) >> node("a", NOSCRIPT) << to("a", LOAD, sha())
        >> tick(0.2)
        << to_client("-TIMEOUT a a:6379 (no reply in 500 ms); the write may have run, its outcome is unknown")
    )  # fmt: skip


def test_lost_while_retrying() -> None:
    """A connection that is lost meanwhile is a failure like any other; a script is never sent a third time."""
    assert (
        carried(ring("a"))
        >> client(sha()) << to("a", sha()) >> node("a", NOSCRIPT) << to("a", LOAD, sha())
        >> lost("a")
        << to_client(
            "-NODEDOWN a a:6379 (it closed the connection); the write may have run, its outcome is unknown"
        )
    )  # fmt: skip


def test_client_gone() -> None:
    """For a client that is gone nothing is sent again: nobody knows what else it had sent."""
    assert (
        carried(ring("a"))
        >> client(sha()) << to("a", sha()) >> gone() >> node("a", NOSCRIPT) << silence()
    )  # fmt: skip


def test_flushed_through_us() -> None:
    """SCRIPT FLUSH forgets the texts, and what connections have carried: NOSCRIPT is the truth until it is loaded."""
    assert (
        carried(ring("a"))
        >> client("SCRIPT FLUSH nonsense") << to("a", "SCRIPT FLUSH nonsense") >> node("a", "-ERR no") << given(unheard)
        >> client(sha()) << to("a", sha()) >> node("a", ":1") << to_client(":1")
        >> client("SCRIPT FLUSH ASYNC") << to("a", "SCRIPT FLUSH ASYNC") >> node("a", "+OK") << to_client("+OK")
        >> client(sha()) << to("a", sha()) >> node("a", NOSCRIPT) << to_client(NOSCRIPT)
        >> client(LOAD) << to("a", LOAD) >> node("a", SAID) << to_client(SAID)
        >> client(sha()) << to("a", LOAD, sha())
    )  # fmt: skip


@pytest.mark.parametrize("size", [3, 40_000])
def test_large_reply(size: int) -> None:
    """A large reply goes on piece by piece; what looks like NOSCRIPT inside it is a part of it."""
    body = NOSCRIPT * (size // len(NOSCRIPT) + 1)
    frame = b"$%d\r\n%b\r\n" % (len(body), body)
    at = len(frame) - len(NOSCRIPT) - 2
    assert (
        carried(ring("a"))
        >> client(sha()) << to("a", sha())
        >> given(lambda play: play.connection("a").feed(frame[:at], play.executor.now)) << given(unheard)
        >> given(lambda play: play.connection("a").feed(frame[at:], play.executor.now))
        << then(lambda play: frame.endswith(play.client("me").received) and play.client("me").received != b"")
        << given(unheard) << then(lambda play: not play.sent["a"])
    )  # fmt: skip


def test_each() -> None:
    """PROXY EACH is retried as well, in its place in the list."""
    assert (
        carried(ring("a", "b"))
        >> client(f"PROXY EACH {sha()}") << to("a", sha())
        >> node("a", NOSCRIPT) << to("a", LOAD, sha()) >> node("a", SAID, ":1") << to_client("*1 :1")
    )  # fmt: skip


def test_pool_that_misses() -> None:
    """Where a node that is down is a miss, scripts are retried too, and are errors while it is down."""
    down = "-NODEDOWN a a:6379 (connection refused)"
    play = carried(ring("a", miss_on_down=True))
    assert play >> client(sha()) << to("a", sha()) >> node("a", NOSCRIPT) << to("a", LOAD, sha())
    assert play >> node("a", SAID, ":1") << to_client(":1")
    assert play >> refused("a") >> client(sha(), sha(name="EVALSHA_RO")) << to_client(down, down)


# -- copies ------------------------------------------------------------------------------------------------


def test_read_of_copies() -> None:
    """A read-only script of a copy pool is retried on the copy that is asked; if that fails the next one is asked."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    request = sha(key, "EVALSHA_RO")
    assert (
        story(pool)
        >> client(LOAD) << to("a", LOAD) << to("b", LOAD) >> node("a", SAID) >> node("b", SAID) << to_client(SAID)
        >> client(request) << to("a", LOAD, request) >> node("a", SAID, ":1") << to_client(":1")
        >> client(request) << to("a", request) >> node("a", NOSCRIPT) << to("a", LOAD, request)
        >> lost("a") << to("b", LOAD, request) >> node("b", SAID, ":2") << to_client(":2")
    )  # fmt: skip


def test_write_of_copies() -> None:
    """A script that writes travels as EVAL to every copy: no text goes ahead."""
    pool = copies("a", "b")
    text = b"return redis.call('incr', KEYS[1])"
    digest = hashlib.sha1(text, usedforsecurity=False).hexdigest()
    load = encode_request([b"SCRIPT", b"LOAD", text])
    said = b"$40\r\n" + digest.encode() + b"\r\n"
    run = encode_request([b"EVAL", text, b"1", b"{a}k"])
    assert (
        story(pool)
        >> client(load) << given(unheard) >> node("a", said) >> node("b", said) << to_client(said)
        >> client(f"EVALSHA {digest} 1 {{a}}k") << to("a", run) << to("b", run)
        >> node("a", ":1") >> node("b", ":1") << to_client(":1")
    )  # fmt: skip


def test_ring_of_copies() -> None:
    """In a ring of copy pools both hold; what is loaded reaches every copy."""
    pool = ring(copies("a", "b", name="left"), copies("c", "d", name="right"))
    request = sha("{left}k", "EVALSHA_RO")
    play = story(pool) >> client(LOAD)
    for name in "abcd":
        assert play << to(name, LOAD)
    for name in "abcd":
        assert play >> node(name, SAID)
    assert play << to_client(SAID)
    leader = pool.groups[0].ranked_copies(b"{left}k")[0].node.name
    assert (
        play
        >> client(request) << to(leader, LOAD, request) >> node(leader, SAID, ":1") << to_client(":1")
        >> client(request)
        << to(leader, request)
        >> node(leader, NOSCRIPT)
        << to(leader, LOAD, request)
    )  # fmt: skip


def test_misses_are_counted_by_the_executor() -> None:
    """A miss in place of a failure is counted where all are counted."""
    play = story(ring("a"))
    DelegatingExecutor(play.executor).count_miss(False)
    DelegatingExecutor(play.executor).count_miss(True)
    assert (play.executor.misses_on_down, play.executor.dropped_writes) == (1, 1)
