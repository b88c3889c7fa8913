"""What was loaded is loaded again where it was lost, before anything else runs there. Stories."""

from kidoproxy.resp.encode import array, bulk, encode_request
from kidoproxy.scripts.registry import MAX_SCRIPTS
from kidoproxy.scripts.warmup_connection import preload_script
from tests.story import (
    Event,
    Pool,
    Story,
    client,
    copies,
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
    to_client,
    unheard,
)

RESP3 = (3, 0)
#: What a neighbour is asked before a node is taught.
LIST = "FUNCTION LIST WITHCODE"
SECOND = (2, 1)


def code(name: str) -> bytes:
    """A library."""
    return b"#!lua name=%b\nredis.register_function('f', f)" % name.encode()


def load(name: str) -> bytes:
    """As a client loads it."""
    return encode_request([b"FUNCTION", b"LOAD", code(name)])


def lesson(name: str) -> bytes:
    """As a node is taught it."""
    return encode_request([b"FUNCTION", b"LOAD", b"REPLACE", code(name)])


def known(*names: str) -> bytes:
    """What a neighbour says that has these libraries."""
    rows = [[b"library_name", name.encode(), b"engine", b"LUA", b"library_code", code(name)] for name in names]
    return array([array([bulk(word) for word in row]) for row in rows])


def loaded(pool: Pool) -> Story:
    """The library ``lib`` stands on all nodes of this pool."""
    names = [node.name for node in pool.nodes]
    play = story(pool) >> client(load("lib"))
    for name in names:
        assert play << to(name, load("lib"))
    for name in names:
        assert play >> node(name, "$3 lib")
    return play << to_client("$3 lib")


def connected(play: Story, *ways: tuple[int, int]) -> Story:
    """The first node has these links too; each has a client of its own, named after the way."""
    for proto, db in ways:
        name = f"{proto}/{db}"
        assert play >> client(f"HELLO {proto}", f"SELECT {db}", "GET {a}k", name=name) << given(unheard)
        assert play >> node("a", ":1", on=(proto, db)) << to_client(":1", name=name)
    return play


def behind(play: Story) -> bool:
    """Whether the first node has something to learn."""
    return play.node("a").warmup.needs_warmup


def test_restarted() -> None:
    """A node that comes back as another run gets its libraries ahead of what waits for it."""
    assert (
        loaded(ring("a", "b"))
        >> restarted("b") << to("a", LIST) >> node("a", known("lib")) << to("b", lesson("lib"))
        >> client("GET {b}k") << silence()
        >> node("b", "$3 lib") << to("b", "GET {b}k")
        << then(lambda play: play.node("b").warmup.warmup_count == 1 and not play.node("b").warmup.needs_warmup)
    )  # fmt: skip


def test_copy_behind() -> None:
    """A copy that was restarted is not read before it is synced, so what it is asked need not wait for the lesson."""
    assert (
        loaded(copies("a", "b"))
        >> restarted("b") << to("a", LIST) >> client("SET k v") << to("a", "SET k v") << to("b", "SET k v")
        >> node("a", known("lib"), "+OK") << to_client("+OK") << to("b", lesson("lib"))
        >> node("b", "+OK", "$3 lib") << then(lambda play: not play.node("b").warmup.needs_warmup)
    )  # fmt: skip


def test_held_while_taught() -> None:
    """A link that is held for a sync meanwhile is taught all the same, and keeps what waits."""
    assert (
        loaded(copies("a"))
        >> restarted("a") << to("a", lesson("lib"))
        >> given(lambda play: play.link("a").hold(play.exchange.now, 0.0))
        >> client("SET k v")
        >> node("a", "$3 lib") << silence()
        >> given(lambda play: play.link("a").unhold(play.exchange.now)) << to("a", "SET k v")
    )  # fmt: skip


def test_the_same_run() -> None:
    """A connection that was lost and made again to the same run teaches nothing."""
    play = loaded(ring("a"))
    assert play >> lost("a") >> client("FCALL f 1 {a}k") << to("a", "FCALL f 1 {a}k") << silence()


def test_other_links_wait() -> None:
    """While one link teaches the node, the others wait; then they serve what has come, each in its order."""
    play = connected(loaded(ring("a")), RESP3)
    assert (
        play
        >> restarted("a") << to("a", lesson("lib"))
        >> lost("a", on=RESP3)
        >> client("FCALL f 1 {a}k", "GET {a}k", name="3/0") << silence()
        >> node("a", "$3 lib") << to("a", "FCALL f 1 {a}k", "GET {a}k", on=RESP3)
        << then(lambda play: play.node("a").warmup.warmup_count == 1)
    )  # fmt: skip


def test_the_teaching_link_is_lost() -> None:
    """If the link that teaches is lost another one does it; one that has gone meanwhile is not asked to."""
    play = connected(loaded(ring("a")), SECOND, RESP3)
    assert (
        play
        >> restarted("a") << to("a", lesson("lib"))
        >> lost("a", on=SECOND) >> lost("a", on=RESP3) >> refused("a", on=SECOND)
        >> refused("a") << to("a", lesson("lib"), on=RESP3)
        >> node("a", "$3 lib", on=RESP3) << then(lambda play: not behind(play))
        >> tick(0.2) << then(lambda play: play.link("a").can_send and play.link("a", SECOND).can_send) << silence()
    )  # fmt: skip


def test_changed_meanwhile() -> None:
    """What was loaded while the lesson was under way is taught too, before the link serves."""
    play = loaded(ring("a"))
    assert (
        play
        >> restarted("a") << to("a", lesson("lib"))
        >> given(lambda play: play.facts.script_registry.load_library(code("new")))
        >> client("GET {a}k") << silence()
        >> node("a", "$3 lib") << to("a", lesson("lib"), lesson("new"))
        >> node("a", "$3 lib", "$3 new") << to("a", "GET {a}k") << then(lambda play: not behind(play))
    )  # fmt: skip


def test_refused_lesson() -> None:
    """A node that refuses a library says so where a person looks, and serves the rest; another run is taught anew."""
    play = connected(loaded(ring("a")), RESP3)
    assert (
        play
        >> restarted("a") << to("a", lesson("lib"))
        >> client("GET {a}k") << silence()
        >> lost("a", on=RESP3) << silence()
        >> node("a", "-OOM no memory") << to("a", "GET {a}k") << to("a", lesson("lib"), on=RESP3)
        << then(lambda play: play.node("a").cause == "it refused what was loaded: OOM no memory" and behind(play))
        >> node("a", "-OOM no memory", on=RESP3) << then(lambda play: play.link("a", RESP3).can_send)
        >> node("a", "$1 v") << to_client("$1 v")
        >> lost("a") >> tick(0.1) << to("a", lesson("lib"))
        >> node("a", "$3 lib") << then(lambda play: play.link("a").can_send and not behind(play))
    )  # fmt: skip


def test_nothing_to_delete() -> None:
    """A library that was deleted is deleted again after a dump; that the node never had it is no refusal."""
    play = story(ring("a"))
    restore = encode_request([b"FUNCTION", b"RESTORE", b"dump"])
    again = encode_request([b"FUNCTION", b"RESTORE", b"dump", b"REPLACE"])
    assert (
        play
        >> client(restore) << to("a", restore) >> node("a", "+OK") << to_client("+OK")
        >> client("FUNCTION DELETE lib") << to("a", "FUNCTION DELETE lib") >> node("a", "+OK") << to_client("+OK")
        >> restarted("a") << to("a", again, "FUNCTION DELETE lib")
        >> node("a", "+OK", "-ERR Library not found") << then(lambda play: not behind(play))
    )  # fmt: skip


def test_silent_while_taught() -> None:
    """A node that takes no lesson is down after a second; nobody waits longer than the deadline of the request."""
    play = loaded(ring("a"))
    assert (
        play
        >> restarted("a") << to("a", lesson("lib"))
        >> client("GET {a}k") << silence()
        >> tick(0.6) << to_client("-TIMEOUT a a:6379 (no reply in 500 ms)")
        >> given(lambda play: setattr(play, "shy", True))
        >> tick(0.6) << then(lambda play: not play.node("a").live and behind(play)) << silence()
    )  # fmt: skip


def missed() -> Story:
    """The node ``b`` was down when a second library was loaded, and has just come back when the others answer."""
    play = loaded(ring("a", "b"))
    play.shy = True
    assert play >> refused("b") >> client(load("new")) << to("a", load("new"))
    play.shy = False
    assert play >> tick(0.2) << then(lambda play: play.link("b").can_send)
    return play


def test_back_too_soon() -> None:
    """A node that comes back just before a load has succeeded elsewhere is taught at once, behind what it was asked."""
    assert (
        missed()
        >> client("GET {b}k", name="other") << to("b", "GET {b}k")
        >> node("a", "$3 new") << to_client("$3 new") << to("a", LIST)
        >> node("a", known("lib", "new")) << to("b", lesson("lib"), lesson("new"))
        >> client("GET {b}l", name="other") << to("b", "GET {b}l")
        >> node("b", "$1 x", "$3 lib", "$3 new", "$1 y") << to_client("$1 x", "$1 y", name="other")
        << then(lambda play: not play.node("b").warmup.needs_warmup)
    )  # fmt: skip


def test_late_lesson_of_an_open_link() -> None:
    """A lesson that an open link gets no answer to is given again when the node greets."""
    assert (
        missed()
        >> node("a", "$3 new") << to_client("$3 new") << to("a", LIST)
        >> node("a", known("lib", "new")) << to("b", lesson("lib"), lesson("new"))
        >> tick(1.2) << given(unheard) << then(lambda play: play.node("b").warmup.needs_warmup)
        >> node("a", "+PONG")
        >> lost("b") << to("a", LIST) >> node("a", known("new")) << to("b", lesson("new"))
        >> node("b", "$3 new") << then(lambda play: not play.node("b").warmup.needs_warmup)
    )  # fmt: skip


def carried(play: Story, renew: bool = False) -> bool:
    """Whether a text was sent ahead of an EVALSHA."""
    return preload_script(play.link("a"), b"digest", b"return 1", 2, 0, play.exchange.now, renew)


TEXT = encode_request([b"SCRIPT", b"LOAD", b"return 1"])


def asked(renew: bool, sent: bool) -> Event:
    """A text goes ahead of an EVALSHA, or does not."""

    def event(play: Story) -> None:
        assert carried(play, renew) is sent

    return event


def test_remind() -> None:
    """A text is carried once by each connection; ``renew`` sends it once in each turn."""
    assert (
        story(ring("a"))
        >> client("GET {a}k") << to("a", "GET {a}k") >> node("a", "$-1") << given(unheard)
        >> given(asked(False, True)) << to("a", TEXT)
        >> given(asked(False, False)) >> given(asked(True, False))
        >> tick() >> given(asked(False, False)) >> given(asked(True, True)) << to("a", TEXT)
        >> node("a", "$1 d", "$1 d") >> given(asked(False, False))
        >> lost("a") >> given(asked(False, True)) << to("a", TEXT)
    )  # fmt: skip


def test_remind_in_vain() -> None:
    """What the node refused, or what waited for the connection, does not count; what is not answered yet does."""
    assert (
        story(ring("a"))
        >> given(asked(False, True)) << to("a", TEXT)
        >> given(asked(False, True)) << to("a", TEXT)
        >> tick(0.6) >> given(asked(False, False))
        >> node("a", "$1 d", "-ERR no")
        >> given(asked(False, True)) << to("a", TEXT)
    )  # fmt: skip


def test_remind_is_bounded() -> None:
    """What a connection has carried is forgotten before it fills the memory."""
    play = story(ring("a")) >> client("GET {a}k") << given(unheard)
    conn = play.link("a")
    conn.loaded_scripts = {b"%d" % number: 0.0 for number in range(MAX_SCRIPTS)}
    assert play >> given(asked(False, True)) << to("a", TEXT) << then(lambda play: len(conn.loaded_scripts) == 1)
