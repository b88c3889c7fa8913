"""CLIENT LIST, KILL, PAUSE, UNPAUSE and UNBLOCK mean the clients of a pool, whichever worker they are connected to.

PROXY SLOWLOG, HOTKEYS and BIGKEYS mean what all have seen.

Each worker has its part (`PARTS`), the one that the caller is connected to puts them together (`combine`). A reply
waits for all parts like one that waits for nodes, in its place, and no longer than a second: what is listed then is
what the others have, and what should have an effect in each worker says PARTIAL. Pools with copies are served by one
worker alone, which asks nobody.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import encode, errors, limits
from kidoproxy.resp.decode import integer_value, is_error, string_value
from kidoproxy.resp.request_reader import Request
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session import pause, slices
from kidoproxy.session.base import Session
from kidoproxy.session.handlers import client, client_kill, client_slices, proxy_traffic
from kidoproxy.session.peers import Answers
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.state import SessionState

#: One worker's part. ``caller``: None if it is a client of another worker.
Part = Callable[[ProxyState, PoolContext, SessionState | None, list[bytes]], bytes]


def list_part(proxy: ProxyState, context: PoolContext, caller: SessionState | None, argv: list[bytes]) -> bytes:
    """CLIENT LIST."""
    return client.client_lines(proxy, context, argv)


def pause_part(proxy: ProxyState, context: PoolContext, caller: SessionState | None, argv: list[bytes]) -> bytes:
    """CLIENT PAUSE."""
    return pause.pause_pool(proxy, context, argv)


def unpause_part(proxy: ProxyState, context: PoolContext, caller: SessionState | None, argv: list[bytes]) -> bytes:
    """CLIENT UNPAUSE."""
    proxy.unpause(context)
    return encode.OK


def unblock_part(proxy: ProxyState, context: PoolContext, caller: SessionState | None, argv: list[bytes]) -> bytes:
    """CLIENT UNBLOCK."""
    return client.unblock_client(proxy, context, argv)


PARTS: Final[dict[HandlerId, Part]] = {
    handler_ids.CLIENT_KILL: client_kill.kill_clients,
    handler_ids.CLIENT_LIST: list_part,
    handler_ids.CLIENT_PAUSE: pause_part,
    handler_ids.CLIENT_UNBLOCK: unblock_part,
    handler_ids.CLIENT_UNPAUSE: unpause_part,
    **proxy_traffic.PARTS,
}
SLICED: Final = (handler_ids.CLIENT_KILL, handler_ids.CLIENT_LIST)
#: What the sum of the parts counts.
COUNTED: Final[dict[HandlerId, str]] = {
    handler_ids.CLIENT_KILL: "clients closed",
    handler_ids.CLIENT_UNBLOCK: "clients unblocked",
}


def run_part(
    handler_id: HandlerId,
    proxy: ProxyState,
    context: PoolContext,
    caller: SessionState | None,
    argv: list[bytes],
    take: client_slices.TakePart,
    run_job: client_slices.RunJob,
) -> None:
    """This worker's part: at once, or in slices."""
    if handler_id in SLICED and client_slices.is_large(proxy, argv):
        client_slices.run_sliced(handler_id, proxy, context, caller, argv, take, run_job)
    else:
        take(PARTS[handler_id](proxy, context, caller, argv))


# -- the worker of the caller ------------------------------------------------------------------------------


def handle(session: Session, spec: CommandSpec, request: Request) -> None:
    """One of these, from a client."""
    take = partial(take_own_part, session, spec, request.argv)
    run_job = partial(slices.start_job, session)
    run_part(spec.handler, session.proxy, session.context, session, request.argv, take, run_job)


def take_own_part(session: Session, spec: CommandSpec, argv: list[bytes], part: bytes) -> None:
    """The reply comes when the others have answered; the client's next request waits for it."""
    session.extra_units += len(part) // limits.BYTES_PER_UNIT
    combine_with_others(session, spec, argv, part, session.open_pending(None))
    if session.replies.open_count() and session.proxy.peers is not None:
        session.suspend_until(0)


def answer_in_transaction(session: Session, spec: CommandSpec, argv: list[bytes], slot: ReplyHandler) -> int:
    """One of these in its place of an EXEC; the units of work that it took."""
    part = PARTS[spec.handler](session.proxy, session.context, session, argv)
    combine_with_others(session, spec, argv, part, slot)
    return 1 + len(part) // limits.BYTES_PER_UNIT


def combine_with_others(
    session: Session, spec: CommandSpec, argv: list[bytes], part: bytes, handler: ReplyHandler
) -> None:
    """Ask the other workers that can have a part, and give ``handler`` the reply."""
    peers, proto = session.proxy.peers, session.proto
    if is_error(part):
        handler.on_reply(part)
        return
    workers = workers_to_ask(session, spec, argv)
    if peers is None or not workers:
        handler.on_reply(combine(spec, proto, argv, {0: part}))
        return
    number = peers.number

    def take(answers: Answers) -> None:
        handler.on_reply(combine(spec, proto, argv, {number: part, **answers}))

    peers.ask(workers, session.context.name, [spec.name, *argv], take)


def workers_to_ask(session: Session, spec: CommandSpec, argv: list[bytes]) -> list[int]:
    """The other workers that can have a part; an id says which worker has the client."""
    peers = session.proxy.peers
    if peers is None or session.context.has_copies:
        return []
    if spec.handler != handler_ids.CLIENT_UNBLOCK:
        return peers.others
    owner = peers.worker_of(parse_int64(argv[2]) or 0)
    return [owner] if owner is not None else []


def combine(spec: CommandSpec, proto: int, argv: list[bytes], parts: Answers) -> bytes:
    """The reply of all workers."""
    # Another one may refuse what this one does: it has taken over a changed configuration before, or has not yet.
    found = [part for _, part in sorted(parts.items()) if part is not None and not is_error(part)]
    silent = sorted([worker for worker, part in parts.items() if part is None])
    if spec.handler == handler_ids.CLIENT_LIST:
        return encode.verbatim(proto, b"".join([string_value(part) for part in found]))
    combine_traffic = proxy_traffic.COMBINERS.get(spec.handler)
    if combine_traffic is not None:
        reply = combine_traffic(proto, argv, found)
        return errors.silent_workers(spec.name, silent, len(parts), "") if silent and reply == encode.OK else reply
    if spec.handler not in COUNTED:
        return errors.silent_workers(spec.name, silent, len(parts), "") if silent else encode.OK
    count = sum([integer_value(part) for part in found])
    if silent:
        return errors.silent_workers(spec.name, silent, len(parts), f"{count} {COUNTED[spec.handler]}")
    return client_kill.kill_reply(argv, count) if spec.handler == handler_ids.CLIENT_KILL else encode.integer(count)
