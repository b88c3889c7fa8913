"""What runs on dedicated connections: blocking commands, and MONITOR. (WATCH: `kidoproxy.session.handlers.watch`.)

Such a request runs alone: it starts when no reply of the client is open, and the next one starts when it is answered,
as a server reads nothing from a blocked client. So the client's order is kept between dedicated and shared connections.
"""

from typing import Final, final

from kidoproxy.commands.request_traits import block_timeout, may_block
from kidoproxy.commands.spec import AGG_MIN, BLOCKING, DEDICATED, PASS_THROUGH, CommandSpec
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import encode, errors
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import DirectReply
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.session import redact
from kidoproxy.session.base import Session
from kidoproxy.session.handlers import watch
from kidoproxy.session.pubsub import topics
from kidoproxy.session.state import MonitorStream
from kidoproxy.upstream.dedicated import DedicatedExecutor
from kidoproxy.upstream.dedicated_pool import Lease
from kidoproxy.upstream.handlers import PushHandler
from kidoproxy.upstream.nonblocking import SilenceIfGaveUp
from kidoproxy.upstream.out_of_band import OutOfBandExecutor

#: WAIT is about the writes of its own connection, and a dedicated one has made none. With this one, which only has to
#: reach the replicas, it waits for all earlier writes, those of this client on the shared connections among them.
WAIT_MARK: Final = encode.encode_request([b"PUBLISH", topics.WAIT_MARK_CHANNEL, b""])
MONITOR_COMMAND: Final = encode.encode_request([b"MONITOR"])
#: How long MONITOR is not sent again after a node has refused it.
MONITOR_RETRY_SECONDS: Final = 1.0


def needs_dedicated(spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether this request needs a dedicated connection: XREAD and XREADGROUP do only if they BLOCK."""
    return spec.reach == DEDICATED and (spec.flags & BLOCKING == 0 or may_block(spec, argv))


def handle(session: Session, spec: CommandSpec, request: Request) -> None:
    """A request of reach DEDICATED; no reply of the client is open."""
    if not needs_dedicated(spec, request.argv):
        session.dispatch(spec, request, session.open_pending(spec), session.request_context)
    elif spec.name == b"watch":
        watch.start_watch(session, spec, request)
    elif spec.name == b"monitor":
        start_monitor(session)
    else:
        send_blocking(session, spec, request)


def send_blocking(session: Session, spec: CommandSpec, request: Request) -> None:
    """Send a blocking command; the session waits for the reply however long it takes.

    While the process drains no command begins to block: cut off in the middle, a popped element would be lost.
    """
    if session.proxy.draining:
        session.close()
        return
    prerequisite = WAIT_MARK if spec.response_policy != PASS_THROUGH else b""
    executor = DedicatedExecutor(
        session.proxy.dedicated_pool,
        block_timeout(spec, request.argv),
        timeout_reply(spec, session.proto),
        prerequisite,
    )
    executor.outcome.client_gone = session.half_closed
    session.blocked_request = executor
    handler = SilenceIfGaveUp(executor.outcome, session.open_pending(spec))
    request_context = session.request_context
    plan = session.plan(spec, request, request_context)
    # A refusal would not have blocked: also a client that has hung up gets it, ahead of the replies behind.
    executor.outcome.has_reply = isinstance(plan, DirectReply)
    executor.execute(plan, handler, request.raw, spec, request_context)
    session.suspend_until_drained()


def timeout_reply(spec: CommandSpec, proto: int) -> bytes:
    """A node's reply when the timeout of this command passes."""
    if spec.response_policy == PASS_THROUGH:
        return encode.null_array(proto)
    return (
        encode.integer(0) if spec.response_policy == AGG_MIN else encode.array([encode.integer(0), encode.integer(0)])
    )


def send_kill(
    session: Session, spec: CommandSpec, request: Request, handler: ReplyHandler, request_context: RequestContext
) -> None:
    """SCRIPT KILL, FUNCTION KILL: to every node on connections of their own, past the requests that the script blocks.

    A node that counts as down because of the script is asked, too.
    """
    OutOfBandExecutor(session.proxy.dedicated_pool).execute(
        session.plan(spec, request, request_context), handler, request.raw, spec, request_context
    )


# -- MONITOR -----------------------------------------------------------------------------------------


@final
class Monitor(MonitorStream):
    """Passes on the lines of all nodes; a node that was lost is monitored again when it is back."""

    def __init__(self, session: Session, handler: ReplyHandler) -> None:
        super().__init__(handler)
        self.session = session
        self.leases: dict[str, Lease] = {}
        #: Nodes that have not replied to MONITOR yet.
        self.unanswered = 0
        self.last_failure: NodeFailure | None = None
        #: Not before this time is MONITOR sent again, after a node has refused it.
        self.retry_at = 0.0

    def attach_missing(self) -> None:
        """Send MONITOR to each node that has no connection for it."""
        dedicated_pool = self.session.proxy.dedicated_pool
        if self.session.executor.now < self.retry_at:
            return
        for node in self.session.context.root.nodes():
            if node.name not in self.leases:
                self.last_failure = dedicated_pool.unavailable(node)
                if self.last_failure is None:
                    self.unanswered += 1
                    self.attach(node, dedicated_pool.acquire(node, self.session.proto, 0))

    def attach(self, node: Node, lease: Lease) -> None:
        """Send MONITOR on a dedicated connection."""
        self.leases[node.name] = lease
        lease.connection.push_handler = MonitorLineHandler(self, node.name)
        lease.connection.submit(
            MonitorReplyHandler(self, node.name), MONITOR_COMMAND, self.session.proto, 0, self.session.executor.now
        )

    def on_rejected(self, node_name: str, failure: NodeFailure | None, error_reply: bytes) -> None:
        """This node refuses, or could not be reached; each attempt costs a connection, so the next one waits."""
        self.retry_at = self.session.executor.now + MONITOR_RETRY_SECONDS
        self.detach(node_name)
        self.on_answered(failure, error_reply)

    def on_answered(self, failure: NodeFailure | None, error_reply: bytes) -> None:
        """One node has replied; when all have, the client gets one reply."""
        self.unanswered -= 1
        self.last_failure = failure or self.last_failure
        handler = self.handler
        if self.unanswered > 0 or handler is None:
            return
        self.handler = None
        if self.leases:
            handler.on_reply(encode.OK)
            return
        self.stop()
        if error_reply or self.last_failure is None:
            handler.on_reply(error_reply or errors.NO_LIVE_NODE)
        else:
            handler.on_failure(self.last_failure)

    def detach(self, node_name: str) -> None:
        self.leases.pop(node_name).close()

    def stop(self) -> None:
        for node_name in list(self.leases):
            self.detach(node_name)
        self.session.monitor = None
        self.session.proxy.monitors.remove(self)


@final
class MonitorReplyHandler(ReplyHandler):
    """Takes one node's reply to MONITOR."""

    def __init__(self, monitor: Monitor, node_name: str) -> None:
        super().__init__()
        self.monitor = monitor
        self.node_name = node_name

    def on_reply(self, raw: bytes) -> None:
        if raw[:1] == b"-":
            self.monitor.on_rejected(self.node_name, None, raw)
        else:
            self.monitor.on_answered(None, b"")

    def on_failure(self, failure: NodeFailure) -> None:
        self.monitor.on_rejected(self.node_name, failure, b"")


@final
class MonitorLineHandler(PushHandler):
    """Takes the lines of one node."""

    def __init__(self, monitor: Monitor, node_name: str) -> None:
        self.monitor = monitor
        self.node_name = node_name

    def on_push(self, raw: bytes) -> None:
        """Pass a line on once MONITOR has been answered, and never into the middle of a reply."""
        if self.monitor.handler is None:
            self.monitor.session.replies.push(redact.redact_monitor_line(raw))

    def on_ready(self) -> None:
        """MONITOR is in the connection's queue already."""

    def on_disconnect(self, failure: NodeFailure) -> None:
        """`Monitor.attach_missing` connects to it again."""
        self.monitor.detach(self.node_name)


def start_monitor(session: Session) -> None:
    """MONITOR; a second one gets no reply, as in Redis."""
    if session.monitor is not None:
        return
    new_monitor = Monitor(session, session.open_pending(None))
    session.monitor = new_monitor
    session.proxy.monitors.append(new_monitor)
    session.update_flags()
    new_monitor.attach_missing()
    if not new_monitor.unanswered:
        new_monitor.unanswered = 1
        new_monitor.on_answered(new_monitor.last_failure, b"")
    session.suspend_until_drained()
