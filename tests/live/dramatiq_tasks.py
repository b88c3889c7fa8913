# mypy: disable-error-code="no-untyped-call"
"""Actors for dramatiq's worker: a Redis broker, results, and groups that call back when they are complete."""

import os
import time
from typing import Any, Final

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend as RateLimits
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from tests.live.workers import SERVER

#: Milliseconds until a failed message is tried again.
SOON: Final = 50


def add(a: int, b: int) -> int:
    """Two arguments, one result."""
    return a + b


def now() -> float:
    """When it is run."""
    return time.time()


def fail(text: str) -> None:
    """Cannot succeed."""
    raise ValueError(text)


def third_time() -> int:
    """Succeeds when it is tried for the third time; how often it was retried."""
    message = CurrentMessage.get_current_message()
    assert message is not None
    retries: int = message.options.get("retries", 0)
    if retries < 2:
        raise OSError("not yet")
    return retries


class Actors:
    """A broker with its actors, for the worker and for those who call them."""

    def __init__(self, url: str) -> None:
        self.broker: Any = RedisBroker(url=url)
        self.results: Any = RedisBackend(url=url)
        self.limits: Any = RateLimits(url=url)
        for middleware in (Results(backend=self.results), GroupCallbacks(self.limits), CurrentMessage()):
            self.broker.add_middleware(middleware)
        self.add: Any = self.actor(add)
        self.now: Any = self.actor(now)
        self.fail: Any = self.actor(fail, max_retries=0)
        self.third_time: Any = self.actor(third_time, max_retries=5, min_backoff=SOON, max_backoff=SOON)

    def actor(self, function: Any, **options: Any) -> Any:
        """An actor that keeps its results."""
        return dramatiq.actor(broker=self.broker, store_results=True, **options)(function)

    def close(self) -> None:
        """Close all connections."""
        for one in (self.broker, self.results, self.limits):
            one.client.close()


#: What ``dramatiq tests.live.dramatiq_tasks:broker`` serves.
broker: Final = Actors(os.environ.get(SERVER, "redis://")).broker
