"""The arithmetic of the rows about copies, and the bars that they are held against."""

import pytest

from tests.bench import copies, report, sync
from tests.bench.copies import COPIES, RING, CopyLoad, CopyRow
from tests.bench.generator import WrongAnswer
from tests.bench.sync import SyncCost

LOAD = CopyLoad("SET", ["SET", "key", "value"], 1.7)


def row(ring_us: float, copies_us: float, note: str = "") -> CopyRow:
    made = CopyRow(LOAD, note=note)
    for pool, cost in ((RING, ring_us), (COPIES, copies_us)):
        made.cpu_us[pool] = [cost]
        made.rate[pool] = [1e6 / cost]
        made.p99_ms[pool] = [cost / 10]
    return made


def test_table_of_copies() -> None:
    """One line per row; one without figures says why."""
    lines = report.copies([row(10, 15), row(1, 1, "closed")]).splitlines()
    assert lines[2] == "| SET | 10.0 | 15.0 | **1.50** | 100000 / 66667 | 1.00 / 1.50 |"
    assert lines[3].endswith("| closed |")
    assert {line.count("|") for line in lines} == {7}


def test_too_dear_a_write_is_named() -> None:
    """A row above its bar, and one without figures."""
    found = copies.misses([row(10, 16), row(10, 18), row(1, 1, "closed")])
    assert found == ["copies, SET: closed", "copies, SET: CPU ratio 1.80, allowed is 1.70"]


def test_names_of_rows_are_unique() -> None:
    """A table in which two rows have one name cannot be read."""
    loads = [*copies.LOADS, *copies.transfers()]
    assert len({load.name for load in loads}) == len(loads)


def test_an_error_reply_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-benchmark ends at the first one; what it says is the row's note."""
    monkeypatch.setattr(copies, "PROGRAM", "false")
    with pytest.raises(WrongAnswer):
        copies.ask(1, LOAD)


def test_a_sync_has_two_bars() -> None:
    """Its time, and what the clients feel of it."""
    assert sync.misses(SyncCost(1000, 59.0, 30.0, 1.0, 1.9, 5.0)) == []
    assert sync.misses(SyncCost(1000, 61.0, 30.0, 1.0, 2.1, 5.0)) == [
        "sync: 61 s, allowed are 60",
        "sync: p99 2.10 ms, before it 1.00",
    ]
    assert report.sync(SyncCost(1000, 61.0, 30.0, 1.0, 2.1, 5.0)).endswith(
        "| 1 000 keys | 61.0 | 30.0 | 1.00 / 2.10 | 5 |\n"
    )
