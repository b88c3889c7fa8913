"""For pools with ``on_down = "miss"``: a node that cannot be reached is answered for as if it were empty."""

from typing import final

from kidoproxy.commands.empty_reply import empty_reply
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.node_errors import cannot_serve_now
from kidoproxy.upstream.plan_sender import PlanSender


@final
class MissOnDown(DelegatingHandler):
    """Answers a failure with what a server without any data would say, and counts it.

    Where there is no such reply (INCR, EVAL), or half a reply has left already, the failure stands.
    """

    def __init__(
        self, sender: PlanSender, parent: ReplyHandler, request_frame: bytes, spec: CommandSpec, proto: int
    ) -> None:
        super().__init__(parent)
        self.sender = sender
        self.request_frame = request_frame
        self.spec = spec
        self.proto = proto
        self.partly_sent = False

    def on_failure(self, failure: NodeFailure) -> None:
        if not self.answer_miss():
            self.parent.on_failure(failure)

    def on_reply(self, raw: bytes) -> None:
        """A node that says that it cannot serve now is as good as down."""
        if not cannot_serve_now(raw) or not self.answer_miss():
            self.parent.on_reply(raw)
        # The node's connection may know an answered handler for a while.
        self.request_frame = b""

    def answer_miss(self) -> bool:
        """Answer as an empty server would; False where that cannot be said."""
        frame = None if self.partly_sent else empty_reply(self.spec, self.request_frame, self.proto)
        if frame is None:
            return False
        self.sender.count_miss(self.spec.may_write)
        self.parent.on_reply(frame)
        return True

    def cut_through(self, piece: bytes) -> None:
        self.partly_sent = True
        self.parent.cut_through(piece)
