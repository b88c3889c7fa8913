"""`kidoproxy.resp.errors`: one line each, a stable code word in front, whatever is named in them."""

import ast
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.compile_packages import ROOT
from kidoproxy.commands.find import all_specs
from kidoproxy.resp import client_errors, errors, script_errors
from kidoproxy.resp.errors import ConfigError, NodeFailure, ProtocolError

#: The modules of error sentences.
MODULES = (errors, client_errors, script_errors)


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (errors.unknown_command([b"NOPE"]), "ERR unknown command 'NOPE', with args beginning with: "),
        (errors.unknown_command([b"x", b"a", b"b"]), "ERR unknown command 'x', with args beginning with: 'a' 'b' "),
        (errors.unknown_subcommand([b"config", b"x"]), "ERR unknown subcommand 'x'. Try CONFIG HELP."),
        (errors.wrong_arity(b"config|get"), "ERR wrong number of arguments for 'config|get' command"),
        (errors.not_served(b"keys", "no"), "ERR 'keys' is not served here: no"),
        (
            errors.partial_write(b"mset", 3, 0, 10, "keys", "b", "timeout"),
            "PARTIAL 'mset' failed for 3 of 10 keys on b (timeout); 7 applied",
        ),
        (
            errors.partial_write(b"mset", 3, 2, 10, "keys", "b", "timeout"),
            "PARTIAL 'mset' failed for 3 of 10 keys on b (timeout); 7 applied, 2 may have been applied",
        ),
        (
            errors.replies_mismatch("':1\\r\\n', '*0\\r\\n'"),
            "ERR the nodes' replies do not fit together: ':1\\r\\n', '*0\\r\\n'",
        ),
        (
            errors.cursor_overflow(b"1x\n"),
            "ERR cursor overflow: a node's own cursor 1x  leaves no room for the node",
        ),
        (errors.transaction_not_run(b"*0\r\n"), "ERR the transaction was not run on its node: b'*0\\r\\n'"),
        (errors.unknown_node(b"z", ["a", "b"]), "ERR unknown node 'z'; the nodes of this pool are: a, b"),
    ],
)
def test_sentences(frame: bytes, sentence: str) -> None:
    """Word for word, for clients and people search for them."""
    assert frame == b"-" + sentence.encode() + b"\r\n"


def test_unknown_command_is_truncated() -> None:
    """As in Redis, 128 bytes of the name and about as many of the arguments, and no more than in any error."""
    frame = errors.unknown_command([b"n" * 200, b"a" * 100])
    assert b"'" + b"n" * 128 + b"'" in frame
    assert frame.endswith(b"aaa...\r\n")
    assert len(frame) == errors.MAX_SENTENCE_CHARS + 3
    frame = errors.unknown_command([b"n", b"a" * 100, b"b" * 100, b"c" * 100])
    assert b"a" * 100 in frame
    assert b"b" * 25 in frame
    assert b"b" * 26 not in frame
    assert b"c" * 3 not in frame


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_one_line(one: bytes, other: bytes) -> None:
    """Whatever a client sends, an error about it is one line."""
    for frame in (
        errors.unknown_command([one, other]),
        errors.cross_slot(one, other, one),
        errors.unknown_subcommand([b"config", one]),
        errors.external_key_pattern(b"sort", one),
        script_errors.not_analysable(b"eval", errors.decode_wire(one)),
        script_errors.calls_whole_node(b"eval", one[:20]),
        script_errors.key_elsewhere(b"evalsha_ro", one, other),
        client_errors.hello_option(one),
        errors.unknown_node(one, ["a"]),
    ):
        assert frame[:1] == b"-"
        assert frame.endswith(b"\r\n")
        assert b"\r" not in frame[:-2]
        assert b"\n" not in frame[:-2]


def _argument(kind: object) -> st.SearchStrategy[object]:
    """What may be named in an error: long, empty, not UTF-8, full of control characters."""
    words = st.one_of(st.binary(max_size=20), st.binary(max_size=600), st.sampled_from([b"x" * 5000, b"\x1b[2J\r\n"]))
    texts = words.map(lambda raw: raw.decode("latin-1"))
    found: dict[object, st.SearchStrategy[object]] = {
        bytes: words,
        str: texts,
        int: st.integers(0, 1 << 31),
        bool: st.booleans(),
        list[bytes]: st.lists(words, min_size=2, max_size=5),
        list[int]: st.lists(st.integers(0, 255), max_size=5),
        list[str]: st.lists(texts, max_size=5),
    }
    return found[kind]


@cache
def _sentences(module: ModuleType) -> dict[str, dict[str, object]]:
    """Each function that builds a reply, with the types of its arguments: from the source, as it may be compiled."""
    kinds: dict[str, object] = {
        "bytes": bytes,
        "str": str,
        "int": int,
        "bool": bool,
        "list[bytes]": list[bytes],
        "list[int]": list[int],
        "list[str]": list[str],
    }
    found = {}
    path = Path(ROOT, *module.__name__.split(".")).with_suffix(".py")
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns) == "bytes":
            found[node.name] = {arg.arg: kinds[ast.unparse(arg.annotation)] for arg in node.args.args if arg.annotation}
    found.pop("up_to_nul", None)
    return found


SENTENCES = [(module, name) for module in MODULES for name in _sentences(module)]
#: Arguments that neither a client nor a node has a say in.
TRUSTED = {"error_reply_around": ["head", "tail"], "partial_write": ["unit"]}


@pytest.mark.parametrize(("module", "name"), SENTENCES)
@given(data=st.data())
def test_every_sentence_is_short_and_clean(module: ModuleType, name: str, data: st.DataObject) -> None:
    """Whatever clients, nodes and operators have sent: one printable line of at most 200 characters."""
    types = _sentences(module)[name]
    trusted = TRUSTED.get(name, [])
    frame = getattr(module, name)(
        **{arg: "nodes" if arg in trusted else data.draw(_argument(types[arg])) for arg in types}
    )
    assert_short_and_clean(frame)


def assert_short_and_clean(frame: bytes) -> None:
    sentence = frame[1:-2].decode("utf-8", "surrogateescape")
    assert len(sentence) <= errors.MAX_SENTENCE_CHARS
    assert all(char.isprintable() or "\udc80" <= char <= "\udcff" for char in sentence)


@given(_argument(str), _argument(str), _argument(str), st.booleans(), st.booleans())
def test_every_failure_is_short_and_tells_the_outcome(
    node: str, address: str, cause: str, may_have_run: bool, is_write: bool
) -> None:
    """A long cause does not push out what the client has to know."""
    frame = NodeFailure(errors.TIMEOUT, node, address, cause, may_have_run).error_reply(is_write)
    assert_short_and_clean(frame)
    assert frame.endswith(b"its outcome is unknown\r\n") == (may_have_run and is_write)


def test_reasons_of_the_table_are_not_truncated() -> None:
    """The reason of every refusal fits."""
    for spec in all_specs():
        for reason in (spec.reason, spec.replication_reason, f"{spec.reason}; the pool's `allow` opens it"):
            if spec.denied_by_default or not reason.endswith("opens it"):
                assert errors.not_served(spec.name, reason).endswith(f"here: {reason}\r\n".encode()), (
                    spec.name,
                    reason,
                )


@given(st.binary(max_size=3000))
def test_what_a_node_has_said(raw: bytes) -> None:
    """In a log line it is printable and short."""
    shown = errors.sanitize_bytes(raw)
    assert len(shown) <= errors.MAX_SENTENCE_CHARS
    assert shown.isprintable()


def test_constants() -> None:
    """Every ready-made error is a whole frame with a code word."""
    frames = [
        value
        for module in MODULES
        for name, value in vars(module).items()
        if isinstance(value, bytes) and name.isupper()
    ]
    assert len(frames) > 40
    for frame in frames:
        assert frame[:1] == b"-"
        assert frame[1:].split(b" ")[0].isupper()
        assert frame.count(b"\r\n") == 1
        assert frame.endswith(b"\r\n")


def test_proxy_sentences() -> None:
    """They name the command or node, and the reason."""
    for frame in (
        errors.not_for_one_node(b"cmd", "why"),
        errors.not_for_each(b"cmd", "why"),
        errors.sync_refused("cmd", "why"),
    ):
        assert b"cmd" in frame
        assert b"why" in frame


def test_node_failure() -> None:
    """A failure names node, address and cause; of a write that may have run it says so."""
    down = NodeFailure(errors.NODEDOWN, "b", "b:1", "refused", False)
    late = NodeFailure(errors.TIMEOUT, "b", "b:1", "no reply in 500 ms", True)
    assert down.error_reply(True) == down.error_reply(False) == b"-NODEDOWN b b:1 (refused)\r\n"
    assert late.error_reply(False) == b"-TIMEOUT b b:1 (no reply in 500 ms)\r\n"
    assert (
        late.error_reply(True)
        == b"-TIMEOUT b b:1 (no reply in 500 ms); the write may have run, its outcome is unknown\r\n"
    )
    assert (down.short_reason(), late.short_reason()) == ("refused", "timeout: no reply in 500 ms")
    assert repr(late) == "<TIMEOUT b: no reply in 500 ms>"


def test_exceptions() -> None:
    """A protocol error has Redis's reply, a configuration error a list of problems."""
    assert ProtocolError("expected '$', got '\xff'").reply == b"-ERR Protocol error: expected '$', got '\xff'\r\n"
    assert ProtocolError("a\u20ac").reply == b"-ERR Protocol error: a?\r\n"
    problem = ConfigError(["one", "two"])
    assert (str(problem), problem.problems) == ("one\ntwo", ["one", "two"])
    assert issubclass(errors.InternalError, Exception)


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ("a\x1b[2Jb\x07\x9b", "a\\x1b[2Jb\\x07\\x9b"),
        ("a\nb\r\u2028c", "a\\nb\\r\\u2028c"),
        ("\u202efdp\udcff\U000e0041", "\\u202efdp\\udcff\\U000e0041"),
        ("żółw 日本 \\", "żółw 日本 \\"),
    ],
)
def test_what_a_problem_quotes_is_harmless(quoted: str, shown: str) -> None:
    """Neither a second line nor anything that a terminal obeys; what can be shown stays as it is."""
    assert ConfigError([f"f: {quoted}"]).problems == [f"f: {shown}"]
