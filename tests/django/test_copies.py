# mypy: disable-error-code="import-untyped"
"""`RedisCopy`: writes ask each node and answer a list; reads, and what only Django knows, are plain."""

from typing import Any

import pytest
import redis

from tests.django.canned import CannedNode
from tests.django.test_cache import make

OK2 = b"*2\r\n+OK\r\n+OK\r\n"
ONE2 = b"*2\r\n:1\r\n:1\r\n"


@pytest.fixture(params=[2, 3])
def cache(request: pytest.FixtureRequest, canned: CannedNode) -> Any:
    """A cache on the canned node, on RESP2 and RESP3."""
    return make(canned.url, "RedisCopy", OPTIONS={"protocol": request.param})


def asked(canned: CannedNode) -> list[str]:
    """What was asked since the last look."""
    said = [" ".join(arg.decode("ascii", "replace") for arg in argv) for argv in canned.asked]
    canned.asked.clear()
    return said


def test_set(cache: Any, canned: CannedNode) -> None:
    """The ancestor's ``[True, True]``."""
    canned.replies = [OK2, OK2, ONE2, b"*2\r\n:0\r\n-BEHIND cache-b is not in sync\r\n"]
    assert cache.set("k", 5) == [True, True]
    assert cache.set("k", 5, timeout=None, version=2) == [True, True]
    assert cache.set("k", 5, timeout=0) == [True, True]
    replies = cache.set("k", 5, timeout=0)
    assert replies[0] is True
    assert isinstance(replies[1], redis.ResponseError)
    assert asked(canned) == [
        "PROXY EACH SET :1:k 5 EX 300",
        "PROXY EACH SET :2:k 5",
        "PROXY EACH DEL :1:k",
        "PROXY EACH DEL :1:k",
    ]


def test_add(cache: Any, canned: CannedNode) -> None:
    """Added or not, node by node; false when it was there, so that it serves as a lock."""
    canned.replies = [OK2, b"*2\r\n$-1\r\n$-1\r\n", OK2, ONE2, b"*2\r\n$-1\r\n$-1\r\n"]
    assert cache.add("k", 5) == [True, True]
    refused = cache.add("k", 5)
    assert refused == [False, False]
    assert not refused
    assert cache.add("k", 5, timeout=0) == [True, True]
    assert cache.add("k", 5, timeout=0) == [False, False]
    # redis-py's versions differ in the order of the words behind the value.
    assert [sorted(line.split()[2:]) for line in asked(canned)] == [
        ["300", "5", ":1:k", "EX", "NX", "SET"],
        ["300", "5", ":1:k", "EX", "NX", "SET"],
        ["5", ":1:k", "NX", "SET"],
        [":1:k", "DEL"],
        ["5", ":1:k", "NX", "SET"],
    ]


def test_delete_touch_clear(cache: Any, canned: CannedNode) -> None:
    """They answer truth values per node, as Django's do for one; `delete_many` counts."""
    canned.replies = [ONE2, ONE2, b"*2\r\n:0\r\n:0\r\n", b"*2\r\n:2\r\n:2\r\n", OK2]
    assert cache.delete("k") == [True, True]
    assert cache.touch("k", 9) == [True, True]
    assert cache.touch("k", None) == [False, False]
    assert cache.delete_many(["a", "b"]) == [2, 2]
    assert cache.delete_many([]) is None
    assert cache.clear() == [True, True]
    assert asked(canned) == [
        "PROXY EACH DEL :1:k",
        "PROXY EACH EXPIRE :1:k 9",
        "PROXY EACH PERSIST :1:k",
        "PROXY EACH DEL :1:a :1:b",
        "PROXY EACH FLUSHDB",
    ]


def test_incr(cache: Any, canned: CannedNode) -> None:
    """Each node's new number; a missing key is Django's ValueError."""
    canned.replies = [b":1\r\n", b"*2\r\n:7\r\n:7\r\n", b":1\r\n", b"*2\r\n:5\r\n:5\r\n", b":0\r\n"]
    assert cache.incr("n", 2) == [7, 7]
    assert cache.decr("n", 2) == [5, 5]
    with pytest.raises(ValueError, match="Key ':1:n' not found"):
        cache.incr("n")
    assert asked(canned)[1] == "PROXY EACH INCRBY :1:n 2"


def test_reads_are_plain(cache: Any, canned: CannedNode) -> None:
    """A read asks once and answers as any cache does."""
    canned.replies = [b"$1\r\n5\r\n", b"*2\r\n$1\r\n5\r\n$-1\r\n", b":1\r\n", b"*1\r\n$1\r\na\r\n"]
    assert cache.get("k") == 5
    assert cache.get_many(["k", "none"]) == {"k": 5}
    assert cache.has_key("k")
    assert cache.zrange("z", 0, -1) == [b"a"]
    assert asked(canned) == ["GET :1:k", "MGET :1:k :1:none", "EXISTS :1:k", "ZRANGE :1:z 0 -1"]


def test_redis_s_writes(cache: Any, canned: CannedNode) -> None:
    """Redis's own writes answer the list too, scripts do not."""
    canned.replies = [b"*2\r\n:0\r\n:1\r\n", b"*2\r\n:1\r\n:1\r\n", OK2, b":4\r\n"]
    assert cache.zadd("myzset", {"one": 1}) == [0, 1]
    assert cache.hset("h", "f", "v") == [1, 1]
    assert cache.mset({"a": 1}) == [True, True]
    assert cache.eval("return 4", 1, "k") == 4
    assert asked(canned) == [
        "PROXY EACH ZADD :1:myzset 1 one",
        "PROXY EACH HSET :1:h f v",
        "PROXY EACH MSET :1:a 1",
        "EVAL return 4 1 :1:k",
    ]


def test_set_many_is_django_s(cache: Any, canned: CannedNode) -> None:
    """Django's answer is a list already, of the keys that failed; it stays so."""
    canned.replies = [b"+OK\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n", b"*2\r\n+OK\r\n:1\r\n"]
    assert cache.set_many({"a": 1}) == []
    assert asked(canned) == ["MULTI", "MSET :1:a 1", "EXPIRE :1:a 300", "EXEC"]


async def test_async(cache: Any, canned: CannedNode) -> None:
    """The async methods answer the same lists."""
    canned.replies = [OK2, ONE2]
    assert await cache.aset("k", 5) == [True, True]
    assert await cache.adelete("k") == [True, True]
