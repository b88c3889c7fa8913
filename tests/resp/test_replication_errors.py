"""`kidoproxy.resp.replication_errors`: which copy, why, and what to do, within the length of an error."""

from kidoproxy.resp.replication_errors import (
    copy_behind,
    no_trusted_copy,
    record_unwritable,
    same_server_cause,
    too_few_copies,
    trust_lost,
)


def test_sentences() -> None:
    """Word for word; a long list of nodes is truncated."""
    assert same_server_cause("a") == "it is the same server as a (one run id); name each server once"
    assert trust_lost("a", "a:1", "connection refused") == b"-NODEDOWN a a:1 (connection refused)\r\n"
    assert trust_lost("a", "a:1", "").startswith(b"-NODEDOWN a a:1 (it was restarted, ")
    said = no_trusted_copy("a", "is empty", [f"node-{at}" for at in range(50)])
    assert said.startswith(b"-NOREPLICAS no copy can be trusted: a is empty, and node-0, ")
    assert said.endswith(b"kidoproxy sync --trust a\r\n")
    assert len(said) <= 203
    assert too_few_copies(["a", "b"], 3) == b"-NOREPLICAS the write was applied on a, b only, 3 copies are wanted\r\n"
    refusal = record_unwritable("pair", "No space left on device")
    text = b"MISCONF nothing was written: the record of pair's copies cannot be put on disk (No space left on device)"
    assert refusal == b"-" + text + b"\r\n"
    assert copy_behind("a") == b"-BEHIND a is not in sync; it gets writes and is not read\r\n"
