"""FUNCTION LIST to a copy, for a function that was not loaded through this process; the session waits for the reply.

Copies run only what is known. A proxy that was restarted, or a library that came by FUNCTION RESTORE, needs no client
that loads it again.
"""

from typing import Final

from kidoproxy.commands.spec import SCRIPT_FUNCTION, CommandSpec
from kidoproxy.replication.group import IN_SYNC, group_of
from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.library_peers import LIST_LIBRARIES, listed_codes
from kidoproxy.session.base import Session
from kidoproxy.session.mode import WAITING_FOR_NODES

#: For so long a pool does not ask again.
LOOKUP_MS: Final = 1000


def request_libraries(session: Session, spec: CommandSpec, request: Request) -> bool:
    """Ask a copy about an unknown function, unless that was done a moment ago; whether the session waits for it."""
    registry = session.context.script_registry
    if spec.script_source != SCRIPT_FUNCTION or not spec.may_write:
        return False
    now_ms = session.proxy.clock.ms
    if now_ms < registry.lookup_due_ms or registry.find_function(request.argv[1]) is not None:
        return False
    registry.lookup_due_ms = now_ms + LOOKUP_MS
    for node in session.context.root.nodes():
        group = group_of(node)
        if group is not None and group.elected and node.live and group.copy_of(node).state == IN_SYNC:
            ask_node(session, request, node)
            return True
    return False


def ask_node(session: Session, request: Request, node: Node) -> None:
    """Ask for its libraries; when it has answered the session handles the request, which is suspended."""

    def on_library_list(raw: bytes) -> None:
        """Note what they do; a server before 7.0, or a user who may not ask, says nothing of them."""
        if raw[:1] == b"*":
            session.context.script_registry.learn_listed(listed_codes(raw))
        session.wake()

    def on_failure(failure: NodeFailure) -> None:
        """The suspended request gets the node's failure, and the next one asks again."""
        session.context.script_registry.lookup_due_ms = 0
        session.suspended_request = None
        session.reply_error(failure.error_reply(False))
        session.wake()

    session.suspended_request = request
    session.enter(WAITING_FOR_NODES)
    handler = CallbackHandler(on_library_list, on_failure)
    session.executor.send(node, handler, LIST_LIBRARIES, session.proto, session.db)
