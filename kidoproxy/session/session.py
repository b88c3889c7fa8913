"""The dispatcher: takes a client's bytes, checks each request and calls its handler; nothing is awaited or raised.

Whether requests are handled at all is the session's mode, see `kidoproxy.session.mode`.

The fast path is for a request that has one key, as its first argument, in a session without anything unusual: it costs
one look-up, one plan and one reply handler. All others go through `ClientSession.check_and_dispatch`.
"""

from typing import Final, final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.commands.spec import (
    DEDICATED,
    IN_MULTI_AT_ONCE,
    IN_MULTI_BOUNDARY,
    LOCAL,
    SESSION,
    SUBSCRIBE,
    CommandSpec,
)
from kidoproxy.replies.handler import ONE_RETRY, REPEAT_REFUSED, ReplyHandler
from kidoproxy.resp import encode, errors, limits
from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.request_reader import Request
from kidoproxy.resp.request_scanner import TLS_HELLO
from kidoproxy.routes.plan import Send
from kidoproxy.routes.route import RequestContext
from kidoproxy.session import accounting, cleanup, library_lookup, pause, publish_wait, refusal, slices
from kidoproxy.session.base import Session, SessionHandler
from kidoproxy.session.command_lookup import may_request_command_info, request_command_info
from kidoproxy.session.handlers import (
    all_workers,
    blocking,
    info,
    local,
    long_running,
    multi,
    proxy_command,
    pubsub,
    scripts,
    session_commands,
)
from kidoproxy.session.incidents import TLS_TO_PLAIN
from kidoproxy.session.mode import BLOCKED, CLOSING, MODE_NAMES, PAUSED, READY, WAITING_FOR_NODES
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState

#: Commands about the session that are more than a reply; the others are in `session_commands.ANSWERS`.
SESSION_HANDLERS: Final[dict[HandlerId, SessionHandler]] = {
    **dict.fromkeys(all_workers.PARTS, all_workers.handle),
    handler_ids.CLIENT_REPLY: session_commands.set_reply_mode,
    handler_ids.DISCARD: multi.discard,
    handler_ids.EXEC: multi.execute,
    handler_ids.MULTI: multi.start_multi,
    handler_ids.QUIT: session_commands.quit_session,
    **proxy_command.HANDLERS,
}


@final
class ClientSession(Session):
    """One client."""

    def __init__(self, proxy: ProxyState, context: PoolContext, address: str, local_address: str) -> None:
        super().__init__(proxy, context, address, local_address)
        self.update_flags()
        proxy.sessions[self.id] = self

    # -- bytes in --------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        if self.mode == CLOSING:
            return
        self.last_active_ms = self.proxy.clock.ms
        self.reader.feed(data)
        if self.mode == READY:
            self.process_requests()

    def process_requests(self) -> None:
        """Handle buffered requests until one suspends the session, or its budget for this turn is used up."""
        turn_work = self.executor.turn_work
        budget = slices.turn_budget(self)
        count = 0
        try:
            while self.mode == READY:
                if count + self.extra_units >= budget:
                    slices.suspend(self)
                    break
                request = self.reader.next()
                if request is None:
                    break
                count += 1
                self.handle_request(request)
        except ProtocolError as problem:
            if problem.args == (TLS_HELLO,):
                self.proxy.incidents.record(TLS_TO_PLAIN, self.context.name, None, self.address)
            accounting.refuse_malformed(self, problem)
        turn_work.spent_units += count + self.extra_units
        self.extra_units = 0
        self.commands_processed += count
        self.proxy.commands_processed += count
        if self.reader.fed_bytes - self.accounted_bytes >= limits.IN_FLIGHT_MARK_BYTES:
            accounting.account_request_bytes(self)

    def wants_input(self) -> bool:
        """Whether its socket should be read. Of a blocked client it is, for only so its disconnect is noticed."""
        if self.half_closed or self.mode in (READY, CLOSING):
            return self.mode == READY and not self.half_closed
        waits = self.mode == BLOCKED or self.context.paused_until_ms > 0
        return waits and self.reader.buffered_bytes() < limits.READ_STOP_BYTES

    def resume(self) -> None:
        """Handle the request that waited, then those behind it."""
        blocking_executor = self.blocking_executor
        if self.mode != READY:
            self.enter(READY)
        self.blocking_executor = None
        slices.cancel_resume_job(self)
        if self.mode == CLOSING or cleanup.close_if_client_left(self, blocking_executor):
            return
        request, job = self.suspended_request, self.current_job
        self.resuming = True
        if job is not None:
            slices.step_job(self, job)
        elif request is not None:
            self.suspended_request = None
            self.handle_request(request)
        self.process_requests()
        self.resuming = False
        cleanup.close_if_half_closed(self)

    def handle_request(self, request: Request) -> None:
        """Take the fast path if the request allows it, the checked one otherwise."""
        spec = self.context.commands.find(request.argv)
        if request.tail_pieces is not None and slices.materialize_or_defer(self, spec, request):
            return
        if spec is not None and self.fast_path and spec.single_key and spec.accepts(len(request.argv)):
            self.context.family_counters[spec.family].count += 1
            pending = self.replies.open_pending(spec)
            plan = self.context.root.plan(spec, request, self.request_context)
            if (
                isinstance(plan, Send)
                and plan.payload is None
                and plan.fallbacks is None
                and not self.request_context.miss_on_down
            ):
                if spec.retryable:
                    pending.retries_left = ONE_RETRY
                    pending.payload = request.raw
                elif plan.node.master_view is not None and request.tail_pieces is None and not spec.is_scripting:
                    pending.retries_left = REPEAT_REFUSED
                    pending.payload = request.raw
                if request.tail_pieces is None:
                    self.executor.send(plan.node, pending, request.raw, self.proto, self.db)
                else:
                    self.executor.send_segmented(plan.node, pending, request, self.proto, self.db)
            else:
                request.materialize()
                self.executor.execute(plan, pending, request.raw, spec, self.request_context)
        else:
            self.check_and_dispatch(spec, request)

    # -- the checked path -------------------------------------------------------------------------

    def check_and_dispatch(self, spec: CommandSpec | None, request: Request) -> None:
        """Resolve the command and check it in the order in which Redis checks; refuse it, or go on with it."""
        if spec is None and session_commands.close_if_http(self, request.argv[0]):
            self.context.count_command(None)
            return
        request.materialize()
        if self.awaits_confirmation() and (spec is None or spec.reach != SUBSCRIBE):
            # What it may say depends on what it has subscribed to.
            self.suspended_request = request
            self.suspend_until(0)
            return
        self.extra_units += len(request.argv) // limits.WORDS_PER_UNIT
        commands = self.context.commands
        if commands.renamed_away:
            argv, spec = commands.resolve_nested(request.argv)
            if argv is not request.argv:
                request = Request(argv, encode.encode_request(argv))
        if spec is None and may_request_command_info(self, request.argv[0]) and request_command_info(self, request):
            return
        if slices.start_acl_check(self, spec, request):
            return
        error = refusal.find_refusal(self, spec, request.argv)
        if error is not None or spec is None:
            self.context.count_command(spec)
            self.reply_error(error if error is not None else errors.unknown_command(request.argv))
            return
        if spec.script_source and library_lookup.request_libraries(self, spec, request):
            return
        self.last_command = spec.name
        self.queue_or_run(spec, request)

    def queue_or_run(self, spec: CommandSpec, request: Request) -> None:
        """A request that is allowed: hold it, queue it in MULTI, let it wait for open replies, or run it."""
        if pause.must_wait(self, spec, request.argv):
            self.enter(PAUSED)
            self.suspended_request = request
            self.context.paused_sessions[self.id] = True
        elif self.multi is not None and spec.in_multi not in (IN_MULTI_BOUNDARY, IN_MULTI_AT_ONCE):
            self.context.count_command(spec)
            multi.enqueue(self, self.multi, spec, request)
        elif self.replies.open_count() and self.needs_drain(spec, request.argv):
            self.suspended_request = request
            self.suspend_until(0)
        elif publish_wait.must_wait(self, spec, request.argv):
            self.suspended_request = request
            self.enter(WAITING_FOR_NODES)
        else:
            self.context.count_command(spec)
            self.run(spec, request)

    def run(self, spec: CommandSpec, request: Request) -> None:
        """Hand a request to the handlers of its reach."""
        if spec.reach == SESSION:
            self.handle_session_command(spec, request)
        elif spec.reach == DEDICATED:
            blocking.handle(self, spec, request)
        elif spec.reach == SUBSCRIBE:
            pubsub.handle(self, spec, request.argv)
        elif slices.needs_sliced_planning(spec, request):
            slices.start_job(self, slices.PlanJob(self, spec, request))
        else:
            self.dispatch(spec, request, self.open_pending(spec), self.request_context)

    def needs_drain(self, spec: CommandSpec, argv: list[bytes]) -> bool:
        """Whether a request must wait until no reply is open, so that neither it nor later ones overtake."""
        if spec.reach == SUBSCRIBE:
            return not pubsub.may_follow(self, spec, argv)
        if spec.drains_first or blocking.needs_dedicated(spec, argv):
            return True
        return self.watch is not None and spec.in_multi == IN_MULTI_BOUNDARY

    def dispatch(
        self, spec: CommandSpec, request: Request, handler: ReplyHandler, request_context: RequestContext
    ) -> None:
        """Answer locally, or plan and execute."""
        if spec.reach == LOCAL:
            frame = local.local_reply(self, spec, request.argv)
            self.extra_units += len(frame) // limits.BYTES_PER_UNIT
            handler.on_reply(encode.array([frame]) if request_context.per_node else frame)
            return
        if spec.is_scripting:
            scripts.dispatch(self, spec, request, handler, request_context)
            return
        if info.reply_if_proxy_only(self, spec, request.argv, handler, request_context) or long_running.start_if_slow(
            self, spec, request, handler, request_context
        ):
            return
        handler = info.client_view_handler(self, spec, request.argv, handler, request_context)
        self.executor.execute(self.plan(spec, request, request_context), handler, request.raw, spec, request_context)

    # -- commands about the session ----------------------------------------------------------------

    def handle_session_command(self, spec: CommandSpec, request: Request) -> None:
        """A command about the session itself; only PROXY asks nodes."""
        handler = SESSION_HANDLERS.get(spec.handler)
        if handler is not None:
            handler(self, spec, request)
        else:
            self.send_reply(session_commands.execute(self, spec, request.argv))
            accounting.enforce_query_limit(self, 0)

    def close(self) -> None:
        """Read nothing more, answer nothing that blocks; the socket is closed when the open replies are sent."""
        self.enter(CLOSING)
        cleanup.cancel_blocked(self)
        cleanup.release_state(self)
        self.replies.resume_at = 0
        self.replies.emit(b"")

    def on_disconnect(self) -> None:
        self.enter(CLOSING)
        cleanup.cancel_blocked(self)
        self.replies.close()
        cleanup.release_state(self)
        self.proxy.sessions.pop(self.id, None)
        self.context.paused_sessions.pop(self.id, None)

    def __repr__(self) -> str:
        phase = "needs AUTH" if not self.authed else "multi" if self.multi is not None else "open"
        return f"<session {self.id} {self.address} {phase} {MODE_NAMES[self.mode]} {self.replies!r}>"
