"""What clients that are connected notice of other users, commands and limits: no more than with Redis."""

from collections.abc import Callable

import pytest

from kidoproxy.commands.acl import Acl
from kidoproxy.commands.command_set import CommandSet
from kidoproxy.resp import limits
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.reconfigure import reconfigure_clients
from kidoproxy.session.users import User, Users, password_digest
from tests.session.stage import InMemoryProxy, asked, heard, listening, ring, say

OK = b"+OK\r\n"
ALL = (b"~*",)


def user(
    name: str, commands: str = "+@all", keys: tuple[bytes, ...] = ALL, channels: tuple[bytes, ...] = (b"&*",)
) -> User:
    """A user whose password is the name."""
    return User(name.encode(), Acl(commands, keys, channels), True, False, [password_digest(name.encode())])


def change(stage: InMemoryProxy, *users: User, deny: frozenset[bytes] = frozenset()) -> int:
    """The pool's users and commands become these; how many clients were closed."""
    closed: int = reconfigure_clients(stage.proxy, stage.pool, Users([*users]), CommandSet(deny, frozenset(), {}))
    return closed


def stage_with(*users: User) -> InMemoryProxy:
    stage = ring("a")
    stage.pool.users = Users([*users])
    stage.ready()
    return stage


def test_a_client_keeps_its_login() -> None:
    """Another password, a user that is off, a default user that wants one now: who is in stays in, by today's rules."""
    stage = stage_with(user("ann"))
    ann, other = stage.client(), stage.client()
    assert say(ann, "AUTH", "ann", "ann") == OK
    off = User(b"ann", Acl("+@all -get"), False, False, [b"other"])
    assert change(stage, off, user("default")) == 0
    assert say(ann, "GET", "k").startswith(b"-NOPERM")
    assert say(ann, "SET", "k", "v") == b""
    assert say(other, "PING") == b"+PONG\r\n"
    assert say(stage.client(), "PING").startswith(b"-NOAUTH")
    assert say(stage.client(), "AUTH", "ann", "ann").startswith(b"-WRONGPASS")


def test_a_user_that_is_gone() -> None:
    """Its clients are closed, as by ACL DELUSER; what they are owed they still get, others are left alone."""
    stage = stage_with(user("ann"), user("bob"))
    ann, bob, closing = stage.client(), stage.client(), stage.client()
    say(ann, "AUTH", "ann", "ann")
    say(bob, "AUTH", "bob", "bob")
    say(closing, "AUTH", "ann", "ann")
    closing.close()
    say(ann, "GET", "k")
    assert change(stage, user("bob")) == 1
    assert (ann.closing, bob.closing) == (True, False)
    stage.connection("a").feed(b"$1\r\nv\r\n", 0.0)
    assert heard(ann) == b"$1\r\nv\r\n"


def test_a_login_that_is_not_needed_any_more() -> None:
    """Who is connected and has not logged in need not do so."""
    stage = stage_with(user("default"))
    client = stage.client()
    assert say(client, "PING").startswith(b"-NOAUTH")
    assert change(stage) == 0
    assert say(client, "PING") == b"+PONG\r\n"


def test_another_pool() -> None:
    """Its clients are none of ours."""
    stage = stage_with(user("ann"))
    client = stage.client()
    say(client, "AUTH", "ann", "ann")
    client.context = PoolContext("other", "ring", stage.pool.root, stage.pool.commands)
    assert change(stage) == 0
    assert not client.closing


@pytest.mark.parametrize(
    ("channels", "stays"),
    [((b"&*",), True), ((b"&n*", b"&x*"), True), ((b"&news",), True), ((b"&x*",), False), ((), False)],
)
@pytest.mark.parametrize("confirmed", [True, False])
def test_subscribers(channels: tuple[bytes, ...], stays: bool, confirmed: bool) -> None:
    """Who may not hear what it has subscribed to, or is about to, is closed."""
    stage = stage_with(user("ann", channels=(b"&news", b"&x*")))
    client = stage.client()
    say(client, "AUTH", "ann", "ann")
    if confirmed:
        listening(stage, client, "news")
    else:
        say(client, "SUBSCRIBE", "news")
    assert change(stage, user("ann", channels=channels)) == (not stays)
    assert client.closing is not stays


def test_subscriptions_are_not_looked_at_without_a_change() -> None:
    """The same channels as before."""
    stage = stage_with(user("ann", channels=(b"&news",)))
    client = stage.client()
    say(client, "AUTH", "ann", "ann")
    listening(stage, client, "news")
    assert change(stage, user("ann", "+@all -get", channels=(b"&news",))) == 0


def in_transaction(stage: InMemoryProxy, *requests: str) -> Callable[[], bytes]:
    """A client that has queued these; what EXEC says to it, or what the node is asked."""
    client = stage.client()
    say(client, "AUTH", "ann", "ann")
    say(client, "MULTI")
    for request in requests:
        say(client, *request.split())

    def execute() -> bytes:
        reply: bytes = say(client, "EXEC")
        return reply or asked(stage.connection("a"))

    return execute


@pytest.mark.parametrize(
    ("rules", "deny", "aborted"),
    [
        ("+@all", frozenset[bytes](), False),
        ("+@all -get", frozenset[bytes](), False),
        ("+@all -set", frozenset[bytes](), True),
        ("+@all", frozenset({b"get"}), False),
        ("+@all", frozenset({b"set"}), True),
    ],
)
def test_open_transactions(rules: str, deny: frozenset[bytes], aborted: bool) -> None:
    """One with a command that would be refused now is aborted; no other one notices."""
    stage = stage_with(user("ann"))
    execute = in_transaction(stage, "SET k v", "PING")
    change(stage, user("ann", rules), deny=deny)
    assert execute().startswith(b"-EXECABORT") is aborted


def test_open_transactions_that_are_long() -> None:
    """They are not looked through; without a change of the rules they go on."""
    stage = stage_with(user("ann"))
    execute = in_transaction(stage, *["DEL" + " k" * (limits.SLICE_UNITS // 2)] * 3)
    other = in_transaction(stage, "GET", "SET k v")
    change(stage, user("ann"))
    assert not execute().startswith(b"-EXECABORT")
    execute = in_transaction(stage, *["DEL" + " k" * (limits.SLICE_UNITS // 2)] * 3)
    change(stage, user("ann", "+@all -get"))
    assert execute().startswith(b"-EXECABORT")
    assert other().startswith(b"-EXECABORT")


def test_limits_and_errors_of_clients() -> None:
    """Clients that are connected have the new ones."""
    stage = stage_with()
    client = stage.client()
    stage.pool.node_errors_as_loading = True
    stage.pool.max_pubsub_output_bytes = 7
    stage.pool.max_query_bytes = 8
    stage.pool.max_bulk_bytes = 9
    change(stage)
    assert client.replies.node_errors_as_loading
    assert (client.replies.message_limit, client.replies.in_flight_limit) == (7, 8)
    assert (client.request_limits.query_bytes, client.request_limits.bulk_bytes) == (8, 9)


def test_denied_commands_leave_the_fast_path() -> None:
    """And commands that nodes were asked about are known still."""
    stage = stage_with()
    client = stage.client()
    stage.pool.commands.record_lookup(b"FOO", None)
    discovered = stage.pool.commands.discovered
    change(stage, deny=frozenset({b"get"}))
    assert not client.fast_path
    assert stage.pool.commands.discovered is discovered
    assert say(client, "GET", "k").startswith(b"-ERR")


def test_scripts_that_are_known_already() -> None:
    """What they call is looked at again; without a change of the commands what is known of them is kept."""
    stage = stage_with()
    script = ("EVAL", "return redis.call('get', KEYS[1])", "1", "k")
    commands = stage.pool.commands
    assert say(stage.client(), *script) == b""
    change(stage)
    assert stage.pool.commands is commands
    change(stage, deny=frozenset({b"get"}))
    assert b"its script calls 'get'" in say(stage.client(), *script)
    change(stage)
    assert b"its script calls" not in say(stage.client(), *script)
