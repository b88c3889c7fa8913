"""What requests do to their keys. Real servers are asked about many more in ``live/test_user_rules.py``."""

import pytest

from kidoproxy.commands.find import find
from kidoproxy.commands.key_access import READS, WRITES, access_bits, external_key_option, key_accesses, keys_and_flags
from kidoproxy.commands.spec import CommandSpec

BOTH = READS | WRITES


def words(text: str) -> tuple[CommandSpec, list[bytes]]:
    """A request and its spec."""
    argv = text.encode().split()
    spec = find(argv)
    assert spec is not None, text
    return spec, argv


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("get k", [(1, READS)]),
        ("exists k l", [(1, 0), (2, 0)]),
        ("del k", [(1, WRITES)]),
        ("lpush k v", [(1, WRITES)]),
        ("lmove k l left right", [(1, BOTH), (2, WRITES)]),
        ("zunionstore k 1 l", [(1, WRITES), (3, READS)]),
        ("set k v", [(1, WRITES)]),
        ("set k v ex 9 GET", [(1, BOTH)]),
        ("set k get", [(1, WRITES)]),
        ("bitfield k", [(1, READS)]),
        ("bitfield k overflow fail get u8 0 get u8 1", [(1, READS)]),
        ("bitfield k get u8 0 set u8 0 1", [(1, BOTH)]),
        ("bitfield k get u8", [(1, BOTH)]),
        ("bitfield k overflow", [(1, BOTH)]),
        ("sort k by nosort store l", [(1, READS), (5, WRITES)]),
        ("georadius k 1 1 1 m", [(1, READS)]),
        ("georadius k 1 1 1 m store l", [(1, READS), (7, WRITES)]),
        ("xreadgroup group g c streams k >", [(5, READS)]),
        ("migrate h 1 k 0 1", [(3, BOTH)]),
        ("ping", []),
    ],
)
def test_accesses(text: str, found: list[tuple[int, int]]) -> None:
    """Each key with what the command may do to it; options decide where they do in Redis."""
    assert [(at, access) for where, access in key_accesses(*words(text)) for at in where] == found


@pytest.mark.parametrize(
    ("flags", "bits"),
    [
        ("RO access", READS),
        ("RO", 0),
        ("OW update", WRITES),
        ("RM delete", WRITES),
        ("RW insert", WRITES),
        ("RW access update", BOTH),
        ("RO access variable_flags", BOTH),
        ("", BOTH),
        ("access", BOTH),
    ],
)
def test_what_is_not_known_counts_as_both(flags: str, bits: int) -> None:
    """A server that does not say, or says that it depends, is taken to mean the more."""
    assert access_bits(tuple(flags.split())) == bits


def test_flags_are_those_of_the_specification() -> None:
    """As COMMAND GETKEYSANDFLAGS shows them."""
    assert keys_and_flags(*words("rename k l"))[1] == ([2], ("OW", "update"))


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("sort k", ""),
        ("sort k by nosort", ""),
        ("sort k by w_*", "BY"),
        ("sort k BY w_* GET #", "BY"),
        ("sort k by nosort get #", "GET"),
        ("sort_ro k desc get w_*", "GET"),
        ("sort k limit by * get", ""),
        ("sort k limit 0 1 by w_*", "BY"),
        ("sort k store by asc", ""),
        ("sort k get", ""),
        ("sort k by", ""),
        ("get by", ""),
    ],
)
def test_reads_of_keys_that_are_not_named(text: str, option: str) -> None:
    """Only SORT reads keys that it does not name: by BY with a star, and by any GET."""
    assert external_key_option(*words(text)) == option
