"""`kidoproxy.session.handlers.acl`: ACL answered from the configuration. The live tests ask real servers."""

import pytest

from kidoproxy.commands.acl import CATEGORIES, Acl
from kidoproxy.commands.command_set import CommandSet
from kidoproxy.resp import client_errors, errors
from kidoproxy.resp.decode import items
from kidoproxy.resp.decode import string_value as opened
from kidoproxy.resp.encode import array, bulk
from kidoproxy.session.session import ClientSession
from kidoproxy.session.users import User, Users, password_digest
from tests.session.stage import ring, say

HASH = password_digest(b"secret")


def client(proto: int = 2, words: CommandSet | None = None) -> ClientSession:
    """A client of a pool with two users beside the default one."""
    stage = ring("a", words=words)
    stage.proxy.random_bytes = lambda count: b"\xab" * count
    stage.pool.users = Users(
        [
            User(b"zoe", Acl("", (), ()), False, False, []),
            User(b"alice", Acl("+@read -keys", (b"~a:*", b"%R~b"), (b"&news",)), True, False, [HASH]),
        ]
    )
    session = stage.client()
    session.proto = proto
    session.update_flags()
    return session


def texts(reply: bytes) -> list[bytes]:
    """The members of an array of texts."""
    return [opened(item) for item in items(reply)]


def test_who_is_there() -> None:
    """Users are listed by name, as lines of an ACL file too."""
    session = client()
    assert texts(say(session, "ACL", "USERS")) == [b"alice", b"default", b"zoe"]
    assert texts(say(session, "ACL", "LIST")) == [
        b"user alice on #" + HASH + b" ~a:* %R~b resetchannels &news -@all +@read -keys",
        b"user default on nopass ~* &* +@all",
        b"user zoe off resetchannels -@all",
    ]


def test_one_user() -> None:
    """A map, with a set in it where the protocol has them; null for nobody."""
    flat = (
        b"$9\r\npasswords\r\n*1\r\n$64\r\n" + HASH + b"\r\n$8\r\ncommands\r\n$18\r\n-@all +@read -keys\r\n"
        b"$4\r\nkeys\r\n$9\r\n~a:* %R~b\r\n$8\r\nchannels\r\n$5\r\n&news\r\n$9\r\nselectors\r\n*0\r\n"
    )
    two = b"*12\r\n$5\r\nflags\r\n*1\r\n$2\r\non\r\n" + flat
    assert say(client(2), "ACL", "GETUSER", "alice") == two
    assert say(client(3), "ACL", "GETUSER", "alice") == two.replace(b"*12", b"%6", 1).replace(b"*1\r\n$2", b"~1\r\n$2")
    assert b"$2\r\non\r\n$6\r\nnopass\r\n" in say(client(2), "ACL", "GETUSER", "default")
    assert b"$3\r\noff\r\n" in say(client(2), "ACL", "GETUSER", "zoe")
    assert say(client(2), "ACL", "GETUSER", "nobody") == b"$-1\r\n"
    assert say(client(3), "ACL", "GETUSER", "nobody") == b"_\r\n"


def test_categories() -> None:
    """All of them, or the commands in one, in any letter case."""
    session = client()
    assert texts(say(session, "ACL", "CAT")) == CATEGORIES.encode().split()
    assert set(texts(say(session, "ACL", "CAT", "Transaction"))) == {
        b"exec",
        b"multi",
        b"watch",
        b"unwatch",
        b"discard",
    }
    assert say(session, "ACL", "CAT", "nosuch") == b"-ERR Unknown category 'nosuch'\r\n"


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        (["alice", "GET", "a:1"], b"+OK\r\n"),
        (["alice", "GET", "c"], bulk(b"This user has no permissions to access the 'c' key")),
        (["alice", "SET", "a:1", "x"], bulk(b"This user has no permissions to run the 'set' command")),
        (["alice", "CONFIG", "GET", "x"], bulk(b"This user has no permissions to run the 'config|get' command")),
        (["default", "SHUTDOWN"], b"+OK\r\n"),
        (["nobody", "GET", "k"], b"-ERR User 'nobody' not found\r\n"),
        (["alice", "NOSUCH"], b"-ERR Command 'NOSUCH' not found\r\n"),
        (["alice", "config", "nosuch"], b"-ERR Command 'config' not found\r\n"),
        (["alice", "config"], errors.wrong_arity(b"config")),
        (["alice", "GET"], errors.wrong_arity(b"get")),
    ],
)
def test_dry_run(words: list[str], reply: bytes) -> None:
    """A verdict on a request that is not made; a denial is a text, not an error."""
    assert say(client(), "ACL", "DRYRUN", *words) == reply


def test_dry_run_of_a_channel() -> None:
    """Channels have a verdict of their own."""
    session = client()
    session.context.users = Users([User(b"u", Acl("+@all", (), (b"&a",)), True, True, [])])
    said = say(session, "ACL", "DRYRUN", "u", "PUBLISH", "b", "x")
    assert said == bulk(b"This user has no permissions to access the 'b' channel")


def test_dry_run_of_a_renamed_command() -> None:
    """It is known by the name that this pool gives it."""
    session = client(words=CommandSet(frozenset(), frozenset(), {b"get": b"fetch"}))
    assert say(session, "ACL", "DRYRUN", "alice", "FETCH", "a:1") == b"+OK\r\n"
    assert say(session, "ACL", "DRYRUN", "alice", "GET", "a:1") == b"-ERR Command 'GET' not found\r\n"


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ([], bulk(b"ab" * 32)),
        (["5"], bulk(b"ab")),
        (["9"], bulk(b"aba")),
        (["4096"], bulk(b"ab" * 512)),
        (["0"], client_errors.BAD_GENPASS_BITS),
        (["4097"], client_errors.BAD_GENPASS_BITS),
        (["x"], errors.NOT_INTEGER),
    ],
)
def test_passwords(words: list[str], reply: bytes) -> None:
    """Four bits a digit, 256 unless another number is asked for."""
    assert say(client(), "ACL", "GENPASS", *words) == reply


def test_no_password_without_chance() -> None:
    """A password that could be guessed is worse than none."""
    session = client()
    session.proxy.random_bytes = None
    assert say(session, "ACL", "GENPASS").startswith(b"-ERR 'acl|genpass' is not served here: ")


def test_log() -> None:
    """There is nothing in it."""
    session = client()
    assert say(session, "ACL", "LOG") == say(session, "ACL", "LOG", "10") == array([])
    assert say(session, "ACL", "LOG", "reset") == b"+OK\r\n"
    assert say(session, "ACL", "LOG", "x") == errors.NOT_INTEGER


@pytest.mark.parametrize("words", [["CAT", "a", "b"], ["GENPASS", "1", "2"], ["LOG", "1", "2"]])
def test_too_many_words(words: list[str]) -> None:
    """Redis's own sentence."""
    said = f"-ERR unknown subcommand or wrong number of arguments for '{words[0]}'. Try ACL HELP.\r\n"
    assert say(client(), "acl", *words) == said.encode()


@pytest.mark.parametrize("words", [["SETUSER", "x"], ["DELUSER", "x"], ["LOAD"], ["SAVE"]])
def test_nothing_is_changed(words: list[str]) -> None:
    """Users are changed where they stand."""
    said = f"-ERR 'acl|{words[0].lower()}' is not served here: users stand in the proxy's configuration\r\n"
    assert say(client(), "ACL", *words) == said.encode()


def test_help() -> None:
    """What is served."""
    assert say(client(), "ACL", "HELP").startswith(b"*21\r\n+ACL <subcommand> ")


def test_in_a_transaction() -> None:
    """As anything else that the proxy answers by itself."""
    session = client()
    say(session, "MULTI")
    say(session, "ACL", "WHOAMI")
    assert say(session, "EXEC") == b"*1\r\n$7\r\ndefault\r\n"
