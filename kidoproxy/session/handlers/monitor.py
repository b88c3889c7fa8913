"""MONITOR: the lines of all nodes, each on a dedicated connection, without the secrets in them."""

from typing import Final, final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import encode, errors
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.topology import Node
from kidoproxy.session import redact
from kidoproxy.session.base import Session
from kidoproxy.session.state import MonitorStream
from kidoproxy.upstream.dedicated_pool import Lease
from kidoproxy.upstream.handlers import PushHandler

MONITOR_COMMAND: Final = encode.encode_request([b"MONITOR"])
#: How long MONITOR is not sent again after a node has refused it.
MONITOR_RETRY_SECONDS: Final = 1.0


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
                self.last_failure = dedicated_pool.unavailable_failure(node)
                if self.last_failure is None:
                    self.unanswered += 1
                    self.attach(node, dedicated_pool.acquire(node, self.session.proto, 0))

    def attach(self, node: Node, lease: Lease) -> None:
        """Send MONITOR on a dedicated connection."""
        self.leases[node.name] = lease
        lease.connection.push_handler = MonitorLineHandler(self, node.name)

        def on_reply(raw: bytes) -> None:
            if raw[:1] == b"-":
                self.on_refused(node.name, None, raw)
            else:
                self.on_answered(None, b"")

        def on_failure(failure: NodeFailure) -> None:
            self.on_refused(node.name, failure, b"")

        handler = CallbackHandler(on_reply, on_failure)
        lease.connection.submit(handler, MONITOR_COMMAND, self.session.proto, 0, self.session.executor.now)

    def on_refused(self, node_name: str, failure: NodeFailure | None, error_reply: bytes) -> None:
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


def start_monitor(session: Session, spec: CommandSpec, request: Request) -> None:
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
