# mypy: disable-error-code="import-untyped"
"""The async twins of what a cache has beyond Django's API: ``await cache.azrange("z", 0, -1)``.

They run in asyncio's threads and not, as Django's own, in the one thread for what is bound to a thread: redis-py's
connections may be used from any thread. Asyncio has few of them, some more than the machine has cores; commands that
wait (``ablpop``) have threads of their own, and hold up nobody but each other.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from typing import Any, Final, Self

from asgiref.sync import sync_to_async

from kidoproxy.django.django_redis_methods import ITERSIZE, in_batches
from kidoproxy.django.keys import KEY_PARAMETERS

#: What answers an iterator; its twin is one for ``async for``.
_ITERATORS: Final = frozenset(("hscan_iter", "iter_keys", "scan_iter", "sscan_iter", "zscan_iter"))
#: What may wait for something to come; so many can at once.
WAITING: Final = frozenset(
    (
        "blmove",
        "blmpop",
        "blpop",
        "brpop",
        "brpoplpush",
        "bzmpop",
        "bzpopmax",
        "bzpopmin",
        "wait",
        "xread",
        "xreadgroup",
    )
)
MOST_WAITING: Final = 256
#: It answers an object that collects operations, and sends nothing itself.
_NOT_ASYNC: Final = frozenset(("bitfield", "bitfield_ro"))
_OWN: Final = "delete_pattern expire_at iter_keys keys pexpire_at"

#: ``azrange`` -> ``zrange``, for all that has a twin.
TWINS: Final = {f"a{name}": name for name in sorted({*KEY_PARAMETERS, *_OWN.split()} - _NOT_ASYNC)}


def async_twin(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """``method``, called ``name`` and awaited; of a lock and of an iterator the async kind."""
    twin: Callable[..., Any]
    if TWINS[name] == "lock":

        def twin(*args: Any, **kwargs: Any) -> AsyncLock:
            return AsyncLock(partial(method, *args, **{**kwargs, "thread_local": False}))

    elif TWINS[name] in _ITERATORS:

        def twin(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            return _iterate(method, args, kwargs)

    elif TWINS[name] in WAITING:

        async def twin(*args: Any, **kwargs: Any) -> Any:
            threads = _waiting_threads(os.getpid())
            return await sync_to_async(method, thread_sensitive=False, executor=threads)(*args, **kwargs)

    else:

        async def twin(*args: Any, **kwargs: Any) -> Any:
            return await _in_a_thread(method, *args, **kwargs)

    twin.__name__ = twin.__qualname__ = name
    return twin


@cache
def _waiting_threads(pid: int) -> ThreadPoolExecutor:
    """Started when they are needed, anew in each process: a fork has none of its parent's."""
    return ThreadPoolExecutor(MOST_WAITING, "kidoproxy-waiting")


async def _in_a_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await sync_to_async(function, thread_sensitive=False)(*args, **kwargs)


async def _iterate(method: Callable[..., Any], args: Any, kwargs: Any) -> AsyncIterator[Any]:
    found: Iterator[Any] = iter(await _in_a_thread(method, *args, **kwargs))
    batches = in_batches(found, ITERSIZE)
    while batch := await _in_a_thread(next, batches, None):
        for item in batch:
            yield item


class AsyncLock:
    """redis-py's Lock for coroutines: ``async with cache.alock("report", timeout=60):``.

    The wait for it is asyncio's, so that no thread is held by those who stand in line.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None

    async def acquire(self, blocking: bool | None = None, blocking_timeout: float | None = None) -> bool:
        """Whether it is ours now; without arguments it waits as the lock was made to."""
        lock = await self._lock()
        blocking = lock.blocking if blocking is None else blocking
        wait = lock.blocking_timeout if blocking_timeout is None else blocking_timeout
        give_up = None if wait is None else time.monotonic() + wait
        while not await self._try(lock):
            if not blocking or (give_up is not None and time.monotonic() + lock.sleep > give_up):
                return False
            await asyncio.sleep(lock.sleep)
        return True

    async def _try(self, lock: Any) -> bool:
        """Once. A coroutine that is cancelled leaves no lock behind: its thread cannot be stopped, and may get it."""
        from redis.exceptions import RedisError

        attempt = asyncio.get_running_loop().run_in_executor(None, partial(lock.acquire, blocking=False))
        try:
            return bool(await asyncio.shield(attempt))
        except asyncio.CancelledError:
            # Whatever goes wrong with it now, what is told is that it was cancelled; its timeout ends the lock then.
            with suppress(RedisError):
                if await attempt:
                    await _in_a_thread(lock.release)
            raise

    async def release(self) -> None:
        """Give it back; a LockError if it is not ours any more."""
        await _in_a_thread((await self._lock()).release)

    async def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """Hold it for longer; refused in copy pools."""
        return bool(await _in_a_thread((await self._lock()).extend, additional_time, replace_ttl))

    async def locked(self) -> bool:
        """Whether anybody holds it."""
        return bool(await _in_a_thread((await self._lock()).locked))

    async def owned(self) -> bool:
        """Whether it is ours."""
        return bool(await _in_a_thread((await self._lock()).owned))

    async def _lock(self) -> Any:
        """redis-py's, made in a thread: to make it may ask the proxy what it serves."""
        if self._made is None:
            self._made = await _in_a_thread(self._make)
        return self._made

    async def __aenter__(self) -> Self:
        if await self.acquire():
            return self
        from redis.exceptions import LockError

        raise LockError("Unable to acquire lock within the time specified")

    async def __aexit__(self, *_: object) -> None:
        await self.release()
