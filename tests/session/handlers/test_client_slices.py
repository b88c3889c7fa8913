"""CLIENT LIST and CLIENT KILL over very many clients: slice by slice, and the same answers as at one go."""

import pytest

from kidoproxy.resp import limits
from kidoproxy.resp.decode import string_value
from kidoproxy.resp.encode import PONG, encode_request
from kidoproxy.session.session import ClientSession
from tests.session.stage import InMemoryProxy, ring
from tests.session.turns import finished, turn

MANY = 3 * limits.CLIENTS_PER_SLICE


def crowd() -> tuple[InMemoryProxy, ClientSession, list[ClientSession]]:
    """Somebody, and very many others."""
    stage = ring("a")
    me = stage.client("10.9.9.9:1")
    return stage, me, [stage.client(f"10.9.9.8:{at}") for at in range(MANY)]


def say(session: ClientSession, *words: bytes) -> None:
    """A request, and one behind it."""
    session.feed(encode_request(list(words)) + encode_request([b"PING"]))


def heard(session: ClientSession) -> bytes:
    """What leaves for this client, but for the last reply."""
    said = b"".join(session.replies.take_output())
    assert said.endswith(PONG)
    return said.removesuffix(PONG)


@pytest.mark.parametrize("words", [[], [b"TYPE", b"normal"], [b"ID", *[b"%d" % at for at in range(1, MANY + 9)]]])
def test_list(words: list[bytes]) -> None:
    """Each client is one line, oldest first; who goes meanwhile is left out."""
    stage, me, others = crowd()
    say(me, b"CLIENT", b"LIST", *words)
    assert me.replies.out == []
    turn(stage)
    others[-1].on_disconnect()
    others[-2].close()
    assert finished(stage) > 1
    lines = string_value(heard(me)).splitlines()
    assert [int(line.split(b" ", 1)[0][3:]) for line in lines] == list(range(1, MANY))


def test_very_many_numbers() -> None:
    """However many are asked for; one that is no number is an error."""
    stage, me, _ = crowd()
    numbers = [b"%d" % at for at in range(3 * limits.SLICE_UNITS)]
    say(me, b"CLIENT", b"LIST", b"ID", *numbers)
    assert finished(stage) >= 3
    assert len(string_value(heard(me)).splitlines()) == MANY + 1
    say(me, b"CLIENT", b"LIST", b"ID", *numbers, b"x")
    finished(stage)
    assert heard(me) == b"-ERR Invalid client ID\r\n"


@pytest.mark.parametrize("words", [[b"TYPE", b"martian"], [b"WHAT"], [b"TYPE", b"normal", b"x"]])
def test_list_that_cannot_be_understood(words: list[bytes]) -> None:
    """The same error as with few clients."""
    stage, me, _ = crowd()
    few = ring("a").client()
    say(me, b"CLIENT", b"LIST", *words)
    say(few, b"CLIENT", b"LIST", *words)
    finished(stage)
    assert heard(me) == heard(few)


def test_kill() -> None:
    """All others are closed, some at a time; the caller gets their number."""
    stage, me, others = crowd()
    say(me, b"CLIENT", b"KILL", b"TYPE", b"normal")
    others[-1].on_disconnect()
    assert finished(stage) > 1
    assert heard(me) == b":%d\r\n" % (MANY - 1)
    assert all(other.closing for other in others)
    assert not me.closing


def test_kill_oneself() -> None:
    """It gets the number, and is closed with the others."""
    stage, me, others = crowd()
    me.feed(encode_request([b"CLIENT", b"KILL", b"SKIPME", b"no"]))
    finished(stage)
    assert b"".join(me.replies.take_output()) == b":%d\r\n" % (MANY + 1)
    assert me.closing
    assert all(other.closing for other in others)


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ([b"10.9.9.8:5"], b"+OK\r\n"),
        ([b"10.9.9.8:x"], b"-ERR No such client\r\n"),
        ([b"ADDR"] * 3, b"-ERR syntax error\r\n"),
        ([b"ADDR", b"10.9.9.8:5"] * MANY, b":1\r\n"),
        ([b"ADDR", b"10.9.9.8:5"] * MANY + [b"WHAT", b"x"], b"-ERR syntax error\r\n"),
    ],
)
def test_kill_by_words(words: list[bytes], reply: bytes) -> None:
    """The old form, and the new one with however many words."""
    stage, me, _ = crowd()
    say(me, b"CLIENT", b"KILL", *words)
    finished(stage)
    assert heard(me) == reply
