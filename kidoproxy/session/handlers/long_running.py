"""Commands whose work grows with all the data of a node: FLUSHDB of a large cache takes seconds.

The nodes are asked for their size first, then the command is sent to all of them at once, with a deadline that allows
for the largest. A size that cannot be had counts as 0. Until the command is answered its nodes count as busy, not as
unresponsive, on all their connections. The client's next request waits, as it would at a server.
"""

from typing import Final, final

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.callbacks import CallbackHandler, InterceptingHandler
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import TIMEOUT, NodeFailure
from kidoproxy.resp.request_reader import Request
from kidoproxy.resp.scan import parse_int64
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.session.base import Session
from kidoproxy.upstream.executor import DelegatingExecutor, Executor
from kidoproxy.upstream.handshake import info_text, parse_info

INFO: Final = COMMANDS[b"info"]
DBSIZE: Final = COMMANDS[b"dbsize"]
MEMORY_QUERY: Final = [b"INFO", b"memory"]
KEY_COUNT_QUERY: Final = [b"DBSIZE"]
#: What a slow node frees or scans in a second.
BYTES_PER_SECOND: Final = 10_000_000
KEYS_PER_SECOND: Final = 100_000
#: The upper bound, whatever sizes the nodes report.
MAX_EXTRA_SECONDS: Final = 600.0


def start_if_slow(
    session: Session, spec: CommandSpec, request: Request, handler: ReplyHandler, request_context: RequestContext
) -> bool:
    """Start one of these commands; whether it is one."""
    if not spec.is_long_running:
        return False
    SlowCommand(session, spec, request, handler, request_context).query_size(INFO, MEMORY_QUERY)
    session.suspend_until_drained()
    return True


@final
class SlowCommand:
    """One of these commands: asks the nodes for their size, then sends it."""

    def __init__(
        self,
        session: Session,
        spec: CommandSpec,
        request: Request,
        parent: ReplyHandler,
        request_context: RequestContext,
    ) -> None:
        self.session = session
        self.spec = spec
        self.request = request
        self.parent = parent
        self.request_context = request_context
        self.query_spec = INFO

    def query_size(self, spec: CommandSpec, argv: list[bytes]) -> None:
        """Ask all nodes, in RESP2."""
        session = self.session
        self.query_spec = spec
        resp2_context = RequestContext(session.db, 2, False, False, session.proxy.clock)
        request = Request(argv, encode_request(argv))
        session.executor.execute(
            session.context.root.plan(spec, request, resp2_context),
            CallbackHandler(self.on_size, self.on_size_failure),
            request.raw,
            spec,
            resp2_context,
        )

    def on_size(self, raw: bytes) -> None:
        """An error means that the proxy's user may not run INFO; DBSIZE is the next best measure."""
        if not is_error(raw):
            self.send_command(estimate_seconds(self.query_spec, raw))
        elif self.query_spec is INFO:
            self.query_size(DBSIZE, KEY_COUNT_QUERY)
        else:
            self.send_command(0.0)

    def on_size_failure(self, failure: NodeFailure) -> None:
        """The command itself will report what is wrong, and where."""
        self.send_command(0.0)

    def send_command(self, extra_seconds: float) -> None:
        """Send it with that much more time, merged or per node as the client wanted it when it sent it."""
        session = self.session
        request_context = self.request_context
        plan = session.plan(self.spec, self.request, request_context)
        SlowPlanExecutor(session.executor, extra_seconds).execute(
            plan, self.parent, self.request.raw, self.spec, request_context
        )


def estimate_seconds(query_spec: CommandSpec, raw: bytes) -> float:
    """Seconds that the command may take beyond its deadline, from the reply to INFO or DBSIZE."""
    if query_spec is INFO:
        reported = parse_int64(parse_info(info_text(raw)).get(b"used_memory", b""))
        return min(max(reported or 0, 0) / BYTES_PER_SECOND, MAX_EXTRA_SECONDS)
    reported = parse_int64(raw[1:-2])
    return min(max(reported or 0, 0) / KEYS_PER_SECOND, MAX_EXTRA_SECONDS)


@final
class SlowPlanExecutor(DelegatingExecutor):
    """Sends requests that may take so many seconds more."""

    def __init__(self, executor: Executor, extra_seconds: float) -> None:
        super().__init__(executor)
        self.extra_seconds = extra_seconds

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        busy_until = self.executor.now + self.extra_seconds
        self.executor.send(node, busy_node_handler(handler, node, self.extra_seconds, busy_until), payload, proto, db)


def busy_node_handler(parent: ReplyHandler, node: Node, extra_seconds: float, busy_until: float) -> ReplyHandler:
    """Marks the node as busy until the reply, or the deadline."""
    node.slow_commands += 1
    node.busy_until = max(node.busy_until, busy_until)

    def on_reply(raw: bytes) -> None:
        release_node(node)
        parent.on_reply(raw)

    def on_failure(failure: NodeFailure) -> None:
        """A timeout names the time that was allowed."""
        release_node(node)
        if failure.code == TIMEOUT and extra_seconds >= 1.0:
            cause = f"no reply in {extra_seconds:.0f} s"
            failure = NodeFailure(failure.code, failure.node, failure.address, cause, failure.may_have_run)
        parent.on_failure(failure)

    return InterceptingHandler(parent, on_reply, on_failure, whole=False)


def release_node(node: Node) -> None:
    """End the mark when this was the node's last slow command."""
    node.slow_commands -= 1
    if not node.slow_commands:
        node.busy_until = 0.0
