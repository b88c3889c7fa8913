"""Replies in place of a node that is down. An empty real server is compared in ``live/test_answers.py``."""

import pytest

from kidoproxy.commands.empty_reply import empty_reply
from kidoproxy.commands.find import COMMANDS, find
from kidoproxy.commands.spec import COPY_LEADER
from kidoproxy.resp.encode import encode_request

#: A request, and the replies in RESP2 and RESP3 (blanks for line ends).
CASES = """
get k | $-1 | _
hget k f | $-1 | _
exists a b | :0 | :0
del a b | :0 | :0
expire k 10 | :0 | :0
lrange k 0 -1 | *0 | *0
smembers k | *0 | ~0
hgetall k | *0 | %0
ttl k | :-2 | :-2
zrank z m | $-1 | _
zrevrank z m withscore | *-1 | _
type k | +none | +none
publish c m | :0 | :0
spublish c m | :0 | :0
getrange k 0 -1 | $0 | $0
mget a b | *2 $-1 $-1 | *2 _ _
hmget k f g | *2 $-1 $-1 | *2 _ _
smismember k a b | *2 :0 :0 | *2 :0 :0
set k v | +OK | +OK
set k v ex 10 | +OK | +OK
setex k 10 v | +OK | +OK
mset a 1 b 2 | +OK | +OK
hmset k f v | +OK | +OK
set k v nx | $-1 | _
set k v NX EX 10 | $-1 | _
set k v xx | $-1 | _
set k v ifeq x | $-1 | _
setnx k v | :0 | :0
msetnx a 1 b 2 | :0 | :0
hsetnx k f v | :0 | :0
getex k ex 10 | $-1 | _
dump k | $-1 | _
srandmember k | $-1 | _
srandmember k 2 | *0 | *0
lpos k x | $-1 | _
lpos k x rank 1 count 2 | *0 | *0
lcs a b | $0 | $0
lcs a b len | :0 | :0
bitpos k 1 | :-1 | :-1
bitpos k 0 | :0 | :0
bitfield_ro k get u8 0 GET u8 1 | *2 :0 :0 | *2 :0 :0
httl k fields 2 a b | *2 :-2 :-2 | *2 :-2 :-2
geopos k a b | *2 *-1 *-1 | *2 _ _
hscan k 0 | *2 $1 0 *0 | *2 $1 0 *0
"""

NO_ANSWER = (
    "set k v ex 10 get|set k v nx get|set k v xx get|set k v ifne x|getset k v|getdel k|incr k|rpush k v|lpop k|spop k|"
    "eval s 0|hset k f v|lcs a b idx|xinfo stream k|restore k 0 x"
)


@pytest.mark.parametrize("line", CASES.strip().splitlines())
def test_nothing(line: str) -> None:
    """Reads find nothing, blind writes count as done, in either protocol."""
    text, second, third = line.split(" | ")
    argv = text.encode().split()
    spec = find(argv)
    assert spec is not None
    for proto, expected in ((2, second), (3, third)):
        said = empty_reply(spec, encode_request(argv), proto)
        assert said is not None
        assert b" ".join(said.split()) == expected.encode()


@pytest.mark.parametrize("line", NO_ANSWER.split("|"))
def test_no_answer(line: str) -> None:
    """What depends on what was there, or would be missed, has no such reply."""
    argv = line.encode().split()
    spec = find(argv)
    assert spec is not None
    assert empty_reply(spec, encode_request(argv), 2) is None


def test_what_a_leader_decides_has_no_answer() -> None:
    """Such commands take, or make, what was not known before: their failures are told in every pool."""
    decided = [spec for spec in COMMANDS.values() if spec.replication == COPY_LEADER]
    assert decided
    assert [spec.name for spec in decided if empty_reply(spec, encode_request([spec.name, b"k"]), 2) is not None] == []
