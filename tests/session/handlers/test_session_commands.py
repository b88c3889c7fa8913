"""`kidoproxy.session.handlers.session_commands`: HELLO, AUTH, SELECT and RESET to the byte, as Redis answers them."""

import pytest

from kidoproxy.resp import client_errors, errors
from kidoproxy.session.handlers import session_commands
from kidoproxy.session.session import ClientSession
from tests.session.stage import InMemoryProxy, asked, key_on, request, ring, say
from tests.story import only_default

FLAT = (
    b"$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:%d\r\n$2\r\nid\r\n:1\r\n"
    b"$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
)
HELLO_2 = b"*14\r\n" + FLAT % 2
HELLO_3 = b"%7\r\n" + FLAT % 3


def locked() -> tuple[InMemoryProxy, ClientSession]:
    """A pool with a password, and a client that has not said it."""
    stage = ring("a", "b")
    stage.pool.users = only_default(b"secret")
    return stage, stage.client()


# -- HELLO ---------------------------------------------------------------------------------------------


def test_hello_introduces_us() -> None:
    """In RESP2 a flat array, in RESP3 a map; without a version the protocol stays."""
    session = ring("a", "b").client()
    assert say(session, "HELLO") == HELLO_2
    assert say(session, "HELLO", "3") == HELLO_3
    assert say(session, "hello") == HELLO_3
    assert say(session, "HELLO", "2") == HELLO_2


REFUSED = [
    (["HELLO", "4"], client_errors.NOPROTO),
    (["HELLO", "1"], client_errors.NOPROTO),
    (["HELLO", "-3"], client_errors.NOPROTO),
    (["HELLO", "x"], client_errors.BAD_PROTO),
    (["HELLO", "03"], client_errors.BAD_PROTO),
    (["HELLO", ""], client_errors.BAD_PROTO),
    (["HELLO", "AUTH", "default", "x"], client_errors.BAD_PROTO),
    (["HELLO", "3", "AUTH", "default"], b"-ERR Syntax error in HELLO option 'AUTH'\r\n"),
    (["HELLO", "3", "SETNAME"], b"-ERR Syntax error in HELLO option 'SETNAME'\r\n"),
    (["HELLO", "3", "PLEASE", "x"], b"-ERR Syntax error in HELLO option 'PLEASE'\r\n"),
    (["HELLO", "3", "SETNAME", "two words"], client_errors.BAD_CLIENT_NAME),
    (["HELLO", "3", "AUTH", "somebody", "x"], client_errors.WRONGPASS),
]


@pytest.mark.parametrize(("words", "reply"), REFUSED)
def test_hello_refused(words: list[str], reply: bytes) -> None:
    """A HELLO that is refused changes nothing."""
    session = ring("a").client()
    assert say(session, *words) == reply
    assert (session.proto, session.name) == (2, b"")


def test_hello_with_auth_and_name() -> None:
    """One HELLO logs in, chooses the protocol and names the client."""
    _, session = locked()
    assert say(session, "HELLO", "3", "AUTH", "default", "secret", "SETNAME", "worker-1") == HELLO_3
    assert (session.authed, session.proto, session.name) == (True, 3, b"worker-1")
    assert say(session, "CLIENT", "GETNAME") == b"$8\r\nworker-1\r\n"


def test_hello_before_auth() -> None:
    """Without the password HELLO says how it can be given, and the protocol stays."""
    _, session = locked()
    assert say(session, "HELLO", "3") == client_errors.HELLO_NOAUTH
    assert say(session, "HELLO", "3", "AUTH", "default", "guess") == client_errors.WRONGPASS
    assert (session.authed, session.proto) == (False, 2)
    assert say(session, "GET", "k") == client_errors.NOAUTH


def test_any_password_will_do_where_none_is_set() -> None:
    """As in Redis, whose default user then has no password."""
    session = ring("a").client()
    assert say(session, "HELLO", "2", "AUTH", "default", "whatever") == HELLO_2


@pytest.mark.parametrize(
    ("versions", "shown"),
    [
        (["", ""], b"7.2.4"),
        (["7.0.15", ""], b"7.0.15"),
        (["7.0.15", "6.2.9"], b"6.2.9"),
        (["8.4.0", "9.0.1"], b"7.2.4"),
        (["7.10.0", "7.2.rc1"], b"7.2.rc1"),
    ],
)
def test_version(versions: list[str], shown: bytes) -> None:
    """The oldest node's, so that no client expects what one of them lacks; never beyond the last common one."""
    stage = ring("a", "b")
    for node, version in zip(stage.nodes, versions, strict=True):
        node.version = version.encode()
    assert session_commands.advertised_version(stage.client()) == shown


# -- AUTH ------------------------------------------------------------------------------------------------

AUTHS = [
    (["AUTH", "secret"], b"+OK\r\n", True),
    (["AUTH", "default", "secret"], b"+OK\r\n", True),
    (["AUTH", "guess"], client_errors.WRONGPASS, False),
    (["AUTH", b"\xff"], client_errors.WRONGPASS, False),
    (["AUTH", "somebody", "secret"], client_errors.WRONGPASS, False),
    (["AUTH", "default", "secret", "x"], errors.SYNTAX, False),
    (["AUTH"], b"-ERR wrong number of arguments for 'auth' command\r\n", False),
]


@pytest.mark.parametrize(("words", "reply", "inside"), AUTHS)
def test_auth(words: list[str | bytes], reply: bytes, inside: bool) -> None:
    """Only the user ``default`` with the pool's password gets in."""
    _, session = locked()
    assert say(session, *words) == reply
    assert session.authed is inside
    assert (say(session, "PING") == b"+PONG\r\n") is inside


def test_a_wrong_password_does_not_log_out() -> None:
    """Who is logged in stays it."""
    _, session = locked()
    say(session, "AUTH", "secret")
    assert say(session, "AUTH", "guess") == client_errors.WRONGPASS
    assert say(session, "PING") == b"+PONG\r\n"


def test_auth_where_no_password_is_set() -> None:
    """The short form is a mistake of the operator's; the long one is accepted for ``default``."""
    session = ring("a").client()
    assert say(session, "AUTH", "x") == client_errors.NO_PASSWORD_SET
    assert say(session, "AUTH", "default", "x") == b"+OK\r\n"
    assert say(session, "AUTH", "somebody", "x") == client_errors.WRONGPASS


# -- SELECT and RESET --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("3", b"+OK\r\n"),
        ("0", b"+OK\r\n"),
        ("4", client_errors.BAD_DB),
        ("-1", client_errors.BAD_DB),
        ("x", errors.NOT_INTEGER),
        ("1.5", errors.NOT_INTEGER),
        ("99999999999", client_errors.NOT_INT32),
        ("-99999999999", client_errors.NOT_INT32),
    ],
)
def test_select(text: str, reply: bytes) -> None:
    """Within the pool's number of databases, and as strict about numbers as Redis."""
    stage = ring("a")
    stage.pool.databases = 4
    session = stage.client()
    assert say(session, "SELECT", text) == reply
    assert session.db == (int(text) if reply == b"+OK\r\n" else 0)


def test_select_chooses_the_link() -> None:
    """Later requests go to the database on every node of the ring."""
    stage = ring("a", "b")
    key = key_on(stage, "b")
    conn = stage.connection("b", 2, 1)
    session = stage.client()
    say(session, "SELECT", "1")
    say(session, "GET", key)
    assert asked(conn) == request("GET", key)


def test_reset() -> None:
    """As if the client had just connected, but for its id."""
    stage, session = locked()
    say(session, "HELLO", "3", "AUTH", "default", "secret", "SETNAME", "x")
    say(session, "SELECT", "2")
    say(session, "CLIENT", "NO-EVICT", "on")
    say(session, "CLIENT", "NO-TOUCH", "on")
    say(session, "MULTI")
    assert say(session, "RESET") == b"+RESET\r\n"
    assert (session.proto, session.db, session.name, session.authed, session.multi) == (2, 0, b"", False, None)
    assert (session.no_evict, session.no_touch) == (False, False)
    assert say(session, "GET", "k") == client_errors.NOAUTH
    assert stage.proxy.sessions == {1: session}
