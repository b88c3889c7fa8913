"""EXEC of very many commands: planned and dealt out in slices, sent at one go."""

import pytest

from kidoproxy.resp import limits
from kidoproxy.resp.decode import items
from kidoproxy.resp.encode import OK, PONG, QUEUED, array, encode_request, integer
from kidoproxy.session.session import ClientSession
from tests.session.stage import InMemoryProxy, copies, key_on, ring
from tests.session.turns import asked, finished, turn
from tests.story import request

MANY = 2 * limits.SLICE_UNITS + 1
MULTI, EXEC, PING = request("MULTI"), request("EXEC"), request("PING")


def queued(stage: InMemoryProxy, *requests: bytes) -> ClientSession:
    """A client that has queued all these, and been told so."""
    session = stage.client()
    session.feed(MULTI + b"".join(requests))
    finished(stage)
    assert b"".join(session.replies.take_output()) == OK + QUEUED * len(requests)
    return session


def two() -> tuple[InMemoryProxy, str, str]:
    """A ring of two nodes, and a key on each."""
    stage = ring("a", "b")
    stage.ready()
    return stage, key_on(stage, "a"), key_on(stage, "b")


def test_for_one_node_and_for_several() -> None:
    """Nothing leaves before all is planned; each command's reply takes its place, the proxy's own ones too."""
    stage, a, b = two()
    words = [f"GET {a}", f"GET {b}", "PING"] * (MANY // 3)
    session = queued(stage, *map(request, words))
    other = stage.client()
    session.feed(EXEC + PING)
    other.feed(PING)
    turns = 0
    while not any(asked(stage, name, None) for name in "ab"):
        turn(stage)
        turns += 1
    assert turns >= 4
    assert other.replies.out == [PONG]
    for name, value in (("a", b":1\r\n"), ("b", b":2\r\n")):
        count = MANY // 3
        stage.connection(name).feed(OK + QUEUED * count + array([value] * count), 0.0)
    finished(stage)
    assert b"".join(session.replies.take_output()) == array([b":1\r\n", b":2\r\n", PONG] * (MANY // 3)) + PONG


def test_long_requests_among_them() -> None:
    """They are planned in slices when they are queued, and again when they are sent; a refusal is told at once."""
    stage, _, _ = two()
    names = [b"k%d" % at for at in range(MANY)]
    session = queued(stage, encode_request([b"DEL", *names]))
    session.feed(encode_request([b"SUNION", *names]))
    finished(stage)
    assert b"".join(session.replies.take_output()).startswith(b"-CROSSSLOT")
    session.feed(EXEC)
    assert b"".join(session.replies.take_output()).startswith(b"-EXECABORT")
    session = queued(stage, encode_request([b"DEL", *names]))
    session.feed(EXEC)
    assert finished(stage) >= MANY // limits.SLICE_UNITS
    told = [words for name in "ab" for words in asked(stage, name, b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")]
    assert sum(len(words) - 1 for words in told if words[0] == b"DEL") == MANY
    assert b"".join(session.replies.take_output()) == array([integer(2)])


def test_large_answers_of_our_own() -> None:
    """What the proxy itself answers counts by its bytes there as well."""
    stage, a, _ = two()
    session = queued(stage, *[request("COMMAND")] * 20, request(f"GET {a}"))
    session.feed(EXEC)
    assert finished(stage) >= 3
    asked(stage, "a", b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")
    assert len(items(b"".join(session.replies.take_output()))) == 21


@pytest.mark.parametrize("turns", range(5))  # three slices of planning, two of dealing out
def test_a_client_that_is_killed_meanwhile(turns: int) -> None:
    """Whenever it is: nothing is sent, nothing is owed, and its socket can be closed."""
    stage, a, b = two()
    session = queued(stage, *[request(f"GET {a}"), request(f"GET {b}")] * (limits.SLICE_UNITS + 1))
    session.feed(EXEC)
    for _ in range(turns):
        turn(stage)
    assert session.current_job is not None
    session.close()
    finished(stage)
    assert session.replies.open_count() == 0
    assert not asked(stage, "a", None)
    assert not asked(stage, "b", None)


def test_a_watched_key_that_changes_while_it_is_planned() -> None:
    """In a copy pool the last look is one step with the sending: EXEC is answered with null, nothing is sent."""
    stage = copies("a", "b")
    stage.ready()
    session = stage.client()
    session.feed(request("WATCH k"))
    for name in "ab":
        asked(stage, name, b":-1\r\n")
    assert b"".join(session.replies.take_output()) == OK
    session.feed(MULTI + request("SET k 1") * MANY)
    finished(stage)
    session.replies.take_output()
    session.feed(EXEC)
    assert session.current_job is not None
    other = stage.client()
    other.feed(request("SET k 2"))
    for name in "ab":
        asked(stage, name, OK)
    finished(stage)
    assert b"".join(session.replies.take_output()) == b"*-1\r\n"
    assert not asked(stage, "a", None)
