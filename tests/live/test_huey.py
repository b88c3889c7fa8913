# mypy: disable-error-code="import-untyped"
"""huey through the proxy: both ways in which it keeps tasks and results, with a consumer of its own."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from huey import chord
from huey.exceptions import TaskException, TaskLockedException

from tests.live.huey_tasks import KIND, KINDS, Tasks
from tests.live.proxies import Starter
from tests.live.workers import worker
from tests.wait import eventually

pytestmark = pytest.mark.live

TOGETHER: Final = ["@huey"]
SECONDS: Final = 20
CONSUMER: Final = ("huey.bin.huey_consumer", "tests.live.huey_tasks.huey", "-w", "2", "-q")


@contextmanager
def consumed(kind: str, server: str, folder: Path) -> Iterator[Tasks]:
    """The tasks on the callers' side, while a consumer with two threads serves them. It must end cleanly."""
    made = KINDS[kind](server)
    with worker(folder, server, *CONSUMER, **{KIND: kind}) as consumer:
        yield made
        assert consumer.end(signal.SIGINT) == 0
    made.huey.storage.conn.close()


@pytest.fixture(scope="module", params=list(KINDS))
def tasks(request: pytest.FixtureRequest, server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasks]:
    """Each kind of huey."""
    with consumed(request.param, server, tmp_path_factory.mktemp("huey")) as made:
        yield made


def result(handle: Any) -> Any:
    """The task's result, waited for: a blocking pop tells when it is there."""
    return handle.get(blocking=True, timeout=SECONDS)


def latest(handle: Any) -> Any:
    """What the latest attempt has left: a result, an error, or nothing yet."""
    handle.reset()
    try:
        return handle.get(preserve=True)
    except TaskException as error:
        return error


def test_results(tasks: Tasks) -> None:
    """Each task is run once and gives its result to who asked for it."""
    handles = [tasks.add(number, 1) for number in range(20)]
    assert [result(handle) for handle in handles] == list(range(1, 21))
    assert tasks.huey.pending_count() == 0


def test_failure(tasks: Tasks) -> None:
    """What a task raises is told to who fetches its result."""
    with pytest.raises(TaskException, match="on purpose"):
        result(tasks.fail("on purpose"))


def test_retry(tasks: Tasks) -> None:
    """A task that fails twice is tried again and succeeds with one try left."""
    handle = tasks.third_time()
    eventually(lambda: latest(handle) == 1, SECONDS)


def test_schedule(tasks: Tasks) -> None:
    """A task for later is kept in a sorted set until its time has come."""
    asked = time.time()
    assert result(tasks.now.schedule(delay=0.2)) >= asked + 0.2
    assert tasks.huey.scheduled_count() == 0


def test_pipeline_and_chord(tasks: Tasks) -> None:
    """A result is handed on to the next task; a task waits for all others."""
    handles = tasks.huey.enqueue(tasks.add.s(1, 2).then(tasks.add, 3))
    assert [result(handle) for handle in handles] == [3, 6]
    waits = chord([tasks.add.s(number, number) for number in range(5)], tasks.total.s())
    assert result(tasks.huey.enqueue(waits)) == 20


def test_lock_and_revoke(tasks: Tasks) -> None:
    """A lock keeps others out; a task that is revoked is not run."""
    with tasks.huey.lock_task("door"), pytest.raises(TaskLockedException), tasks.huey.lock_task("door"):
        raise AssertionError("the lock is held")
    handle = tasks.now.schedule(delay=0.1)
    handle.revoke()
    eventually(lambda: not handle.is_revoked(), SECONDS)  # The consumer has seen it, and crossed it out.
    assert handle.get() is None


@pytest.mark.parametrize("kind", list(KINDS))
def test_apart(own_proxy: Starter, kind: str, tmp_path: Path) -> None:
    """huey's commands have one key each, or can be split: it runs without ``together`` too."""
    with consumed(kind, own_proxy("ring", 3).url, tmp_path) as tasks:
        assert [result(handle) for handle in [tasks.add(number, 1) for number in range(20)]] == list(range(1, 21))
        handle = tasks.third_time()
        eventually(lambda: latest(handle) == 1, SECONDS)
        assert result(tasks.add.schedule((1, 2), delay=0.1)) == 3
