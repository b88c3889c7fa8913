"""What one client makes us hold, and what follows: it waits, or it is cut. (Its replies are counted by its ledger.)

Small requests that pass are not counted one by one. What is kept from one request to the next is counted where it is
kept, and what it may come to is Redis's ``client-query-buffer-limit``: with the query buffer MULTI's queue counts too.
"""

from typing import TYPE_CHECKING

from kidoproxy import limits
from kidoproxy.errors import ProtocolError
from kidoproxy.ledger import Ledger, Turn
from kidoproxy.ledger_account import OUTPUT, QUERY
from kidoproxy.resp.requests import TOO_BIG

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession
    from kidoproxy.session.house import PoolFacts


def ledger(turn: Turn, pool: "PoolFacts") -> Ledger:
    """A ledger with the limits of its pool."""
    ledger = Ledger(turn, pool.as_loading)
    ledger.message_limit = pool.pubsub_output_bytes
    ledger.asked_limit = min(limits.CLIENT_ASKED_BYTES, pool.query_bytes)
    return ledger


def count_asked(session: "ClientSession") -> None:
    """Note how many bytes have become requests since the last time."""
    taken = int(session.reader.fed) - session.reader.buffered() - parked_bytes(session)
    session.ledger.ask(taken - session.counted)
    session.counted = taken


def parked_bytes(session: "ClientSession") -> int:
    """The request that waits."""
    return session.parked.size() if session.parked is not None else 0


def under_way(session: "ClientSession") -> int:
    """Requests that nodes have not answered yet, or a few more; none when nothing is owed."""
    if not session.ledger.count():
        return 0
    taken = int(session.reader.fed) - session.reader.buffered() - parked_bytes(session)
    return session.ledger.asked_bytes() + taken - session.counted


def kept_bytes(session: "ClientSession") -> int:
    """What it has made us remember: MULTI's queue, watched keys, subscriptions, its names."""
    kept = session.queue_bytes + len(session.name) + len(session.lib_name) + len(session.lib_ver)
    if session.watch is not None:
        kept += session.watch.bytes
    if session.subscriber is not None:
        kept += session.subscriber.bytes
    return kept


def unread_bytes(session: "ClientSession") -> int:
    """What is ready for it or owed to it: with replies that wait for their turn, and what its socket has not taken."""
    ledger = session.ledger
    written = ledger.peer.unwritten() if ledger.peer is not None else 0
    return ledger.out_bytes + ledger.waiting_bytes + written


def total_bytes(session: "ClientSession") -> int:
    """All that is held for it."""
    asked = session.reader.buffered() + parked_bytes(session) + under_way(session)
    return asked + kept_bytes(session) + unread_bytes(session)


def overruns(session: "ClientSession", size: int) -> bool:
    """Whether it cannot be let keep so much more; then it is cut, as by Redis."""
    if session.reader.buffered() + kept_bytes(session) + size <= session.pool.query_bytes:
        return False
    session.closing = True
    session.ledger.condemn(QUERY)
    return True


def allow(session: "ClientSession") -> None:
    """How much it may claim: as Redis has it, little before it has said who it is."""
    allowed = session.limits
    if session.authed:
        allowed.arguments = limits.ARGUMENTS
        allowed.bulk_bytes = session.pool.bulk_bytes
    else:
        allowed.arguments = limits.UNAUTHENTICATED_ARGUMENTS
        allowed.bulk_bytes = limits.UNAUTHENTICATED_BULK_BYTES
    allowed.query_bytes = session.pool.query_bytes


def refuse(session: "ClientSession", problem: ProtocolError) -> None:
    """A frame that is none, or is too large: it is told so, and closed."""
    session.ledger.open(False).take(problem.line)
    if problem.args == (TOO_BIG,):
        session.closing = True
        session.ledger.condemn(QUERY)
    else:
        session.close()


def overflows(session: "ClientSession") -> bool:
    """Whether more is made for it here than it may leave unread; then it is cut, and need not be made any more."""
    if session.ledger.waiting_bytes <= session.pool.output_bytes:
        return False
    session.ledger.condemn(OUTPUT)
    return True
