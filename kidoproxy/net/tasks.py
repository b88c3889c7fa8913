"""The one place that makes tasks: named, kept until they end, cancelled together; one that fails is logged."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from kidoproxy.net.logs import EventLogger
from kidoproxy.resp.log_event import LogEvent

log = EventLogger("kidoproxy.tasks")

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result]) -> Result:
    """The result of ``work``, or what it raises: the loop waits neither for a disk nor for much to be made.

    The end of the process does not wait for it either, as it would for a thread of asyncio's own.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def run() -> None:
        try:
            deliver = partial(done.set_result, work())
        except Exception as problem:  # noqa: BLE001 - raised where the result is wanted
            deliver = partial(done.set_exception, problem)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(deliver_if_wanted, deliver)

    def deliver_if_wanted(deliver: Callable[[], None]) -> None:
        if not done.done():
            deliver()

    Thread(target=run, name="beside the loop", daemon=True).start()
    return await done


class Tasks:
    """A set of running tasks. asyncio itself keeps only weak references, so somebody must hold them."""

    def __init__(self) -> None:
        self.running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run ``work`` in the background under ``name``."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.running.add(task)
        task.add_done_callback(self.on_done)
        return task

    def on_done(self, task: asyncio.Task[None]) -> None:
        """Forget it; an exception that nobody expected is a bug and is logged."""
        self.running.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.write(logging.ERROR, LogEvent("task failed", {"name": task.get_name()}), problem)

    async def stop(self) -> None:
        """Cancel all and wait until they have ended."""
        tasks = list(self.running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
