"""A node's fault behind LOADING; who hears it so is told in ``session/test_node_errors.py``."""

from kidoproxy.resp import errors, replication_errors
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.loading import NOTHING_SENT_ERRORS, PartialFailure, as_loading, node_error_as_loading


def test_own_words() -> None:
    """What a pool says when it may ask nobody is a node's fault; a copy's refusal of a write that was done is not."""
    for frame in NOTHING_SENT_ERRORS:
        assert node_error_as_loading(frame) == b"-LOADING " + frame[1:]
    for frame in (errors.STARTING_UP, replication_errors.too_few_copies(["a"], 2), b"+OK\r\n"):
        assert node_error_as_loading(frame) == frame


def test_length() -> None:
    """Behind LOADING too a sentence has its bound, and says at its end what became of the write."""
    failure = NodeFailure(errors.TIMEOUT, "n" * 300, "a" * 300, "c" * 300, True)
    frame = as_loading(failure.error_reply(True))
    assert len(frame) <= errors.MAX_SENTENCE_CHARS + len(b"-\r\n")
    assert frame.startswith(b"-LOADING TIMEOUT nnn")
    assert frame.endswith(b"; the write may have run, its outcome is unknown\r\n")


def test_part_of_a_write() -> None:
    """A failure in part tells how much of the write was done, whoever asks."""
    failure = PartialFailure(b"-PARTIAL so much\r\n", NodeFailure(errors.NODEDOWN, "a", "a:1", "gone", False))
    assert failure.error_reply(True) == failure.error_reply(False) == b"-PARTIAL so much\r\n"
    assert (failure.node, failure.may_have_run, failure.short_reason()) == ("a", True, "partial: gone")
