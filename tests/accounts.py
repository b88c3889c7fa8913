"""Byte accounts, checked against what is really held: a walk over the ledgers, the joints and the links of a house."""

from kidoproxy import limits
from kidoproxy.exchange_multi import Batch
from kidoproxy.exchange_reask import Again
from kidoproxy.ledger import Call, Joint, Leg, Part
from kidoproxy.link import NodeLink
from kidoproxy.session import account
from kidoproxy.session.conversation import ClientSession
from kidoproxy.session.house import House


def check(house: House) -> None:
    """Every account of the house is what is held."""
    links = house.exchange.all_links()
    legs = [leg for link in links for leg in waiting_legs(link)]
    joints: dict[int, Joint] = {}
    owners: dict[int, int] = {}
    for leg in legs:
        climb(leg, joints, owners)
    for link in links:
        check_link(link)
    for session in house.sessions.values():
        own = [joint for key, joint in joints.items() if owners.get(key) == id(session.ledger)]
        check_session(session, own)


def waiting_legs(link: NodeLink) -> list[Leg]:
    """All that wait at a link, with the legs inside of transactions."""
    found = link.fifo[link.head :] + [waiting.leg for waiting in link.queue]
    inside = [leg for batch in found if isinstance(batch, Batch) for leg in [*batch.legs, batch.whole] if leg]
    return found + inside


def climb(leg: Leg, joints: dict[int, Joint], owners: dict[int, int]) -> None:
    """From a leg up to the call that it is for; the joints on the way belong to its ledger."""
    passed: list[int] = []
    at: object = leg
    while at is not None and not isinstance(at, Call):
        if isinstance(at, Part):
            joints[id(at.joint)] = at.joint
            passed.append(id(at.joint))
            at = at.joint.parent
        else:
            at = at.reask if isinstance(at, Again) else getattr(at, "parent", None)
    if isinstance(at, Call):
        for key in passed:
            owners[key] = id(at.ledger)


def check_link(link: NodeLink) -> None:
    """Queue, requests under way and room of one connection."""
    assert link.queue_bytes == sum(len(waiting.payload) for waiting in link.queue)
    flight = link.in_flight
    assert 0 <= flight.over <= flight.total
    assert flight.numbers == sorted(flight.numbers)
    kept = {id(leg): len(leg.payload) for leg in link.fifo[link.head :] if leg.payload is not None and not leg.done}
    assert sum(kept.values()) <= link.held_bytes()
    assert link.room <= link.login.queue_bytes - link.queue_bytes
    if not link.count():
        assert link.held_bytes() == link.reader.held()


def check_session(session: ClientSession, joints: list[Joint]) -> None:
    """What one client has sent, is owed, and makes us remember."""
    ledger = session.ledger
    assert ledger.out_bytes == sum(map(len, ledger.out))
    if not ledger.waived:
        early = [call.reply for call in ledger.calls[ledger.head + 1 :] if call.reply is not None]
        assert ledger.waiting_bytes == sum(map(len, early)) + sum(joint.held for joint in joints)
    for joint in joints:
        assert joint.held == sum(map(len, joint.replies))
    kept = sum(len(call.payload) for call in ledger.calls[ledger.head :] if call.payload is not None)
    under_way = account.under_way(session)
    assert kept <= under_way
    if not ledger.count():
        assert under_way == 0
        assert ledger.waiting_bytes == 0
    queue = session.queue or []
    assert session.queue_bytes == sum(queued.request.cost() for queued in queue)
    if session.subscriber is not None:
        names = [name for kind in session.subscriber.names for name in kind]
        assert session.subscriber.bytes == sum(len(name) + limits.NAME_COST for name in names)
    assert account.total_bytes(session) >= account.kept_bytes(session) >= 0
