"""The handshake: what is sent, what the replies come to, and what may be shown of them."""

import pytest

from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions, parse_handshake
from tests.greet import HANDSHAKE
from tests.story import (
    accepted,
    client,
    node,
    ring,
    silence,
    story,
    to,
    to_client,
)
from tests.upstream.handshakes import handshaking


@pytest.mark.parametrize(
    ("login", "mode", "requests"),
    [
        (ConnectionOptions(), (2, 0), [*HANDSHAKE]),
        (ConnectionOptions("", "pw"), (2, 0), ["AUTH pw", *HANDSHAKE]),
        (ConnectionOptions("me", "pw"), (2, 3), ["AUTH me pw", "SELECT 3", *HANDSHAKE[1:]]),
        (ConnectionOptions(), (3, 0), ["HELLO 3", *HANDSHAKE[1:]]),
        (ConnectionOptions("", "pw"), (3, 1), ["HELLO 3 AUTH default pw", "SELECT 1", *HANDSHAKE[1:]]),
        (ConnectionOptions("me", "pw"), (3, 0), ["HELLO 3 AUTH me pw", *HANDSHAKE[1:]]),
    ],
)
def test_requests(login: ConnectionOptions, mode: tuple[int, int], requests: list[str]) -> None:
    """Log in, choose protocol and database, ask who is there."""
    conn = NodeConnection(Node(0, "a", "a:6379", 1), login, mode[0], mode[1], [])
    conn.start_connecting()
    conn.on_connected(1.0, 1.0)

    assert b"".join(conn.take_output()) == b"".join(
        [encode_request([word.encode() for word in row.split()]) for row in requests]
    )


def test_the_requests_that_tests_know() -> None:
    """The helpers of the tests answer every request of the handshake."""
    assert b"".join(handshaking().take_output()) == b"".join(
        [encode_request([word.encode() for word in row.split()]) for row in ("AUTH me pw", *HANDSHAKE)]
    )


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("ERR unknown command 'AUTH', with args beginning with: 'me' 's3cret' ", "ERR unknown command 'AUTH'"),
        ("ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `me`, ", "ERR unknown command `HELLO`"),
        ("ERR what is s3cret?", "ERR what is ***?"),
        ("DENIED \x1b[2J" + "x" * 900, "DENIED  [2J" + "x" * 127 + "..."),
        ("ERR \x00\x7fé", "ERR   é"),
    ],
)
def test_a_node_that_talks_of_secrets_or_without_end(said: str, shown: str) -> None:
    """What a node says about our login is shown without it, without control characters, and never at full length."""
    play = story(ring("a"), shy=True, logins=ConnectionOptions("me", "s3cret"))
    play = play >> client("GET {a}1") >> accepted("a") << to("a", "AUTH me s3cret", *HANDSHAKE)
    play = play >> node("a", f"-{said}\r\n".encode(), *["-NOAUTH no"] * 3)
    cause = play.node("a").cause
    line = NodeFailure("NODEDOWN", "a", "a:6379", cause, False).error_reply(False)
    assert play << to_client(line) << silence()
    assert line.startswith(f"-NODEDOWN a a:6379 ({shown[:100]}".encode())
    assert "s3cret" not in cause
    assert cause.isprintable()
    assert len(cause) <= 200


def test_a_login_without_a_password_hides_nothing() -> None:
    """There is nothing to hide."""
    assert ConnectionOptions().login.redacted_error(b"ERR no") == "ERR no"


def test_a_number_with_attributes_in_front() -> None:
    """They are no part of it; what has too many digits is none."""
    requests = [[b"CLIENT", b"ID"]]
    assert parse_handshake(requests, [b"|1\r\n+a\r\n+b\r\n:12\r\n"]).client_id == b"12"
    assert parse_handshake(requests, [b":" + b"9" * 40 + b"\r\n"]).client_id == b""


@pytest.mark.parametrize(
    ("reply", "known"),
    [
        (b"*0\r\n", True),
        (b"-ERR unknown command 'HELLO'\r\n", False),
        (b"-NOPERM no\r\n", False),
        (b"-NOAUTH no\r\n", None),
    ],
)
def test_what_an_answer_to_hello_tells(reply: bytes, known: bool | None) -> None:
    """Whether the node has RESP3 for us; an error that is about something else tells nothing of that."""
    found = parse_handshake([[b"HELLO", b"2"]], [reply])
    assert (found.resp3, found.refusal) == (known, b"")
