"""What handlers may do with a session: answer it, plan for it, let it wait.

What only the dispatcher can do, because it needs the handlers themselves, is abstract here.
"""

from collections.abc import Callable

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.queue import PendingRequest
from kidoproxy.resp import errors, limits
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import Gather, Plan, Send
from kidoproxy.routes.route import RequestContext
from kidoproxy.session import accounting
from kidoproxy.session.mode import BLOCKED, WAITING_FOR_REPLIES
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.state import REPLY_ON, REPLY_SKIP, SessionState

EXEC_WRONG_ARITY = errors.wrong_arity(b"exec")


class Session(SessionState):
    """A session as its handlers see it."""

    def __init__(self, proxy: ProxyState, context: PoolContext, address: str, local_address: str) -> None:
        replies = accounting.create_reply_queue(proxy.executor.turn_work, context)
        super().__init__(proxy.next_client_id(), context, replies, address, local_address, proxy.clock)
        self.proxy = proxy
        self.executor = proxy.executor

    def update_flags(self) -> None:
        """Derive `fast_path` and the rest after a change of the session's state, or of its pool's."""
        self.fast_path = self.authed and self.multi is None and self.reply_mode == REPLY_ON and not self.each_node
        self.needs_acl = not (self.authed and self.user.unrestricted)
        self.fast_path = self.fast_path and not self.needs_acl and not self.context.commands.has_overrides
        self.fast_path = self.fast_path and not self.context.paused_until_ms and self.monitor is None
        self.fast_path = self.fast_path and not self.in_subscriber_mode() and not self.awaits_confirmation()
        if self.subscriber is not None:
            self.subscriber.proto = self.proto
        context = self.context
        self.request_context = RequestContext(
            self.db,
            self.proto,
            False,
            self.each_node,
            self.proxy.clock,
            context.script_registry,
            context.miss_on_down,
            context.node_errors_as_loading,
        )
        accounting.update_request_limits(self)

    def open_pending(self, spec: CommandSpec | None) -> PendingRequest:
        """A place in the reply queue, silent where CLIENT REPLY says so."""
        pending = self.replies.open_pending(spec)
        if self.reply_mode != REPLY_ON:
            pending.suppressed = True
            if self.reply_mode == REPLY_SKIP:
                self.reply_mode = REPLY_ON
                self.update_flags()
        return pending

    def send_reply(self, frame: bytes) -> None:
        """Answer with a frame that was made here."""
        self.extra_units += len(frame) // limits.BYTES_PER_UNIT
        self.open_pending(None).on_reply(frame)

    def reply_error(self, frame: bytes) -> None:
        """Answer with an error. Inside MULTI it makes EXEC abort, and an EXEC of wrong arity ends the transaction."""
        if self.multi is not None and frame != errors.WATCH_IN_MULTI:
            self.multi.exec_dirty = True
        if frame == EXEC_WRONG_ARITY:
            self.leave_multi()
            self.unwatch()
            frame = errors.EXECABORT_ARITY
        self.proxy.commands_rejected += 1
        self.open_pending(None).on_reply(self.context.translate_error(frame))

    def plan(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """The plan of the pool's route."""
        return self.as_list_plan(self.context.root.plan(spec, request, request_context), spec, request_context)

    def as_list_plan(self, plan: Plan, spec: CommandSpec, request_context: RequestContext) -> Plan:
        """The reply of a single node is a list of one when lists are wanted."""
        if request_context.per_node and isinstance(plan, Send):
            return Gather([plan], spec.response_policy)
        return plan

    def suspend_until(self, max_pending: int) -> None:
        """Handle no further request until at most so many replies are open."""
        self.enter(WAITING_FOR_REPLIES)
        self.replies.resume_at = max_pending

    def suspend_until_drained(self) -> None:
        """Handle no further request until every reply has been given."""
        if self.replies.open_count() and self.blocking_executor is not None:
            self.enter(BLOCKED)
            self.replies.resume_at = 0
        elif self.replies.open_count():
            self.suspend_until(0)
        else:
            self.blocking_executor = None

    def wake(self) -> None:
        """What the session waited for has come: it goes on at the end of this turn."""
        self.executor.turn_work.to_resume.append(self.replies)

    def leave_multi(self) -> None:
        self.multi = None
        self.update_flags()

    def unwatch(self) -> None:
        if self.watch is not None:
            self.watch.unwatch()
            self.watch = None

    def touch(self) -> None:
        """Count the client as active now, for its idle time."""
        self.last_active_ms = self.proxy.clock.ms

    # -- what only the dispatcher can do -------------------------------------------------------

    def handle_request(self, request: Request) -> None:
        """One request, from the first look on."""
        raise NotImplementedError

    def check_and_dispatch(self, spec: CommandSpec | None, request: Request) -> None:
        """A request that is not plain: check it, in the order in which Redis checks, then run it."""
        raise NotImplementedError

    def dispatch(
        self, spec: CommandSpec, request: Request, handler: ReplyHandler, request_context: RequestContext
    ) -> None:
        """Answer locally, or plan and execute; the reply goes to ``handler``."""
        raise NotImplementedError


#: Answers one command without a node: takes the session and the request's arguments, returns the reply.
Answer = Callable[[Session, list[bytes]], bytes]
#: Runs one command about the session, and opens its reply itself.
SessionHandler = Callable[[Session, CommandSpec, Request], None]
