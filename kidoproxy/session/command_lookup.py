"""COMMAND INFO to a live node, for a command that the table does not have; the session waits for the reply."""

from typing import final

from kidoproxy.commands.module_commands import parse_command_info
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.request_reader import Request
from kidoproxy.session.base import Session
from kidoproxy.session.mode import WAITING_FOR_NODES


@final
class CommandInfoHandler(ReplyHandler):
    """Takes the reply to ``COMMAND INFO name``; then the session handles the request that it suspended."""

    def __init__(self, session: Session, name: bytes) -> None:
        super().__init__()
        self.session = session
        self.name = name

    def on_reply(self, raw: bytes) -> None:
        """Record the command, or that it is unknown."""
        self.session.context.commands.record_lookup(self.name, parse_command_info(raw))
        self.session.wake()

    def on_failure(self, failure: NodeFailure) -> None:
        """The suspended request gets the node's failure."""
        self.session.suspended_request = None
        self.session.reply_error(failure.error_reply(False))
        self.session.wake()


def request_command_info(session: Session, request: Request) -> bool:
    """Ask a live node; False when there is none."""
    for node in session.context.root.nodes():
        if node.live:
            session.suspended_request = request
            session.enter(WAITING_FOR_NODES)
            payload = encode_request([b"COMMAND", b"INFO", request.argv[0]])
            session.executor.send(
                node, CommandInfoHandler(session, request.argv[0]), payload, session.proto, session.db
            )
            return True
    return False


def may_request_command_info(session: Session, name: bytes) -> bool:
    """Whether a node should be asked about this unknown command: only for users who might be allowed to use it."""
    if not session.authed or not session.context.commands.should_ask_nodes(name):
        return False
    return session.user.unrestricted or session.user.acl.may_allow_name(name.lower())
