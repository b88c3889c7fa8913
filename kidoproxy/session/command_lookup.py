"""COMMAND INFO to a live node, for a command that the table does not have; the session waits for the reply."""

from kidoproxy.commands.module_commands import parse_command_info
from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.topology import Node
from kidoproxy.session.base import Session
from kidoproxy.session.mode import WAITING_FOR_NODES


def request_command_info(session: Session, request: Request) -> bool:
    """Ask a live node; False when there is none."""
    for node in session.context.root.nodes():
        if node.live:
            ask_node(session, request, node)
            return True
    return False


def ask_node(session: Session, request: Request, node: Node) -> None:
    """Send ``COMMAND INFO name``; when it is answered the session handles the request, which is suspended."""
    name = request.argv[0]

    def on_command_info(raw: bytes) -> None:
        """Record the command, or that it is unknown."""
        session.context.commands.record_lookup(name, parse_command_info(raw))
        session.wake()

    def on_failure(failure: NodeFailure) -> None:
        """The suspended request gets the node's failure."""
        session.suspended_request = None
        session.context.count_command(None)
        session.reply_error(failure.error_reply(False))
        session.wake()

    session.suspended_request = request
    session.enter(WAITING_FOR_NODES)
    handler = CallbackHandler(on_command_info, on_failure)
    session.executor.send(node, handler, encode_request([b"COMMAND", b"INFO", name]), session.proto, session.db)


def may_request_command_info(session: Session, name: bytes) -> bool:
    """Whether a node should be asked about this unknown command: only for users who might be allowed to use it."""
    if not session.authed or not session.context.commands.should_ask_nodes(name):
        return False
    return session.user.unrestricted or session.user.acl.may_allow_name(name.lower())
