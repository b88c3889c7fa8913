"""A ring: each key on one child; what cannot be split is refused; what concerns the whole asks every child."""

from typing import Final

import pytest

from kidoproxy.commands.find import COMMANDS, find
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.requests import Request
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.plan import DirectReply, Plan, Send
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import RequestContext, WallClock
from tests.story import Pool, client, node, refused, ring, silence, story, to, to_client


def planned(pool: Pool, text: str) -> Plan:
    """The plan of a request written as words."""
    argv = [word.encode() for word in text.split(" ")]
    spec = find(argv)
    assert spec is not None
    assert pool.route is not None
    return pool.route.plan(spec, Request(argv, encode_request(argv)), RequestContext(0, 2, False, False, WallClock(0)))


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


def gathered(*names: str, together: tuple[bytes, ...] = (b"a", b"ab:")) -> Ring:
    """A ring whose keys that begin with ``a`` live on the node ``a``, but for those that begin with ``ab:``."""
    route = ring(*names).route
    assert isinstance(route, Ring)
    return Ring("cache", route.members, route.placement, Tags(123, 125, list(together)))


def scripted(route: Ring, text: str, *words: str) -> Plan:
    """The plan of an EVAL."""
    argv = [b"EVAL", text.encode(), *[word.encode() for word in words]]
    return route.plan(COMMANDS[b"eval"], Request(argv, b""), RequestContext(0, 2, False, False, WallClock(0)))


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
    assert isinstance(apart, DirectReply)
    assert apart.frame.endswith(b"(command='eval', first-key='b1', violating-key='c1')\r\n")
    assert repr(planned(ring("a", "b"), "EVAL text 0 b")) == "a"


def test_script_that_hides_its_keys() -> None:
    """A script without keys that plainly calls for one is refused where there are several nodes."""
    hidden = planned(ring("a", "b"), "EVAL redis.call('get','k') 0")
    assert isinstance(hidden, DirectReply)
    assert hidden.frame.startswith(b"-ERR 'eval' names no keys, but its script calls 'get'; ")
    assert repr(planned(ring("a"), "EVAL redis.call('get','k') 0")) == "a"
    assert repr(planned(ring("a", "b"), "EVAL redis.call('time') 0")) == "a"
    assert repr(planned(ring("a", "b"), "EVAL redis.call('get','k') none")) == "a"


def test_sort_reaches_outside() -> None:
    """SORT by a pattern would read keys of other nodes; on a ring of one there are none."""
    refusal = planned(ring("a", "b"), "SORT {a}1 BY w_*")
    assert isinstance(refusal, DirectReply)
    assert refusal.frame.startswith(b"-ERR 'sort' with the pattern 'w_*' reads keys that may live on other nodes")
    assert repr(planned(ring("a", "b"), "SORT {a}1 BY nosort")) == "a"
    assert repr(planned(ring("a"), "SORT {a}1 BY w_*")) == "a"


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        ("SORT {a}1 BY {a}w_*", True),
        ("SORT {a}1 BY {a}w_* GET {a}o_*->f GET # STORE {a}d", True),
        ("SORT_RO x{a} GET y{a}*", True),
        ("SORT {a}1 BY {b}w_*", False),
        ("SORT {a}1 BY {a}w_* GET o_*", False),
        ("SORT {a}1 BY *{a}", False),
        ("SORT {a}1 BY {*a}", False),
        ("SORT {a}1 BY {a*}", False),
        ("SORT a1 BY a_w_*", True),
        ("SORT a1 BY a*", False),
        ("SORT a1 BY ab*", False),
        ("SORT a1 BY {a}w_*", True),
        ("SORT a1 BY {b}w_*", False),
    ],
)
def test_sort_inside_a_tag(words: str, fits: bool) -> None:
    """A pattern whose names all live with the key, by their tag or their family, is served."""
    argv = [word.encode() for word in words.split()]
    plan = gathered("a", "b").plan(
        COMMANDS[argv[0].lower()], Request(argv, b""), RequestContext(0, 2, False, False, WallClock(0))
    )
    assert isinstance(plan, DirectReply) != fits


@pytest.mark.parametrize(
    ("text", "key", "fits"),
    [
        ("redis.call('set', KEYS[i] .. ':%d', 1)", "{a}k%d", True),
        ("redis.call('set', 'ac:%d' .. KEYS[i], 1)", "{a}k%d", True),
        ("redis.call('set', '{a}%d' .. ARGV[i], 1)", "{a}k%d", True),
        ("redis.call('set', 'x{a}%d' .. KEYS[i] .. ARGV[i], 1)", "{a}k%d", True),
        ("redis.call('set', ARGV[i] .. ':%d', 1)", "{a}k%d", False),
    ],
)
def test_many_names_of_many_keys(text: str, key: str, fits: bool) -> None:
    """Names whose beginning says where they live are not made one by one; of others there may not be too many."""
    body = " ".join(text % at for at in range(50))
    words = [key % at for at in range(100)]
    plan = scripted(gathered("a", "b"), f"for i = 1, #ARGV do {body} end", "100", *words, *words)
    assert isinstance(plan, DirectReply) != fits
    if isinstance(plan, DirectReply):
        assert b"it uses more names of keys than are followed" in plan.frame


def test_names_of_keys_that_nothing_holds() -> None:
    """Without a tag or a family what begins as a key does need not live there: it is computed, and looked for."""
    pool = gathered("a", "b")
    text = "redis.call('get', KEYS[1] .. ':x') redis.call('get', KEYS[1] .. ':y')"
    assert repr(scripted(pool, text, "1", "b1")) == "a"
    apart = scripted(pool, text, "1", "b")
    assert isinstance(apart, DirectReply)
    assert apart.frame.startswith(b"-CROSSSLOT 'eval' calls 'get' with 'b:x', not where its KEYS are")


NAMES: Final = [
    ("KEYS[1]", True),
    ("KEYS[1] .. ':meta'", True),
    ("KEYS[1] .. ':' .. ARGV[1]", True),
    ("'x' .. KEYS[1]", True),
    ("string.format('%s:%s', KEYS[1], ARGV[2])", True),
    ("KEYS[1] .. redis.call('get', KEYS[1])", True),
    ("redis.call('get', KEYS[1])", True),
    ("redis.call('get', KEYS[1]) .. 'x'", True),
    ("'{a}x'", True),
    ("'a:1'", True),
    ("'b'", False),
    ("'{b}x'", False),
    ("ARGV[1]", False),
    ("ARGV[1] .. KEYS[1]", False),
    ("ARGV[2]", True),
    ("ARGV[9]", True),
    ("ARGV[3]", True),
    ("'{b}' .. redis.call('get', KEYS[1])", False),
    ("'b' .. redis.call('get', KEYS[1])", False),
    ("'b{a' .. redis.call('get', KEYS[1])", False),
    ("'ax' .. redis.call('get', KEYS[1])", True),
    ("'a' .. redis.call('get', KEYS[1])", False),
    ("ARGV[1] == 'x' and KEYS[1] or KEYS[1] .. 'y'", True),
]


@pytest.mark.parametrize(("name", "fits"), NAMES)
@pytest.mark.parametrize(
    "text", ["return redis.call('get', {})", "local f = redis.pcall local k = {} return f('SET', k, 1)"]
)
def test_script_that_goes_past_its_keys(name: str, fits: bool, text: str) -> None:
    """A key that text and request give away must live where the declared ones live: by luck, by tag or by family."""
    text = text.replace("{}", name, 1)
    words = ("1", "{a}k", "{b}1", "{a}2", "")
    assert isinstance(scripted(gathered("a"), text, *words), Send)
    plan = scripted(gathered("a", "b"), text, *words)
    assert isinstance(plan, DirectReply) != fits
    if isinstance(plan, DirectReply):
        assert plan.frame.startswith(b"-CROSSSLOT 'eval' calls '")
        assert len(plan.frame) < 200


def test_script_inside_a_family() -> None:
    """What a family of `together` holds may be derived, listed and told as an argument."""
    route = gathered("a", "b")
    listing = "return redis.call('keys', KEYS[1])"
    assert isinstance(scripted(route, listing, "1", "ax:*"), Send)
    assert isinstance(scripted(route, "return redis.call('keys', 'ax*')", "1", "a:1"), Send)
    assert isinstance(scripted(route, "return redis.call('keys', ARGV[1])", "0", "ax*"), Send)
    assert isinstance(scripted(route, "return redis.call('scan', 0, 'match', KEYS[1] .. '*')", "1", "a:1"), Send)
    deleting = "return redis.call('del', ARGV[1], 'a:' .. ARGV[1], 'a:' .. redis.call('get', ARGV[1]))"
    assert isinstance(scripted(route, deleting, "0", "a:2"), Send)
    assert isinstance(scripted(route, deleting.replace("'a:'", "'b:'"), "0", "a:2"), DirectReply)
    assert isinstance(scripted(route, "return redis.call('get', 'a1')", "0"), DirectReply)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("return redis.call('keys', '*')", "calls 'keys', which would see one node"),
        ("return redis.call('keys', 'x*')", "calls 'keys', which would see one node"),
        ("return redis.call('keys', '{b}*')", "calls 'keys', which would see one node"),
        ("return redis.call('scan', 0, 'match', '{b}*')", "calls 'scan', which would see one node"),
        ("return redis.call('scan', 0)", "calls 'scan', which would see one node of several"),
        ("return redis.call('flushdb')", "calls 'flushdb', which"),
        ("return redis.call('sort', KEYS[1], 'by', 'w_*')", "calls 'sort' with 'w_...'"),
        ("return redis.call('sort', KEYS[1], 'by', ARGV[1])", "calls 'sort' with '{b}1'"),
        ("return redis.call(ARGV[2])", "calls 'flushall', which"),
        ("return redis.call(ARGV[3], ARGV[1])", "calls 'get' with '{b}1'"),
        ("return loadstring(ARGV[1])()", "it uses loadstring"),
        ("local t = {redis} return t[1].call('flushdb')", "it hands redis around"),
        ("return redis.call(", "is no Lua 5.1"),
    ],
)
def test_script_that_needs_more_nodes(text: str, said: str) -> None:
    """What would see a part of the keys, and what hides what it calls, is refused with the reason."""
    route = gathered("a", "b", together=())
    plan = scripted(route, text, "1", "{a}k", "{b}1", "FLUSHALL", "get")
    assert isinstance(plan, DirectReply)
    assert said.encode() in plan.frame


def test_script_that_stays() -> None:
    """Names of the declared key's own tag are listed and read by patterns as by name."""
    route = gathered("a", "b", together=())
    for text in ("return redis.call('keys', '{a}*')", "return redis.call('sort', KEYS[1], 'by', 'nosort', 'get', '#')"):
        assert isinstance(scripted(route, text, "1", "{a}k"), Send)
