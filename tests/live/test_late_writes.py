"""Writes that were given up and that the network delivers later: they must not part copies that are in sync again."""

import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pytest

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.resp.encode import encode_request
from tests.badlink import BadLink, connect
from tests.commands.oracle import SERVERS, program
from tests.live.contents import equal, states
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live

OPTIONS: Final[dict[str, Any]] = {"heal": "auto", "timeout_ms": 300}
#: So large, and so slow, that a server serves others between two of these.
SLOW: Final = encode_request([b"EVAL", b"for i = 1, 1e5 do end redis.call('INCR', 'n')", b"0", b"x" * 8000])


@contextmanager
def copies(start: Starter) -> Iterator[tuple[RunningProxy, BadLink]]:
    """Two copies, the second one behind a network that can be bad."""
    links: list[BadLink] = []

    def through(urls: list[str]) -> Sequence[str]:
        links.append(BadLink(urls[1]))
        return [urls[0], links[0].url]

    proxy = start("copy", 2, through=through, **OPTIONS)
    with links[0]:
        eventually(lambda: states(proxy) == ["in sync"] * 2)
        yield proxy, links[0]


def client_ids(node: Any) -> set[str]:
    """The connections that a node has, but for this one."""
    own = node.client_id()
    return {row["id"] for row in node.client_list() if int(row["id"]) != own}


def test_held_by_the_network(own_proxy: Starter) -> None:
    """When the copy is in sync again it has closed the connection that may still deliver something."""
    with copies(own_proxy) as (proxy, link):
        client, node = proxy.client(), proxy.node_clients()[1]
        before = client_ids(node)
        link.hold()
        assert client.set("k", "late")
        assert client.rpush("list", "missed")
        eventually(lambda: states(proxy) == ["in sync", "behind"])
        eventually(lambda: states(proxy) == ["in sync"] * 2, 20)
        assert client_ids(node).isdisjoint(before)
        assert client.set("k", "new")
        link.heal()
        assert client.rpush("list", "taken") == 2
        assert equal(proxy)[(0, b"k")][1] == b"new"


def test_of_a_proxy_that_was_killed(own_proxy: Starter) -> None:
    """The next proxy finds its connections in the record, and has them closed before it compares."""
    with copies(own_proxy) as (proxy, link):
        first, second = proxy.node_clients()
        before = client_ids(second)
        link.hold()
        with proxy.raw() as client:
            client.sendall(encode_request([b"SET", b"k", b"late"]))
            eventually(lambda: first.get("k") == b"late")
            proxy.restart_proxy(signal.SIGKILL)
        eventually(lambda: states(proxy) == ["in sync"] * 2, 20)
        assert client_ids(second).isdisjoint(before)
        assert proxy.client().set("k", "new")
        link.heal()
        assert proxy.client().rpush("list", "taken") == 1
        assert equal(proxy)[(0, b"k")][1] == b"new"


def test_a_user_that_may_not_close_connections(own_proxy: Starter) -> None:
    """The copy is served, and both the log and PROXY NODES say what it is not guarded against."""
    with copies(own_proxy) as (proxy, link):
        client, node = proxy.client(), proxy.node_clients()[1]
        node.execute_command("ACL", "SETUSER", "default", "-client|kill")
        link.cut()
        eventually(lambda: "node not fenced: node=node-1" in proxy.log())
        eventually(lambda: states(proxy) == ["in sync"] * 2)
        cause = client.execute_command("PROXY", "NODES")[1][b"cause"]
        assert cause.startswith(b"a late write may reach it, for it does not close the connection before: NOPERM")
        assert client.set("k", 1)
        node.execute_command("ACL", "SETUSER", "default", "+client|kill")
        link.cut()
        eventually(lambda: not client.execute_command("PROXY", "NODES")[1][b"cause"])
        equal(proxy)


@pytest.mark.parametrize("server", SERVERS)
def test_what_a_closed_client_had_sent(server: str) -> None:
    """A server that stood still executes nothing of it any more once it has replied to CLIENT KILL."""
    with EmbeddedNodes() as nodes:
        (url,) = nodes.start(1, str(program(server)))
        with connect(url) as old, connect(url) as new:
            number = asked(old, b"CLIENT", b"ID")
            nodes.pause(0)
            old.setblocking(False)
            sent = old.send(SLOW * 100) // len(SLOW)
            nodes.resume(0)
            assert asked(new, b"CLIENT", b"KILL", b"ID", number[1:]) == b":1"
            executed = asked(new, b"INCRBY", b"n", b"0")
            assert int(executed[1:]) < sent
            for _ in range(20):
                assert asked(new, b"INCRBY", b"n", b"0") == executed


def asked(connection: socket.socket, *argv: bytes) -> bytes:
    """The one line that a server answers."""
    connection.sendall(encode_request(list(argv)))
    return connection.recv(100).removesuffix(b"\r\n")
