"""`kidoproxy.resp.loading`: node errors behind LOADING; ``tests/session/test_node_errors.py`` has who gets them."""

from kidoproxy.resp import errors, replication_errors
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.loading import NOTHING_SENT_ERRORS, PartialFailure, as_loading, node_error_as_loading


def test_which_errors_are_node_errors() -> None:
    """Those of a pool without a node to ask are; that too few copies have a write which was applied is not."""
    for frame in NOTHING_SENT_ERRORS:
        assert node_error_as_loading(frame) == b"-LOADING " + frame[1:]
    for frame in (errors.STARTING_UP, replication_errors.too_few_copies(["a"], 2), b"+OK\r\n"):
        assert node_error_as_loading(frame) == frame


def test_length() -> None:
    """Behind LOADING an error has no more characters than others, and still ends with the outcome of the write."""
    failure = NodeFailure(errors.TIMEOUT, "n" * 300, "a" * 300, "c" * 300, True)
    frame = as_loading(failure.error_reply(True))
    assert len(frame) <= errors.MAX_SENTENCE_CHARS + len(b"-\r\n")
    assert frame.startswith(b"-LOADING TIMEOUT nnn")
    assert frame.endswith(b"; the write may have run, its outcome is unknown\r\n")


def test_partial_failure() -> None:
    """Its error is the sentence that says how much of the write was applied."""
    failure = PartialFailure(b"-PARTIAL so much\r\n", NodeFailure(errors.NODEDOWN, "a", "a:1", "gone", False))
    assert failure.error_reply(True) == failure.error_reply(False) == b"-PARTIAL so much\r\n"
    assert (failure.node, failure.may_have_run, failure.short_reason()) == ("a", True, "partial: gone")
