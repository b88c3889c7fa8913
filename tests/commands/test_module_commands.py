"""Commands that a node knows and the table does not: served where it is sure, refused where it is not."""

import pytest

from kidoproxy.commands.command_reply import build_entry
from kidoproxy.commands.find import COMMANDS, all_specs, find_by_name, resolve_subcommand
from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.module_commands import (
    ADMIN_REASON,
    KEYLESS_REASON,
    PUBSUB_REASON,
    SEARCH_REASON,
    UNREVIEWED_REASON,
    parse_command_info,
)
from kidoproxy.commands.spec import (
    BEGIN_INDEX,
    BEGIN_KEYWORD,
    COPY_BROADCAST,
    COPY_READ,
    COPY_REFUSED,
    DEDICATED,
    FIND_KEYNUM,
    FIND_RANGE,
    REFUSED,
    SEARCH_UNKNOWN,
    SINGLE_NODE,
    CommandSpec,
    KeyRow,
)
from kidoproxy.resp.encode import array, bulk, integer, null_array, set_of, simple

FIRST: KeyRow = ("RW update", BEGIN_INDEX, "", 1, FIND_RANGE, 0, 1, 0, "")


def discovered(name: str, flags: str, *rows: KeyRow) -> CommandSpec:
    """The spec of a command, from the reply of a node that has it."""
    first = 1 if rows else 0
    spec = CommandSpec((name, -2, flags, first, first, first, "slow", "", rows, "", "", ""))
    found = parse_command_info(array([build_entry(spec, 2)]))
    assert found is not None
    return found


@pytest.mark.parametrize("proto", [2, 3])
def test_round_trip(proto: int) -> None:
    """The proxy's own COMMAND INFO says enough of a command to find its arity, its flags and its keys again."""
    for spec in all_specs():
        found = parse_command_info(array([build_entry(spec, proto)]))
        assert found is not None
        assert (found.name, found.arity, found.flags) == (spec.name, spec.arity, spec.flags)
        assert found.categories == spec.categories
        assert [repr(key) for key in found.key_specs] == [repr(key) for key in spec.key_specs]
        assert set(found.subcommands or {}) == set(spec.subcommands or {})


def test_never_bolder() -> None:
    """Of the reviewed commands none would be served with fewer keys if it were only discovered."""
    for spec in all_specs():
        found = parse_command_info(array([build_entry(spec, 2)]))
        assert found is not None
        if found.reach == SINGLE_NODE:
            argv = [*spec.name.split(b"|"), b"a", b"1", b"b", b"c", b"d", b"e", b"f", b"g"]
            assert key_positions(found, argv) == key_positions(spec, argv) or spec.name in (
                b"georadius",
                b"georadiusbymember",
            ), spec


def test_unknown() -> None:
    """The node does not know it either, or has no COMMAND at all."""
    assert parse_command_info(array([null_array(2)])) is None
    assert parse_command_info(array([null_array(3)])) is None
    assert parse_command_info(array([])) is None
    assert parse_command_info(b"-NOPERM no\r\n") is None


def test_read_and_write() -> None:
    """One key in front: served by its node; copies read it, and repeat what has been reviewed only."""
    read = discovered("bf.exists", "readonly fast", FIRST)
    assert (read.reach, read.replication, read.single_key, read.retryable, read.may_write) == (
        SINGLE_NODE,
        COPY_READ,
        True,
        True,
        False,
    )
    write = discovered("topk.add", "write denyoom", FIRST)
    assert (write.reach, write.replication, write.replication_reason) == (SINGLE_NODE, COPY_REFUSED, UNREVIEWED_REASON)
    assert write.may_write
    assert not write.retryable
    reviewed = discovered("json.set", "write denyoom", FIRST)
    assert (reviewed.reach, reviewed.replication, reviewed.replication_reason) == (SINGLE_NODE, COPY_BROADCAST, "")
    assert discovered("neither", "fast", FIRST).replication == COPY_REFUSED


def test_where_keys_are_not_sure() -> None:
    """No keys, keys found by code, an incomplete or an unknown specification: refused, with a way out."""
    vague: list[tuple[str, tuple[KeyRow, ...]]] = [
        ("readonly", ()),
        ("readonly movablekeys", (FIRST,)),
        ("readonly", (("RO incomplete", BEGIN_INDEX, "", 1, FIND_RANGE, 0, 1, 0, ""),)),
        ("readonly", (("RO", SEARCH_UNKNOWN, "", 0, FIND_RANGE, 0, 1, 0, ""),)),
        ("readonly", (("RO", BEGIN_INDEX, "", 1, SEARCH_UNKNOWN, 0, 0, 0, ""),)),
        ("readonly", (("RO", BEGIN_INDEX, "", 1, FIND_RANGE, -1, 0, 0, ""),)),
        ("readonly", (("not_key", BEGIN_INDEX, "", 1, FIND_RANGE, 0, 1, 0, ""),)),
    ]
    for flags, rows in vague:
        spec = discovered("x.query", flags, *rows)
        assert (spec.reach, spec.reason, spec.single_key) == (REFUSED, KEYLESS_REASON, False)
    counted = discovered("x.union", "readonly movablekeys", ("RO", BEGIN_INDEX, "", 1, FIND_KEYNUM, 0, 1, 1, ""))
    worded = discovered("x.read", "readonly movablekeys", ("RO", BEGIN_KEYWORD, "KEYS", 1, FIND_RANGE, -1, 1, 0, ""))
    assert counted.reach == worded.reach == SINGLE_NODE
    assert key_positions(counted, [b"x.union", b"2", b"a", b"b", b"c"]) == [2, 3]
    assert key_positions(worded, [b"x.read", b"keys", b"a", b"b"]) == [2, 3]


def test_dangerous() -> None:
    """Searches over all keys are refused, waiting needs a dedicated connection, an operator's must be allowed."""
    assert discovered("ft.search", "readonly", FIRST).reason == SEARCH_REASON
    assert discovered("x.wait", "write blocking", FIRST).reach == DEDICATED
    assert discovered("x.wait", "write blocking").reason == KEYLESS_REASON
    assert discovered("x.listen", "pubsub").reason == PUBSUB_REASON
    admin = discovered("x.config", "admin readonly", FIRST)
    assert (admin.reach, admin.denied_by_default, admin.reason, admin.single_key) == (
        SINGLE_NODE,
        True,
        ADMIN_REASON,
        False,
    )


def test_old_server() -> None:
    """Before 7.0 there are six or seven fields, and the first, last and step say where the keys are."""

    def fields(name: bytes, flags: bytes, first: int, last: int) -> list[bytes]:
        return [bulk(name), integer(-2), set_of(2, [simple(flags)]), integer(first), integer(last), integer(1)]

    old = parse_command_info(array([array(fields(b"x.many", b"readonly", 1, -1))]))
    assert old is not None
    assert key_positions(old, [b"x.many", b"a", b"b"]) == [1, 2]
    two = parse_command_info(array([array([*fields(b"x.two", b"write", 1, 2), set_of(2, [simple(b"@slow")])])]))
    assert two is not None
    assert key_positions(two, [b"x.two", b"a", b"b", b"c"]) == [1, 2]
    assert two.categories == ("slow",)
    none = parse_command_info(array([array(fields(b"x.none", b"readonly", 0, 0))]))
    assert none is not None
    assert none.reach == REFUSED


def test_subcommands() -> None:
    """A container is refused, each of its subcommands is decided by itself."""
    found = parse_command_info(array([build_entry(COMMANDS[b"object"], 3)]))
    assert found is not None
    assert found.reach == REFUSED
    sub = resolve_subcommand(found, [b"OBJECT", b"Encoding", b"k"])
    assert (sub.name, sub.reach) == (b"object|encoding", SINGLE_NODE)
    single = find_by_name(b"object|encoding")
    assert single is not None
    assert key_positions(sub, [b"object", b"encoding", b"k"]) == key_positions(single, [b"object", b"encoding", b"k"])
