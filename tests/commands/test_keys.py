"""Where keys are. Real servers are asked in ``live/test_getkeys.py``; here is what they cannot show."""

import pytest

from kidoproxy.commands.find import COMMANDS, find
from kidoproxy.commands.keys import key_positions, keyspace_pattern, spec_key_positions, stream_option
from kidoproxy.commands.spec import BEGIN_INDEX, BEGIN_KEYWORD, FIND_RANGE, SEARCH_UNKNOWN, KeySpec

#: A request, and its keys.
CASES = """
get k | k
GET k | k
set k v EX 10 | k
mget a b c | a b c
mset a 1 b 2 | a b
ping |
config get x |
blpop a b 0 | a b
object encoding k | k
eval s 0 x |
eval s 2 a b x | a b
eval s 02 a b x | a b
eval s +2 a b x | a b
eval s 3 a b |
eval s -1 a |
eval s x a |
eval s |
eval s 99999999999999999999999 a |
eval s 00000000000000000000001 a | a
eval s ++1 a |
zunionstore d 2 a b | d a b
zunionstore d 3 a b | d
pfmerge d | d
msetex 2 a 1 b 2 nx | a b
sort k | k
sort k by nosort get # limit 0 store store d | k d
sort k store a store b | k b
sort k store | k
xread count 1 streams a b 0 0 | a b
xread count streams streams a 0 | a
xread streams |
xread streams a b 0 |
xread count 1 |
xreadgroup count 1 group streams streams streams a > | a
xreadgroup group g c claim 5 noack block 1 later streams a > | a
georadius k 1 2 3 m store a storedist b | k b
georadius k 1 2 3 m count store | k
georadius k 1 2 3 m store store | k store
georadius k 1 2 3 m asc store | k
georadiusbymember k m 3 m any asc store d | k d
migrate h 1 k 0 1 copy | k
migrate h 1 k 0 1 keys a |
migrate h 1 k 0 1 auth keys | k
migrate h 1 k 0 1 auth2 keys keys | k
migrate h 1 k |
subscribe c |
spublish c m |
"""


@pytest.mark.parametrize("line", CASES.strip().splitlines())
def test_keys(line: str) -> None:
    """The keys of a request, in order; those that make no sense are not guessed."""
    text, _, expected = line.partition("|")
    argv = text.encode().split()
    spec = find(argv)
    assert spec is not None
    assert [argv[at] for at in key_positions(spec, argv)] == expected.encode().split()


def test_too_short() -> None:
    """A request without its key has none: the arity check refuses it, but nothing breaks before."""
    for name in (b"get", b"sort", b"georadius", b"xread", b"mget", b"rename"):
        assert key_positions(COMMANDS[name], [name]) == []


def test_migrate_many() -> None:
    """The keys are behind KEYS when the third argument is empty."""
    argv = [b"migrate", b"h", b"1", b"", b"0", b"1", b"KEYS", b"a", b"b"]
    assert key_positions(COMMANDS[b"migrate"], argv) == [7, 8]


def test_stream_word() -> None:
    """An option that is claimed by another one is not found, nor one behind STREAMS."""
    assert stream_option(b"xread block 0 streams a 0".split(), b"block") == 1
    assert stream_option(b"xreadgroup group block block streams block 0".split(), b"block") == 0
    assert stream_option(b"xread count 2".split()) == 0


def test_positions() -> None:
    """A keyword is found from the front or the back, a limit halves what follows, what is unknown finds nothing."""
    argv = b"cmd x KEYS a b c d".split()
    forward = KeySpec(("RO", BEGIN_KEYWORD, "keys", 1, FIND_RANGE, -1, 1, 0, ""))
    backward = KeySpec(("RO", BEGIN_KEYWORD, "keys", -1, FIND_RANGE, -1, 1, 0, ""))
    absent = KeySpec(("RO", BEGIN_KEYWORD, "nothing", -1, FIND_RANGE, -1, 1, 0, ""))
    halved = KeySpec(("RO", BEGIN_KEYWORD, "keys", 1, FIND_RANGE, -1, 1, 2, ""))
    assert spec_key_positions(forward, argv) == spec_key_positions(backward, argv) == [3, 4, 5, 6]
    assert spec_key_positions(absent, argv) == []
    assert spec_key_positions(halved, argv) == [3, 4]
    assert spec_key_positions(KeySpec(("RO", BEGIN_INDEX, "", 1, SEARCH_UNKNOWN, 0, 0, 0, "")), argv) == []
    assert spec_key_positions(KeySpec(("RO", SEARCH_UNKNOWN, "", 0, FIND_RANGE, 0, 1, 0, "")), argv) == []
    assert repr(forward) == "<keys from keys: (-1, 1, 0)>"


@pytest.mark.parametrize(
    ("line", "position"),
    [
        ("keys a*", 1),
        ("scan 0", 0),
        ("scan 0 match", 0),
        ("scan 0 count 10 match a*", 5),
        ("scan 0 MATCH a* match b*", 3),
        ("dbsize", 0),
        ("flushall async", 0),
    ],
)
def test_the_pattern_of_keys_and_scan(line: str, position: int) -> None:
    """KEYS has it first, SCAN behind MATCH; what speaks of all keys without choosing has none."""
    argv = line.encode().split()
    assert keyspace_pattern(COMMANDS[argv[0]], argv) == position
