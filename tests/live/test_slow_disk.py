"""A disk that takes its time holds up the acknowledgements that need the record of the copies, and nothing else."""

import threading
import time
from pathlib import Path

import pytest
import redis

from tests.live.proxies import RunningProxy, Starter

pytestmark = [pytest.mark.live, pytest.mark.alone]

SLOW_SECONDS = 0.7
#: Put in front of the program by Python itself: every fsync takes this long.
SLOW_DISK = f"""
import os, threading
real = os.fsync
def fsync(handle):
    threading.Event().wait({SLOW_SECONDS})
    real(handle)
os.fsync = fsync
"""


@pytest.fixture
def proxy(own_proxy: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunningProxy:
    """Two copies, on such a disk."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_DISK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return own_proxy("copy", 2)


def test_others_go_on(proxy: RunningProxy) -> None:
    """The write that one copy missed is acknowledged late and well; reads are served meanwhile."""
    writer, reader = proxy.client(), proxy.client()
    assert writer.set("k", 1)
    proxy.kill(1)
    outcome: list[object] = []

    def write() -> None:
        try:
            outcome.append(writer.set("k", 2))
        except redis.RedisError as problem:
            outcome.append(problem)

    began = time.monotonic()
    thread = threading.Thread(target=write)
    thread.start()
    longest = 0.0
    while thread.is_alive():
        at = time.monotonic()
        assert reader.get("k") in (b"1", b"2")
        longest = max(longest, time.monotonic() - at)
    thread.join()
    assert outcome == [True]
    assert time.monotonic() - began > SLOW_SECONDS
    assert longest < SLOW_SECONDS / 2


def test_a_second_proxy(proxy: RunningProxy) -> None:
    """It is told who serves these copies, and does not start; where the first one serves on."""
    (proxy.folder / "second").mkdir()
    second = RunningProxy(
        proxy.folder / "second", "copy", proxy.urls, proxy.nodes, proxy={"state_dir": str(proxy.folder / "state")}
    )
    with pytest.raises(AssertionError, match=f"process {proxy.pid} serves these copies and keeps their record, "):
        second.start()
    assert second.end() == 1
    assert proxy.client().set("k", 1)
