"""What is known of scrubs: requests, numbers, and a list of keys that does not grow for ever."""

from kidoproxy.replication.scrub_record import (
    DONE,
    FAILED,
    MAX_REPORTED_BYTES,
    MAX_REPORTED_KEYS,
    RUNNING,
    WAITING,
    ScrubRecord,
)


def test_from_the_request_to_the_end() -> None:
    """One at a time; the next one begins with nothing, totals go on."""
    record = ScrubRecord()
    assert record.cancel() == "it is not being scrubbed"
    assert record.request(True) == ""
    assert (record.state, record.dry_run, record.number) == (WAITING, True, 1)
    assert record.request(False) == "it is being scrubbed already"
    record.begin(["a", "b"])
    assert record.state == RUNNING
    record.add_keys(5)
    record.add_difference(3, b"k")
    record.add_repaired(1)
    assert record.cancel() == ""
    assert record.is_cancelled
    record.end("", 1000)
    assert (record.state, record.done_ms, record.reported) == (DONE, 1000, [(3, b"k")])

    assert record.request(False) == ""
    assert (record.is_cancelled, record.keys, record.differences, record.reported) == (False, 0, 0, [])
    record.end("cancelled", 2000)
    assert (record.state, record.problem, record.done_ms) == (FAILED, "cancelled", 1000)
    assert (record.total_keys, record.total_differences, record.total_repaired) == (5, 1, 1)


def test_keys_are_reported_within_bounds() -> None:
    """The first ones are named, long names in part; the others are counted."""
    record = ScrubRecord()
    record.add_difference(0, b"x" * 5000)
    for number in range(200):
        record.add_difference(0, b"%d" % number)
    assert (record.differences, len(record.reported)) == (201, MAX_REPORTED_KEYS)
    assert len(record.reported[0][1]) == MAX_REPORTED_BYTES
