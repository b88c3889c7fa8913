"""What ``workers = "auto"`` comes to."""

import os
from pathlib import Path

import pytest

from kidoproxy.config.processors import usable_processors
from kidoproxy.resp.errors import ConfigError
from tests.config.files import RING, read


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000", 4),
        ("100000 100000", 1),
        ("250000 100000", 3),
        ("50000 100000", 1),
        ("1000000 100000", 4),
        ("0 100000", 1),
        ("1 0", 4),
        ("nonsense", 4),
        (None, 4),
    ],
)
def test_no_more_than_the_container_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, expected: int
) -> None:
    """The processors that it may run on, or what its control group has time for; no sense is no limit."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    file = tmp_path / "cpu.max"
    if limit is not None:
        file.write_text(limit + "\n")
    assert usable_processors(file) == expected


def test_where_no_process_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems than Linux all processors count."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert usable_processors(tmp_path / "absent") == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_processors(tmp_path / "absent") == 1


def test_auto(tmp_path: Path) -> None:
    """The word is a number of workers; another word is a mistake."""
    assert read(tmp_path, '[proxy]\nworkers = "auto"\n' + RING).workers == usable_processors()
    with pytest.raises(ConfigError, match=r"proxy\.workers: must be a whole number"):
        read(tmp_path, '[proxy]\nworkers = "many"\n' + RING)


def test_auto_is_the_number_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that gets more time does not make each reload one that needs a restart."""
    text = '[proxy]\nworkers = "auto"\n' + RING
    before = read(tmp_path, text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(before.workers + 1)))
    assert read(tmp_path, text) == before
