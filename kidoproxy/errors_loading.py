"""A node's fault as client libraries want to hear it: behind LOADING (``node_errors = "retry"``).

LOADING is the one code word that they take for a lost connection. redis-py has a class for it below ConnectionError;
kombu, RQ and what else is built on it back off and come again. Redis says it while it starts, and a node that is gone
is about to start, as far as a client can tell.
"""

from typing import Final, final

from kidoproxy import errors
from kidoproxy.errors import NO_COPY, NOREPLICAS, NodeFailure

PARTIAL: Final = "PARTIAL"
#: How the lines of a `NodeFailure` begin.
NODE_FAULTS: Final = (b"-NODEDOWN ", b"-TIMEOUT ", b"-OVERLOADED ")
#: What a pool without a node that may be asked says by itself. Nothing has been sent.
NOBODY_ASKED: Final = (NO_COPY, NOREPLICAS)
#: The end of a node's failure, which says what became of the request, has no more characters than this.
TAIL: Final = 80


@final
class PartialFailure(NodeFailure):
    """A split write of which some parts were applied and others failed: ``sentence`` is the whole error reply."""

    def __init__(self, sentence: bytes, first: NodeFailure) -> None:
        super().__init__(PARTIAL, first.node, first.address, first.cause, True)
        self.sentence = sentence

    def line(self, write: bool) -> bytes:
        """It is a write, and the sentence says how much of it was done."""
        return self.sentence


def told(frame: bytes, loading: bool) -> bytes:
    """The line of a `NodeFailure` in the words that are wanted."""
    return as_loading(frame) if loading else frame


def retryable(frame: bytes) -> bytes:
    """`as_loading` of an error that has a node's fault for its reason; anything else as it is."""
    return as_loading(frame) if frame.startswith(NODE_FAULTS) or frame in NOBODY_ASKED else frame


def as_loading(frame: bytes) -> bytes:
    """The same words behind LOADING; of a sentence that is too long the middle goes."""
    sentence = errors.text(frame[1:-2])
    return errors.around("LOADING ", sentence[:-TAIL], sentence[-TAIL:])
