"""For every command of the table, `keys` finds what the real server's COMMAND GETKEYS finds."""

from collections.abc import Iterator
from typing import Any

import pytest

from kidoproxy.commands.find import all_specs, find
from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.spec import BEGIN_INDEX, BY_SPECS, FIND_KEYNUM, CommandSpec
from tests.commands.oracle import SERVERS, ask, running

pytestmark = pytest.mark.live

#: Requests whose keys a generated vector would not show.
BY_HAND = """
sort k
sort k by w_* get # get o_* limit 0 5 desc alpha
sort k store d
sort k get store store d
sort k limit 0 store store d
sort k by store store d
sort k store d1 store d2
sort_ro k by w_* get store
xread streams a 0
xread count 2 block 0 streams a b 0 0
xreadgroup group g c count 1 block 5 noack streams a b c > > >
xreadgroup group g streams streams a >
georadius k 1 2 3 m
georadius k 1 2 3 m withdist count 3 any asc store d
georadius k 1 2 3 m storedist d
georadiusbymember k m 3 km store d
georadiusbymember k store 3 km storedist d
migrate h 1 k 0 100
migrate h 1 k 0 100 copy replace auth keys
migrate h 1 k 0 100 auth2 keys keys
migrate h 1 '' 0 100 keys a b c
migrate h 1 '' 0 100 auth2 u p keys a
eval s 0
eval s 2 a b x y
evalsha_ro s 1 a
fcall f 3 a b c
zunionstore d 2 a b weights 1 2 aggregate sum
zinterstore d 1 a
zdiffstore d 2 a b
zunion 2 a b withscores
zintercard 2 a b limit 1
sintercard 2 a b limit 1
lmpop 2 a b left count 3
zmpop 1 a min
blmpop 0 2 a b left
bzmpop 0 1 a max count 2
blpop a b c 0
bitop and d a b c
bitop not d a
mset a 1 b 2 c 3
msetnx a 1 b 2
set k v get
set k v ex 10 nx
copy a b db 3 replace
object encoding k
memory usage k samples 5
xgroup create k g $ mkstream
xinfo stream k full
pfmerge d a b
pfcount a b c
lcs a b len
smove a b m
rename a b
blmove a b left right 0
lmove a b left right
geosearchstore d s frommember m byradius 1 m
zrangestore d s 0 -1
watch a b
restore k 0 x replace
msetex 2 a 1 b 2 nx ex 10
hsetex k ex 10 fields 1 f v
"""


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each server that is there."""
    with running(request.param) as client:
        yield client


def vectors(spec: CommandSpec, arity: int) -> Iterator[list[bytes]]:
    """Requests of this command with its least number of arguments and a few more, counts in their places."""
    least = max(abs(arity), 2)
    most = least if arity > 0 else least + 4
    for length in range(least, most + 1):
        argv = [*spec.name.split(b"|"), *[b"a%d" % i for i in range(length)]][:length]
        counts = [
            key.begin_position + key.find_args[0]
            for key in spec.key_specs
            if key.begin_kind == BEGIN_INDEX and key.find_kind == FIND_KEYNUM
        ]
        if not counts:
            yield argv
        for at in counts:
            for number in range(1, length - at):
                yield [*argv[:at], b"%d" % number, *argv[at + 1 :]]


def arity(server: Any, spec: CommandSpec) -> int:
    """As this server has it, which may be stricter than a newer one; 0 when it lacks the command."""
    said = ask(server, [b"COMMAND", b"INFO", spec.name])[0]
    return 0 if said is None else int(said[1])


def named_by(server: Any, argv: list[bytes]) -> Any:
    """What the server says; a request without keys is an error to one version and an empty list to another."""
    said = ask(server, [b"COMMAND", b"GETKEYS", *argv])
    return [] if isinstance(said, str) else said


def test_every_command(server: Any) -> None:
    """A generated request of each command has its keys where the server sees them."""
    compared = 0
    for spec in all_specs():
        if spec.key_finder != BY_SPECS or not spec.key_specs or not arity(server, spec):
            continue
        for argv in vectors(spec, arity(server, spec)):
            if argv[:-1] == [b"pfmerge"]:
                # Executed on its only key, which COMMAND GETKEYS of both servers overlooks.
                continue
            assert find(argv) is spec
            assert [argv[at] for at in key_positions(spec, argv)] == named_by(server, argv), argv
            compared += 1
    assert compared > 300


@pytest.mark.parametrize("text", BY_HAND.strip().splitlines())
def test_by_hand(server: Any, text: str) -> None:
    """Keywords, counts and options that look like each other do not mislead."""
    argv = [b"" if word == "''" else word.encode() for word in text.split()]
    spec = find(argv)
    assert spec is not None
    if arity(server, spec):
        assert [argv[at] for at in key_positions(spec, argv)] == named_by(server, argv)
