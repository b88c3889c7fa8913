"""Some keys from one node to another while writes go on: what is asked, what is put right, what is held back."""

import pytest

from kidoproxy.copies.transfer import Answers, Boss, Transfer, expiry_request, first_error, moment
from kidoproxy.routes.topology import Node
from tests.story import copies, story


@pytest.mark.parametrize(
    ("version", "name"), [(b"7.0.15", b"PEXPIRETIME"), (b"10.1", b"PEXPIRETIME"), (b"6.2.1", b"PTTL"), (b"", b"PTTL")]
)
def test_expiry_request(version: bytes, name: bytes) -> None:
    """A moment where the server can say it, time left elsewhere."""
    server = Node(0, "a", "a:6379", 1)
    server.version = version

    assert expiry_request(server, b"k") == [name, b"k"]


def test_moment() -> None:
    """Whatever was asked, the answer becomes a moment; none is 0."""
    assert moment([b"PEXPIRETIME", b"k"], b":123\r\n", 1000) == 123
    assert moment([b"PTTL", b"k"], b":123\r\n", 1000) == 1123
    assert moment([b"PTTL", b"k"], b":-1\r\n", 1000) == 0


def test_first_error() -> None:
    """The first error among the replies, for a person."""
    assert first_error([b"+OK\r\n", b"-ERR one\r\n", b"-ERR two\r\n"]) == "ERR one"
    assert first_error([b"+OK\r\n"]) == ""


def test_nobody_is_told() -> None:
    """A transfer that nobody began tells nobody; who wants to know must say what he does then."""
    play = story(copies("a", "b"))
    transfer = Transfer(play.exchange, play.node("a"), play.node("b"), 0, [b"k"], False, 0)
    transfer.finish("over")
    assert transfer.problem == "over"
    with pytest.raises(NotImplementedError):
        Answers(Boss(), 1).fill(0, b"")
