"""Waiting for something that will come to be so: the only place in the tests where time is let pass."""

import time
from collections.abc import Callable
from typing import Final

_BETWEEN: Final = 0.005


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> float:
    """Wait until `condition` holds, at most so long; how long it took. Fails the test when it does not."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not so within {seconds:g} seconds: {condition}")
        time.sleep(_BETWEEN)
    return time.monotonic() - started
