"""Scripts on a ring: they run where their keys are, and are refused if they are seen to need others."""

from typing import Final

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.plan import DirectReply, Send
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.ring_scripts import declares_no_keys, undeclared_keys_refusal
from kidoproxy.scripts.registry import ScriptRegistry
from tests.routes.rings import planned, ring_with_families, scripted
from tests.story import ring


def test_script_without_keys() -> None:
    """A script that gets its keys as arguments runs where their family lives, whatever its other arguments are."""
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
    """A script without keys that calls a command with keys is refused if there are several nodes."""
    hidden = planned(ring("a", "b"), "EVAL redis.call('get','k') 0")
    assert isinstance(hidden, DirectReply)
    assert hidden.frame.startswith(b"-ERR 'eval' names no keys, but its script calls 'get'; ")
    assert repr(planned(ring("a"), "EVAL redis.call('get','k') 0")) == "a"
    assert repr(planned(ring("a", "b"), "EVAL redis.call('time') 0")) == "a"
    assert repr(planned(ring("a", "b"), "EVAL redis.call('get','k') none")) == "a"


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
    plan = scripted(ring_with_families("a", "b"), f"for i = 1, #ARGV do {body} end", "100", *words, *words)
    assert isinstance(plan, DirectReply) != fits
    if isinstance(plan, DirectReply):
        assert b"it uses more names of keys than are followed" in plan.frame


def test_derived_keys_without_a_tag() -> None:
    """Without a tag or a family a key that begins as the declared one may live elsewhere: it is computed."""
    pool = ring_with_families("a", "b")
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
def test_script_that_uses_undeclared_keys(name: str, fits: bool, text: str) -> None:
    """A key that text and request reveal must live where the declared ones live: by chance, by tag or by family."""
    text = text.replace("{}", name, 1)
    words = ("1", "{a}k", "{b}1", "{a}2", "")
    assert isinstance(scripted(ring_with_families("a"), text, *words), Send)
    plan = scripted(ring_with_families("a", "b"), text, *words)
    assert isinstance(plan, DirectReply) != fits
    if isinstance(plan, DirectReply):
        assert plan.frame.startswith(b"-CROSSSLOT 'eval' calls '")
        assert len(plan.frame) < 200


def test_script_inside_a_family() -> None:
    """Keys of a family of `together` may be derived, listed and given as arguments."""
    route = ring_with_families("a", "b")
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
    route = ring_with_families("a", "b", together=())
    plan = scripted(route, text, "1", "{a}k", "{b}1", "FLUSHALL", "get")
    assert isinstance(plan, DirectReply)
    assert said.encode() in plan.frame


def test_script_that_stays() -> None:
    """Names of the declared key's own tag are listed and read by patterns as by name."""
    route = ring_with_families("a", "b", together=())
    for text in ("return redis.call('keys', '{a}*')", "return redis.call('sort', KEYS[1], 'by', 'nosort', 'get', '#')"):
        assert isinstance(scripted(route, text, "1", "{a}k"), Send)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"return 1", None),
        (b"return redis.call('time')", None),
        (b"return redis.call('publish', 'c', 'm')", None),
        (b"return redis.call('nosuch', 'k')", None),
        (b"-- redis.call('get', 'k')\nreturn 1", None),
        (b"return nonsense(", None),
        (b"return redis.call('get', 'k')", "names no keys, but its script calls 'get'"),
        (b'return redis.pcall("SORT", ARGV[1])', "its script calls 'sort'"),
        (b"local c = redis.call return c('get', 'k')", "its script calls 'get'"),
        (b"return redis.call(ARGV[1], 'k')", "its script calls 'get'"),
        (b"return redis.call('flushdb')", "calls 'flushdb', which would see one node of several"),
        (b"return redis.call('keys', '*')", "calls 'keys'"),
        (b"return redis.call('scan', 0)", "calls 'scan'"),
        (b"return redis.call('dbsize')", "calls 'dbsize'"),
        (b"return redis.call('randomkey')", "calls 'randomkey'"),
        (b"return redis.call(ARGV[2])", "calls 'flushall'"),
        (b"return _G.redis.call('flushdb')", "it uses _G"),
        (b"return redis.call(x.y)", "whose name is not a literal"),
        (b"return redis.call(", "line 1 is no Lua 5.1"),
    ],
)
@pytest.mark.parametrize("name", [b"eval", b"eval_ro", b"evalsha", b"evalsha_ro"])
def test_undeclared(text: bytes, said: str | None, name: bytes) -> None:
    """A script without keys that is seen to need some, or every node, or hides it, is refused with the reason."""
    registry = ScriptRegistry()
    digest = registry.remember(text)
    refusal = undeclared_keys_refusal(
        registry,
        COMMANDS[name],
        [name, text if name.startswith(b"eval_") or name == b"eval" else digest, b"0", b"get", b"flushall"],
    )
    assert (refusal is None) == (said is None)
    assert refusal is None or (said is not None and said.encode() in refusal)


def test_unknown() -> None:
    """For a digest that is not known the client is asked for the text; unknown functions are run."""
    refusal = undeclared_keys_refusal(ScriptRegistry(), COMMANDS[b"evalsha"], [b"EVALSHA", b"0" * 40, b"0"])
    assert refusal is not None
    assert refusal.startswith(b"-NOSCRIPT")
    assert undeclared_keys_refusal(ScriptRegistry(), COMMANDS[b"fcall"], [b"FCALL", b"f", b"0"]) is None


@pytest.mark.parametrize(
    ("word", "none"), [(b"0", True), (b"00", True), (b"+0", True), (b"1", False), (b"", False), (b"x", False)]
)
def test_no_keys(word: bytes, none: bool) -> None:
    """A count of 0 in any spelling that a server accepts; one that is no number is refused by the node."""
    assert declares_no_keys([b"EVAL", b"x", word]) == none
    assert not declares_no_keys([b"EVAL", b"x"])
