"""A ring: each key on one child; what cannot be split is refused; what concerns the whole asks every child."""

from kidoproxy.commands.find import find
from kidoproxy.resp.build import command
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import Answer, Plan
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import Ask
from kidoproxy.routes.tags import Tags
from tests.story import Pool, client, copies, node, refused, ring, silence, story, then, to, to_client


def planned(pool: Pool, text: str) -> Plan:
    """The plan of a request written as words."""
    argv = [word.encode() for word in text.split(" ")]
    spec = find(argv)
    assert spec is not None
    assert pool.route is not None
    return pool.route.plan(spec, Request(argv, command(argv)), Ask(0, 2, False, False, 0))


def test_plans() -> None:
    """One key: the child's plan; several: one part per child; the whole: every child; no key: anyone."""
    pool = ring("a", "b")
    assert repr(planned(pool, "GET {b}1")) == "b"
    assert repr(planned(pool, "RENAME {b}1 {b}2")) == "b"
    assert repr(planned(pool, "MGET {b}1 {b}2")) == "b"
    assert repr(planned(pool, "MGET {b}1 {a}2")) == "[a, b]"
    assert repr(planned(pool, "DBSIZE")) == "[a, b]"
    assert repr(planned(pool, "SCAN 0")) == "[a]"
    assert repr(planned(pool, "SCAN 2")) == "[b]"
    assert repr(planned(pool, "PUBLISH {b}c m")) == repr(planned(pool, "SPUBLISH {b}c m")) == "b"
    assert repr(planned(pool, "PUBSUB NUMPAT")) == "[a, b]"


def test_anyone() -> None:
    """What any node can serve is asked of the first that is alive; if none is, of the first."""
    (
        story(ring("a", "b"))
        >> client("CONFIG GET maxmemory") << to("a", "CONFIG GET maxmemory")
        >> refused("a") << to_client("-NODEDOWN a a:6379 (connection refused)")
        >> client("CONFIG GET maxmemory") << to("b", "CONFIG GET maxmemory")
        >> node("b", "*0") << to_client("*0")
        >> refused("b") >> client("CONFIG GET maxmemory")
        << to_client("-NODEDOWN a a:6379 (connection refused)") << silence()
    )  # fmt: skip


def test_script_without_keys() -> None:
    """A script that is told its keys as arguments runs where their family lives, whatever else it is told."""
    pool = ring("a", "b", "c")
    route = pool.route
    assert isinstance(route, Ring)
    pool.route = Ring("cache", route.members, route.placement, Tags(123, 125, [b"b", b"c"]))

    assert repr(planned(pool, "EVAL text 0 x b1 b2")) == "b"
    assert repr(planned(pool, "EVALSHA_RO digest 0 c*")) == "c"
    assert repr(planned(pool, "EVAL text 0 x y")) == "a"
    assert repr(planned(pool, "EVAL text 0")) == "a"
    assert repr(planned(pool, "CONFIG GET b c")) == "a"
    assert repr(planned(pool, "EVAL text 1 {a} b")) == "a"
    apart = planned(pool, "EVAL text 0 x b1 c1")
    assert isinstance(apart, Answer)
    assert apart.frame.endswith(b"(command='eval', first-key='b1', violating-key='c1')\r\n")
    assert repr(planned(ring("a", "b"), "EVAL text 0 b")) == "a"


def test_script_that_hides_its_keys() -> None:
    """A script without keys that plainly calls for one is refused where there are several nodes."""
    hidden = planned(ring("a", "b"), "EVAL redis.call('get','k') 0")
    assert isinstance(hidden, Answer)
    assert hidden.frame.startswith(b"-ERR 'eval' names no keys, but its script calls 'get'; ")
    assert repr(planned(ring("a"), "EVAL redis.call('get','k') 0")) == "a"
    assert repr(planned(ring("a", "b"), "EVAL redis.call('time') 0")) == "a"


def test_sort_reaches_outside() -> None:
    """SORT by a pattern would read keys of other nodes; on a ring of one there are none."""
    refusal = planned(ring("a", "b"), "SORT {a}1 BY w_*")
    assert isinstance(refusal, Answer)
    assert refusal.frame.startswith(b"-ERR 'sort' with the pattern 'w_*' reads keys that may live on other nodes")
    assert repr(planned(ring("a", "b"), "SORT {a}1 BY nosort")) == "a"
    assert repr(planned(ring("a"), "SORT {a}1 BY w_*")) == "a"


def test_drawing() -> None:
    """A ring can say where a key goes and why, and show its children."""
    pool = ring("a", copies("b", "c", name="pair"))
    route = pool.route
    assert isinstance(route, Ring)
    assert [child.name for child in route.children()] == ["a", "pair"]
    assert [one.name for one in route.nodes()] == ["a", "b", "c"]
    assert [step.name for step in route.scanned()] == ["a", "pair"]
    assert route.why(b"{a}1").startswith("'a' hashes to ")
    assert route.why(b"{a}1").endswith(" -> a (a:6379)")
    assert "(in sync)" in route.why(b"{pair}1")


def test_large_write_through_nested_pools() -> None:
    """A ring of copies looks at all arguments of a write, however large; a ring of nodes at the first key."""
    plain, nested = ring("a").route, ring(copies("a", name="x")).route
    assert plain is not None
    assert nested is not None
    assert not plain.needs_arguments()
    assert nested.needs_arguments()
    play = story(ring("a", password=b"x"))
    assert play << then(lambda play: not play.facts.thorough)


def test_refusals() -> None:
    """Keys on several nodes, and cursors that nobody gave out."""
    pool = ring("a", "b")
    slot = planned(pool, "RENAME {a}1 {b}1")
    assert isinstance(slot, Answer)
    assert slot.frame.startswith(b"-CROSSSLOT")
    for cursor in ("x", "-1", f"{1 << 64}", "77"):
        assert repr(planned(pool, f"SCAN {cursor}")) == repr(b"-ERR invalid cursor\r\n")
    for first, second in ((True, False), (False, True)):
        pair = ring(copies("a", name="x", elected=first), copies("b", name="y", elected=second))
        assert repr(planned(pair, "SCAN 0")) == repr(b"-NOREPLICAS No copy is in sync to be read.\r\n")
