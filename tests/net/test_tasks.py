"""Tasks are kept, told apart by name, and end together."""

import asyncio

import pytest

from kidoproxy.net.tasks import Tasks, in_thread


async def test_a_task_is_kept_until_it_ends() -> None:
    """asyncio alone would forget it; one that has ended well leaves no trace."""
    tasks = Tasks()
    go, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.set()

    task = tasks.start(work(), "work")
    assert tasks.running == {task}
    assert task.get_name() == "work"
    go.set()
    await task
    assert done.is_set()
    assert tasks.running == set()


async def test_a_task_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody waits for must not vanish."""
    tasks = Tasks()

    async def work() -> None:
        raise ValueError("oh")

    task = tasks.start(work(), "connect a")
    await asyncio.wait([task])
    assert tasks.running == set()
    assert "task failed: name=connect a" in caplog.text
    assert "ValueError: oh" in caplog.text


async def test_stop_waits_for_the_end_of_all(caplog: pytest.LogCaptureFixture) -> None:
    """Cancelled, and awaited: what they clean up is cleaned up; being cancelled is no failure."""
    tasks = Tasks()
    begun, ended = [asyncio.Event() for _ in range(3)], []

    async def work(at: int) -> None:
        try:
            begun[at].set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(at)

    for at in range(3):
        tasks.start(work(at), f"work {at}")
    for event in begun:
        await event.wait()
    await tasks.stop()
    assert sorted(ended) == [0, 1, 2]
    assert tasks.running == set()
    assert caplog.text == ""


async def test_what_a_thread_raises_is_raised_here() -> None:
    """Whoever waits for it must not wait for ever."""

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await in_thread(fail)
