"""Commands that a node knows and the table does not: served where it is sure, refused where it is not."""

import pytest

from kidoproxy.commands.answers import entry
from kidoproxy.commands.find import COMMANDS, every, named, within
from kidoproxy.commands.keys import keys
from kidoproxy.commands.learn import KEYLESS, LISTENS, OPERATOR, SEARCH, UNREVIEWED, learn
from kidoproxy.commands.spec import (
    COPY_ALL,
    COPY_READ,
    COPY_REFUSED,
    INDEX,
    KEYNUM,
    KEYWORD,
    LANE,
    ONE,
    RANGE,
    REFUSED,
    UNKNOWN,
    CommandSpec,
    KeyRow,
)
from kidoproxy.resp.build import array, bulk, integer, null_array, setof, simple

FIRST: KeyRow = ("RW update", INDEX, "", 1, RANGE, 0, 1, 0, "")


def taught(name: str, flags: str, *rows: KeyRow) -> CommandSpec:
    """What is learned of a command from the reply of a node that has it."""
    first = 1 if rows else 0
    spec = CommandSpec((name, -2, flags, first, first, first, "slow", "", rows, "", "", ""))
    learned = learn(array([entry(spec, 2)]))
    assert learned is not None
    return learned


@pytest.mark.parametrize("proto", [2, 3])
def test_round_trip(proto: int) -> None:
    """What our own COMMAND INFO says of a command is enough to learn its arity, its flags and its keys again."""
    for spec in every():
        learned = learn(array([entry(spec, proto)]))
        assert learned is not None
        assert (learned.name, learned.arity, learned.flags) == (spec.name, spec.arity, spec.flags)
        assert learned.categories == spec.categories
        assert [repr(key) for key in learned.key_specs] == [repr(key) for key in spec.key_specs]
        assert set(learned.subs or {}) == set(spec.subs or {})


def test_never_bolder() -> None:
    """Of the reviewed commands none would be served with fewer keys if it were only learned."""
    for spec in every():
        learned = learn(array([entry(spec, 2)]))
        assert learned is not None
        if learned.reach == ONE:
            argv = [*spec.name.split(b"|"), b"a", b"1", b"b", b"c", b"d", b"e", b"f", b"g"]
            assert keys(learned, argv) == keys(spec, argv) or spec.name in (b"georadius", b"georadiusbymember"), spec


def test_unknown() -> None:
    """The node does not know it either, or has no COMMAND at all."""
    assert learn(array([null_array(2)])) is None
    assert learn(array([null_array(3)])) is None
    assert learn(array([])) is None
    assert learn(b"-NOPERM no\r\n") is None


def test_read_and_write() -> None:
    """One key in front: served by its node; copies read it, and repeat what has been reviewed only."""
    read = taught("bf.exists", "readonly fast", FIRST)
    assert (read.reach, read.copy, read.plain, read.repeatable, read.write) == (ONE, COPY_READ, True, True, False)
    write = taught("topk.add", "write denyoom", FIRST)
    assert (write.reach, write.copy, write.copy_reason) == (ONE, COPY_REFUSED, UNREVIEWED)
    assert write.write
    assert not write.repeatable
    reviewed = taught("json.set", "write denyoom", FIRST)
    assert (reviewed.reach, reviewed.copy, reviewed.copy_reason) == (ONE, COPY_ALL, "")
    assert taught("neither", "fast", FIRST).copy == COPY_REFUSED


def test_where_keys_are_not_sure() -> None:
    """No keys, keys found by code, an incomplete or an unknown specification: refused, with a way out."""
    vague: list[tuple[str, tuple[KeyRow, ...]]] = [
        ("readonly", ()),
        ("readonly movablekeys", (FIRST,)),
        ("readonly", (("RO incomplete", INDEX, "", 1, RANGE, 0, 1, 0, ""),)),
        ("readonly", (("RO", UNKNOWN, "", 0, RANGE, 0, 1, 0, ""),)),
        ("readonly", (("RO", INDEX, "", 1, UNKNOWN, 0, 0, 0, ""),)),
        ("readonly", (("RO", INDEX, "", 1, RANGE, -1, 0, 0, ""),)),
        ("readonly", (("not_key", INDEX, "", 1, RANGE, 0, 1, 0, ""),)),
    ]
    for flags, rows in vague:
        spec = taught("x.query", flags, *rows)
        assert (spec.reach, spec.reason, spec.plain) == (REFUSED, KEYLESS, False)
    counted = taught("x.union", "readonly movablekeys", ("RO", INDEX, "", 1, KEYNUM, 0, 1, 1, ""))
    worded = taught("x.read", "readonly movablekeys", ("RO", KEYWORD, "KEYS", 1, RANGE, -1, 1, 0, ""))
    assert counted.reach == worded.reach == ONE
    assert keys(counted, [b"x.union", b"2", b"a", b"b", b"c"]) == [2, 3]
    assert keys(worded, [b"x.read", b"keys", b"a", b"b"]) == [2, 3]


def test_dangerous() -> None:
    """Searches over all keys are refused, waiting needs a lane, an operator's command must be allowed."""
    assert taught("ft.search", "readonly", FIRST).reason == SEARCH
    assert taught("x.wait", "write blocking", FIRST).reach == LANE
    assert taught("x.wait", "write blocking").reason == KEYLESS
    assert taught("x.listen", "pubsub").reason == LISTENS
    admin = taught("x.config", "admin readonly", FIRST)
    assert (admin.reach, admin.deny_default, admin.reason, admin.plain) == (ONE, True, OPERATOR, False)


def test_old_server() -> None:
    """Before 7.0 there are six or seven fields, and the first, last and step say where the keys are."""

    def fields(name: bytes, flags: bytes, first: int, last: int) -> list[bytes]:
        return [bulk(name), integer(-2), setof(2, [simple(flags)]), integer(first), integer(last), integer(1)]

    old = learn(array([array(fields(b"x.many", b"readonly", 1, -1))]))
    assert old is not None
    assert keys(old, [b"x.many", b"a", b"b"]) == [1, 2]
    two = learn(array([array([*fields(b"x.two", b"write", 1, 2), setof(2, [simple(b"@slow")])])]))
    assert two is not None
    assert keys(two, [b"x.two", b"a", b"b", b"c"]) == [1, 2]
    assert two.categories == ("slow",)
    none = learn(array([array(fields(b"x.none", b"readonly", 0, 0))]))
    assert none is not None
    assert none.reach == REFUSED


def test_subcommands() -> None:
    """A container is refused, its subcommands are judged each."""
    learned = learn(array([entry(COMMANDS[b"object"], 3)]))
    assert learned is not None
    assert learned.reach == REFUSED
    sub = within(learned, [b"OBJECT", b"Encoding", b"k"])
    assert (sub.name, sub.reach) == (b"object|encoding", ONE)
    single = named(b"object|encoding")
    assert single is not None
    assert keys(sub, [b"object", b"encoding", b"k"]) == keys(single, [b"object", b"encoding", b"k"])
