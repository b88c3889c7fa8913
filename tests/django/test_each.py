"""The client that asks each node: what is sent, and what becomes of the replies."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis.connection

from kidoproxy.django.each import EachNodeRedis
from tests.django.canned import CannedNode


@pytest.fixture(params=["_RESP2Parser", "_HiredisParser"])
def parser(request: pytest.FixtureRequest) -> Any:
    """redis-py's parsers in Python (it takes the one for RESP3 where that is spoken) and in C."""
    return getattr(redis.connection, request.param)


@pytest.fixture(params=[2, 3])
def client(request: pytest.FixtureRequest, canned: CannedNode, parser: Any) -> Iterator[Any]:
    """The client, on the canned node."""
    with EachNodeRedis.from_url(canned.url, protocol=request.param, parser_class=parser) as each:
        yield each


def test_the_command_follows_its_two_words(client: Any, canned: CannedNode) -> None:
    """PROXY EACH stands in front of the command's words, subcommands are words of their own."""
    canned.replies = [b"*1\r\n+OK\r\n", b"*1\r\n+OK\r\n"]
    assert client.set("key with space", "v", ex=5) == [True]
    assert client.xgroup_create("s", "g") == [True]
    assert canned.asked == [
        [b"PROXY", b"EACH", b"SET", b"key with space", b"v", b"EX", b"5"],
        [b"PROXY", b"EACH", b"XGROUP", b"CREATE", b"s", b"g", b"$"],
    ]


def test_every_reply_goes_through_the_callback(client: Any, canned: CannedNode) -> None:
    """What redis-py makes of one reply it makes of each: +OK is True, a number a number, a score a float."""
    canned.replies = [
        b"*2\r\n+OK\r\n+OK\r\n",
        b"*2\r\n+OK\r\n$-1\r\n",
        b"*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        b"*2\r\n:1\r\n:0\r\n",
        b"*2\r\n$3\r\n1.5\r\n$3\r\n2.5\r\n",
        b"*2\r\n:3\r\n:3\r\n",
    ]
    assert client.set("k", "v") == [True, True]
    assert client.set("k", "v", nx=True) == [True, None]
    assert client.set("k", "v", get=True) == [b"a", b"b"]
    assert client.expire("k", 5) == [True, False]
    assert client.incrbyfloat("k", 1.5) == [1.5, 2.5]
    assert client.lpush("l", "v") == [3, 3]


def test_a_node_that_could_not_answer_is_an_error_in_its_place(client: Any, canned: CannedNode) -> None:
    """An error stays in the list, as an exception with the sentence of the proxy, and is not raised."""
    canned.replies = [b"*2\r\n+OK\r\n-BEHIND cache-b is not in sync\r\n", b"*1\r\n+OK\r\n"]
    first, second = client.set("k", "v")
    assert first is True
    assert isinstance(second, redis.ResponseError)
    assert str(second) == "BEHIND cache-b is not in sync"
    assert client.set("k", "v") == [True], "the connection is in step"


def test_all_failed(client: Any, canned: CannedNode) -> None:
    """When no node did it, the first node's error is raised; so is an error of the proxy itself."""
    canned.replies = [b"*2\r\n-WRONGTYPE no list\r\n-NODEDOWN cache-b\r\n", b"-NOREPLICAS Not enough good replicas\r\n"]
    with pytest.raises(redis.ResponseError, match="no list"):
        client.lpush("k", "v")
    with pytest.raises(redis.ResponseError, match="NOREPLICAS"):
        client.set("k", "v")
