"""Users through the real command line, with a real client and real servers."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import pytest
from redis.exceptions import AuthenticationError, NoPermissionError

from kidoproxy.admin.embedded import EmbeddedNodes
from tests.commands.oracle import program
from tests.live.asking import lines, replies
from tests.live.contents import sync
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live

BOB: Final = "+@read +@write +@connection +@transaction -@dangerous +acl|whoami +sort"
BUILDER: Final = hashlib.sha256(b"builder").hexdigest()
USERS: Final[dict[str, dict[str, Any]]] = {
    "alice": {"password": "wonder"},
    "bob": {
        "password_sha256": BUILDER,
        "commands": BOB,
        "keys": ["bob:*", "%R~shared:*"],
        "channels": ["bob.*"],
    },
    "eve": {"password": "apple", "enabled": False},
}


@pytest.fixture(scope="module")
def proxy(serve_proxy: Starter) -> RunningProxy:
    """A ring with users; whoever does not say who it is may only look."""
    return serve_proxy("ring", 2, users={**USERS, "default": {"commands": "+@read +@connection", "keys": ["shared:*"]}})


@pytest.mark.parametrize("protocol", [2, 3])
def test_logging_in(proxy: RunningProxy, protocol: int) -> None:
    """With a name and a password, by AUTH and by HELLO; a password may be known by its hash alone."""
    for name, password in (("alice", "wonder"), ("bob", "builder")):
        client = proxy.client(protocol=protocol, username=name, password=password)
        assert client.acl_whoami() in (name, name.encode())
        assert client.client_info()["user"] == name
    for name, password in (("alice", "builder"), ("eve", "apple"), ("nobody", "x")):
        with pytest.raises(AuthenticationError, match="invalid username-password pair or user is disabled"):
            proxy.client(protocol=protocol, username=name, password=password).ping()
    assert proxy.client(protocol=protocol).ping()


DENIED: Final = (
    "GET other:1",
    "SET shared:1 x",
    "MGET bob:1 other:1",
    "RENAME bob:1 other:1",
    "XREAD STREAMS other:1 0",
    "KEYS *",
    "FLUSHALL",
    "CONFIG SET maxmemory 0",
    "EVAL return 0",
    "PUBLISH other x",
    "PROXY EACH GET other:1",
    "PROXY NODE node-0 GET bob:1",
    "PROXY NODES",
)


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_limited_user(proxy: RunningProxy, protocol: int) -> None:
    """It does what it may on every node, and nothing else anywhere."""
    alice = proxy.client(protocol=protocol, username="alice", password="wonder")
    bob = proxy.client(protocol=protocol, username="bob", password="builder")
    alice.mset({"shared:1": "x", "bob:1": "y", "other:1": "z"})
    assert bob.mget("shared:1", "bob:1") == [b"x", b"y"]
    assert bob.mset({f"bob:{at}": at for at in range(20)})
    assert bob.zadd("bob:z", {"a": 1}) in (0, 1)
    for denied in DENIED:
        with pytest.raises(NoPermissionError, match="this user has no permissions to "):
            bob.execute_command(*denied.split())
    assert alice.get("shared:1") == b"x"
    assert proxy.client(protocol=protocol).get("shared:1") == b"x"
    with pytest.raises(NoPermissionError):
        proxy.client(protocol=protocol).get("bob:1")


def test_a_transaction(proxy: RunningProxy) -> None:
    """What the user may do is done; one command that it may not do, and nothing is."""
    bob = proxy.client(username="bob", password="builder")
    with bob.pipeline() as pipe:
        assert pipe.set("bob:t", 1).incr("bob:t").get("shared:none").execute() == [True, 2, None]
        with pytest.raises(NoPermissionError, match="SET shared:t 9"):
            pipe.set("bob:t", 9).set("shared:t", 9).execute()
    assert bob.get("bob:t") == b"2"


def test_who_is_connected(proxy: RunningProxy) -> None:
    """CLIENT LIST and KILL know the users; so do the counters know of failed logins; nothing shows a password."""
    alice = proxy.client(username="alice", password="wonder")
    bob = proxy.client(username="bob", password="builder", single_connection_client=True)
    mine = bob.client_id()
    assert {row["id"]: row["user"] for row in alice.client_list()}[str(mine)] == "bob"
    assert alice.client_kill_filter(_id=mine) == 1
    before = int(alice.info("kidoproxy")["auth_failures"])
    with pytest.raises(AuthenticationError):
        proxy.client(username="alice", password="guess").ping()
    assert int(alice.info("kidoproxy")["auth_failures"]) == before + 1
    for secret in ("wonder", "builder", "apple", "guess"):
        assert secret not in proxy.log()


def test_a_closed_default_user(own_proxy: Starter) -> None:
    """Where the default user is disabled everybody must say who it is; ``kidoproxy sync`` takes a user who may."""
    users = {"default": {"enabled": False}, "bob": {**USERS["bob"]}, "alice": {"password": "wonder"}}
    proxy = own_proxy("copy", 2, users=users)
    with pytest.raises(AuthenticationError, match="must be called with the client already authenticated"):
        proxy.client().ping()
    alice = proxy.client(username="alice", password="wonder")

    def states() -> list[str]:
        return [row[b"state"].decode() for row in alice.execute_command("PROXY", "NODES")]

    proxy.kill(1)
    proxy.restart(1)
    eventually(lambda: states()[1] == "behind", 20)
    assert "in sync" in sync(proxy, 1)
    assert states() == ["in sync", "in sync"]


# -- the same users in a real server ---------------------------------------------------------------------


CONVERSATION: Final = r"""
acl whoami
get k
auth bob wrong
auth bob builder
acl whoami
get bob:1
set bob:1 v
set shared:1 v
set other v
mget bob:1 shared:1
mget bob:1 other
get
nosuch a
config nosuch
config get maxmemory
config set maxmemory 0
shutdown
acl list
acl setuser x
sort bob:l by w_*
sort bob:l by nosort get #
sort bob:l by nosort
publish other x
multi
set bob:1 x
set other x
exec
multi
set bob:1 x
exec
auth eve apple
auth alice wonder
acl whoami
acl users
acl getuser nobody
acl cat
acl cat nosuch
acl cat a b
acl genpass x
acl genpass 0
acl log x
acl log 1 2
acl dryrun bob get other
acl dryrun bob get bob:1
acl dryrun bob set shared:1 x
acl dryrun bob hget x y
acl dryrun bob config set a b
acl dryrun bob publish other x
acl dryrun bob subscribe bob.1 other
acl dryrun nobody get x
acl dryrun bob nosuch
acl dryrun bob config nosuch
acl dryrun bob get
acl nosuch
acl
client kill user nobody
reset
acl whoami
get k
hello 3 auth bob wrong
hello 3 auth bob builder setname me
client getname
acl whoami
auth x
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A redis-server with the same users."""
    with EmbeddedNodes() as nodes:
        url = nodes.start(1, program("redis"))[0]
        rules = [
            ["alice", "on", ">wonder", "~*", "&*", "+@all"],
            ["bob", "on", f"#{BUILDER}", *BOB.split()],
            ["bob", "~bob:*", "%R~shared:*", "resetchannels", "&bob.*"],
            ["eve", "off", ">apple", "~*", "&*", "+@all"],
        ]
        said = replies(url, [[b"ACL", b"SETUSER", *[word.encode() for word in words]] for words in rules])
        assert said[:4] == [b"+OK\r\n"] * 4
        yield url


@pytest.mark.parametrize("protocol", [b"2", b"3"])
def test_the_words_of_redis(serve_proxy: Starter, server: str, protocol: bytes) -> None:
    """A conversation about users is answered as redis-server 7.0.15 answers it, to the byte."""
    proxy = serve_proxy("ring", 1, users=USERS)
    asked = [[b"FLUSHALL"], [b"HELLO", protocol], *lines(CONVERSATION)]
    theirs, ours = replies(server, asked), replies(proxy.url, asked)
    for words, right, said in zip([*asked, [b"quit"]], theirs, ours, strict=True):
        # Who introduces itself is another one.
        same = 1 if words[0].lower() == b"hello" and right[:1] != b"-" else None
        assert (words, said[:same]) == (words, right[:same])
