"""What a missing node answers for. An empty real server is compared in ``live/test_answers.py``."""

import pytest

from kidoproxy.commands.find import find
from kidoproxy.commands.nothing import nothing
from kidoproxy.resp.build import command

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
"""

NO_ANSWER = (
    "set k v nx|set k v ex 10 get|set k v XX|set k v ifeq x|incr k|setnx k v|rpush k v|eval s 0|hset k f v|dump k"
)


@pytest.mark.parametrize("line", CASES.strip().splitlines())
def test_nothing(line: str) -> None:
    """Reads find nothing, blind writes are taken as done, in either protocol."""
    text, second, third = line.split(" | ")
    argv = text.encode().split()
    spec = find(argv)
    assert spec is not None
    for proto, expected in ((2, second), (3, third)):
        said = nothing(spec, command(argv), proto)
        assert said is not None
        assert b" ".join(said.split()) == expected.encode()


@pytest.mark.parametrize("line", NO_ANSWER.split("|"))
def test_no_answer(line: str) -> None:
    """What asks about the past, or would be missed, has no answer."""
    argv = line.encode().split()
    spec = find(argv)
    assert spec is not None
    assert nothing(spec, command(argv), 2) is None
