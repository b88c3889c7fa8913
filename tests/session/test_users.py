"""Users: who may log in, and what a session is told when its user may not do something."""

import pytest

from kidoproxy.commands.acl import Acl
from kidoproxy.commands.command_set import CommandSet
from kidoproxy.commands.module_commands import parse_command_info
from kidoproxy.resp import client_errors, errors
from kidoproxy.session.session import ClientSession
from kidoproxy.session.users import User, Users, password_digest
from tests.session.stage import InMemoryProxy, asked, copies, heard, request, ring, say

OK = b"+OK\r\n"


def user(
    name: str,
    commands: str = "+@all",
    keys: tuple[bytes, ...] = (b"~*",),
    channels: tuple[bytes, ...] = (b"&*",),
    enabled: bool = True,
) -> User:
    """A user whose password is the name, backwards."""
    return User(name.encode(), Acl(commands, keys, channels), enabled, False, [password_digest(name[::-1].encode())])


def alone(commands: str, keys: tuple[bytes, ...] = (b"~*",), channels: tuple[bytes, ...] = (b"&*",)) -> Users:
    """Everybody is the default user, with these rules and no password."""
    return Users([User(b"default", Acl(commands, keys, channels), True, True, [])])


def limited(commands: str, keys: tuple[bytes, ...] = (b"~*",), channels: tuple[bytes, ...] = (b"&*",)) -> ClientSession:
    """A client of two nodes whose user is limited."""
    stage = ring("a", "b")
    stage.pool.users = alone(commands, keys, channels)
    stage.ready()
    return stage.client()


def no(name: str) -> bytes:
    """The command is denied."""
    return f"-NOPERM this user has no permissions to run the '{name}' command\r\n".encode()


# -- logging in ------------------------------------------------------------------------------------------


def team() -> InMemoryProxy:
    """Three users beside the default one, who is open."""
    stage = ring("a")
    stage.pool.users = Users([user("alice"), user("bob", "+@read"), user("eve", enabled=False)])
    return stage


def test_auth_with_a_name() -> None:
    """Each user has a password of its own; ACL WHOAMI tells who is meant."""
    stage = team()
    session = stage.client()
    assert say(session, "ACL", "WHOAMI") == b"$7\r\ndefault\r\n"
    assert say(session, "AUTH", "alice", "ecila") == OK
    assert say(session, "ACL", "WHOAMI") == b"$5\r\nalice\r\n"
    assert say(session, "HELLO", "3", "AUTH", "bob", "bob")[:1] == b"%"
    assert session.user.name == b"bob"
    assert stage.proxy.auth_failures == 0


@pytest.mark.parametrize("words", [["alice", "x"], ["eve", "eve"], ["nobody", "x"], ["Alice", "ecila"], ["alice", ""]])
def test_a_login_that_fails(words: list[str]) -> None:
    """Wrong password, disabled, unknown: the same words, and who is logged in stays it. It is counted."""
    stage = team()
    session = stage.client()
    say(session, "AUTH", "bob", "bob")
    assert say(session, "AUTH", *words) == client_errors.WRONGPASS
    assert say(session, "HELLO", "3", "AUTH", *words) == client_errors.WRONGPASS
    assert (session.user.name, session.authed, session.proto) == (b"bob", True, 2)
    assert stage.proxy.auth_failures == 2


def test_reset_goes_back_to_the_default_user() -> None:
    """Who need not say anything is in, all others must say AUTH again."""
    session = team().client()
    say(session, "AUTH", "bob", "bob")
    say(session, "RESET")
    assert (session.user.name, session.authed, session.fast_path) == (b"default", True, True)


def test_a_disabled_default_user_is_nobody() -> None:
    """Every client must say who it is, and nobody can be the default user."""
    stage = ring("a")
    stage.pool.users = Users([User(b"default", Acl(), False, True, []), user("alice")])
    session = stage.client()
    assert say(session, "GET", "k") == client_errors.NOAUTH
    assert say(session, "AUTH", "default", "x") == client_errors.WRONGPASS
    assert say(session, "AUTH", "x") == client_errors.NO_PASSWORD_SET
    assert say(session, "AUTH", "alice", "ecila") == OK
    assert say(session, "PING") == b"+PONG\r\n"
    assert say(session, "RESET") == b"+RESET\r\n"
    assert say(session, "PING") == client_errors.NOAUTH


def test_any_of_several_passwords() -> None:
    """So that one can be changed without a moment in which nobody gets in."""
    one = User(b"u", Acl(), True, False, [password_digest(b"old"), password_digest(b"new")])
    users = Users([one])
    assert users.authenticate(b"u", b"old") is users.authenticate(b"u", b"new") is one
    assert users.authenticate(b"u", b"other") is None


def test_passwords_are_not_shown() -> None:
    """Neither they nor their hashes."""
    assert repr(user("alice")) == "<user alice>"
    assert repr(user("eve", enabled=False)) == "<user eve, disabled>"


# -- what is denied ----------------------------------------------------------------------------------------


def test_a_free_user_takes_the_short_way() -> None:
    """A pool without limited users runs as if there were none."""
    session = team().client()
    assert session.fast_path
    say(session, "AUTH", "alice", "ecila")
    assert session.fast_path
    say(session, "AUTH", "bob", "bob")
    assert not session.fast_path


def test_commands() -> None:
    """What is allowed reaches its node, what is not reaches nobody."""
    stage = ring("a")
    stage.pool.users = alone("+@read +config|get")
    conn = stage.connection("a")
    session = stage.client()
    assert say(session, "GET", "k") == b""
    assert asked(conn) == request("GET", "k")
    conn.feed(b"$1\r\nv\r\n", 0.0)
    assert heard(session) == b"$1\r\nv\r\n"
    assert say(session, "SET", "k", "v") == no("set")
    assert say(session, "CONFIG", "SET", "a", "b") == no("config|set")
    assert say(session, "PING") == no("ping")
    assert asked(conn) == b""
    assert stage.proxy.commands_rejected == 3


def test_keys_and_channels() -> None:
    """They are not named in the error, as in Redis."""
    session = limited("+@all", (b"~a:*",), (b"&a:*",))
    assert say(session, "GET", "b:1") == client_errors.NOPERM_KEY
    assert say(session, "MGET", "a:1", "b:1") == client_errors.NOPERM_KEY
    assert say(session, "XREAD", "STREAMS", "b:1", "0") == client_errors.NOPERM_KEY
    assert say(session, "PUBLISH", "b:1", "x") == client_errors.NOPERM_CHANNEL


def test_sort_that_reads_other_keys() -> None:
    """It takes the right to read any key."""
    session = limited("+@all", (b"~a:*",))
    assert say(session, "SORT", "a:1", "BY", "w_*") == client_errors.sort_denied("BY")
    assert say(session, "SORT", "a:1", "GET", "#") == client_errors.sort_denied("GET")
    assert say(session, "SORT", "a:1", "BY", "nosort") == b""
    assert say(limited("+@all", (b"%R~*",)), "SORT", "a:1", "GET", "#") == b""


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        (["NOSUCH"], b"-ERR unknown command 'NOSUCH', with args beginning with: \r\n"),
        (["CONFIG", "NOSUCH"], b"-ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.\r\n"),
        (["SET"], errors.wrong_arity(b"set")),
        (["SET", "k", "v"], no("set")),
        (["SHUTDOWN"], no("shutdown")),
        (["EVAL", "return 1", "0"], no("eval")),
    ],
)
def test_order(words: list[str], reply: bytes) -> None:
    """As Redis: known, enough words, logged in, allowed; and only then whether it is served."""
    stage = ring("a")
    stage.pool.users = alone("+@read")
    stage.pool.commands.record_lookup(b"nosuch", None)
    assert say(stage.client(), *words) == reply


def test_who_is_not_logged_in_hears_that_first() -> None:
    """Before any permission; to log in and to reset needs none."""
    stage = ring("a")
    stage.pool.users = Users([User(b"default", Acl(""), True, False, [password_digest(b"x")])])
    session = stage.client()
    assert say(session, "GET", "k") == client_errors.NOAUTH
    assert say(session, "AUTH", "x") == OK
    assert say(session, "GET", "k") == no("get")
    assert say(session, "RESET") == b"+RESET\r\n"
    assert say(session, "QUIT") == OK


def test_in_a_transaction() -> None:
    """Denied while it is queued, which makes EXEC abort."""
    session = limited("+@read +@transaction")
    assert say(session, "MULTI") == OK
    assert say(session, "GET", "k") == b"+QUEUED\r\n"
    assert say(session, "SET", "k", "v") == no("set")
    assert say(session, "EXEC") == errors.EXECABORT
    assert say(limited("+@read"), "MULTI") == no("multi")


def test_a_renamed_command_is_what_it_really_is() -> None:
    """Rules speak of Redis's names, and so do the errors."""
    stage = ring("a", words=CommandSet(frozenset(), frozenset(), {b"get": b"fetch"}))
    stage.pool.users = alone("+@all -get")
    assert say(stage.client(), "FETCH", "k") == no("get")


@pytest.mark.parametrize("way", [["NODE", "a"], ["EACH"]])
def test_nothing_more_through_proxy(way: list[str]) -> None:
    """What somebody may not do is not done for them by PROXY."""
    stage = copies("a", "b")
    stage.pool.users = alone("+@read +proxy", (b"~a:*",))
    conn = stage.connection("a")
    session = stage.client()
    assert say(session, "PROXY", *way, "TIME") == no("time")
    assert say(session, "PROXY", *way, "GET", "b:1") == client_errors.NOPERM_KEY
    assert asked(conn) == b""
    assert say(session, "PROXY", "ROUTE", "TIME").endswith(b"no permissions to run the 'time' command\r\n")
    assert say(session, "PROXY", *way, "GET", "a:1") == b""
    assert asked(conn) == request("GET", "a:1")


@pytest.mark.parametrize(
    ("words", "category"),
    [
        (["NODES"], "dangerous"),
        (["STATS"], "dangerous"),
        (["ROUTE", "PING"], "dangerous"),
        (["SYNC"], "admin"),
        (["SCRUB"], "admin"),
        (["NODE", "a", "PING"], "admin"),
    ],
)
def test_what_proxy_does_is_in_categories(words: list[str], category: str) -> None:
    """What shows the nodes is dangerous, what may harm one is for an administrator."""
    reply = say(limited(f"+@all -@{category}"), "PROXY", *words)
    assert reply == no(f"proxy|{words[0].lower()}")


def test_a_command_known_from_a_node() -> None:
    """A module's command is checked by the categories that its node names."""
    stage = ring("a")
    stage.pool.users = alone("+@read")
    row = b"*7\r\n$7\r\n%b\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@%b\r\n"
    for name, category in ((b"mod.one", b"read"), (b"mod.two", b"slow")):
        stage.pool.commands.record_lookup(name, parse_command_info(b"*1\r\n" + row % (name, category)))
    conn = stage.connection("a")
    session = stage.client()
    assert say(session, "MOD.TWO", "k") == no("mod.two")
    assert say(session, "MOD.ONE", "k") == b""
    assert asked(conn) == request("MOD.ONE", "k")
