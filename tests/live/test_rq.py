# mypy: disable-error-code="no-untyped-call"
"""RQ through the proxy: queues, results, registries, dependencies, its scheduler and its commands to workers."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from rq import Queue, Retry, Worker
from rq.command import send_stop_job_command
from rq.job import Job, JobStatus
from rq.results import Result

from tests.live import rq_tasks
from tests.live import workers as processes
from tests.live.proxies import Starter
from tests.wait import eventually

pytestmark = pytest.mark.live

TOGETHER: Final = ["@rq"]
SECONDS: Final = 20
WORKER: Final = ("rq.cli", "worker", "--url")


@pytest.fixture(scope="module")
def connection(server: str) -> Iterator[Any]:
    """What queues and jobs are given."""
    with redis.Redis.from_url(server, socket_timeout=SECONDS + 5) as client:
        yield client


@pytest.fixture(scope="module")
def queue(connection: Any, server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """One of the two queues that a worker with a scheduler waits for. It must end cleanly."""
    words = (*WORKER, server, "--with-scheduler", "high", "low")
    with processes.worker(tmp_path_factory.mktemp("rq"), server, *words) as made:
        yield Queue("low", connection=connection)
        assert made.end() == 0
    assert Worker.all(connection=connection) == []


def result(job: Job) -> Any:
    """The job's next result, waited for with a blocking read of its stream."""
    found = job.latest_result(timeout=SECONDS)
    assert found is not None
    return found


def until_finished(queue: Queue, jobs: list[Job]) -> None:
    """Wait until the worker has put the jobs into the registry, which it does after their results."""
    eventually(lambda: {job.id for job in jobs} <= set(queue.finished_job_registry.get_job_ids()))


def test_results(queue: Queue, connection: Any) -> None:
    """Each job is run once, in both queues, and leaves its result and a place in the registry of finished jobs."""
    queues = [queue, Queue("high", connection=connection)]
    jobs = [each.enqueue(rq_tasks.add, number, 1) for number in range(5) for each in queues]
    assert [result(job).return_value for job in jobs] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    for at, each in enumerate(queues):
        until_finished(each, jobs[at::2])
        assert each.count == 0


def test_failure(queue: Queue) -> None:
    """A job that raises is in the registry of failed jobs with its traceback, and can be taken from there again."""
    job = queue.enqueue(rq_tasks.fail, "on purpose")
    found = result(job)
    assert found.type == Result.Type.FAILED
    assert "ValueError: on purpose" in found.exc_string
    failed = queue.failed_job_registry
    eventually(lambda: job in failed)
    failed.requeue(job)
    eventually(lambda: len(job.results()) == 2)
    failed.remove(job, delete_job=True)
    assert job not in failed


def test_retry(queue: Queue, connection: Any) -> None:
    """A job that fails twice is tried again and succeeds."""
    connection.delete(rq_tasks.ATTEMPTS)
    job = queue.enqueue(rq_tasks.third_time, retry=Retry(max=3))
    eventually(lambda: job.return_value(refresh=True) == 3, SECONDS)
    job.refresh()
    assert job.retries_left == 1


def test_dependency(queue: Queue) -> None:
    """A job waits for all those that it depends on, and sees their results."""
    first = [queue.enqueue(rq_tasks.add, number, number) for number in range(3)]
    last = queue.enqueue(rq_tasks.after, depends_on=first)
    assert result(last).return_value == [0, 2, 4]


def test_scheduler(queue: Queue) -> None:
    """A job for later is enqueued when its time has come, which RQ counts in whole seconds."""
    asked = time.monotonic()
    job = queue.enqueue_in(timedelta(seconds=1.2), rq_tasks.add, 1, 2)
    assert job in queue.scheduled_job_registry
    assert result(job).return_value == 3
    assert time.monotonic() - asked > 0.2


def test_unique(queue: Queue) -> None:
    """A job of the same name is refused while the first is there: a script over the job and its queue."""
    queue.enqueue(rq_tasks.add, 1, 1, job_id="only", unique=True)
    with pytest.raises(Exception, match="already exists"):
        queue.enqueue(rq_tasks.add, 1, 1, job_id="only", unique=True)


def test_stop(queue: Queue, connection: Any) -> None:
    """A job that runs is stopped by a message to its worker, which listens on a channel."""
    job = queue.enqueue(rq_tasks.forever)
    eventually(lambda: job.get_status() == JobStatus.STARTED, SECONDS)
    send_stop_job_command(connection, job.id)
    eventually(lambda: job.get_status() == JobStatus.STOPPED, SECONDS)


def test_burst(connection: Any, server: str, tmp_path: Path) -> None:
    """A worker that is told to empty a queue does so and ends."""
    queue = Queue("burst", connection=connection)
    jobs = [queue.enqueue(rq_tasks.add, number, 1) for number in range(3)]
    with processes.worker(tmp_path, server, *WORKER, server, "--burst", "burst") as made:
        assert made.ended() == 0
    assert [job.return_value() for job in jobs] == [1, 2, 3]


def test_apart(own_proxy: Starter, tmp_path: Path) -> None:
    """Without ``together`` a job is enqueued, split by node, and a worker ends, naming keys that do not meet."""
    proxy = own_proxy("ring", 3)
    name = next(
        f"q{number}"
        for number in range(100)
        if proxy.name_of(f"rq:queue:q{number}") != proxy.name_of(f"rq:queue:q{number}:intermediate")
    )
    job = Queue(name, connection=proxy.client()).enqueue(rq_tasks.add, 1, 1)
    with processes.worker(tmp_path, proxy.url, *WORKER, proxy.url, "--burst", name) as made:
        made.ended()
        assert "Keys in request don't hash to the same node" in made.log()
        assert f"violating-key='rq:queue:{name}:intermediate'" in made.log()
    assert job.get_status() == JobStatus.QUEUED
