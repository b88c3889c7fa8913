"""Keys that a script computes, as Lua computes them."""

from hypothesis import example, given
from hypothesis import strategies as st

from kidoproxy.scripts.analysis import analyze
from kidoproxy.scripts.resolve import ScriptInputs, called_commands, resolve_all_keys
from tests.scripts.oracle import called, has_lua


def refusal(text: str) -> str:
    """Why copies must not run it."""
    return analyze(text.encode()).replication_refusal()


EXPRESSIONS = st.recursive(
    st.sampled_from(
        ["KEYS[1]", "KEYS[2]", "ARGV[1]", "ARGV[3]", "'x'", "':y'", "5", "[[z]]", "a", "b", "c", "f(KEYS[1])", "g()"]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(" .. ".join),
        inner.map("({})".format),
        inner.map("tostring({})".format),
        st.tuples(inner, inner).map(lambda two: f"string.format('%s:%s', {two[0]}, {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"(ARGV[2] == 'a2' and {two[0]} or {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"(ARGV[2] == 'zz' and {two[0]} or {two[1]})"),
        inner.map("h({})".format),
    ),
    max_leaves=5,
)


BEFORE = (
    "local a = KEYS[1] .. ':a' local b = a if ARGV[1] then b = ARGV[2] end "
    "local c for _, v in ipairs(KEYS) do c = v end "
    "local function f(x) return x .. ':f' end local function g() return a end local function h(x) return f(x) .. c end "
)


@given(EXPRESSIONS)
@example("h(KEYS[1]) .. h(ARGV[1])")
def test_keys_are_computed_as_lua_computes_them(expression: str) -> None:
    """The key that Lua 5.1 really uses is declared, or among those that were computed, or known to be unknown."""
    text = f"{BEFORE} return redis.call('get', {expression})".encode()
    found = analyze(text)
    assert found.parse_error == found.hidden_reason == found.unnamed_reason == ""
    inputs = ScriptInputs([b"EVAL", text, b"2", b"k1", b"k2", b"a1", b"a2", b"a3"])
    texts = [
        (each.text.decode(), each.is_prefix)
        for each in resolve_all_keys(found.undeclared_keys, found.dynamic_calls, inputs) or []
    ]
    for _, key in called(text) if has_lua() else []:
        resolved = any(key == text or (begins and key.startswith(text)) for text, begins in texts)
        assert resolved or key in ("k1", "k2") or not texts


def test_commands() -> None:
    """What a script calls is found by full name, what the request names included."""
    text = b"redis.call('object', 'freq', KEYS[1]) redis.call('Get', KEYS[1]) redis.call('no') redis.call(ARGV[1])"
    found = called_commands(analyze(text), ScriptInputs([b"EVAL", text, b"1", b"k", b"FLUSHALL"]))
    assert sorted(found) == [b"flushall", b"get", b"no", b"object|freq"]
