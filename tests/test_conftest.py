"""Tests that run beside others, and tests that are alone."""

import fcntl
import os
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import locked, turn
from tests.wait import eventually


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A room and its door."""
    for name in ("room", "door"):
        (tmp_path / name).touch()
    return tmp_path / "room", tmp_path / "door"


class Waiting(threading.Thread):
    """One that wants its turn; `came` once it has it, gone when it may `leave`."""

    def __init__(self, alone: bool, files: tuple[Path, Path]) -> None:
        super().__init__()
        self.alone = alone
        self.files = files
        self.came = threading.Event()
        self.leave = threading.Event()
        self.start()

    def run(self) -> None:
        """Wait, come, and leave when told to."""
        with turn(self.alone, *self.files):
            self.came.set()
            self.leave.wait()


def waits(inode: int) -> bool:
    """Whether somebody waits for the lock of that file."""
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(row[1] == "->" and row[6].endswith(f":{inode}") for row in rows)


def test_most_share(files: tuple[Path, Path]) -> None:
    """Two that need not be alone run side by side."""
    with turn(False, *files), turn(False, *files):
        pass


def test_one_that_is_alone_waits_for_the_others_and_they_for_it(files: tuple[Path, Path]) -> None:
    """It comes when those have left who are there, before those who come later, and nobody comes while it is there."""
    room, door = files
    with ExitStack() as there:
        there.enter_context(turn(False, *files))
        alone = Waiting(True, files)
        eventually(lambda: waits(room.stat().st_ino))
        later = Waiting(False, files)
        eventually(lambda: waits(door.stat().st_ino))
        assert not alone.came.is_set()
    assert alone.came.wait(10)
    assert not later.came.is_set()
    alone.leave.set()
    assert later.came.wait(10)
    later.leave.set()
    alone.join()
    later.join()


def test_what_a_test_forks_does_not_hold_its_turn(files: tuple[Path, Path]) -> None:
    """A child that lives on has a copy of the open file, and yet the turn is over."""
    with locked(files[0], fcntl.LOCK_EX) as file:
        copy = os.dup(file)
    with locked(files[0], fcntl.LOCK_EX | fcntl.LOCK_NB):
        os.close(copy)
