"""The thread that writes records: the loop does not wait for it, and nothing is lost at the end."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from kidoproxy.net import copy_records
from kidoproxy.net.copy_records import CopyRecords, StateWriter
from kidoproxy.net.copy_state import CopyRecord, StateFile
from tests.net.test_copy_state import group


def test_the_loop_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is slow changes add up; the newest is written next, and each is reported once it is safe."""
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)
    sync = os.fsync

    def slow(handle: int) -> None:
        begun.release()
        assert go_on.acquire(timeout=30)
        sync(handle)

    monkeypatch.setattr(os, "fsync", slow)
    calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
    pair = group(names="abc")
    writer = StateWriter(StateFile(tmp_path, pair), calls.put)
    pair.journal = writer.submit
    for copy in pair.copies[1:]:
        pair.mark_in_sync(copy.node)
    assert begun.acquire(timeout=30)
    pair.mark_behind([pair.copies[0].node])
    pair.mark_behind([pair.copies[1].node])
    assert (pair.durability.latest_version, pair.durability.durable_version, calls.empty()) == (4, 0, True)
    for _ in range(8):
        go_on.release()
    while not pair.durability.is_current():
        calls.get(timeout=30)()
    writer.close(30)
    assert not writer.thread.is_alive()
    assert writer.file.read().behind == ["a", "b"]


def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    """The last change is on disk when the writer is closed, even if the loop has ended; then others may lock."""
    pair = group()

    def ended(pending: Callable[[], object]) -> None:
        raise RuntimeError("Event loop is closed")

    writer = StateWriter(StateFile(tmp_path, pair), ended)
    writer.file.lock()
    writer.submit(pair)
    writer.close(30)
    assert not writer.thread.is_alive()
    assert StateFile(tmp_path, pair).read().behind == ["b"]
    StateFile(tmp_path, pair).lock()


def test_changes_before_the_end_are_one(tmp_path: Path) -> None:
    """What is submitted in one go is written at most twice, the last one last, and then it is over."""
    pair = group()
    callbacks: list[Callable[[], object]] = []
    writer = StateWriter(StateFile(tmp_path, pair), callbacks.append)
    for _ in range(1, 200):
        pair.durability.begin_version(True, False)
        writer.submit(pair)
    writer.close(30)
    for pending in callbacks:
        pending()
    assert pair.durability.is_current()
    assert len(callbacks) <= 199


def test_a_record_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again, or the next one instead; nothing is reported as safe before it is, and the cause is known."""
    monkeypatch.setattr(copy_records, "RETRY_SECONDS", 0.01)
    folder = tmp_path / "state"
    folder.write_text("a file is in the way")
    calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
    pair = group(names="abc")
    durability = pair.durability
    writer = StateWriter(StateFile(folder, pair), calls.put)
    pair.journal = writer.submit
    pair.mark_in_sync(pair.copies[1].node)
    for _ in range(3):
        calls.get(timeout=30)()
    assert (durability.failures, durability.is_current(), durability.write_refusal()) == (3, False, "File exists")
    pair.mark_in_sync(pair.copies[2].node)
    folder.unlink()
    while not durability.is_current():
        calls.get(timeout=30)()
    assert durability.write_refusal() == ""
    assert writer.file.read().behind == []
    writer.close(30)
    assert not writer.thread.is_alive()


def test_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It holds up the end once, for all records; what it writes later takes nothing away from who has them then."""
    monkeypatch.setattr(copy_records, "RECORD_DURABLE_SECONDS", 0.1)
    begun, go_on = threading.Semaphore(0), threading.Event()
    sync = os.fsync

    def hang(handle: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            begun.release()
            assert go_on.wait(30)
        sync(handle)

    monkeypatch.setattr(os, "fsync", hang)
    bridge: Any = SimpleNamespace(loop=SimpleNamespace(call_soon_threadsafe=lambda *call: None))
    records = CopyRecords(tmp_path, bridge)
    pairs = [group(names="ab"), group(names="cd")]
    for pair in pairs:
        records.start_recording(pair)
        pair.mark_in_sync(pair.copies[1].node)
        assert begun.acquire(timeout=30)
    began = time.monotonic()
    records.close()
    records.close()
    assert time.monotonic() - began < 0.2
    assert caplog.text.count("state not written in time") == 2
    successor = StateFile(tmp_path, pairs[0])
    successor.lock()
    newer = replace(CopyRecord.of_group(pairs[0]), behind=["the newer one"])
    assert successor.write(newer) == ""
    go_on.set()
    for writer in records.writers:
        writer.thread.join(30)
        assert not writer.thread.is_alive()
    assert successor.read().behind == ["the newer one"]
    successor.unlock()


def test_closing_while_it_cannot_be_written(tmp_path: Path) -> None:
    """The end does not wait for a disk that is full."""
    (tmp_path / "state").write_text("a file is in the way")
    writer = StateWriter(StateFile(tmp_path / "state", group()), lambda pending: None)
    writer.submit(writer.file.group)
    writer.close(30)
    assert not writer.thread.is_alive()
