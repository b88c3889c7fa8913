# mypy: disable-error-code="import-untyped, untyped-decorator"
"""A Celery application as people write one: Redis is its broker and keeps its results.

Its callers make one of their own and send tasks by name, as another service does.
"""

import os
import time
from typing import Any, Final

from celery import Celery

from tests.live.workers import SERVER

URL: Final = os.environ.get(SERVER, "")
#: In the environment of the worker: what all of its keys begin with.
PREFIX: Final = "LIVE_PREFIX"


def prefixed(app: Any, prefix: str) -> None:
    """Let all keys of broker and results begin with this."""
    app.conf.broker_transport_options = {"global_keyprefix": prefix}
    app.conf.result_backend_transport_options = {"global_keyprefix": prefix}


app = Celery("live", broker=URL, backend=URL)
prefixed(app, os.environ.get(PREFIX, ""))


@app.task(name="add")
def add(a: int, b: int) -> int:
    """Two arguments, one result."""
    return a + b


@app.task(name="total")
def total(numbers: list[int]) -> int:
    """The body of a chord."""
    return sum(numbers)


@app.task(name="now")
def now() -> float:
    """When it is run."""
    return time.time()


@app.task(name="fail")
def fail(text: str) -> None:
    """Cannot succeed."""
    raise ValueError(text)


@app.task(name="third_time", bind=True, max_retries=5, default_retry_delay=0.05)
def third_time(self: Any) -> int:
    """Succeeds when it is tried for the third time; how often it was retried."""
    if self.request.retries < 2:
        raise self.retry(exc=OSError("not yet"))
    retries: int = self.request.retries
    return retries
