# mypy: disable-error-code="import-untyped"
"""Celery through the proxy: its broker, its results and its remote control, with a worker of its own."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from celery import Celery, chain, chord, group

from tests.live.celery_tasks import PREFIX, prefixed
from tests.live.proxies import Starter
from tests.live.workers import Worker, worker

pytestmark = pytest.mark.live

TOGETHER: Final = ["@celery"]
SECONDS: Final = 30.0
WORKER: Final = ("celery", "-A", "tests.live.celery_tasks", "worker", "-c", "2", "-l", "INFO", "-n", "live@%h")


@pytest.fixture(scope="module")
def served(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with two processes. It must end cleanly."""
    with worker(tmp_path_factory.mktemp("celery"), server, *WORKER) as made:
        yield made
        assert made.end() == 0


@pytest.fixture(scope="module")
def app(server: str, served: Worker) -> Iterator[Any]:
    """What sends tasks and fetches results."""
    with Celery("callers", broker=server, backend=server, set_as_current=False) as made:
        yield made


@pytest.fixture(autouse=True)
def collected(own_proxy: Starter) -> Iterator[None]:
    """A result asks the proxy once more when it is collected: that has to be while there is one."""
    yield
    gc.collect()


def task(app: Any, name: str, *args: Any) -> Any:
    """A task with its arguments, not yet sent."""
    return app.signature(name, args=args)


def test_results(app: Any) -> None:
    """Each task is run once and gives its result to who asked for it."""
    asked = [task(app, "add", number, 1).delay() for number in range(50)]
    assert [one.get(timeout=SECONDS) for one in asked] == list(range(1, 51))


def test_error(app: Any) -> None:
    """What a task raises is raised where its result is fetched."""
    asked = task(app, "fail", "on purpose").delay()
    with pytest.raises(ValueError, match="on purpose"):
        asked.get(timeout=SECONDS)
    assert asked.state == "FAILURE"


def test_retry(app: Any) -> None:
    """A task that fails twice is tried again and succeeds."""
    assert task(app, "third_time").delay().get(timeout=SECONDS) == 2


def test_countdown(app: Any) -> None:
    """A task for later is run later."""
    asked = time.time()
    assert task(app, "now").apply_async(countdown=0.3).get(timeout=SECONDS) >= asked + 0.3


def test_priorities(app: Any) -> None:
    """Each priority is a list of its own; tasks of all are run."""
    asked = [task(app, "add", priority, 0).apply_async(priority=priority) for priority in range(10)]
    assert [one.get(timeout=SECONDS) for one in asked] == list(range(10))


def test_canvas(app: Any) -> None:
    """Groups, chains, and a chord whose body waits for all of its header."""
    adds = [task(app, "add", number, number) for number in range(10)]
    assert group(adds, app=app).apply_async().get(timeout=SECONDS) == list(range(0, 20, 2))
    assert chain(task(app, "add", 1, 2), task(app, "add", 3), app=app).apply_async().get(timeout=SECONDS) == 6
    assert chord(adds, task(app, "total"), app=app).apply_async().get(timeout=SECONDS) == 90


def test_remote_control(app: Any) -> None:
    """The worker answers on the way of ``celery inspect``, which is publish/subscribe and a list of replies."""
    task(app, "add", 1, 1).delay().get(timeout=SECONDS)
    said = app.control.inspect(timeout=SECONDS, limit=1).ping()
    assert list(said.values()) == [{"ok": "pong"}]
    (name,) = said
    told = app.control.inspect([name], timeout=SECONDS, limit=1).stats()
    assert told[name]["broker"]["transport"] == "redis"


def test_revoked(app: Any) -> None:
    """A task that is revoked while it waits is not run."""
    asked = task(app, "now").apply_async(countdown=1)
    app.control.revoke(asked.id, reply=True, timeout=SECONDS, limit=1)
    asked.get(timeout=SECONDS, propagate=False)
    assert asked.state == "REVOKED"


def test_queues_of_any_name(own_proxy: Starter, tmp_path: Path) -> None:
    """Queues that are not named after Celery meet by a prefix that all keys of the application have."""
    url = own_proxy("ring", 3, timeout_ms=10_000, together=["shop:"]).url
    with (
        worker(tmp_path, url, *WORKER, "-Q", "mail,news", **{PREFIX: "shop:"}) as made,
        Celery("callers", broker=url, backend=url, set_as_current=False) as app,
    ):
        prefixed(app, "shop:")
        for name in ("mail", "news"):
            asked = [task(app, "add", number, 1).apply_async(queue=name) for number in range(5)]
            assert [one.get(timeout=SECONDS) for one in asked] == [1, 2, 3, 4, 5]
        adds = [task(app, "add", number, number).set(queue="mail") for number in range(5)]
        assert chord(adds, task(app, "total").set(queue="news"), app=app).apply_async().get(timeout=SECONDS) == 20
        assert made.end() == 0


def test_apart(own_proxy: Starter, tmp_path: Path) -> None:
    """Without ``together`` the worker's lists do not meet: it ends at once and names two of them."""
    with worker(tmp_path, own_proxy("ring", 3).url, *WORKER) as made:
        assert made.ended() != 0
        assert "Keys in request don't hash to the same node" in made.log()
        assert "violating-key='" in made.log()
