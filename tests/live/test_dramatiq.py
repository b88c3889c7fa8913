# mypy: disable-error-code="no-untyped-call"
"""dramatiq through the proxy: its broker is one script that is given a single key, its results are lists."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import dramatiq
import pytest
import redis
from dramatiq.rate_limits import ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.results import ResultFailure

from tests.live.dramatiq_tasks import Actors
from tests.live.proxies import Starter
from tests.live.workers import worker
from tests.wait import eventually

pytestmark = pytest.mark.live

TOGETHER: Final = ["@dramatiq", "limit"]
MILLISECONDS: Final = 20_000
WORKER: Final = ("dramatiq", "tests.live.dramatiq_tasks:broker", "--processes", "1", "--threads", "2")


@contextmanager
def served(server: str, folder: Path) -> Iterator[Actors]:
    """The actors on the callers' side, while a worker serves them. It must end cleanly."""
    actors = Actors(server)
    try:
        with worker(folder, server, *WORKER) as made:
            yield actors
            assert made.end() == 0
    finally:
        actors.close()


@pytest.fixture(scope="module")
def actors(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Actors]:
    """All tests send to one worker."""
    with served(server, tmp_path_factory.mktemp("dramatiq")) as made:
        yield made


def result(actors: Actors, message: Any) -> Any:
    """The message's result, waited for with a blocking pop."""
    return message.get_result(backend=actors.results, block=True, timeout=MILLISECONDS)


def test_results(actors: Actors) -> None:
    """Each message is worked on once and gives its result to who asked for it."""
    messages = [actors.add.send(number, 1) for number in range(20)]
    assert [result(actors, message) for message in messages] == list(range(1, 21))


def test_failure(actors: Actors) -> None:
    """What an actor raises is told to who fetches its result; the message is dead, and the queue is empty."""
    with pytest.raises(ResultFailure, match="on purpose"):
        result(actors, actors.fail.send("on purpose"))
    eventually(lambda: actors.broker.do_qsize("default") == 0)


def test_retry(actors: Actors) -> None:
    """A message that fails twice is tried again, later, and succeeds."""
    message = actors.third_time.send()
    eventually(lambda: latest(actors, message) == 2, MILLISECONDS / 1000)


def latest(actors: Actors, message: Any) -> Any:
    """What the latest attempt has left: a result, an error, or that nothing is there yet."""
    try:
        return message.get_result(backend=actors.results)
    except dramatiq.results.ResultError as error:
        return error


def test_delay(actors: Actors) -> None:
    """A message for later is worked on later."""
    asked = time.time()
    assert result(actors, actors.now.send_with_options(delay=200)) >= asked + 0.2


def test_pipeline_and_group(actors: Actors) -> None:
    """A result is handed on to the next; a group that is complete sends its callback, once."""
    chain = dramatiq.pipeline([actors.add.message(1, 2), actors.add.message(3)], broker=actors.broker).run()
    assert chain.get_result(block=True, timeout=MILLISECONDS) == 6
    last = actors.now.message()
    group = dramatiq.group([actors.add.message(number, number) for number in range(5)], broker=actors.broker)
    group.add_completion_callback(last)
    group.run()
    assert sorted(group.get_results(block=True, timeout=MILLISECONDS)) == [0, 2, 4, 6, 8]
    assert result(actors, last)


def test_rate_limits(actors: Actors) -> None:
    """Limits count with WATCH: how many at once, and how many in a time, whose keys must meet."""
    one = ConcurrentRateLimiter(actors.limits, "limit:one", limit=1)
    with one.acquire(raise_on_failure=False) as first, one.acquire(raise_on_failure=False) as second:
        assert (first, second) == (True, False)
    window = WindowRateLimiter(actors.limits, "limit:window", limit=2, window=10)
    said = []
    for _ in range(3):
        with window.acquire(raise_on_failure=False) as acquired:
            said.append(acquired)
    assert said == [True, True, False]


def test_apart(own_proxy: Starter) -> None:
    """The broker's script makes all names of keys from one: without the set they would lie where no GET finds them."""
    actors = Actors(own_proxy("ring", 3).url)
    try:
        with pytest.raises(redis.ResponseError, match=r"with 'dramatiq:.* keep the names in one {tag} or `together`"):
            actors.add.send(1, 1)
    finally:
        actors.close()


def test_limit_apart(own_proxy: Starter) -> None:
    """A limit over a time watches a key for each second: without ``together`` two that do not meet are named."""
    actors = Actors(own_proxy("ring", 3).url)
    try:
        window = WindowRateLimiter(actors.limits, "limit:window", limit=2, window=10)
        with pytest.raises(redis.ResponseError, match=r"don't hash to the same node .*violating-key='limit:window@"):
            window.acquire().__enter__()
    finally:
        actors.close()
