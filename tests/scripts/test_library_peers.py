"""Before a node is warmed up its peers are asked what they have: they know what this process has not seen."""

from kidoproxy.resp.encode import array, bulk, encode_request
from tests.story import (
    Event,
    Story,
    client,
    given,
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
    unheard,
)

LIST = "FUNCTION LIST WITHCODE"


def code(name: str) -> bytes:
    """A library."""
    return b"#!lua name=%b\n" % name.encode()


def load(name: str) -> bytes:
    """What a node is sent of it."""
    return encode_request([b"FUNCTION", b"LOAD", b"REPLACE", code(name)])


def listed(*names: str, resp3: bool = False) -> bytes:
    """What a peer replies that has these libraries."""
    rows = [array([bulk(b"library_code"), bulk(code(name)), bulk(b"engine"), bulk(b"LUA")]) for name in names]
    return array([row.replace(b"*4", b"%2", 1) if resp3 else row for row in rows])


def connected(proto: int = 2) -> Story:
    """A ring of three; the proxy has a connection to each, and has seen the library ``old``."""
    play = story(ring("a", "b", "c"))
    play.context.script_registry.load_library(code("old"))
    assert play >> client(f"HELLO {proto}", "DBSIZE") << given(unheard)
    for name in "abc":
        assert play >> node(name, ":0", on=(proto, 0))
    unheard(play)
    return play


def warmed_up(name: str, *libraries: str) -> Event:
    """The node is sent these, and nothing else."""
    return to(name, *[load(library) for library in libraries])


def test_peer_knows() -> None:
    """A node gets the first peer's libraries, not what this process remembers: others may have changed them."""
    assert (
        connected() >> restarted("b") << to("a", LIST) << silence()
        >> client("GET {b}k") << silence()
        >> node("a", listed("new", "other")) << warmed_up("b", "new", "other")
        >> node("b", "$3 new", "$5 other") << to("b", "GET {b}k")
    )  # fmt: skip


def test_peer_has_none() -> None:
    """Where the peers have no library, the node gets none."""
    assert (
        connected() >> restarted("a") << to("b", LIST)
        >> client("GET {a}k") << silence()
        >> node("b", "*0") << to("a", "GET {a}k") << then(lambda play: play.node("a").warmup.warmup_count == 0)
    )  # fmt: skip


def test_resp3() -> None:
    """A peer is asked on whatever connection there is, in its protocol."""
    way = (3, 0)
    assert (
        connected(3) >> restarted("a", on=way) << to("b", LIST, on=way)
        >> node("b", listed("new", resp3=True), on=way) << to("a", load("new"), on=way)
    )  # fmt: skip


def test_next_peer() -> None:
    """One that does not answer, or does not know libraries, is passed over; the registry is the last resort."""
    assert (
        connected() >> restarted("a") << to("b", LIST)
        >> node("b", "-ERR unknown command 'FUNCTION'") << to("c", LIST)
        >> tick(0.6) << warmed_up("a", "old")
        >> node("a", "$3 old") << then(lambda play: not play.node("a").warmup.needs_warmup)
    )  # fmt: skip


def test_lost_while_asking() -> None:
    """The answer for a connection that is gone warms up nobody; the next one asks anew."""
    assert (
        connected() >> restarted("a") << to("b", LIST)
        >> lost("a") << silence()
        >> node("b", listed("new")) << silence()
        >> tick(0.1) << to("b", LIST)
        >> node("b", listed("newer")) << warmed_up("a", "newer")
    )  # fmt: skip


def test_nothing_loaded_and_alone() -> None:
    """With no peer, and nothing loaded, a restarted node serves at once."""
    play = story(ring("a")) >> client("GET {a}k") << given(unheard) >> node("a", "$-1") << given(unheard)
    assert play >> restarted("a") >> client("GET {a}k") << to("a", "GET {a}k")
    assert play << then(lambda play: not play.node("a").warmup.needs_warmup)


def test_no_peer() -> None:
    """Who was restarted too, or is down, or stands in no pool with it, is not asked."""
    play = connected()
    play.node("c").warmup.registries.clear()
    play.shy = True
    assert play >> refused("b")
    play.shy = False
    assert play >> restarted("a") << warmed_up("a", "old")
    assert play >> tick(0.2) >> node("a", "$3 old")
    play.node("c").warmup.registries.append(play.context.script_registry)
    play.node("a").warmup.needs_warmup = play.node("c").warmup.needs_warmup = True
    assert play >> restarted("b") << warmed_up("b", "old")
