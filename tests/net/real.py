"""The loop that the proxy runs on, for tests that want real sockets."""

import asyncio
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop


async def until(condition: Callable[[], object]) -> None:
    """Let the loop go round until `condition` holds. No time is let pass: it comes of the loop's own turns."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Play it.

    A test that fails half way leaves sockets open. uvloop closes them, unless the warning that it gives first is
    made an error: then it would wait for them for ever.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed resource", ResourceWarning)
        uvloop.run(scenario)
