"""Any clients, any nodes, any order: conversations stay legal, are answered in order, and leave nothing behind."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tests.crowd import Crowd
from tests.story import Pool, copies, ring
from tests.strategies import examples

BOUNDED = examples(2)

POOLS: dict[str, Callable[[], Pool]] = {
    "one": lambda: ring("a"),
    "ring": lambda: ring("a", "b", "c"),
    "on_down miss": lambda: ring("a", "b", "c", miss_on_down=True),
    "strict": lambda: ring("a", "b", strict=True),
    "copies": lambda: copies("a", "b"),
    "both": lambda: ring(copies("a", "d", name="a"), copies("b", "e", name="b"), "c"),
}

#: ``ME`` is the client's name, ``#0`` the number of the first client.
SAID = """
GET {a}1
GET {b}1
SET {a}1 x
SET {b}1 x
MGET {a}1 {b}1 {c}1
MGET {a}1 {a}2
PING ME
MULTI
EXEC
DISCARD
WATCH {a}1
WATCH {a}1 {a}2
WATCH {b}1
UNWATCH
BLPOP {a}ME 0
BLPOP {b}ME 1
BLMOVE {a}ME {a}other LEFT RIGHT 0
BZPOPMIN {a}ME 0
XREAD BLOCK 0 STREAMS {a}ME $
XREAD BLOCK 200 STREAMS {a}ME {b}ME 0 0
XREAD BLOCK 0 STREAMS {a}ME {b}ME {c}ME $ 0 $
XREAD STREAMS {a}ME {b}ME 0 0
XREADGROUP GROUP g ME BLOCK 0 STREAMS {a}ME {c}ME > >
WAIT 1 100
WAIT 1 0
MONITOR
CLIENT PAUSE 200
CLIENT PAUSE 300 WRITE
CLIENT UNPAUSE
CLIENT UNBLOCK #0
CLIENT UNBLOCK #1 ERROR
CLIENT UNBLOCK #2
CLIENT KILL ID #0
CLIENT KILL ID #1
CLIENT REPLY OFF
CLIENT REPLY ON
CLIENT REPLY SKIP
CLIENT LIST
RESET
SELECT 0
SELECT 3
HELLO 2
HELLO 3
AUTH default x
AUTH nobody x
QUIT
""".strip().splitlines()
#: Conversations as clients have them, so that chance has something to break.
DIALOGUES = [
    ["WATCH {a}1", "MULTI", "SET {a}1 x", "EXEC"],
    ["WATCH {a}1", "GET {a}1", "MULTI", "GET {a}1", "SET {a}1 y", "EXEC", "PING ME"],
    ["MULTI", "SET {a}1 x", "SET {b}1 x", "EXEC"],
    ["WATCH {b}1", "SELECT 3", "HELLO 3", "MULTI", "SET {b}1 x", "EXEC"],
    ["WATCH {a}1", "MULTI", "UNWATCH", "GET {a}1", "EXEC"],
    ["BLPOP {a}ME 0", "PING ME", "GET {a}1"],
    ["MULTI", "BLPOP {a}ME 0", "XREAD BLOCK 0 STREAMS {a}ME $", "EXEC"],
    ["MULTI", "MONITOR", "GET {a}1", "EXEC"],
    ["MONITOR", "PING ME"],
]
#: What dedicated connections are for, and what may come between: said more often than the rest.
DEDICATED = """
BLPOP {a}ME 0
BLPOP {a}ME 0
XREAD BLOCK 0 STREAMS {a}ME {b}ME $ $
WATCH {a}1
EXEC
CLIENT UNBLOCK #0
CLIENT UNBLOCK #1
CLIENT KILL ID #0
MONITOR
""".strip().splitlines()

AT = st.integers(0, 3)
WHO = st.integers(0, 2)
SOME = st.one_of(
    st.lists(st.sampled_from(SAID), min_size=1, max_size=3),
    st.sampled_from(DIALOGUES),
    st.sampled_from(DEDICATED).map(lambda line: [line]),
)

#: What may happen next; ``name`` is chosen when the nodes are known.
NEXT = st.one_of(
    st.tuples(st.just("say"), WHO, SOME),
    st.tuples(st.just("say"), WHO, SOME),
    st.tuples(st.just("say"), WHO, SOME),
    st.tuples(st.just("answer"), AT, st.integers(1, 4)),
    st.tuples(st.just("calm"), AT, AT),
    st.tuples(st.just("serve"), AT, st.booleans()),
    st.tuples(st.just("connect"), st.integers(1, 3), AT),
    st.tuples(st.just("wait"), st.sampled_from([0.05, 0.15, 0.6]), AT),
    st.tuples(st.just("cut"), AT, AT),
    st.tuples(st.just("harm"), AT, st.sampled_from(["down", "silent", "up", "restart", "up"])),
    st.tuples(st.just("line"), AT, AT),
    st.tuples(st.just("hang up"), WHO, AT),
    st.tuples(st.just("half"), WHO, AT),
)


def happens(crowd: Crowd, names: list[str], what: tuple[str, object, object]) -> None:
    """One event."""
    kind, first, second = what
    at = first if isinstance(first, int) else 0
    number = second if isinstance(second, int) else 0
    name = names[at % len(names)]
    if kind == "say":
        assert isinstance(second, list)
        crowd.say(at, second)
    elif kind == "answer":
        crowd.answer(name, number, max(at, 1))
    elif kind == "calm":
        crowd.connect()
        for one in names:
            crowd.answer(one, 0, 12)
    elif kind == "dedicated":
        crowd.connect()
        crowd.answer_dedicated(name)
    elif kind == "serve":
        crowd.serve(name, at, bool(second))
    elif kind == "connect":
        crowd.connect(at)
    elif kind == "wait":
        crowd.wait(first if isinstance(first, float) else 0.05)
    elif kind == "cut":
        crowd.cut_one(name, number)
    elif kind == "harm":
        crowd.harm(name, str(second))
    elif kind == "line":
        crowd.line(name)
    elif kind == "half":
        crowd.half_close(at)
    else:
        crowd.hang_up(at)


@BOUNDED
@given(st.sampled_from(sorted(POOLS)), st.booleans(), st.lists(NEXT, max_size=50))
def test_any_conversation(kind: str, known: bool, events: list[tuple[str, object, object]]) -> None:
    """Whatever is said and whatever dies: each request is answered once, in order; no connection is kept."""
    crowd = Crowd(POOLS[kind]())
    if known:
        crowd.get_to_know()
    play_out(crowd, events)


#: Those who wait on one node, and those who end it, in every order.
WAITED = st.one_of(
    st.tuples(st.just("say"), WHO, st.sampled_from(["BLPOP {a}ME 0", "BZPOPMIN {a}ME 0"]).map(lambda s: [s])),
    st.tuples(st.just("say"), WHO, st.integers(0, 2).map(lambda at: [f"CLIENT UNBLOCK #{at}"])),
    st.tuples(st.just("say"), WHO, st.sampled_from([["MONITOR"], ["CLIENT KILL ID #0"], ["GET {a}1"]])),
    st.tuples(st.just("dedicated"), AT, AT),
    st.tuples(st.just("dedicated"), AT, AT),
    st.tuples(st.just("serve"), AT, st.just(True)),
    st.tuples(st.just("answer"), AT, AT),
    st.tuples(st.sampled_from(["wait", "cut"]), AT, AT),
    st.tuples(st.sampled_from(["hang up", "half"]), WHO, AT),
)


@BOUNDED
@given(st.lists(WAITED, max_size=30))
def test_any_race_for_dedicated_connections(events: list[tuple[str, object, object]]) -> None:
    """Dedicated connections change hands while clients are served, unblocked and killed: each gets what is its own."""
    crowd = Crowd(ring("a"))
    crowd.get_to_know()
    play_out(crowd, events)


def play_out(crowd: Crowd, events: list[tuple[str, object, object]]) -> None:
    """All that happens, and the end of it."""
    names = sorted(crowd.servers)
    for event in events:
        happens(crowd, names, event)
    crowd.calm(crowd.all_told)
    for at in range(len(crowd.speakers)):
        crowd.hang_up(at)
    crowd.calm(crowd.all_free)
