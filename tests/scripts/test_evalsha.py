"""EVALSHA is retried with its text, texts go ahead of pipelines, loads reach absent nodes later. Stories."""

import hashlib

import pytest

from kidoproxy.resp import errors
from kidoproxy.resp.encode import encode_request
from kidoproxy.upstream.executor import DelegatingExecutor
from tests.story import (
    LEASED,
    Event,
    Pool,
    Story,
    client,
    copies,
    frames,
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

TEXT = b"return 1"
DIGEST = hashlib.sha1(TEXT).hexdigest()
LOAD = encode_request([b"SCRIPT", b"LOAD", TEXT])
EVAL = encode_request([b"EVAL", TEXT, b"1", b"{a}k"])
NOSCRIPT = errors.NOSCRIPT
#: What a peer is asked before a node is warmed up.
LIST = "FUNCTION LIST WITHCODE"
SAID = f"$40 {DIGEST}"


def sha(key: str = "{a}k", name: str = "EVALSHA") -> str:
    """A request for the script."""
    return f"{name} {DIGEST} 1 {key}"


def knowing(pool: Pool) -> Story:
    """The proxy has seen the text, which ``a`` was asked to run; connections are made."""
    play = story(pool) >> client(EVAL) << to("a", EVAL)
    return play >> node("a", ":1") << to_client(":1")


def carried(pool: Pool) -> Story:
    """The connection to ``a`` has carried the text already."""
    play = knowing(pool)
    return play >> client(sha()) << to("a", LOAD, sha()) >> node("a", SAID, ":1") << to_client(":1")


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
    play = carried(ring("a", soft=True))
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
    run = encode_request([b"EVAL", TEXT, b"1", b"{a}k"])
    assert (
        story(pool)
        >> client(LOAD) << given(unheard) >> node("a", SAID) >> node("b", SAID) << to_client(SAID)
        >> client(sha()) << to("a", run) << to("b", run) >> node("a", ":1") >> node("b", ":1") << to_client(":1")
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


# -- SCRIPT LOAD, FUNCTION LOAD ------------------------------------------------------------------------------

LIBRARY = encode_request([b"FUNCTION", b"LOAD", b"#!lua name=lib\n"])
RELOAD = encode_request([b"FUNCTION", b"LOAD", b"REPLACE", b"#!lua name=lib\n"])


def half(pool: Pool) -> Story:
    """There are connections to all nodes, and then ``b`` cannot be reached any more."""
    play = story(pool)
    for one in pool.nodes:
        play.connection(one.name).start_connecting()
    play.settle()
    play.shy = True
    return play >> refused("b")


def back(play: Story) -> Story:
    """It can be reached again; its peer, if it is asked, does not know libraries."""
    play.shy = False
    assert play >> tick(0.2)
    if play.sent["a"]:
        assert play << to("a", LIST) >> node("a", "-ERR unknown command 'FUNCTION'")
    return play


def needs_warmup(play: Story) -> bool:
    """Whether ``b`` has to be warmed up."""
    return play.node("b").warmup.needs_warmup


@pytest.mark.parametrize(("load", "said", "reload"), [(LOAD, SAID, LOAD), (LIBRARY, "$3 lib", RELOAD)])
def test_absent(load: bytes, said: str, reload: bytes) -> None:
    """A node that is down does not spoil a load; it is warmed up when it comes back, before it is asked anything."""
    play = half(ring("a", "b")) >> client(load) << to("a", load) >> node("a", said) << to_client(said)
    assert (
        back(play) << to("b", reload)
        >> client("GET {b}k") << silence()
        >> node("b", said) << to("b", "GET {b}k")
    )  # fmt: skip


def test_absent_and_wrong() -> None:
    """What the others refuse is refused, and nobody is warmed up with it."""
    wrong = "-ERR Missing library metadata"
    play = half(ring("a", "b")) >> client(LIBRARY) << to("a", LIBRARY) >> node("a", wrong) << to_client(wrong)
    assert back(play) << silence() << then(lambda play: not needs_warmup(play))


def test_all_absent() -> None:
    """If there is nobody to load it on, that is the error."""
    play = half(ring("b")) >> client(LIBRARY)
    assert play << to_client("-NODEDOWN b b:6379 (connection refused)") << then(lambda play: not needs_warmup(play))


def test_refused_by_one() -> None:
    """A node that is there and does not take it spoils the load: the client has to look."""
    assert (
        story(ring("a", "b"))
        >> client(LIBRARY) << to("a", LIBRARY) << to("b", LIBRARY)
        >> node("a", "$3 lib") >> node("b", "-OOM no")
        << to_client("-PARTIAL 'function|load' failed for 1 of 2 nodes on a node (OOM no); 1 applied")
        << then(lambda play: not needs_warmup(play))
    )  # fmt: skip


def test_lost_under_way() -> None:
    """Nor does it count as absent if nobody knows whether it has taken it."""
    partial = "-PARTIAL 'script|load' failed for 1 of 2 nodes on b (it closed the connection); "
    partial += "1 applied, 1 may have been applied"
    assert (
        story(ring("a", "b"))
        >> client(LOAD) << to("a", LOAD) << to("b", LOAD)
        >> lost("b") >> node("a", SAID) << to_client(partial)
    )  # fmt: skip


def test_one_way_absent() -> None:
    """A node that can be reached in another protocol serves, so that it does not have it is an error."""
    way = (3, 0)
    partial = "-PARTIAL 'script|load' failed for 1 of 2 nodes on b (NOPROTO no); 1 applied"
    assert (
        story(ring("a", "b"))
        >> client("GET {b}k", name="other") << to("b", "GET {b}k") >> node("b", "$-1") << given(unheard)
        >> client("HELLO 3", "GET {b}k") << given(unheard) >> refused("b", "NOPROTO no", on=way) << given(unheard)
        >> client(LOAD) << to("a", LOAD, on=way) >> node("a", SAID, on=way) << to_client(partial)
    )  # fmt: skip


def test_each_loads() -> None:
    """PROXY EACH lists what each node said; one that took it is enough to warm up the others."""
    play = half(ring("a", "b"))
    assert (
        play
        >> client(encode_request([b"PROXY", b"EACH", b"FUNCTION", b"LOAD", b"#!lua name=lib\n"]))
        << to("a", LIBRARY) >> node("a", "$3 lib")
        << to_client(b"*2\r\n$3\r\nlib\r\n-NODEDOWN b b:6379 (connection refused)\r\n")
    )  # fmt: skip
    assert back(play) << to("b", RELOAD)


@pytest.mark.parametrize("behind", ["", "b"])
def test_copy_is_absent(behind: str) -> None:
    """A copy that is down, behind already or from now on, is warmed up when it comes back."""
    play = half(copies("a", "b", behind=behind)) >> client(LOAD) << to("a", LOAD) >> node("a", SAID) << to_client(SAID)
    assert back(play) << to("b", LOAD)


def test_unfit_copy() -> None:
    """A copy that could not take it is behind, and warmed up at once."""
    assert (
        story(copies("a", "b"))
        >> client(LOAD) << to("a", LOAD) << to("b", LOAD)
        >> node("b", "-OOM no") >> node("a", SAID) << to_client(SAID) << to("a", LIST)
        >> node("a", "*0") << to("b", LOAD)
        >> node("b", SAID) << then(lambda play: not needs_warmup(play))
    )  # fmt: skip


# -- SCRIPT KILL ---------------------------------------------------------------------------------------------

IDLE = "-NOTBUSY No scripts in execution right now."
KILL = "SCRIPT KILL"


def unshared(play: Story) -> list[str]:
    """The nodes to which there are connections that are not shared."""
    return [conn.node.name for conn in play.executor.unshared_connections]


def say(name: str, *replies: str) -> Event:
    """The node answers on such a connection."""

    def event(play: Story) -> None:
        conn = next(conn for conn in play.executor.unshared_connections if conn.node.name == name)
        conn.feed(frames(replies), play.executor.now)

    return event


@pytest.mark.parametrize("pool", [ring("a", "b"), copies("a", "b"), copies("a", "b", behind="b")], ids=["ring", "copies", "behind"])
def test_kill(pool: Pool) -> None:
    """A kill does not wait behind the script that it is to end: it has a connection of its own, and only for this."""
    assert (
        story(pool)
        >> client(KILL) << to("a", KILL, on=LEASED) << to("b", KILL, on=LEASED)
        << then(lambda play: unshared(play) == ["a", "b"])
        >> say("a", IDLE) << silence()
        >> say("b", "+OK") << to_client("+OK")
        >> client("FUNCTION KILL") << given(unheard)
        >> say("b", IDLE) >> say("a", IDLE) << to_client(IDLE) << then(lambda play: unshared(play) == ["a", "b"])
        >> tick() << then(lambda play: unshared(play) == [])
    )  # fmt: skip


def test_kill_without_an_answer() -> None:
    """A node that cannot be asked may be the busy one: its failure is the reply, unless another killed the script."""
    late = "-TIMEOUT b b:6379 (no reply in 500 ms); the write may have run, its outcome is unknown"
    assert (
        story(ring("a", "b"))
        >> client(KILL) << given(unheard) >> say("a", IDLE) >> tick(0.6) << to_client(late)
        >> client(KILL) << given(unheard) >> say("a", "+OK") >> tick(0.6) << to_client("+OK")
    )  # fmt: skip


def test_kill_a_node_that_is_down() -> None:
    """A node that is too busy for a handshake counts as down; it is asked all the same."""
    play = half(ring("a", "b"))
    play.shy = False
    assert (
        play
        >> client(KILL)
        << to("a", KILL, on=LEASED)
        << to("b", KILL, on=LEASED)
        >> say("a", IDLE)
        >> say("b", "+OK")
        << to_client("+OK")
    )


def test_misses_are_counted_by_the_executor() -> None:
    """A miss in place of a failure is counted where all are counted."""
    play = story(ring("a"))
    DelegatingExecutor(play.executor).count_miss(False)
    DelegatingExecutor(play.executor).count_miss(True)
    assert (play.executor.soft_misses, play.executor.dropped_writes) == (1, 1)
