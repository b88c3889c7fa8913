"""What was loaded is loaded again where it was lost, before anything else runs there. Stories."""

from kidoproxy.resp.encode import array, bulk, encode_request
from kidoproxy.scripts.registry import MAX_SCRIPTS
from kidoproxy.scripts.warmup_connection import preload_script
from tests.story import (
    PLAIN,
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
#: What another node is asked before a node is warmed up.
LIST = "FUNCTION LIST WITHCODE"
SECOND = (2, 1)


def code(name: str) -> bytes:
    """A library."""
    return b"#!lua name=%b\nredis.register_function('f', f)" % name.encode()


def load(name: str) -> bytes:
    """As a client loads it."""
    return encode_request([b"FUNCTION", b"LOAD", code(name)])


def reload(name: str) -> bytes:
    """As a warm-up loads it."""
    return encode_request([b"FUNCTION", b"LOAD", b"REPLACE", code(name)])


def library_list(*names: str) -> bytes:
    """The reply to FUNCTION LIST of a node that has these libraries."""
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


def connected(play: Story, *modes: tuple[int, int]) -> Story:
    """The first node has these connections too; each has a client of its own, named after the mode."""
    for proto, db in modes:
        name = f"{proto}/{db}"
        assert play >> client(f"HELLO {proto}", f"SELECT {db}", "GET {a}k", name=name) << given(unheard)
        assert play >> node("a", ":1", on=(proto, db)) << to_client(":1", name=name)
    return play


def behind(play: Story) -> bool:
    """Whether the first node may lack something."""
    return play.node("a").warmup.needs_warmup


def test_restarted() -> None:
    """A node that comes back as another run gets its libraries ahead of what waits for it."""
    assert (
        loaded(ring("a", "b"))
        >> restarted("b") << to("a", LIST) >> node("a", library_list("lib")) << to("b", reload("lib"))
        >> client("GET {b}k") << silence()
        >> node("b", "$3 lib") << to("b", "GET {b}k")
        << then(lambda play: play.node("b").warmup.warmup_count == 1 and not play.node("b").warmup.needs_warmup)
    )  # fmt: skip


def test_copy_behind() -> None:
    """A copy that was restarted is not read before it is synced, so what it is asked need not wait for the warm-up."""
    assert (
        loaded(copies("a", "b"))
        >> restarted("b") << to("a", LIST) >> client("SET k v") << to("a", "SET k v") << to("b", "SET k v")
        >> node("a", library_list("lib"), "+OK") << to_client("+OK") << to("b", reload("lib"))
        >> node("b", "+OK", "$3 lib") << then(lambda play: not play.node("b").warmup.needs_warmup)
    )  # fmt: skip


def test_held_during_the_warmup() -> None:
    """A connection that is held for a sync meanwhile is warmed up all the same, and keeps what waits."""
    assert (
        loaded(copies("a"))
        >> restarted("a") << to("a", reload("lib"))
        >> given(lambda play: play.connection("a").hold(play.executor.now, 0.0))
        >> client("SET k v")
        >> node("a", "$3 lib") << silence()
        >> given(lambda play: play.connection("a").unhold(play.executor.now)) << to("a", "SET k v")
    )  # fmt: skip


def test_the_same_run() -> None:
    """A connection that was lost and made again to the same run loads nothing."""
    play = loaded(ring("a"))
    assert play >> lost("a") >> client("FCALL f 1 {a}k") << to("a", "FCALL f 1 {a}k") << silence()


def test_other_connections_wait() -> None:
    """While one connection loads, the others wait; then they serve what has come, each in its order."""
    play = connected(loaded(ring("a")), RESP3)
    assert (
        play
        >> restarted("a") << to("a", reload("lib"))
        >> lost("a", on=RESP3)
        >> client("FCALL f 1 {a}k", "GET {a}k", name="3/0") << silence()
        >> node("a", "$3 lib") << to("a", "FCALL f 1 {a}k", "GET {a}k", on=RESP3)
        << then(lambda play: play.node("a").warmup.warmup_count == 1)
    )  # fmt: skip


def test_the_loading_connection_is_lost() -> None:
    """If the connection that loads is lost another one does it; one that has gone meanwhile is not asked to."""
    play = connected(loaded(ring("a")), SECOND, RESP3)
    assert (
        play
        >> restarted("a") << to("a", reload("lib"))
        >> lost("a", on=SECOND) >> lost("a", on=RESP3) >> refused("a", on=SECOND)
        >> refused("a") << to("a", reload("lib"), on=RESP3)
        >> node("a", "$3 lib", on=RESP3) << then(lambda play: not behind(play))
        >> tick(0.2) << then(lambda play: all(play.connection("a", on).can_send for on in (PLAIN, SECOND))) << silence()
    )  # fmt: skip


def test_changed_meanwhile() -> None:
    """What was loaded during the warm-up is loaded too, before the connection serves."""
    play = loaded(ring("a"))
    assert (
        play
        >> restarted("a") << to("a", reload("lib"))
        >> given(lambda play: play.context.script_registry.load_library(code("new")))
        >> client("GET {a}k") << silence()
        >> node("a", "$3 lib") << to("a", reload("lib"), reload("new"))
        >> node("a", "$3 lib", "$3 new") << to("a", "GET {a}k") << then(lambda play: not behind(play))
    )  # fmt: skip


def test_refused_library() -> None:
    """A node that refuses a library says so where a person looks, and serves the rest; another run loads it anew."""
    play = connected(loaded(ring("a")), RESP3)
    assert (
        play
        >> restarted("a") << to("a", reload("lib"))
        >> client("GET {a}k") << silence()
        >> lost("a", on=RESP3) << silence()
        >> node("a", "-OOM no memory") << to("a", "GET {a}k") << to("a", reload("lib"), on=RESP3)
        << then(lambda play: play.node("a").cause == "it refused what was loaded: OOM no memory" and behind(play))
        >> node("a", "-OOM no memory", on=RESP3) << then(lambda play: play.connection("a", RESP3).can_send)
        >> node("a", "$1 v") << to_client("$1 v")
        >> lost("a") >> tick(0.1) << to("a", reload("lib"))
        >> node("a", "$3 lib") << then(lambda play: play.connection("a").can_send and not behind(play))
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


def test_silent_during_the_warmup() -> None:
    """A node that loads nothing is down after a second; nobody waits longer than the deadline of the request."""
    play = loaded(ring("a"))
    assert (
        play
        >> restarted("a") << to("a", reload("lib"))
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
    assert play >> tick(0.2) << then(lambda play: play.connection("b").can_send)
    return play


def test_back_too_soon() -> None:
    """A node that is back just before a load succeeds elsewhere is warmed up at once, behind what it was asked."""
    assert (
        missed()
        >> client("GET {b}k", name="other") << to("b", "GET {b}k")
        >> node("a", "$3 new") << to_client("$3 new") << to("a", LIST)
        >> node("a", library_list("lib", "new")) << to("b", reload("lib"), reload("new"))
        >> client("GET {b}l", name="other") << to("b", "GET {b}l")
        >> node("b", "$1 x", "$3 lib", "$3 new", "$1 y") << to_client("$1 x", "$1 y", name="other")
        << then(lambda play: not play.node("b").warmup.needs_warmup)
    )  # fmt: skip


def test_late_warmup_of_a_ready_connection() -> None:
    """A warm-up that gets no answer on a ready connection is done again at the next handshake."""
    assert (
        missed()
        >> node("a", "$3 new") << to_client("$3 new") << to("a", LIST)
        >> node("a", library_list("lib", "new")) << to("b", reload("lib"), reload("new"))
        >> tick(1.2) << given(unheard) << then(lambda play: play.node("b").warmup.needs_warmup)
        >> node("a", "+PONG")
        >> lost("b") << to("a", LIST) >> node("a", library_list("new")) << to("b", reload("new"))
        >> node("b", "$3 new") << then(lambda play: not play.node("b").warmup.needs_warmup)
    )  # fmt: skip


def preloads(play: Story, reload: bool = False) -> bool:
    """Whether a text was sent ahead of an EVALSHA."""
    return preload_script(play.connection("a"), b"digest", b"return 1", 2, 0, play.executor.now, reload)


TEXT = encode_request([b"SCRIPT", b"LOAD", b"return 1"])


def preloading(reload: bool, sent: bool) -> Event:
    """A text goes ahead of an EVALSHA, or does not."""

    def event(play: Story) -> None:
        assert preloads(play, reload) is sent

    return event


def test_preload() -> None:
    """A text is carried once by each connection; ``reload`` sends it once in each turn."""
    assert (
        story(ring("a"))
        >> client("GET {a}k") << to("a", "GET {a}k") >> node("a", "$-1") << given(unheard)
        >> given(preloading(False, True)) << to("a", TEXT)
        >> given(preloading(False, False)) >> given(preloading(True, False))
        >> tick() >> given(preloading(False, False)) >> given(preloading(True, True)) << to("a", TEXT)
        >> node("a", "$1 d", "$1 d") >> given(preloading(False, False))
        >> lost("a") >> given(preloading(False, True)) << to("a", TEXT)
    )  # fmt: skip


def test_preload_in_vain() -> None:
    """What the node refused, or what waited for the connection, does not count; what is not answered yet does."""
    assert (
        story(ring("a"))
        >> given(preloading(False, True)) << to("a", TEXT)
        >> given(preloading(False, True)) << to("a", TEXT)
        >> tick(0.6) >> given(preloading(False, False))
        >> node("a", "$1 d", "-ERR no")
        >> given(preloading(False, True)) << to("a", TEXT)
    )  # fmt: skip


def test_preload_is_bounded() -> None:
    """What a connection has carried is forgotten before it fills the memory."""
    play = story(ring("a")) >> client("GET {a}k") << given(unheard)
    conn = play.connection("a")
    conn.loaded_scripts = {b"%d" % number: 0.0 for number in range(MAX_SCRIPTS)}
    assert play >> given(preloading(False, True)) << to("a", TEXT) << then(lambda play: len(conn.loaded_scripts) == 1)
