"""Asking a node about a command that the table does not know; the session waits for the answer."""

from typing import final

from kidoproxy.commands.module_commands import parse_command_info
from kidoproxy.replies.queue import ReplyHandler
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.requests import Request
from kidoproxy.session.base import Session


@final
class CommandInfoHandler(ReplyHandler):
    """Waits for ``COMMAND INFO name``; then the session goes on with the request that it parked."""

    def __init__(self, session: Session, name: bytes) -> None:
        super().__init__()
        self.session = session
        self.name = name

    def on_reply(self, raw: bytes) -> None:
        """Now the pool knows it, or knows that nobody does."""
        self.session.context.commands.record_lookup(self.name, parse_command_info(raw))
        self.session.wake()

    def on_failure(self, failure: NodeFailure) -> None:
        """Nobody could be asked: the request gets the node's failure."""
        self.session.suspended_request = None
        self.session.reply_error(failure.error_reply(False))
        self.session.wake()


def request_command_info(session: Session, request: Request) -> bool:
    """Ask a live node about an unknown command; False when there is none to ask."""
    for node in session.context.root.nodes():
        if node.live:
            session.suspended_request = request
            session.suspended = True
            payload = encode_request([b"COMMAND", b"INFO", request.argv[0]])
            session.executor.send(
                node, CommandInfoHandler(session, request.argv[0]), payload, session.proto, session.db
            )
            return True
    return False


def may_request_command_info(session: Session, name: bytes) -> bool:
    """Whether a node should be asked about a command that we do not know: not for who could not use it anyway."""
    if not session.authed or not session.context.commands.should_ask_nodes(name):
        return False
    return session.user.unrestricted or session.user.acl.may_allow_name(name.lower())
