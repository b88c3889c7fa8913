# mypy: disable-error-code="import-untyped"
"""FAIL_SOFT: what a page asks of a node that is down is a miss; everything else is an error as ever."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django.soft_client import is_unreachable, outage
from tests.django.canned import CannedNode, pool_info
from tests.django.test_cache import make

DOWN = b"-NODEDOWN cache-b 10.0.0.2:6379 (connection refused)\r\n"
UNTRUSTED = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:992)"
UNWANTED = "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)"
ENDED = "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:992)."
GONE = "/run/kidoproxy:1.sock. No such file or directory."
REFUSED = "Connection refused."
SOFT = {"FAIL_SOFT": True, "retry": None}


@pytest.fixture(params=[2, 3])
def cache(request: pytest.FixtureRequest, canned: CannedNode) -> Any:
    """A soft cache on the canned node."""
    return make(canned.url, OPTIONS={**SOFT, "protocol": request.param})


def test_one_key(cache: Any, canned: CannedNode) -> None:
    """A miss, or nothing done; each is counted."""
    canned.replies = [DOWN] * 9
    assert cache.get("k") is None
    assert cache.get("k", "default") == "default"
    assert cache.has_key("k") is False
    assert cache.add("k", 1) is False
    cache.set("k", 1)
    assert cache.touch("k", 5) is False
    assert cache.delete("k") is False
    assert cache.delete_many(["k", "l"]) is None
    assert "k" not in cache
    assert canned.replies == []
    assert cache.soft_failures == {
        "get": 2, "has_key": 2, "add": 1, "set": 1, "touch": 1, "delete": 1, "delete_many": 1,
    }  # fmt: skip


def test_get_or_set(cache: Any, canned: CannedNode) -> None:
    """A page is computed."""
    canned.replies = [DOWN] * 3
    assert cache.get_or_set("k", lambda: "page") == "page"


def test_get_many(cache: Any, canned: CannedNode) -> None:
    """Where one node is down, the keys of the others are found all the same."""
    canned.replies = [DOWN, b"$1\r\n1\r\n", DOWN, b"$-1\r\n"]
    assert cache.get_many(["a", "b", "c"]) == {"a": 1}
    assert [argv[0] for argv in canned.asked] == [b"MGET", b"GET", b"GET", b"GET"]
    assert cache.soft_failures == {"get_many": 1}


@pytest.mark.parametrize(
    ("timeout", "sent"),
    [(60, [b"SET", b":1:a", b"1", b"EX", b"60"]), (None, [b"SET", b":1:a", b"1"]), (0, [b"DEL", b":1:a"])],
)
def test_set_many(cache: Any, canned: CannedNode, timeout: int | None, sent: list[bytes]) -> None:
    """It says which keys could not be set, which no other backend of Redis does."""
    expiries = [] if timeout is None else [b"+QUEUED\r\n"] * 2
    result = b"*%d\r\n%s" % (1 + len(expiries), DOWN + b":1\r\n" * len(expiries))
    canned.replies = [b"+OK\r\n", b"+QUEUED\r\n", *expiries, result, b"+OK\r\n", DOWN]
    assert cache.set_many({"a": 1, "b": 2}, timeout) == ["b"]
    assert canned.asked[-2] == sent
    assert cache.set_many({}) == []


def test_all_is_well(cache: Any, canned: CannedNode) -> None:
    """Without a failure it is Django's client, and nothing is counted."""
    canned.replies = [
        b"$1\r\n1\r\n", b"*1\r\n$1\r\n1\r\n", b"+OK\r\n", b"+QUEUED\r\n", b"*1\r\n+OK\r\n", b":1\r\n",
    ]  # fmt: skip
    assert cache.get("k") == 1
    assert cache.get_many(["k"]) == {"k": 1}
    assert cache.set_many({"k": 1}, None) == []
    assert cache.delete("k") is True
    assert cache.soft_failures == {}


def test_what_is_never_soft(cache: Any, canned: CannedNode) -> None:
    """Counters, locks, scripts, Redis's own commands, `clear`."""
    canned.replies = [DOWN] * 9
    calls: list[Callable[[], Any]] = [
        lambda: cache.incr("n"),
        lambda: cache.decr("n"),
        lambda: cache.lock("l", timeout=1).acquire(blocking=False),
        lambda: cache.eval("return 1", 1, "k"),
        lambda: cache.zadd("z", {"a": 1}),
        lambda: cache.getset("k", 1),
        cache.clear,
    ]
    for call in calls:
        with pytest.raises(redis.ResponseError, match="NODEDOWN"):
            call()
    assert cache.soft_failures == {}


async def test_async(cache: Any, canned: CannedNode) -> None:
    """The async twins are alike; the async counter counts at the node, and is not soft."""
    canned.replies = [DOWN] * 8
    assert await cache.aget("k", "d") == "d"
    assert await cache.aadd("k", 1) is False
    await cache.aset("k", 1)
    assert await cache.atouch("k", 5) is False
    assert await cache.adelete("k") is False
    assert await cache.ahas_key("k") is False
    await cache.adelete_many(["k"])
    with pytest.raises(redis.ResponseError, match="NODEDOWN"):
        await cache.aincr("n")
    canned.replies = [DOWN, b"$1\r\n7\r\n", b":1\r\n", b":8\r\n", b":1\r\n", b":7\r\n"]
    assert await cache.aget_many(["a"]) == {"a": 7}
    assert await cache.aincr("n") == 8
    assert await cache.adecr("n") == 7
    canned.replies = [b"+OK\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n", b"*2\r\n+OK\r\n:1\r\n"]
    assert await cache.aset_many({"a": 1}, timeout=9) == []


@pytest.mark.parametrize(
    "reply",
    [
        b"-WRONGTYPE Operation against a key\r\n",
        b"-OOM command not allowed\r\n",
        b"-NOPERM this user has no permissions\r\n",
        b"-BADREPLY cache-b 10.0.0.2:6379 (a bug)\r\n",
        b"-PARTIAL 'DEL' failed for 1 of 2 keys on cache-b (OOM command not allowed); 1 applied\r\n",
    ],
)
def test_other_errors(cache: Any, canned: CannedNode, reply: bytes) -> None:
    """What is not an outage is for somebody to see."""
    canned.replies = [reply, reply, DOWN, reply]
    with pytest.raises(redis.ResponseError):
        cache.get("k")
    with pytest.raises(redis.ResponseError):
        cache.delete_many(["k", "l"])
    with pytest.raises(redis.ResponseError):
        cache.get_many(["k"])


@pytest.mark.parametrize(
    ("error", "cause", "unreachable"),
    [
        (redis.ResponseError("NODEDOWN b h:1 (refused)"), "NODEDOWN b h:1 (refused)", False),
        (
            redis.ResponseError("Command # 1 (GET k) of pipeline caused error: TIMEOUT b h:1 (5 s)"),
            "TIMEOUT b h:1 (5 s)",
            False,
        ),
        (redis.ResponseError("OVERLOADED b h:1 (full)"), "OVERLOADED b h:1 (full)", False),
        (redis.ResponseError("NOREPLICAS Not enough"), "NOREPLICAS Not enough", False),
        (
            redis.ResponseError("PARTIAL 'DEL' failed for 1 of 2 keys on b (refused)"),
            "PARTIAL 'DEL' failed for 1 of 2 keys on b (refused)",
            False,
        ),
        (redis.ResponseError("ERR no NODEDOWN here"), None, False),
        (redis.BusyLoadingError("NODEDOWN b"), "NODEDOWN b", False),
        (redis.TimeoutError("late"), "late", True),
        (redis.ConnectionError(), "ConnectionError", True),
        (redis.AuthenticationError("wrong"), None, True),
        (redis.exceptions.AuthorizationError("wrong"), None, True),
        (ValueError("x"), None, False),
        # By redis-py 8 and 5, and by OpenSSL 3 and 1.1.
        (redis.ConnectionError(f"Error 1 connecting to h:1. {UNTRUSTED}."), None, True),
        (redis.ConnectionError(f"Error while reading from h:1 : (1, '{UNWANTED}')"), None, True),
        (redis.ConnectionError("Error 336445442 connecting to h:1. [X509: KEY_VALUES_MISMATCH] no."), None, True),
        (redis.ConnectionError("Error 9 connecting to h:1. [SSL] PEM lib (_ssl.c:4149)."), None, True),
        (redis.ConnectionError("Error 2 connecting to ::1:6390. No such file or directory."), None, True),
        (redis.ConnectionError("Error 13 connecting to h:1. Permission denied."), None, True),
        (redis.ConnectionError(f"Error 2 connecting to {GONE}"), f"Error 2 connecting to {GONE}", True),
        (
            redis.ConnectionError(f"Error 2 connecting to unix socket: {GONE}"),
            f"Error 2 connecting to unix socket: {GONE}",
            True,
        ),
        (redis.ConnectionError(f"Error 8 connecting to h:1. {ENDED}"), f"Error 8 connecting to h:1. {ENDED}", True),
        (
            redis.ConnectionError(f"Error 111 connecting to h:1. {REFUSED}"),
            f"Error 111 connecting to h:1. {REFUSED}",
            True,
        ),
    ],
)
def test_outage(error: Exception, cause: str | None, unreachable: bool) -> None:
    """The proxy's words for a node, and lost connections, are outages; mistakes in the settings are none."""
    assert outage(error) == cause
    assert is_unreachable(error) is unreachable


def test_no_proxy() -> None:
    """Then everything is a miss, the pool's check included, and for a moment nobody tries."""
    for backend in ("KidoCache", "RedisRing"):
        cache = make("redis://127.0.0.1:1", backend, OPTIONS=SOFT, KEY_PREFIX=backend)
        before = sum(cache.soft_failures.values())
        assert cache.get("k", "d") == "d"
        assert cache.get_many(["a", "b"]) == {}
        assert cache.set_many({"a": 1}) == ["a"]
        assert sum(cache.soft_failures.values()) == before + 3
        with pytest.raises(redis.ConnectionError):
            cache.zcard("z")


def test_lost_between_two_questions(cache: Any, canned: CannedNode) -> None:
    """Keys that are asked for singly, when the proxy goes: misses."""
    canned.replies = [DOWN, b"", b"", b""]
    assert cache.get_many(["a"]) == {}


def test_copies(canned: CannedNode) -> None:
    """A write on copies that none took is an empty list, which is false."""
    canned.info = pool_info("copy")
    canned.replies = [b"-NOREPLICAS Not enough good replicas to write.\r\n"] * 3
    copies = make(canned.url, "RedisCopy", OPTIONS=SOFT)
    assert copies.set("k", 1) == []
    assert not copies.add("k", 1)
    assert copies.delete_many(["k"]) == []


def test_can_be_copied(cache: Any, canned: CannedNode) -> None:
    """A copy of the cache and of its client asks as the first one does."""
    canned.replies = [b"$1\r\n1\r\n"] * 2
    assert copy.copy(cache).get("k") == 1
    assert copy.copy(cache._cache).get(":1:k", None) == 1


def test_the_setting_is_strict() -> None:
    """True or False."""
    with pytest.raises(ImproperlyConfigured, match="FAIL_SOFT"):
        make("redis://h", OPTIONS={"FAIL_SOFT": "no"})
