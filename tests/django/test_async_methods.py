# mypy: disable-error-code="import-untyped"
"""Each Redis command of the cache has an async twin, which does the same and holds up nobody."""

import asyncio
import inspect
import threading
from typing import Any, Final

import pytest
from django.core.cache.backends.base import BaseCache
from redis import Redis
from redis.exceptions import LockError

from kidoproxy.django import KidoCache
from kidoproxy.django.async_methods import TWINS, WAITING, AsyncLock, async_twin
from kidoproxy.django.keys import KEY_PARAMETERS
from tests.django.test_cache import make

#: Of Django's API, or without a twin as they send nothing themselves.
WITHOUT: Final = {"bitfield", "bitfield_ro"}


@pytest.fixture
def cache(node_url: str, node: Any) -> Any:
    """A cache with a prefix on the real node."""
    return make(node_url, KEY_PREFIX="site")


def test_all_have_one() -> None:
    """Whatever is a method of the cache can be awaited, and no twin's name is another method's."""
    own = {
        name for name in vars(KidoCache.__mro__[1]) if not name.startswith("_") and callable(getattr(KidoCache, name))
    }
    sync_only = {"make_pattern", "reverse_key"}
    assert {*KEY_PARAMETERS, *own} - WITHOUT - sync_only - {name[1:] for name in TWINS} == set()
    assert not TWINS.keys() & {*KEY_PARAMETERS, *dir(BaseCache)}


async def test_commands(cache: Any, node: Any) -> None:
    """The same arguments, keys and answers."""
    assert await cache.azadd("z", {"one": 1, "two": 2}) == 2
    assert await cache.azrange("z", 0, -1) == [b"one", b"two"]
    assert await cache.ahset("h", mapping={"f": "v"}, version=3) == 1
    assert await cache.ahget("h", "f", version=3) == b"v"
    assert node.exists("site:3:h")
    assert await cache.aexpire("z", 50)
    assert 40 < await cache.attl("z") <= 50
    assert await cache.akeys("*") == ["z"]
    assert await cache.adelete_pattern("*") == 1
    with pytest.raises(AttributeError, match="apipeline"):
        await cache.apipeline()


async def test_iterators(cache: Any) -> None:
    """They are for ``async for``, and go on beyond one step."""
    await cache.aset_many({f"k{number}": number for number in range(2100)})
    assert {key async for key in cache.aiter_keys("k*", itersize=7)} == {f"k{number}" for number in range(2100)}
    await cache.ahset("h", mapping={"a": "1", "b": "2"})
    assert {item async for item in cache.ahscan_iter("h")} == {(b"a", b"1"), (b"b", b"2")}


async def test_what_waits_holds_up_nobody(cache: Any) -> None:
    """A pop that waits leaves other commands their way."""
    pop = asyncio.ensure_future(cache.ablpop("queue", timeout=20))
    while not pop.done():
        await cache.arpush("queue", "x")
        assert await cache.aset("k", 1) is None
        await asyncio.sleep(0)
    assert list(await pop) == [b"site:1:queue", b"x"]


async def test_locks(cache: Any) -> None:
    """A lock excludes others, waits its time, and is given back; what is not held is not given back."""
    async with cache.alock("lock", timeout=20) as lock:
        assert await lock.locked()
        assert await lock.owned()
        assert await lock.extend(5)
        assert not await cache.alock("lock", blocking=False).acquire()
        assert not await cache.alock("lock", sleep=0.01, blocking_timeout=0.03).acquire()
        with pytest.raises(LockError, match="within the time"):
            async with cache.alock("lock", blocking_timeout=0):
                raise AssertionError("two have the lock")
        waiting = asyncio.ensure_future(cache.alock("lock", sleep=0.01).acquire())
        await asyncio.sleep(0)
        assert not waiting.done()
    assert await waiting
    with pytest.raises(LockError):
        await lock.release()


def test_they_are_shown(cache: Any) -> None:
    """A shell can complete them, and `inspect` takes them for what they are."""
    assert {"azrange", "adelete_pattern", "aset"} <= set(dir(cache))
    assert inspect.iscoroutinefunction(cache.azrange)
    assert cache.azrange.__name__ == "azrange"


def test_what_waits_is_known() -> None:
    """All that redis-py lets say how long to wait for."""
    waits = [
        name
        for name in KEY_PARAMETERS
        if hasattr(Redis, name) and {"timeout", "block"} & set(inspect.signature(getattr(Redis, name)).parameters)
    ]
    assert set(waits) - {"lock"} == WAITING


async def test_those_who_wait_hold_up_nobody() -> None:
    """More of them than asyncio has threads."""
    come = threading.Event()
    waiting = async_twin("ablpop", lambda: come.wait(30))
    tasks = [asyncio.create_task(waiting()) for _ in range(40)]
    try:
        await asyncio.sleep(0)
        assert await asyncio.wait_for(async_twin("azcard", come.is_set)(), 20) is False
    finally:
        come.set()
    assert await asyncio.gather(*tasks) == [True] * 40


class SlowLock:
    """Is asked for in a thread that takes its time; ``outcome`` is what comes of it."""

    blocking, blocking_timeout, sleep = True, None, 0.1

    def __init__(self, outcome: bool | Exception) -> None:
        self.outcome = outcome
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.releases = 0

    def acquire(self, blocking: bool) -> bool:
        self.asked.set()
        self.go_on.wait(30)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def release(self) -> None:
        self.releases += 1


@pytest.mark.parametrize(("outcome", "releases"), [(True, 1), (False, 0), (LockError("no"), 0)])
async def test_who_is_cancelled_leaves_no_lock(outcome: bool | Exception, releases: int) -> None:
    """It would be held until its timeout, or for ever."""
    lock = SlowLock(outcome)
    task = asyncio.create_task(AsyncLock(lambda: lock).acquire())
    await asyncio.to_thread(lock.asked.wait, 30)
    task.cancel()
    await asyncio.sleep(0)
    lock.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lock.releases == releases
