"""Reply handlers: what waits for one reply of one node.

A connection keeps its handlers in the order of the requests. Each gets the reply (`on_reply`) or hears that there is
none (`on_failure`); if one of the two raises, which is a bug, `abort` tells whoever waits behind it. A handler that
has `is_answered` set has been answered already (TIMEOUT), and its late reply is dropped by position.

Most handlers call functions (`kidoproxy.replies.callbacks`).
"""

from typing import Final, final

from kidoproxy.resp.decode import first_bulks
from kidoproxy.resp.errors import NodeFailure

#: How often a connection may send a request again whose connection was lost before it was answered.
NO_RETRY: Final = 0
ONE_RETRY: Final = 1
#: A write that may be sent once more if a replica has refused it (`kidoproxy.upstream.refused_writes`).
REPEAT_REFUSED: Final = 2


class ReplyHandler:
    """Waits for one reply of one node."""

    def __init__(self) -> None:
        #: When the client gets TIMEOUT; 0 before the request is submitted.
        self.due: float = 0.0
        #: The request's frame, kept until it is written, and longer while it may be sent again.
        self.payload: bytes | None = None
        self.retries_left = NO_RETRY
        self.is_answered = False

    def on_reply(self, raw: bytes) -> None:
        """The raw reply has arrived."""
        raise NotImplementedError

    def on_failure(self, failure: NodeFailure) -> None:
        """There will be no reply."""
        raise NotImplementedError

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """`on_reply` (or `on_failure`, if ``failed``) has raised: make sure that whoever waits hears of a failure."""
        if not failed:
            self.on_failure(failure)

    def describe(self) -> str:
        """The name of the command for a log line or an error, as far as it is known."""
        payload = self.payload
        argv_head = first_bulks(payload, 1) if payload is not None and payload[:1] == b"*" else []
        return argv_head[0][:64].lower().decode("utf-8", "backslashreplace") if argv_head else "a request"

    def client_address(self) -> str:
        """Of the client that waits for it, as far as is known."""
        return ""

    def serves_client(self) -> bool:
        """Whether a client waits for it; if not its failure is not counted as one of a request."""
        return True

    def can_cut_through(self) -> bool:
        """Whether the pieces of a large reply may leave before its end has arrived."""
        return False

    def cut_through(self, piece: bytes) -> None:
        """The next piece of the reply, if `can_cut_through`; `on_reply` brings the rest."""
        raise NotImplementedError

    def may_be_asked_late(self) -> bool:
        """Whether a read may be asked once more now: its client has sent no write behind it, which it would see."""
        return False

    def add_held_bytes(self, size: int) -> None:
        """Bytes of replies are held on the way to this handler (negative: no longer); clients are charged for them."""

    def count_error(self, raw: bytes) -> None:
        """An error that the proxy has put into a list for this handler; if it is a client's it counts as one."""


class DelegatingHandler(ReplyHandler):
    """Hands everything on to ``parent``; subclasses change what they have to."""

    def __init__(self, parent: ReplyHandler) -> None:
        super().__init__()
        self.parent = parent

    def on_reply(self, raw: bytes) -> None:
        self.parent.on_reply(raw)

    def on_failure(self, failure: NodeFailure) -> None:
        self.parent.on_failure(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        self.parent.abort(failure, failed)

    def describe(self) -> str:
        return self.parent.describe()

    def client_address(self) -> str:
        return self.parent.client_address()

    def serves_client(self) -> bool:
        return self.parent.serves_client()

    def can_cut_through(self) -> bool:
        return self.parent.can_cut_through()

    def cut_through(self, piece: bytes) -> None:
        self.parent.cut_through(piece)

    def may_be_asked_late(self) -> bool:
        return self.parent.may_be_asked_late()

    def add_held_bytes(self, size: int) -> None:
        self.parent.add_held_bytes(size)

    def count_error(self, raw: bytes) -> None:
        self.parent.count_error(raw)


@final
class IgnoreReply(ReplyHandler):
    """For a request whose reply nobody waits for."""

    def serves_client(self) -> bool:
        return False

    def on_reply(self, raw: bytes) -> None:
        pass

    def on_failure(self, failure: NodeFailure) -> None:
        pass
