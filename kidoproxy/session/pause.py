"""CLIENT PAUSE: for a while no request of this pool's clients is handled, or no write. They wait, none is lost.

It costs nothing per command: while a pool is paused its sessions leave the fast path, and the checks of the slow one
call `must_wait`.
"""

from kidoproxy.commands import handler_ids
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import client_errors, encode
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session.base import Session
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState


def pause_pool(proxy: ProxyState, context: PoolContext, argv: list[bytes]) -> bytes:
    """CLIENT PAUSE milliseconds [WRITE | ALL]; a current pause is only made longer and stricter."""
    if len(argv) > 4:
        return client_errors.PAUSE_ARITY
    mode = argv[3].lower() if len(argv) == 4 else b"all"
    if mode not in (b"write", b"all"):
        return client_errors.BAD_PAUSE_MODE
    duration_ms = parse_int64(argv[2])
    if duration_ms is None:
        return client_errors.BAD_TIMEOUT
    if duration_ms < 0:
        return client_errors.NEGATIVE_TIMEOUT
    context.pause_writes_only = mode == b"write" and (context.pause_writes_only or not context.paused_until_ms)
    context.paused_until_ms = max(context.paused_until_ms, proxy.wall_ms + duration_ms)
    proxy.update_sessions(context)
    return encode.OK


def must_wait(session: Session, spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether this request must wait for the end of the pause; CLIENT UNPAUSE never does."""
    context = session.context
    if not context.paused_until_ms or spec.handler == handler_ids.CLIENT_UNPAUSE:
        return False
    if not context.pause_writes_only:
        return True
    if session.multi is not None:
        return spec.handler == handler_ids.EXEC and any(is_paused_write(queued.spec) for queued in session.multi.queue)
    if spec.nested_at:
        _, wrapped = session.context.commands.resolve_nested(argv[spec.nested_at :])
        return wrapped is not None and is_paused_write(wrapped)
    return is_paused_write(spec)


def is_paused_write(spec: CommandSpec) -> bool:
    """Whether PAUSE … WRITE holds it. A script counts as a write unless it is called by its read-only variant."""
    return spec.may_write or spec.may_replicate
