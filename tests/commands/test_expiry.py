"""Relative expiry made absolute: what is rewritten, and to what. Real servers are asked in ``live/test_expiry.py``."""

import pytest

from kidoproxy.commands.expiry import option_positions, with_absolute_expiry

NOW = 1_700_000_000_000

REWRITTEN = """
SET k v EX 10 | SET k v PXAT 1700000010000
set k v nx px 10 get | set k v nx PXAT 1700000000010 get
set ex px eX 1 | set ex px PXAT 1700000001000
set k v EX 1 EX 2 | set k v PXAT 1700000001000 PXAT 1700000002000
set k v ifeq ex ex 1 | set k v ifeq ex PXAT 1700000001000
SETEX k 10 v | SET k v PXAT 1700000010000
psetex k 10 v | SET k v PXAT 1700000000010
getex k Px 1 | getex k PXAT 1700000000001
EXPIRE k 10 | PEXPIREAT k 1700000010000
pexpire k 10 nx | PEXPIREAT k 1700000000010 nx
hexpire k 10 fields 1 f | HPEXPIREAT k 1700000010000 fields 1 f
hpexpire k 7 nx fields 1 f | HPEXPIREAT k 1700000000007 nx fields 1 f
hsetex k ex 10 fields 1 ex v | hsetex k PXAT 1700000010000 fields 1 ex v
hsetex k fields 1 ex v ex 10 | hsetex k fields 1 ex v PXAT 1700000010000
hgetex k fields 1 ex ex 10 | hgetex k fields 1 ex PXAT 1700000010000
msetex 1 ex ex ex 10 | msetex 1 ex ex PXAT 1700000010000
restore k 10 x replace | restore k 1700000000010 x replace ABSTTL
"""

ALONE = """
get k
set k v
set k v ex
set k v ex 0
set k v ex 01
set k v ex x
set k v ex 99999999999999999999
set k v px 9223372036854775807
set k v ex 10 px 10
set k v ex 10 keepttl
set k v ex 10 exat 5
setex k 10
setex k x v
psetex k 0 v
expire k
expire k 0
expire k -10 GT
pexpire k 0 nx
hpexpire k 0 nx fields 1 f
expire k 9223372036854775807
expire k -9223372036854775808
hexpire k 10
hexpire k -1 fields 1 f
hexpire k 281474976710655 fields 1 f
hsetex k fields x f v ex 10
hsetex k ex 10 fields
msetex 9 k v ex 10
msetex
restore k 0 x
restore k 10 x ABSTTL
restore k -1 x
restore k 10
"""


@pytest.mark.parametrize("line", REWRITTEN.strip().splitlines())
def test_rewritten(line: str) -> None:
    """A valid relative expiry becomes the moment, everything else stays where it is."""
    before, _, after = line.partition(" | ")
    argv = before.encode().split()
    kept = list(argv)
    assert with_absolute_expiry(argv, NOW) == after.encode().split()
    assert argv == kept


@pytest.mark.parametrize("line", ALONE.strip().splitlines())
def test_left_alone(line: str) -> None:
    """Nothing relative, or something that Redis itself must complain about."""
    if line != "hsetex k ex 10 fields":
        assert with_absolute_expiry(line.encode().split(), NOW) is None
        return
    # The count is missing: whatever is sent is a syntax error.
    assert with_absolute_expiry(line.encode().split(), NOW) == [b"hsetex", b"k", b"PXAT", b"1700000010000", b"fields"]


def test_options() -> None:
    """Option words only: keys, values and fields may look like them."""
    assert option_positions(b"set ex px get ex 10 nx".split()) == [3, 4, 6]
    assert option_positions(b"msetex 2 ex px nx xx ex 10".split()) == [6]
    assert option_positions(b"hgetex k ex 10 fields 2 ex px".split()) == [2]
    assert option_positions(b"getex k persist".split()) == [2]
