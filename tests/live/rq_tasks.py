"""Jobs for RQ's worker."""

import os
from typing import Final

import redis
from rq import get_current_job

from tests.live.workers import SERVER

#: Counts attempts, for jobs that fail until they were tried often enough.
ATTEMPTS: Final = "attempts"


def add(a: int, b: int) -> int:
    """Two arguments, one result."""
    return a + b


def fail(text: str) -> None:
    """Cannot succeed."""
    raise ValueError(text)


def third_time() -> int:
    """Succeeds when it is tried for the third time."""
    with redis.Redis.from_url(os.environ[SERVER]) as client:
        tried = int(client.incr(ATTEMPTS))
    if tried < 3:
        raise OSError("not yet")
    return tried


def after() -> list[int | None]:
    """The results of the jobs that this one depends on."""
    job = get_current_job()
    assert job is not None
    return [one.return_value() for one in job.fetch_dependencies()]


def forever() -> None:
    """Waits for what never comes."""
    with redis.Redis.from_url(os.environ[SERVER]) as client:
        client.blpop(["never"])
