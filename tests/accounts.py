"""Checks the byte counts of a proxy against what its reply queues, aggregates and connections really hold."""

from kidoproxy.replies.aggregate import Aggregate, AggregateSlot
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.queue import PendingRequest
from kidoproxy.resp import limits
from kidoproxy.session import accounting
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.state import SessionState
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.transaction import NodeBatch


def check(proxy: ProxyState) -> None:
    """Every byte count is what is held."""
    conns = proxy.executor.all_connections()
    handlers = [handler for conn in conns for handler in waiting_handlers(conn)]
    aggregates: dict[int, Aggregate] = {}
    owners: dict[int, int] = {}
    # Who waits in the proxy has no request on any connection meanwhile.
    for handler in [*handlers, *proxy.dedicated_pool.waiting.deadlines]:
        find_aggregates(handler, aggregates, owners)
    for conn in conns:
        check_connection(conn)
    for session in proxy.sessions.values():
        own = [aggregate for key, aggregate in aggregates.items() if owners.get(key) == id(session.replies)]
        check_session(session, own)


def waiting_handlers(conn: NodeConnection) -> list[ReplyHandler]:
    """All handlers of a connection, with those inside of transactions."""
    found = conn.reply_handlers[conn.head :] + [waiting.handler for waiting in conn.queue]
    inside = [
        handler
        for batch in found
        if isinstance(batch, NodeBatch)
        for handler in [*batch.handlers, batch.exec_handler]
        if handler
    ]
    return found + inside


def find_aggregates(handler: ReplyHandler, aggregates: dict[int, Aggregate], owners: dict[int, int]) -> None:
    """Collect the aggregates between a handler and its pending request; ``owners`` gets the queue of each."""
    keys: list[int] = []
    at: object = handler
    while at is not None and not isinstance(at, PendingRequest):
        if isinstance(at, AggregateSlot):
            aggregates[id(at.aggregate)] = at.aggregate
            keys.append(id(at.aggregate))
            at = at.aggregate.parent
        else:
            at = getattr(at, "parent", None)
    if isinstance(at, PendingRequest):
        for key in keys:
            owners[key] = id(at.queue)


def check_connection(conn: NodeConnection) -> None:
    """Queue, output, requests in flight and budget of one connection."""
    assert conn.queue_bytes == sum(len(waiting.payload) for waiting in conn.queue)
    assert conn.out_bytes == sum(map(len, conn.out))
    in_flight = conn.in_flight
    assert 0 <= in_flight.answered <= in_flight.total
    assert in_flight.mark_numbers == sorted(in_flight.mark_numbers)
    kept = {
        id(handler): len(handler.payload)
        for handler in conn.reply_handlers[conn.head :]
        if handler.payload is not None and not handler.is_answered
    }
    assert sum(kept.values()) <= conn.held_bytes()
    assert conn.out_budget <= conn.options.max_queue_bytes - conn.queue_bytes
    if not conn.pending_count():
        assert conn.held_bytes() == conn.reader.held_bytes()


def check_session(session: SessionState, aggregates: list[Aggregate]) -> None:
    """What one client has sent, what is held for it, and what it makes the proxy remember."""
    replies = session.replies
    assert replies.out_bytes == sum(map(len, replies.out))
    if not replies.accounting_stopped:
        early = [pending.reply for pending in replies.open_requests[replies.head + 1 :] if pending.reply is not None]
        assert replies.held_reply_bytes == sum(map(len, early)) + sum(aggregate.held_bytes for aggregate in aggregates)
    for aggregate in aggregates:
        assert aggregate.held_bytes == sum(map(len, aggregate.replies))
    kept = sum(len(pending.payload) for pending in replies.open_requests[replies.head :] if pending.payload is not None)
    in_flight = accounting.in_flight_bytes(session)
    assert kept <= in_flight
    if not replies.open_count():
        assert in_flight == 0
        assert replies.held_reply_bytes == 0
    if session.multi is not None:
        assert session.multi.queue_bytes == sum(queued.request.memory_cost() for queued in session.multi.queue)
    if session.subscriber is not None:
        names = [name for kind in session.subscriber.names_by_kind for name in kind]
        kept = sum(len(name) + limits.NAME_OVERHEAD_BYTES for name in names)
        waiting = sum(pending.memory_bytes for pending in session.subscriber.requests)
        assert session.subscriber.memory_bytes == kept + waiting
    assert accounting.total_bytes(session) >= accounting.state_bytes(session) >= 0
