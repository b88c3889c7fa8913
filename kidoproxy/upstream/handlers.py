"""Kinds of handlers that connections know: of what nobody asked for, and of the proxy's own traffic."""

from collections.abc import Callable
from typing import Final, final

from kidoproxy.replies.callbacks import BatchHandler
from kidoproxy.resp.errors import NodeFailure

#: When a request is due that has no deadline of its own.
NO_DEADLINE: Final = 1e18


@final
class BackgroundHandler(BatchHandler):
    """The proxy's own traffic, which may take longer than a client would wait.

    ``expected_by`` is when it should be answered: nobody behind it is late before, nor is the node held to be dead.
    """

    def __init__(
        self, count: int, take_replies: Callable[[list[bytes]], None], take_failure: Callable[[NodeFailure], None]
    ) -> None:
        super().__init__(count, take_replies, take_failure)
        self.expected_by: float = 0.0
        #: Gets the pieces of a large reply as they come, which is then never held; `on_reply` brings the last one.
        self.take_piece: Callable[[bytes], None] | None = None

    def can_cut_through(self) -> bool:
        return self.take_piece is not None

    def cut_through(self, piece: bytes) -> None:
        assert self.take_piece is not None
        self.take_piece(piece)


class PushHandler:
    """Gets what a node says without being asked (pushes, and the lines of MONITOR), and hears how its connection is."""

    def on_push(self, raw: bytes) -> None:
        """One raw frame that is no reply."""
        raise NotImplementedError

    def on_ready(self) -> None:
        """The handshake is over, for the first time or again."""
        raise NotImplementedError

    def on_disconnect(self, failure: NodeFailure) -> None:
        """The connection is gone, or cannot be had; unless it is a dedicated one it tries again by itself."""
        raise NotImplementedError


@final
class WatchConnectionGuard(PushHandler):
    """Notices when a dedicated connection is lost on which keys are watched: the WATCH is gone with it."""

    def __init__(self) -> None:
        self.lost = False

    def on_push(self, raw: bytes) -> None:
        """Nothing is expected: whatever it is, the connection is in doubt."""
        self.lost = True

    def on_ready(self) -> None:
        """Nothing is watched before that."""

    def on_disconnect(self, failure: NodeFailure) -> None:
        """Nothing tells whether a key was changed meanwhile."""
        self.lost = True
