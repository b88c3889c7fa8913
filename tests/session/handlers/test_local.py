"""`kidoproxy.session.handlers.local`: what needs no node is answered when all nodes are down."""

import pytest

from tests.decoding import decode
from tests.session.stage import ring, say

CASES = [
    (["PING"], b"+PONG\r\n"),
    (["ping", "hello"], b"$5\r\nhello\r\n"),
    (["PING", "a", "b"], b"-ERR wrong number of arguments for 'ping' command\r\n"),
    (["ECHO", b"a\r\n\xff"], b"$4\r\na\r\n\xff\r\n"),
    (["ECHO"], b"-ERR wrong number of arguments for 'echo' command\r\n"),
    (["TIME"], b"*2\r\n$10\r\n1700000090\r\n$6\r\n123000\r\n"),
    (["LASTSAVE"], b":1700000000\r\n"),
    (["ROLE"], b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"),
    (["READONLY"], b"-ERR This instance has cluster support disabled\r\n"),
    (["READWRITE"], b"-ERR This instance has cluster support disabled\r\n"),
]


@pytest.mark.parametrize(("words", "reply"), CASES)
def test_answers(words: list[str | bytes], reply: bytes) -> None:
    """Each of them looks as Redis's own, and no node is asked."""
    stage = ring("a", "b")
    stage.proxy.clock.ms += 123
    session = stage.client()
    assert say(session, *words) == reply
    assert stage.executor.all_connections() == []


def test_command_tells_what_is_served_here() -> None:
    """COMMAND and its subcommands are answered from the table, in the client's protocol."""
    session = ring("a").client()
    info = decode(say(session, "COMMAND", "INFO", "get"))
    assert isinstance(info, list)
    assert info[0][:2] == [b"get", 2]
    assert say(session, "COMMAND", "COUNT")[:1] == b":"


def test_inside_a_transaction() -> None:
    """What is answered here takes its place in the reply of EXEC."""
    session = ring("a").client()
    assert say(session, "MULTI") == b"+OK\r\n"
    assert say(session, "PING") == b"+QUEUED\r\n"
    assert say(session, "ECHO", "x") == b"+QUEUED\r\n"
    assert say(session, "EXEC") == b"*2\r\n+PONG\r\n$1\r\nx\r\n"
