"""What holds for every test: it does not fail because the machine is busy; one marked ``alone`` has it for itself.

``pytest -n 2`` runs two tests at a time, and two environments of tox may run side by side. A test that compares
times would then measure its neighbour, so each test holds a lock: most of them share it, one that is marked
``alone`` holds it against all others.
"""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

#: So many examples Hypothesis tries of each rule.
EXAMPLES: Final = 30

# How long an example takes says how busy the machine is and nothing about the proxy. Each run tries other examples;
# whoever wants many at once says ``--hypothesis-profile=thorough``.
settings.register_profile("kidoproxy", deadline=None, max_examples=EXAMPLES)
settings.register_profile("thorough", deadline=None, max_examples=20 * EXAMPLES)
settings.load_profile("kidoproxy")

#: What is locked are files of this folder, which all processes have in common. Nothing is written to them.
ROOM: Final = Path(__file__).resolve()
DOOR: Final = ROOM.with_name("__init__.py")


@contextmanager
def locked(path: Path, how: int) -> Iterator[int]:
    """Hold the lock of that file, ``LOCK_SH`` or ``LOCK_EX``, for the time of the ``with``; the open file."""
    with path.open("rb") as file:
        fcntl.flock(file, how)
        try:
            yield file.fileno()
        finally:
            # Not left to the end of the file: a process that the test has forked may have it, too.
            fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def turn(alone: bool, room: Path = ROOM, door: Path = DOOR) -> Iterator[None]:
    """A test's turn. One that waits to be alone holds the door meanwhile, so that no other gets in before it."""
    with ExitStack() as held:
        with locked(door, fcntl.LOCK_EX):
            held.enter_context(locked(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Around all else, so that the time of waiting does not count for the test's time-out."""
    with turn(item.get_closest_marker("alone") is not None):
        return (yield)
