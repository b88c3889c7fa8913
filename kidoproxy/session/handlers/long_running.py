"""Commands whose work grows with all the data that a node has: FLUSHDB of a large cache takes seconds.

The nodes are asked first how much they have, then the command is sent to all of them in one go, with the time that so
much may take; nodes that say nothing are not waited for. Until it is answered its nodes count as busy, not as silent,
on all their connections. The client's next request waits, as it would at a server.
"""

from typing import Final, final

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.queue import ReplyHandler
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import TIMEOUT, NodeFailure
from kidoproxy.resp.requests import Request
from kidoproxy.resp.scan import parse_int64
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.session.base import Session
from kidoproxy.upstream.executor import DelegatingExecutor, DelegatingHandler, Executor
from kidoproxy.upstream.handshake import info_text, parse_info

SLOW_COMMANDS: Final = (b"flushdb", b"flushall", b"keys", b"save", b"memory|purge")
INFO: Final = COMMANDS[b"info"]
DBSIZE: Final = COMMANDS[b"dbsize"]
MEMORY_QUERY: Final = [b"INFO", b"memory"]
KEY_COUNT_QUERY: Final = [b"DBSIZE"]
#: What a node frees or looks through in a second, when it is slow.
BYTES_PER_SECOND: Final = 10_000_000
KEYS_PER_SECOND: Final = 100_000
#: Nothing is given more than this, whatever nodes say of themselves.
MAX_EXTRA_SECONDS: Final = 600.0


def start_if_slow(session: Session, spec: CommandSpec, request: Request, handler: ReplyHandler) -> bool:
    """Whether this is such a command; it is under way then."""
    if spec.name not in SLOW_COMMANDS:
        return False
    probe = SizeProbe(session, spec, request, handler)
    probe.query_size(INFO, MEMORY_QUERY)
    session.suspend_until_drained()
    return True


@final
class SizeProbe(ReplyHandler):
    """Waits for how much there is, then sends the command."""

    def __init__(self, session: Session, spec: CommandSpec, request: Request, parent: ReplyHandler) -> None:
        super().__init__()
        self.session = session
        self.spec = spec
        self.request = request
        self.parent = parent
        self.each_node = session.request_context.per_node
        self.query_name = b""

    def query_size(self, spec: CommandSpec, argv: list[bytes]) -> None:
        """Ask all nodes, as for a client of RESP2."""
        session = self.session
        self.query_name = spec.name
        resp2_context = RequestContext(session.db, 2, False, False, session.request_context.now_ms)
        request = Request(argv, encode_request(argv))
        session.executor.execute(
            session.context.root.plan(spec, request, resp2_context),
            SizeReplyHandler(self),
            request.raw,
            spec,
            resp2_context,
        )

    def on_reply(self, raw: bytes) -> None:
        """An error means that the nodes' user may not ask; how many keys there are says almost as much."""
        if not is_error(raw):
            self.send_command(estimate_seconds(self.query_name, raw))
        elif self.query_name == INFO.name:
            self.query_size(DBSIZE, KEY_COUNT_QUERY)
        else:
            self.send_command(0.0)

    def on_failure(self, failure: NodeFailure) -> None:
        """The command itself will say what is wrong, where, and what it did elsewhere."""
        self.send_command(0.0)

    def send_command(self, extra_seconds: float) -> None:
        """Send it, for whoever asked, in the way in which it was asked."""
        session = self.session
        request_context = session.request_context
        saved_each, request_context.per_node = request_context.per_node, self.each_node
        plan = session.plan(self.spec, self.request)
        SlowPlanExecutor(session.executor, extra_seconds).execute(
            plan, self.parent, self.request.raw, self.spec, request_context
        )
        request_context.per_node = saved_each


@final
class SizeReplyHandler(ReplyHandler):
    """One question of a `SizeProbe`, which may ask two."""

    def __init__(self, probe: SizeProbe) -> None:
        super().__init__()
        self.probe = probe

    def on_reply(self, raw: bytes) -> None:
        """Passed on."""
        self.probe.on_reply(raw)

    def on_failure(self, failure: NodeFailure) -> None:
        """Passed on."""
        self.probe.on_failure(failure)


def estimate_seconds(query_name: bytes, raw: bytes) -> float:
    """How long the command may take beside its deadline, from what the nodes say."""
    if query_name == INFO.name:
        reported = parse_int64(parse_info(info_text(raw)).get(b"used_memory", b""))
        return min(max(reported or 0, 0) / BYTES_PER_SECOND, MAX_EXTRA_SECONDS)
    reported = parse_int64(raw[1:-2])
    return min(max(reported or 0, 0) / KEYS_PER_SECOND, MAX_EXTRA_SECONDS)


@final
class SlowPlanExecutor(DelegatingExecutor):
    """Sends what may take that many seconds more."""

    def __init__(self, executor: Executor, extra_seconds: float) -> None:
        super().__init__(executor)
        self.extra_seconds = extra_seconds

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """Send it, and note that the node is busy."""
        busy_until = self.executor.now + self.extra_seconds
        self.executor.send(node, BusyNodeHandler(handler, node, self.extra_seconds, busy_until), payload, proto, db)


@final
class BusyNodeHandler(DelegatingHandler):
    """Its node is busy until it is answered, or its time is over."""

    def __init__(self, parent: ReplyHandler, node: Node, extra_seconds: float, busy_until: float) -> None:
        super().__init__(parent)
        self.node = node
        self.extra_seconds = extra_seconds
        node.slow_commands += 1
        node.busy_until = max(node.busy_until, busy_until)

    def release_node(self) -> None:
        """It is not busy any more, if this was the last."""
        self.node.slow_commands -= 1
        if not self.node.slow_commands:
            self.node.busy_until = 0.0

    def on_reply(self, raw: bytes) -> None:
        """Its reply."""
        self.release_node()
        self.parent.on_reply(raw)

    def on_failure(self, failure: NodeFailure) -> None:
        """If it was late, it was late by the time that it was given."""
        self.release_node()
        if failure.code == TIMEOUT and self.extra_seconds >= 1.0:
            cause = f"no reply in {self.extra_seconds:.0f} s"
            failure = NodeFailure(failure.code, failure.node, failure.address, cause, failure.may_have_run)
        self.parent.on_failure(failure)
