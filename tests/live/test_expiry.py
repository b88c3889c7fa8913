"""A rewritten expiry is answered exactly like the original, and the key ends when the original would."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from kidoproxy.commands.expiry import with_absolute_expiry
from kidoproxy.commands.find import find
from tests.commands.oracle import SERVERS, ask, running

pytestmark = pytest.mark.live

#: What a request finds; each runs on its own fresh copy.
BEFORE = (b"SET k old", b"SET volatile x PX 50000", b"SET other x", b"HSET h f v g w", b"SADD s a")

#: Requests that count from now, the key, and how many milliseconds ahead.
VALID = """
set k v ex 10 | k 10000
SET k v Px 10500 | k 10500
set new v px 10500 nx | new 10500
set new v nx get px 10500 | new 10500
set new v xx ex 10 | new -2
set k v nx ex 10 | k -1
set k v xx get ex 10 | k 10000
set k v get ex 10 ex 20 | k 20000
set s v get ex 10 | s -1
set ex ex ex 10 | ex 10000
set k v ex 9223372036 | k 9223372036000
setex k 10 v | k 10000
psetex k 10500 v | k 10500
getex k ex 10 | k 10000
getex k px 10500 | k 10500
getex none px 10500 | none -2
getex s px 10500 | s -1
expire k 10 | k 10000
expire none 10 | none -2
expire k 10 nx | k 10000
expire k 10 xx | k -1
expire volatile 60 gt | volatile 60000
expire volatile 60 LT | volatile 50000
expire volatile 20 lt | volatile 20000
expire volatile 20 xx gt | volatile 50000
expire k 10 nx xx | k -1
expire k 10 nonsense | k -1
pexpire k 10500 | k 10500
"""

#: The same for what Valkey alone has, and for fields of hashes.
VALKEY = """
hexpire h 10 fields 1 f | h:f 10000
hpexpire h 10500 fields 2 f g | h:g 10500
hexpire h 10 nx fields 1 f | h:f 10000
hexpire h 10 xx fields 1 f | h:f -1
hexpire h 10 fields 2 f | h:f -1
hexpire h 10 fields 0 f | h:f -1
hexpire none 10 fields 1 f | none:f -2
hexpire k 10 fields 1 f | h:f -1
hsetex h ex 10 fields 1 f new | h:f 10000
hsetex h fxx px 10500 fields 2 f ex g 10 | h:f 10500
hsetex h ex 10 fields 1 ex 10 | h:ex 10000
hgetex h px 10500 fields 1 f | h:f 10500
hgetex h ex 10 fields 1 none | h:f -1
msetex 2 k a ex b ex 10 | ex 10000
msetex 1 k ex xx px 10500 | k 10500
msetex 1 k a nx ex 10 | k -1
set k v ifeq old ex 10 | k 10000
set k v ifeq ex ex 10 | k -1
"""

#: Left alone: wrong, absolute, or forever. The server says so, and sets no relative expiry.
#: Expiry that is over already.
AT_ONCE = """
expire k 0 | k -2
expire k -5 | k -2
expire k -99999999999 | k -2
pexpire k -1 | k -2
hexpire h 0 fields 1 f | h:f -2
"""

ALONE = """
set k v
set k v ex
set k v ex 0
set k v ex -1
set k v ex abc
set k v ex 010
set k v ex +10
set k v ex 9223372036854775807
set k v px 9223372036854775807
set k v px 99999999999999999999
set k v ex 10 px 10
set k v ex 10 keepttl
set k v keepttl ex 10
set k v ex 10 exat 4102444800
set k v pxat 4102444800000
set k v ex ex 10
setex k 0 v
setex k -1 v
setex k abc v
setex k 9223372036854775 v
setex k 10
psetex k 0 v
psetex k 1 v w
getex k
getex k persist
getex k persist ex 10
getex k ex 0
getex k ex 10 px 10
getex k exat 4102444800
expire k
expire k abc
expire k 9223372036854775807
expire k -9223372036854775807
expire k 9223372036854775
pexpire k 9223372036854775807
pexpire k 1.5
get k
"""

ALONE_VALKEY = """
hexpire h 10
hexpire h -1 fields 1 f
hexpire h abc fields 1 f
hexpire h 9223372036854775807 fields 1 f
hsetex h fields 1 f v
hsetex h ex 0 fields 1 f v
hsetex h ex 10 px 10 fields 1 f v
hgetex h fields 1 f
hgetex h persist fields 1 f
hgetex h ex abc fields 1 f
msetex 1 k a
msetex x k a ex 10
msetex 9 k a ex 10
msetex 1 k a ex 0
"""


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each server."""
    with running(request.param) as client:
        yield client


def run(server: Any, argv: list[bytes], place: str) -> tuple[Any, int]:
    """The reply to ``argv`` on fresh keys, and when the place expires: a key, or a hash and its field."""
    server.execute_command("FLUSHALL")
    for line in BEFORE:
        server.execute_command(*line.split())
    reply = ask(server, argv)
    key, _, field = place.partition(":")
    if field:
        said = server.execute_command("HPEXPIRETIME", key, "FIELDS", "1", field)
        return reply, said[0] if isinstance(said, list) else said
    return reply, server.execute_command("PEXPIRETIME", key)


def cases(text: str) -> list[str]:
    return text.strip().splitlines()


def words(line: str) -> list[bytes]:
    return line.encode().split()


def knows(server: Any, argv: list[bytes]) -> bool:
    """Whether this server has the command, and the option IFEQ."""
    name = ask(server, [b"INFO", b"server"])
    return b"valkey" in name or (argv[0][:1] not in b"hm" and b"ifeq" not in argv)


@pytest.mark.parametrize("line", cases(VALID) + cases(VALKEY))
def test_same_answer_same_moment(server: Any, line: str) -> None:
    """The reply is the original's, and so is the moment, which depends on the given clock alone."""
    text, _, expected = line.partition("|")
    place, ahead = expected.split()
    argv = words(text)
    if not knows(server, argv):
        return
    now = int(time.time() * 1000) - 1234
    started = time.time()
    reply, moment = run(server, argv, place)
    rewritten = with_absolute_expiry(argv, now)
    assert rewritten is not None
    other_reply, other_moment = run(server, rewritten, place)
    assert other_reply == reply
    if int(ahead) < 0:
        assert moment == other_moment == int(ahead)
    elif place == "volatile" and ahead == "50000":
        assert moment > 0
        assert other_moment > 0
    else:
        assert other_moment == now + int(ahead)
        assert int(started * 1000) <= moment - int(ahead) <= int(time.time() * 1000)
    spec = find(rewritten)
    assert spec is not None
    assert spec.accepts(len(rewritten))


@pytest.mark.parametrize("line", cases(AT_ONCE))
def test_at_once(server: Any, line: str) -> None:
    """What does not lie ahead is gone at once on every node, whatever its clock says: it is left as it is."""
    text, _, expected = line.partition("|")
    place, ahead = expected.split()
    argv = words(text)
    if not knows(server, argv):
        return
    _, moment = run(server, argv, place)

    assert with_absolute_expiry(argv, int(time.time() * 1000) + 5000) is None
    assert moment == int(ahead)


@pytest.mark.parametrize("line", cases(ALONE) + cases(ALONE_VALKEY))
def test_left_alone(server: Any, line: str) -> None:
    """What is not rewritten sets no expiry that counts from now: an error, absolute, none, or gone at once."""
    argv = words(line)
    now = int(time.time() * 1000)
    assert with_absolute_expiry(argv, now) is None
    if not knows(server, argv):
        return
    reply, moment = run(server, argv, "h:f" if argv[0].startswith(b"h") else "k")
    assert isinstance(reply, str) or moment in (-1, -2, 4102444800000)


def test_restore(server: Any) -> None:
    """RESTORE keeps its other options; 0 stays forever; ABSTTL is there already."""
    server.execute_command("SET", "source", "x")
    dumped = server.execute_command("DUMP", "source")
    now = int(time.time() * 1000)
    rewritten = with_absolute_expiry([b"RESTORE", b"k", b"10500", dumped, b"REPLACE", b"IDLETIME", b"7"], now)
    assert rewritten is not None
    assert run(server, rewritten, "k") == (b"OK", now + 10500)
    rewritten = with_absolute_expiry([b"restore", b"k", b"10500", dumped], now)
    assert rewritten is not None
    assert run(server, rewritten, "k")[0] == run(server, [b"restore", b"k", b"10500", dumped], "k")[0]
    for alone in ([b"0", dumped], [b"-1", dumped], [b"x", dumped], [b"5", dumped, b"AbsTTL"], [b"5"]):
        assert with_absolute_expiry([b"RESTORE", b"new", *alone], now) is None
