"""A node's fault as client libraries want to hear it: behind LOADING (``node_errors = "retry"``).

LOADING is the one code word that they take for a lost connection. redis-py has a class for it below ConnectionError;
kombu, RQ and what else is built on it back off and come again. Redis says it while it starts, and a node that is gone
is about to start, as far as a client can tell.
"""

from typing import Final, final

from kidoproxy.resp import errors
from kidoproxy.resp.errors import NO_COPY_IN_SYNC, NOREPLICAS, NodeFailure

PARTIAL: Final = "PARTIAL"
#: How the lines of a `NodeFailure` begin.
NODE_FAILURE_PREFIXES: Final = (b"-NODEDOWN ", b"-TIMEOUT ", b"-OVERLOADED ")
#: What a pool without a node that may be asked says by itself. Nothing has been sent.
NOTHING_SENT_ERRORS: Final = (NO_COPY_IN_SYNC, NOREPLICAS)
#: The end of a node's failure, which says what became of the request, has no more characters than this.
TAIL_CHARS: Final = 80


@final
class PartialFailure(NodeFailure):
    """A split write of which some parts were applied and others failed: ``sentence`` is the whole error reply."""

    def __init__(self, sentence: bytes, first_failure: NodeFailure) -> None:
        super().__init__(PARTIAL, first_failure.node, first_failure.address, first_failure.cause, True)
        self.sentence = sentence

    def error_reply(self, is_write: bool) -> bytes:
        """It is a write, and the sentence says how much of it was done."""
        return self.sentence


def as_loading_if(frame: bytes, enabled: bool) -> bytes:
    """The line of a `NodeFailure` in the words that are wanted."""
    return as_loading(frame) if enabled else frame


def node_error_as_loading(frame: bytes) -> bytes:
    """`as_loading` of an error that has a node's fault for its reason; anything else as it is."""
    return as_loading(frame) if frame.startswith(NODE_FAILURE_PREFIXES) or frame in NOTHING_SENT_ERRORS else frame


def as_loading(frame: bytes) -> bytes:
    """The same words behind LOADING; of a sentence that is too long the middle goes."""
    sentence = errors.decode_wire(frame[1:-2])
    return errors.error_reply_around("LOADING ", sentence[:-TAIL_CHARS], sentence[-TAIL_CHARS:])
