"""Redis's rules for users. Real servers are asked about every command of the table in ``live/test_user_rules.py``."""

import pytest

from kidoproxy.commands.acl import (
    CATEGORIES,
    DENIED_CHANNEL,
    DENIED_COMMAND,
    DENIED_KEY,
    SCRIPT_RUNNERS,
    Acl,
    rule_error,
    similar_rules,
)
from kidoproxy.commands.find import all_specs, find, find_by_name
from kidoproxy.commands.spec import CommandSpec


def module(name: str, categories: str, flags: str = "readonly") -> CommandSpec:
    """A command discovered on a node."""
    return CommandSpec((name, -2, flags, 1, 1, 1, categories, "", (), "module", "", ""))


def may(acl: Acl, text: str) -> str:
    """What a request comes to: OK, or what is denied and which word."""
    argv = text.encode().split()
    spec = find(argv)
    assert spec is not None, text
    denial = acl.check(spec, argv)
    if denial is None:
        return "OK"
    kinds = {DENIED_COMMAND: "command", DENIED_KEY: "key", DENIED_CHANNEL: "channel"}
    return f"{kinds[denial.kind]} {argv[denial.position].decode()}"


@pytest.mark.parametrize(
    ("rules", "yes", "no"),
    [
        ("", "", "get set config|get"),
        ("+@all", "get config|set eval", ""),
        ("+get", "get", "set"),
        ("+@read -@dangerous +set", "get set", "keys sort hset"),
        ("+config|get", "config|get", "config|set config"),
        ("+config -config|set", "config|get config", "config|set"),
        ("+@all -config +config|get", "config|get", "config|set config"),
        ("+@slow", "config|get", "get"),
        ("-get +get", "get", ""),
        ("+get -@read", "", "get"),
        ("+@all nocommands +get", "get", "set"),
        ("+get allcommands -set", "get hset", "set"),
        ("+GET", "get", ""),
    ],
)
def test_rules_count_in_their_order(rules: str, yes: str, no: str) -> None:
    """A later rule wins; a container stands for its subcommands, and so does its category."""
    acl = Acl(rules)
    for name in yes.split() + no.split():
        spec = find_by_name(name.encode())
        assert spec is not None
        assert acl.allows_command(spec) is (name in yes.split()), name


def test_logging_in_needs_no_permission() -> None:
    """AUTH, HELLO, QUIT and RESET are for everybody."""
    assert set(Acl("").allowed_names) == {b"auth", b"hello", b"quit", b"reset"}


@pytest.mark.parametrize(
    ("rules", "keys", "granted"),
    [
        ("+@all", (b"~*",), set(SCRIPT_RUNNERS)),
        ("+@all", (b"~a*",), set()),
        ("+@all -@dangerous", (b"~*",), set()),
        ("+@all -keys +@slow", (b"~*",), set()),
        ("+@all +eval", (b"~a*",), {b"eval"}),
        ("+@all +@scripting -fcall", (b"~a*",), set(SCRIPT_RUNNERS) - {b"fcall"}),
        ("+@scripting -@scripting +@all", (b"~a*",), set()),
    ],
)
def test_who_is_limited_runs_scripts_only_if_that_is_said(
    rules: str, keys: tuple[bytes, ...], granted: set[bytes]
) -> None:
    """A node does not check what a script does by the caller's rules, so a general permission is not enough."""
    assert {name for name in SCRIPT_RUNNERS if name in Acl(rules, keys).allowed_names} == granted


@pytest.mark.parametrize(
    ("rules", "categories", "allowed"),
    [
        ("+@all", "read", True),
        ("+@all", "", True),
        ("+@read", "read slow", True),
        ("+@write", "read slow", False),
        ("+@all -@dangerous", "read", True),
        ("+@all -@dangerous", "read dangerous", False),
        ("+@all -@dangerous", "", False),
        ("+json.get", "", True),
        ("+@all -json.get", "read", False),
    ],
)
def test_a_command_discovered_on_a_node(rules: str, categories: str, allowed: bool) -> None:
    """It is decided by the categories that the node names; without any it is denied, unless it or all are allowed."""
    acl = Acl(rules, (b"~a*",))
    assert acl.allows_command(module("json.get", categories)) is allowed


def test_a_subcommand_of_a_module() -> None:
    """A rule about the container is about it too."""
    assert Acl("+j.c").allows_command(module("j.c|get", "read"))
    assert not Acl("+j.c").allows_command(module("j.d|get", "read"))


KEYS = Acl("+@all", (b"~rw:*", b"%R~r:*", b"%W~w:*"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("get rw:1", "OK"),
        ("get r:1", "OK"),
        ("get w:1", "key w:1"),
        ("set w:1 v", "OK"),
        ("set r:1 v", "key r:1"),
        ("set w:1 v get", "key w:1"),
        ("mget r:1 rw:1 x", "key x"),
        ("copy r:1 w:1", "OK"),
        ("copy w:1 r:1", "key w:1"),
        ("exists w:1 r:1", "OK"),
        ("exists x", "key x"),
        ("ping", "OK"),
        ("publish anything x", "OK"),
    ],
)
def test_keys(text: str, said: str) -> None:
    """One pattern must allow all that the command does to a key."""
    assert may(KEYS, text) == said


CHANNELS = Acl("+@all", (b"~*",), (b"&news.*", b"&chat"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("publish news.1 x", "OK"),
        ("publish other x", "channel other"),
        ("spublish other x", "channel other"),
        ("subscribe chat news.1 other", "channel other"),
        ("ssubscribe chat", "OK"),
        ("psubscribe news.*", "OK"),
        ("psubscribe news.1", "channel news.1"),
        ("unsubscribe other", "OK"),
        ("get k", "OK"),
    ],
)
def test_channels(text: str, said: str) -> None:
    """Channels are matched, patterns must be given literally, and to leave needs no permission."""
    assert may(CHANNELS, text) == said


def test_the_command_is_checked_before_its_keys() -> None:
    """The first reason is the one that is reported."""
    assert may(Acl("+@read", ()), "set k v") == "command set"
    assert may(Acl("+@read", ()), "get k") == "key k"


@pytest.mark.parametrize(
    ("patterns", "reads"),
    [((b"~*",), True), ((b"%R~*",), True), ((b"%W~*",), False), ((b"~a", b"%R~b"), False), ((), False)],
)
def test_reading_any_key(patterns: tuple[bytes, ...], reads: bool) -> None:
    """It takes a pattern that is the star alone."""
    assert Acl("+@all", patterns).allows_reading_all() is reads


def test_unrestricted() -> None:
    """A user who may do everything is not checked; one rule, key or channel less, and everything is."""
    assert Acl().unrestricted
    assert Acl("allcommands").unrestricted
    assert Acl("+@all +get").unrestricted
    assert not Acl("+@all -get").unrestricted
    assert not Acl("+@all", (b"~a*",)).unrestricted
    assert not Acl("+@all", (b"~*",), (b"&a",)).unrestricted


def test_as_text() -> None:
    """A rule takes the place of an earlier one about the same or about its subcommands."""
    acl = Acl("+get -config|set +config|get -get +@READ -config", (b"~a", b"%R~b"), (b"&c", b"&d"))
    assert acl.format_commands() == b"-@all -get +@read -config"
    assert (acl.format_keys(), acl.format_channels()) == (b"~a %R~b", b"&c &d")
    assert Acl("+set +@all").format_commands() == b"+@all"
    assert (Acl("", (), ()).format_keys(), Acl("", (), ()).format_channels()) == (b"", b"")
    assert (Acl("", (b"~a", b"~*")).format_keys(), Acl("", (), (b"&a", b"&*")).format_channels()) == (b"~*", b"&*")


def test_categories() -> None:
    """They are those of the table."""
    assert set(CATEGORIES.split()) == {category for spec in all_specs() for category in spec.categories}


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("+get", ""),
        ("-CONFIG|SET", ""),
        ("+@Read", ""),
        ("-@all", ""),
        ("allcommands", ""),
        ("NoCommands", ""),
        ("+json.get", ""),
        ("get", '"get" is no rule: it must begin with + or -'),
        ("~app:*", '"~app:*" is no rule: it must begin with + or -'),
        ("", '"" is no rule: it must begin with + or -'),
        ("+gett", 'there is no command "gett"'),
        ("+", 'there is no command ""'),
        ("-config|gett", 'there is no command "config|gett"'),
        ("+@raed", 'there is no category "@raed"'),
        ("+select|0", '"select|0" names a first argument, only subcommands can be named; write "+select"'),
    ],
)
def test_mistakes(word: str, what: str) -> None:
    """A rule that means nothing is an error, not ignored."""
    assert rule_error(word) == what


def test_what_may_have_been_meant() -> None:
    """A category for a category, a command for a command, with the same sign."""
    assert "+@read" in similar_rules("+@raed")
    assert "-config|get" in similar_rules("-config|gett")
    assert not any(rule.startswith("+@") for rule in similar_rules("+gett"))
