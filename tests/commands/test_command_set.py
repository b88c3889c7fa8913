"""The commands of one pool: denied, allowed, renamed, discovered."""

from kidoproxy.commands.command_reply import build_entry
from kidoproxy.commands.command_set import MAX_UNKNOWN_NAMES, CommandSet
from kidoproxy.commands.find import COMMANDS, find_by_name
from kidoproxy.commands.module_commands import parse_command_info
from kidoproxy.commands.spec import BEGIN_INDEX, FIND_RANGE, CommandSpec
from kidoproxy.resp.encode import array


def command_set(deny: str = "", allow: str = "", rename: dict[bytes, bytes] | None = None) -> CommandSet:
    """A command set from blank-separated names."""
    return CommandSet(frozenset(deny.encode().split()), frozenset(allow.encode().split()), rename or {})


def spec_of(name: bytes) -> CommandSpec:
    """The spec with this full name."""
    spec = find_by_name(name)
    assert spec is not None
    return spec


def module(name: str) -> CommandSpec:
    """A module's command with one key, as a node's COMMAND INFO has it."""
    row = ("RO", BEGIN_INDEX, "", 1, FIND_RANGE, 0, 1, 0, "")
    spec = parse_command_info(
        array([build_entry(CommandSpec((name, -2, "readonly", 1, 1, 1, "", "", (row,), "", "", "")), 2)])
    )
    assert spec is not None
    return spec


def test_deny() -> None:
    """A name, or a container with all its subcommands."""
    pool = command_set(deny="keys config client|kill")
    for name in (b"keys", b"config|get", b"client|kill"):
        assert "denies" in pool.refusal(spec_of(name))
    for name in (b"get", b"client|id"):
        assert pool.refusal(spec_of(name)) == ""


def test_allow() -> None:
    """What is refused by default is opened by its name or its container's; the refusal says so."""
    assert command_set().refusal(spec_of(b"config|set")).endswith("; the pool's `allow` opens it")
    for allow in ("config", "config|set"):
        assert command_set(allow=allow).refusal(spec_of(b"config|set")) == ""
    assert command_set(allow="config", deny="config|set").refusal(spec_of(b"config|set"))


def test_overrides() -> None:
    """No command that is denied or renamed takes the fast path unchecked, not even one that is discovered later."""
    assert not command_set().has_overrides
    assert not command_set(deny="keys config|set").has_overrides
    assert command_set(deny="get").has_overrides
    assert command_set(deny="json.get").has_overrides
    assert command_set(rename={b"keys": b"k"}).has_overrides


def test_rename() -> None:
    """The new name is the command, the old one is unknown; an empty new name is off."""
    pool = command_set(rename={b"flushall": b"secret", b"keys": b""})
    assert pool.original_name(b"SECRET") == b"flushall"
    assert pool.original_name(b"get") is None
    assert pool.is_renamed_away(b"FlushAll")
    assert pool.is_renamed_away(b"keys")
    assert not pool.should_ask_nodes(b"keys")


def test_discovered() -> None:
    """What a node has is found, in any letter case, its subcommands too; the table comes first."""
    pool = command_set()
    assert pool.find([b"x.get", b"k"]) is None
    assert pool.find([b"GET", b"k"]) is COMMANDS[b"get"]
    spec = module("x.get")
    pool.record_lookup(b"X.Get", spec)
    assert pool.find([b"x.GET", b"k"]) is spec
    assert pool.find([b"x.put", b"k"]) is None
    container = module("x.group")
    container.subcommands = {b"one": spec}
    pool.record_lookup(b"x.group", container)
    assert pool.find([b"X.GROUP", b"One"]) is spec
    assert pool.find([b"X.GROUP", b"two"]) is container


def test_full_names() -> None:
    """The full name of a subcommand is no command, though COMMAND INFO knows it: no node is asked about it."""
    for name in (b"config|get", b"CONFIG|GET", b"get|", b"|", b"x.group|one"):
        assert command_set().find([name, b"x"]) is None
        assert not command_set().should_ask_nodes(name)


def test_unknown() -> None:
    """What no node knows is not asked for again, until a node comes back; so many names are kept at most."""
    pool = command_set()
    assert pool.should_ask_nodes(b"nope")
    pool.record_lookup(b"NOPE", None)
    assert not pool.should_ask_nodes(b"nope")
    pool.forget_unknown()
    assert pool.should_ask_nodes(b"nope")
    for i in range(MAX_UNKNOWN_NAMES + 1):
        pool.record_lookup(b"x%d" % i, None)
    assert len(pool.unknown_names) == 1
