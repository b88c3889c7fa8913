"""FUNCTION LIST to a copy, for a function that was not loaded through this process; the session waits for the reply.

Copies run only what is known. A proxy that was restarted, or a library that came by FUNCTION RESTORE, needs no client
that loads it again.
"""

from typing import Final, final

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.spec import SCRIPT_FUNCTION, CommandSpec
from kidoproxy.replication.group import IN_SYNC, group_of
from kidoproxy.replication.key_turns import OrderingTurn
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.library_peers import LIST_LIBRARIES, listed_codes
from kidoproxy.scripts.registry import ScriptRegistry
from kidoproxy.session.base import Session
from kidoproxy.session.mode import WAITING_FOR_NODES

#: For so long a pool does not ask again about functions that are unknown, and about those that are known.
LOOKUP_MS: Final = 1_000
REFRESH_MS: Final = 10_000


def request_libraries(session: Session, spec: CommandSpec, request: Request) -> bool:
    """Ask a copy about an unknown function, unless that was done a moment ago; whether the session waits for it.

    Of known ones it is asked now and then whether they are still the same; nobody waits for that.
    """
    registry = session.context.script_registry
    if spec.script_source != SCRIPT_FUNCTION or not spec.may_write:
        return False
    now_ms = session.proxy.clock.ms
    is_known = registry.find_function(request.argv[1]) is not None
    if now_ms < (registry.refresh_due_ms if is_known else registry.lookup_due_ms):
        return False
    is_first = registry.refresh_due_ms == 0
    registry.refresh_due_ms = now_ms + REFRESH_MS
    if is_known and is_first:
        # It has just been loaded.
        return False
    if not is_known:
        registry.lookup_due_ms = now_ms + LOOKUP_MS
    node = copy_to_ask(session.context.root)
    if node is None:
        return False
    if is_known:
        ask_in_turn(session, node, LibraryList(registry))
        return False
    session.suspended_request = request
    session.enter(WAITING_FOR_NODES)
    ask_in_turn(session, node, LibraryList(registry, session))
    return True


def ask_in_turn(session: Session, node: Node, libraries: "LibraryList") -> None:
    """Ask ``node`` behind the changes of libraries that wait for their turns: what it has then is what a call runs."""
    executor, proto, db = session.executor, session.proto, session.db

    def ask() -> None:
        libraries.serial = libraries.registry.library_serial
        executor.send(node, libraries, LIST_LIBRARIES, proto, db)

    group = group_of(node)
    if group is not None and group.key_turns.busy:
        group.key_turns.ask(OrderingTurn(group.key_turns, [], ask))
    else:
        ask()


def copy_to_ask(root: Route) -> Node | None:
    """A copy that can be believed; None if there is none now, or the pool has no copies."""
    for node in root.nodes():
        group = group_of(node)
        if group is not None and group.elected and node.live and group.copy_of(node).state == IN_SYNC:
            return node
    return None


@final
class LibraryList(ReplyHandler):
    """The reply to FUNCTION LIST. ``session``: the one that waits; it handles its request then, which is suspended."""

    def __init__(self, registry: ScriptRegistry, session: Session | None = None) -> None:
        super().__init__()
        self.registry = registry
        self.session = session
        self.serial = registry.library_serial

    def on_reply(self, raw: bytes) -> None:
        """Note what they do; a server before 7.0, or a user who may not ask, says nothing of them."""
        if raw[:1] == b"*":
            self.registry.learn_listed(listed_codes(raw), self.serial)
        if self.session is not None:
            self.session.wake()

    def on_failure(self, failure: NodeFailure) -> None:
        """The suspended request gets the node's failure, and the next one asks again."""
        session = self.session
        if session is not None:
            self.registry.lookup_due_ms = 0
            session.suspended_request = None
            session.context.count_command(COMMANDS[b"fcall"])
            session.reply_error(failure.error_reply(False))
            session.wake()
