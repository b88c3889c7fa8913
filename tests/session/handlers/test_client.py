"""`kidoproxy.session.handlers.client`: CLIENT as Redis answers it, for the clients of one pool."""

import pytest

from kidoproxy.commands.acl import Acl
from kidoproxy.resp import client_errors, errors, limits
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.users import User, Users
from tests.session.stage import InMemoryProxy, listening, ring, say


def lines(reply: bytes) -> list[str]:
    """The lines of a CLIENT LIST reply."""
    return reply.decode().split("\r\n")[1].splitlines()


def fields(line: str) -> dict[str, str]:
    """The fields of one line."""
    return dict(part.split("=", 1) for part in line.split(" "))


SIMPLE = [
    (["ID"], b":1\r\n"),
    (["GETREDIR"], b":-1\r\n"),
    (["GETNAME"], b"$-1\r\n"),
    (["TRACKING", "off"], b"+OK\r\n"),
    (["UNPAUSE"], b"+OK\r\n"),
    (["CAPA", "redirect"], b"+OK\r\n"),
    (["UNBLOCK", "7"], b":0\r\n"),
    (["UNBLOCK", "7", "error"], b":0\r\n"),
    (["UNBLOCK", "7", "TIMEOUT"], b":0\r\n"),
    (["UNBLOCK", "7", "x"], client_errors.BAD_UNBLOCK_REASON),
    (["UNBLOCK", "7", "error", "x"], errors.SYNTAX),
    (["UNBLOCK", "x"], errors.NOT_INTEGER),
    (["CACHING", "yes"], client_errors.CACHING_WITHOUT_TRACKING),
    (["NO-EVICT", "maybe"], errors.SYNTAX),
    (["NO-TOUCH", "maybe"], errors.SYNTAX),
    (["SETNAME", "a b"], client_errors.BAD_CLIENT_NAME),
    (["SETNAME", "a\nb"], client_errors.BAD_CLIENT_NAME),
    (["SETNAME", "gr\u00fcn"], client_errors.BAD_CLIENT_NAME),
    (["SETINFO", "LIB-NAME", "a b"], b"-ERR LIB-NAME cannot contain spaces, newlines or special characters.\r\n"),
    (["SETINFO", "lib-os", "x"], b"-ERR Unrecognized option 'lib-os'\r\n"),
    (["TRACKINGINFO"], b"*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n"),
    (["LIST", "TYPE"], errors.SYNTAX),
    (["LIST", "TYPE", "normal", "x"], errors.SYNTAX),
    (["LIST", "TYPE", "x"], b"-ERR Unknown client type 'x'\r\n"),
    (["LIST", "ID", "1", "x"], client_errors.BAD_CLIENT_ID),
    (["LIST", "TYPE", "pubsub"], b"$0\r\n\r\n"),
    (["LIST", "ID", "99"], b"$0\r\n\r\n"),
    (["KILL", "1.2.3.4:5"], client_errors.NO_SUCH_CLIENT),
    (["KILL", "ID", "x"], client_errors.BAD_KILL_ID),
    (["KILL", "ID", "0"], client_errors.BAD_KILL_ID),
    (["KILL", "MAXAGE", "x"], client_errors.BAD_MAXAGE),
    (["KILL", "MAXAGE", "-1"], client_errors.NOT_POSITIVE_MAXAGE),
    (["KILL", "TYPE", "x"], b"-ERR Unknown client type 'x'\r\n"),
    (["KILL", "USER", "eve"], b"-ERR No such user 'eve'\r\n"),
    (["KILL", "SKIPME", "x"], errors.SYNTAX),
    (["KILL", "ID", "1", "SKIPME"], errors.SYNTAX),
    (["KILL", "COLOUR", "red"], errors.SYNTAX),
    (["KILL", "ID", "99"], b":0\r\n"),
    (["REPLY", "on"], b"+OK\r\n"),
]


@pytest.mark.parametrize(("words", "reply"), SIMPLE)
def test_replies(words: list[str], reply: bytes) -> None:
    """Each as Redis says it."""
    assert say(ring("a").client(), "CLIENT", *words) == reply


@pytest.mark.parametrize("words", [["TRACKING", "on"], ["IMPORT-SOURCE", "on"]])
def test_what_is_not_served(words: list[str]) -> None:
    """What Redis has and we do not is an error that gives the reason, and the session goes on."""
    session = ring("a").client()
    reply = say(session, "CLIENT", *words)
    assert reply.startswith(f"-ERR 'client|{words[0].lower()}' is not served here: ".encode())
    assert say(session, "PING") == b"+PONG\r\n"


def test_the_handshake_of_redis_py() -> None:
    """MAINT_NOTIFICATIONS gets the error reply that redis-py expects of servers without it."""
    session = ring("a").client()
    assert say(session, "HELLO", "3")[:1] == b"%"
    reply = say(session, "CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", "internal-ip")
    assert reply == b"-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"
    assert say(session, "CLIENT", "SETINFO", "LIB-NAME", "redis-py") == b"+OK\r\n"
    assert say(session, "CLIENT", "SETINFO", "lib-ver", "8.1.0") == b"+OK\r\n"
    assert say(session, "CLIENT", "SETNAME", "x") == b"+OK\r\n"
    assert say(session, "CLIENT", "GETNAME") == b"$1\r\nx\r\n"
    assert (session.lib_name, session.lib_ver) == (b"redis-py", b"8.1.0")


def test_an_empty_name_takes_the_name_away() -> None:
    """As in Redis; RESP3 has a null of its own."""
    session = ring("a").client()
    say(session, "HELLO", "3", "SETNAME", "x")
    say(session, "CLIENT", "SETNAME", "")
    assert say(session, "CLIENT", "GETNAME") == b"_\r\n"


def test_help() -> None:
    """CLIENT HELP is a list of status lines."""
    reply = say(ring("a").client(), "CLIENT", "HELP")
    assert reply.startswith(b"*")
    assert b"+CLIENT <subcommand>" in reply


def test_inside_a_transaction() -> None:
    """CLIENT commands take their place in the reply of EXEC; CLIENT REPLY too, unless it would tear that reply."""
    session = ring("a").client()
    say(session, "MULTI")
    assert say(session, "CLIENT", "ID") == b"+QUEUED\r\n"
    assert say(session, "EXEC") == b"*1\r\n:1\r\n"
    say(session, "MULTI")
    refused = b"-ERR Command 'client|reply' not allowed inside a transaction\r\n"
    assert say(session, "CLIENT", "REPLY", "off") == say(session, "CLIENT", "REPLY", "skip") == refused
    assert say(session, "CLIENT", "REPLY", "bad") == refused


# -- INFO and LIST -------------------------------------------------------------------------------------------


def test_info_shows_the_fields_of_redis() -> None:
    """Every field of Redis 7, in its order, one space between."""
    stage = ring("a")
    session = stage.client()
    say(session, "SELECT", "3")
    say(session, "CLIENT", "SETINFO", "LIB-NAME", "redis-py")
    say(session, "CLIENT", "NO-TOUCH", "on")
    say(session, "CLIENT", "NO-EVICT", "on")
    stage.proxy.clock.ms += 7_500
    shown = fields(lines(say(session, "CLIENT", "INFO"))[0])
    assert " ".join(shown) == (
        "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem multi-mem rbs rbp "
        "obl oll omem tot-mem events cmd user redir resp lib-name lib-ver"
    )
    assert shown["addr"] == "10.9.9.9:5000"
    assert shown["laddr"] == "127.0.0.1:6380"
    assert (shown["age"], shown["idle"]) == ("7", "0")
    assert (shown["flags"], shown["db"], shown["multi"], shown["resp"]) == ("eT", "3", "-1", "2")
    assert (shown["cmd"], shown["user"], shown["lib-name"]) == ("client|info", "default", "redis-py")


def test_list_shows_states() -> None:
    """A transaction, unread bytes and unwritten replies of others can be seen; RESP3 gets a verbatim text."""
    stage = ring("a")
    first, second = stage.client(), stage.client("10.9.9.8:1")
    first.feed(b"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n*2\r\n$3")
    stage.proxy.clock.ms += 3_000
    say(second, "HELLO", "3")
    reply = say(second, "CLIENT", "LIST")
    assert reply.startswith(b"=")
    assert b"\r\ntxt:id=1 addr=10.9.9.9:5000 " in reply
    shown = [fields(line) for line in lines(reply)]
    assert (shown[0]["flags"], shown[0]["multi"], shown[0]["idle"], shown[0]["qbuf"]) == ("x", "1", "3", "6")
    queued = str(
        len("*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n") + limits.REQUEST_OVERHEAD_BYTES + 2 * limits.ARGUMENT_OVERHEAD_BYTES
    )
    assert (shown[0]["multi-mem"], shown[0]["oll"], shown[0]["omem"], shown[0]["events"]) == (queued, "2", "14", "rw")
    assert (shown[1]["flags"], shown[1]["resp"]) == ("N", "3")


def test_who_listens() -> None:
    """A client that has subscribed has the flag P and its counts; its kind is ``pubsub``, no longer ``normal``."""
    stage = ring("a")
    first, second = stage.client(), stage.client()
    listening(stage, second, "news")
    shown = fields(lines(say(first, "CLIENT", "LIST", "TYPE", "PubSub"))[0])
    assert (shown["id"], shown["flags"], shown["cmd"]) == ("2", "P", "subscribe")
    assert (shown["sub"], shown["psub"], shown["ssub"]) == ("1", "0", "0")
    assert [fields(line)["id"] for line in lines(say(first, "CLIENT", "LIST", "TYPE", "normal"))] == ["1"]
    assert say(first, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") == b":0\r\n"
    assert say(first, "CLIENT", "KILL", "TYPE", "pubsub") == b":1\r\n"
    assert (first.closing, second.closing) == (False, True)


def test_list_chooses() -> None:
    """By kind, and by ids; clients of another pool are not shown."""
    stage = ring("a")
    first, second, third = stage.client(), stage.client(), stage.client()
    third.context = PoolContext("other", "ring", stage.pool.root, stage.pool.commands)
    assert [fields(line)["id"] for line in lines(say(first, "CLIENT", "LIST"))] == ["1", "2"]
    assert len(lines(say(first, "CLIENT", "LIST", "TYPE", "NORMAL"))) == 2
    assert [fields(line)["id"] for line in lines(say(second, "CLIENT", "LIST", "ID", "2", "3"))] == ["2"]


# -- KILL --------------------------------------------------------------------------------------------------------


def crowd() -> InMemoryProxy:
    """Three clients with addresses of their own; the second is ten seconds younger."""
    stage = ring("a")
    stage.client("1.1.1.1:1", "127.0.0.1:6380")
    stage.proxy.clock.ms += 10_000
    stage.client("2.2.2.2:2", "127.0.0.1:6381")
    stage.client("3.3.3.3:3", "127.0.0.1:6380")
    return stage


@pytest.mark.parametrize(
    ("words", "killed"),
    [
        (["ID", "2"], [2]),
        (["ID", "1"], []),
        (["ID", "1", "SKIPME", "no"], [1]),
        (["ADDR", "3.3.3.3:3"], [3]),
        (["LADDR", "127.0.0.1:6380"], [3]),
        (["LADDR", "127.0.0.1:6380", "skipme", "NO"], [1, 3]),
        (["LADDR", "127.0.0.1:6381", "ADDR", "3.3.3.3:3"], []),
        (["TYPE", "normal"], [2, 3]),
        (["TYPE", "pubsub"], []),
        (["USER", "default", "SKIPME", "yes"], [2, 3]),
        (["MAXAGE", "10", "SKIPME", "no"], [1]),
        (["MAXAGE", "11", "SKIPME", "no"], []),
    ],
)
def test_kill(words: list[str], killed: list[int]) -> None:
    """The new form closes all that every filter fits, and says how many; from then on they are clients no more."""
    stage = crowd()
    me = stage.proxy.sessions[1]
    assert say(me, "CLIENT", "KILL", *words) == b":%d\r\n" % len(killed)
    assert [session.id for session in stage.proxy.sessions.values() if session.closing] == killed
    if 1 not in killed:
        assert say(me, "CLIENT", "KILL", *words) == b":0\r\n"
        shown = [int(fields(line)["id"]) for line in lines(say(me, "CLIENT", "LIST"))]
        assert shown == [number for number in (1, 2, 3) if number not in killed]


def test_users() -> None:
    """CLIENT LIST names them, CLIENT KILL USER chooses by them; who has not said AUTH is the default one."""
    stage = ring("a")
    stage.pool.users = Users([User(b"alice", Acl(), True, True, [])])
    me, other, third = stage.client(), stage.client(), stage.client()
    say(other, "AUTH", "alice", "x")
    assert [fields(line)["user"] for line in lines(say(me, "CLIENT", "LIST"))] == ["default", "alice", "default"]
    assert say(me, "CLIENT", "KILL", "USER", "alice") == b":1\r\n"
    assert (me.closing, other.closing, third.closing) == (False, True, False)
    assert say(me, "CLIENT", "KILL", "USER", "bob") == b"-ERR No such user 'bob'\r\n"


def test_kill_by_address_alone() -> None:
    """The old form is answered +OK, and may mean oneself: the reply leaves before the socket is closed."""
    stage = crowd()
    me = stage.proxy.sessions[1]
    assert say(me, "CLIENT", "KILL", "2.2.2.2:2") == b"+OK\r\n"
    assert say(me, "CLIENT", "KILL", "2.2.2.2:2") == client_errors.NO_SUCH_CLIENT
    assert say(me, "CLIENT", "KILL", "1.1.1.1:1") == b"+OK\r\n"
    assert me.closing


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0),
        (b"-1", -1),
        (b"9223372036854775807", 9223372036854775807),
        (b"9223372036854775808", None),
        (b"-9223372036854775808", -9223372036854775808),
        (b"99999999999999999999", None),
        (b"", None),
        (b"-", None),
        (b"+1", None),
        (b"01", None),
        (b"-0", None),
        (b" 1", None),
        (b"1 ", None),
        ("\u0661".encode(), None),
    ],
)
def test_numbers_are_read_as_redis_reads_them(text: bytes, value: int | None) -> None:
    """No sign but a minus, no leading zero, no blank, 64 bits."""
    assert parse_int64(text) == value


def test_reply_on_in_a_transaction() -> None:
    """It changes nothing, and is answered like any other; while nothing is answered it is refused, and EXEC aborts."""
    session = ring("a").client()
    say(session, "MULTI")
    assert say(session, "CLIENT", "REPLY", "ON") == b"+QUEUED\r\n"
    assert say(session, "EXEC") == b"*1\r\n+OK\r\n"
    assert say(session, "CLIENT", "REPLY", "OFF") == b""
    for words in (["MULTI"], ["CLIENT", "REPLY", "ON"], ["EXEC"], ["PING"]):
        assert say(session, *words) == b""
    assert say(session, "CLIENT", "REPLY", "ON") == b"+OK\r\n"
