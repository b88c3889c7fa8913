"""Commands of reach DEDICATED: blocking ones here, WATCH and MONITOR in files of their own.

Such a request runs alone: it starts when no reply of the client is open, and the next one starts when it is answered,
as a server reads nothing from a blocked client. So the client's order is kept between dedicated and shared connections.
"""

from typing import Final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.commands.request_traits import block_timeout, may_block
from kidoproxy.commands.spec import AGG_MIN, BLOCKING, DEDICATED, PASS_THROUGH, CommandSpec
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import encode
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import DirectReply
from kidoproxy.routes.route import RequestContext
from kidoproxy.session.base import Session, SessionHandler
from kidoproxy.session.handlers import monitor, watch
from kidoproxy.session.pubsub import topics
from kidoproxy.upstream.dedicated import DedicatedExecutor
from kidoproxy.upstream.nonblocking import drop_reply_if_client_left
from kidoproxy.upstream.out_of_band import OutOfBandExecutor

#: WAIT is about the writes of its own connection, and a dedicated one has made none. With this one, which only has to
#: reach the replicas, it waits for all earlier writes, those of this client on the shared connections among them.
WAIT_MARK: Final = encode.encode_request([b"PUBLISH", topics.WAIT_MARK_CHANNEL, b""])


#: What does more than wait for a reply.
HANDLERS: Final[dict[HandlerId, SessionHandler]] = {
    handler_ids.MONITOR: monitor.start_monitor,
    handler_ids.WATCH: watch.start_watch,
}


def needs_dedicated(spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether this request needs a dedicated connection: XREAD and XREADGROUP do only if they BLOCK."""
    return spec.reach == DEDICATED and (spec.flags & BLOCKING == 0 or may_block(spec, argv))


def handle(session: Session, spec: CommandSpec, request: Request) -> None:
    """A request of reach DEDICATED; no reply of the client is open."""
    if not needs_dedicated(spec, request.argv):
        session.dispatch(spec, request, session.open_pending(spec), session.request_context)
    else:
        HANDLERS.get(spec.handler, send_blocking)(session, spec, request)


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
    session.blocking_executor = executor
    handler = drop_reply_if_client_left(executor.outcome, session.open_pending(spec))
    request_context = session.request_context
    plan = session.plan(spec, request, request_context)
    # A refusal would not have blocked: also a client that has hung up gets it, ahead of the replies behind.
    executor.outcome.must_answer = isinstance(plan, DirectReply)
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
