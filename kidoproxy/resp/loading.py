"""``node_errors = "retry"``: errors that are a node's fault begin with LOADING.

LOADING is the one code word that client libraries treat as a lost connection. redis-py has a subclass of
ConnectionError for it; kombu, RQ and others built on it back off and reconnect. Redis says it while it starts, and as
far as a client can tell a node that is down is about to start.
"""

from typing import Final, final

from kidoproxy.resp import errors
from kidoproxy.resp.errors import NO_COPY_IN_SYNC, NOREPLICAS, NodeFailure

PARTIAL: Final = "PARTIAL"
#: How the error replies of a `NodeFailure` begin.
NODE_FAILURE_PREFIXES: Final = (b"-NODEDOWN ", b"-TIMEOUT ", b"-OVERLOADED ")
#: Errors of a pool in which no node may be asked. Nothing has been sent.
NOTHING_SENT_ERRORS: Final = (NO_COPY_IN_SYNC, NOREPLICAS)
#: The last characters of an error, which say what became of the request, are not truncated.
TAIL_CHARS: Final = 80


@final
class PartialFailure(NodeFailure):
    """A split write of which only some parts were applied; ``sentence`` is the whole error reply."""

    def __init__(self, sentence: bytes, first_failure: NodeFailure) -> None:
        super().__init__(PARTIAL, first_failure.node, first_failure.address, first_failure.cause, True)
        self.sentence = sentence

    def error_reply(self, is_write: bool) -> bytes:
        """The sentence, which says how much of the write was applied."""
        return self.sentence


def as_loading_if(frame: bytes, enabled: bool) -> bytes:
    """The error reply of a `NodeFailure`, behind LOADING if ``enabled``."""
    return as_loading(frame) if enabled else frame


def node_error_as_loading(frame: bytes) -> bytes:
    """`as_loading` of an error that is a node's fault; any other frame as it is."""
    return as_loading(frame) if frame.startswith(NODE_FAILURE_PREFIXES) or frame in NOTHING_SENT_ERRORS else frame


def as_loading(frame: bytes) -> bytes:
    """The same words behind LOADING; a sentence that becomes too long loses its middle."""
    sentence = errors.decode_wire(frame[1:-2])
    return errors.error_reply_around("LOADING ", sentence[:-TAIL_CHARS], sentence[-TAIL_CHARS:])
