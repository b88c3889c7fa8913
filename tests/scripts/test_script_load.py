"""SCRIPT LOAD and FUNCTION LOAD where a node is absent, and SCRIPT KILL of all nodes."""

import pytest

from kidoproxy.resp.encode import encode_request
from tests.scripts.one_script import LIST, LOAD, SAID
from tests.story import (
    LEASED,
    Event,
    Pool,
    Story,
    client,
    copies,
    frames,
    given,
    lost,
    node,
    refused,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)

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


@pytest.mark.parametrize(
    "pool", [ring("a", "b"), copies("a", "b"), copies("a", "b", behind="b")], ids=["ring", "copies", "behind"]
)
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
