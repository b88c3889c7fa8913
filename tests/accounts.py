"""Byte accounts, checked against what is really held: a walk over the ledgers, the joints and the links of a house."""

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
    """Every account of the house is what is held."""
    conns = proxy.executor.all_connections()
    handlers = [handler for conn in conns for handler in waiting_legs(conn)]
    joints: dict[int, Aggregate] = {}
    owners: dict[int, int] = {}
    for handler in handlers:
        climb(handler, joints, owners)
    for conn in conns:
        check_link(conn)
    for session in proxy.sessions.values():
        own = [aggregate for key, aggregate in joints.items() if owners.get(key) == id(session.replies)]
        check_session(session, own)


def waiting_legs(conn: NodeConnection) -> list[ReplyHandler]:
    """All that wait at a link, with the legs inside of transactions."""
    found = conn.reply_handlers[conn.head :] + [waiting.handler for waiting in conn.queue]
    inside = [
        handler
        for batch in found
        if isinstance(batch, NodeBatch)
        for handler in [*batch.handlers, batch.exec_handler]
        if handler
    ]
    return found + inside


def climb(handler: ReplyHandler, joints: dict[int, Aggregate], owners: dict[int, int]) -> None:
    """From a leg up to the call that it is for; the joints on the way belong to its ledger."""
    passed: list[int] = []
    at: object = handler
    while at is not None and not isinstance(at, PendingRequest):
        if isinstance(at, AggregateSlot):
            joints[id(at.aggregate)] = at.aggregate
            passed.append(id(at.aggregate))
            at = at.aggregate.parent
        else:
            at = getattr(at, "parent", None)
    if isinstance(at, PendingRequest):
        for key in passed:
            owners[key] = id(at.queue)


def check_link(conn: NodeConnection) -> None:
    """Queue, requests under way and room of one connection."""
    assert conn.queue_bytes == sum(len(waiting.payload) for waiting in conn.queue)
    assert conn.out_bytes == sum(map(len, conn.out))
    flight = conn.in_flight
    assert 0 <= flight.answered <= flight.total
    assert flight.mark_numbers == sorted(flight.mark_numbers)
    kept = {
        id(handler): len(handler.payload)
        for handler in conn.reply_handlers[conn.head :]
        if handler.payload is not None and not handler.discard_reply
    }
    assert sum(kept.values()) <= conn.held_bytes()
    assert conn.out_budget <= conn.options.max_queue_bytes - conn.queue_bytes
    if not conn.pending_count():
        assert conn.held_bytes() == conn.reader.held_bytes()


def check_session(session: SessionState, joints: list[Aggregate]) -> None:
    """What one client has sent, is owed, and makes us remember."""
    replies = session.replies
    assert replies.out_bytes == sum(map(len, replies.out))
    if not replies.accounting_stopped:
        early = [pending.reply for pending in replies.open_requests[replies.head + 1 :] if pending.reply is not None]
        assert replies.held_reply_bytes == sum(map(len, early)) + sum(aggregate.held_bytes for aggregate in joints)
    for aggregate in joints:
        assert aggregate.held_bytes == sum(map(len, aggregate.replies))
    kept = sum(len(pending.payload) for pending in replies.open_requests[replies.head :] if pending.payload is not None)
    under_way = accounting.in_flight_bytes(session)
    assert kept <= under_way
    if not replies.open_count():
        assert under_way == 0
        assert replies.held_reply_bytes == 0
    if session.multi is not None:
        assert session.multi.queue_bytes == sum(queued.request.memory_cost() for queued in session.multi.queue)
    if session.subscriber is not None:
        names = [name for kind in session.subscriber.names_by_kind for name in kind]
        assert session.subscriber.memory_bytes == sum(len(name) + limits.NAME_OVERHEAD_BYTES for name in names)
    assert accounting.total_bytes(session) >= accounting.state_bytes(session) >= 0
