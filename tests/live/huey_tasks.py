# mypy: disable-error-code="import-untyped"
"""Tasks for huey's consumer, in two kinds of huey: lists and a hash, or sorted sets and keys that expire."""

import os
import time
from typing import Any, Final

from huey import Huey, PriorityRedisExpireHuey, RedisHuey

from tests.live.workers import SERVER


def add(a: int, b: int) -> int:
    """Two arguments, one result."""
    return a + b


def now() -> float:
    """When it is run."""
    return time.time()


def fail(text: str) -> None:
    """Cannot succeed."""
    raise ValueError(text)


def third_time(task: Any) -> int:
    """Succeeds when it is tried for the third time, with the last of its retries left."""
    left: int = task.retries
    if left > 1:
        raise OSError("not yet")
    return left


def total(numbers: list[int]) -> int:
    """What becomes of several results."""
    return sum(numbers)


class Tasks:
    """A huey with its tasks, for the consumer and for those who call them."""

    def __init__(self, huey: Huey) -> None:
        self.huey: Any = huey
        self.add: Any = huey.task()(add)
        self.now: Any = huey.task()(now)
        self.fail: Any = huey.task()(fail)
        self.total: Any = huey.task()(total)
        self.third_time: Any = huey.task(retries=3, retry_delay=0, context=True)(third_time)


def plain(url: str) -> Tasks:
    """A list of tasks, all results in one hash."""
    return Tasks(RedisHuey("plain", url=url, notify_result=True))


def expiring(url: str) -> Tasks:
    """A sorted set of tasks, a key for each result."""
    return Tasks(PriorityRedisExpireHuey("expiring", url=url, expire_time=100, notify_result=True))


KINDS: Final = {"plain": plain, "expiring": expiring}
#: In the environment of the consumer: which kind it serves.
KIND: Final = "LIVE_HUEY"

#: What ``huey_consumer tests.live.huey_tasks.huey`` serves.
huey: Final = KINDS[os.environ.get(KIND, "plain")](os.environ.get(SERVER, "redis://")).huey
