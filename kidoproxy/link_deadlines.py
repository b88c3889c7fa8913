"""Deadlines on a ready link: who gets TIMEOUT, when a silent node is given up, when it is asked for a sign of life.

Replies come in order, so nobody is late while something in front of him still has time: a large payload's own time,
or the time that its bytes take as long as they leave. When that is answered, those behind have the usual time left.
So it is while its node is busy with a command that takes long, on whatever link that was sent.

A node that answers, but nothing in time, is *suspect*: what is sent to it fails at once, and the link asks by itself
until one answer is in time. A node that is silent is down.
"""

from typing import TYPE_CHECKING, Final

from kidoproxy import limits
from kidoproxy.errors import NODEDOWN, TIMEOUT
from kidoproxy.ledger import Dropped, Leg
from kidoproxy.link_greeting import NEVER, Unhurried, Waiting
from kidoproxy.link_guard import deafen, fail
from kidoproxy.link_partial import overdue as never_ends
from kidoproxy.link_states import DOWN, GREETING, READY
from kidoproxy.resp.scan import string2ll

if TYPE_CHECKING:
    from kidoproxy.link import NodeLink

MOVED: Final = "it is not what its name stands for, which is looked up again"
PING: Final = b"*1\r\n$4\r\nPING\r\n"
#: 50 MB/s is slow for a datacentre, and 50 000 keys a second for a server.
SECONDS_PER_BYTE: Final = 1 / 50_000_000
SECONDS_PER_ARGUMENT: Final = 1 / 50_000


def tick(link: "NodeLink", now: float) -> None:
    """Some twenty times a second: deadlines, silence, the next attempt."""
    state = link.state
    if state == READY:
        if link.moves != link.node.moves and not link.holding:
            move(link, now)
        else:
            tick_ready(link, now)
    elif state == DOWN:
        if now >= link.backoff.until and not link.lane:
            link.probing = True
            link.attempted = now
            link.wake()
    elif state == GREETING and now > max(link.due, link.node.busy_until):
        link.lost("it accepts connections and does not answer", now, True)
    if link.queue:
        expire_queue(link, now)


def tick_ready(link: "NodeLink", now: float) -> None:
    """Answer overdue legs; a node that says nothing at all is given up; an idle one is asked for a sign."""
    if link.head == len(link.fifo):
        if link.suspect:
            probe(link, now)
        elif now - link.heard > limits.PROBE_SECONDS and link.open and not link.lane:
            link.place(Dropped(), PING, link.proto, link.db, now)
        return
    if never_ends(link, now):
        link.node.trouble("reply never ended")
        link.lost(f"its reply has not ended in {round((now - link.part_since) * 1000)} ms", now, False)
        return
    overdue = answer_late(link, now)
    if link.broken:
        link.lost(link.broken, now, True)
        return
    if overdue >= link.login.timeout and now - link.heard >= 2 * link.login.timeout:
        link.node.trouble("silent")
        link.lost(f"no reply for {round((now - link.heard) * 1000)} ms", now, True)
    elif link.suspect:
        probe(link, now)
    elif link.late_since and overdue > 0.0 and now - link.late_since >= link.login.timeout and not link.lane:
        suspect(link, now)


def own_time(payload: bytes) -> float:
    """How much longer a large request may take: by its bytes, and by its arguments, of which DEL may have very many."""
    count = string2ll(payload[1 : payload.find(b"\r", 0, 24)]) or 0
    return len(payload) * SECONDS_PER_BYTE + count * SECONDS_PER_ARGUMENT


def move(link: "NodeLink", now: float) -> None:
    """The node is not what its name stands for any more: look that up again, as soon as nothing is under way."""
    if link.head < len(link.fifo):
        if not link.lane:
            link.moving = True
            link.set_open()
        tick_ready(link, now)
    elif not link.lane:
        renew(link)
    elif link.ear is None:
        # Nobody has it: it is not lent any more.
        link.lost(MOVED, now, True)


def renew(link: "NodeLink") -> None:
    """Connect anew, with nothing under way; what waits goes on waiting."""
    queue = link.take_queue()
    link.reset(MOVED)
    link.reconnects += 1
    link.wake()
    link.put_queue(queue)
    deafen(link, link.failure(NODEDOWN, MOVED, False))


def answer_late(link: "NodeLink", now: float) -> float:
    """TIMEOUT for those whose time is over; by how much the first one's is."""
    fifo = link.fifo
    timeout = link.login.timeout
    granted = max(write_patience(link, now), link.node.busy_until)
    overdue = 0.0
    head = link.head
    at = head
    while at < len(fifo):
        leg = fifo[at]
        due = leg.due
        if isinstance(leg, Unhurried) and due >= now:
            # Our own traffic gives those behind what it needs itself, not all that it would wait.
            granted = max(granted, leg.until)
        elif due >= now:
            if granted < due < NEVER:
                granted = due
            if at > head and due <= now + 2 * timeout:
                break
        elif granted >= now:
            if not leg.done:
                leg.due = now + timeout
        else:
            overdue = max(overdue, now - due)
            if not leg.done:
                late(link, leg, True, now)
        at += 1
    return overdue


def write_patience(link: "NodeLink", now: float) -> float:
    """Until when nobody is late because a large payload is still on its way out, and moves."""
    peer = link.peer
    if peer is not None and now < link.write_until:
        sent = peer.sent()
        if sent != link.sent:
            link.sent = sent
            link.moved_until = now + 2 * link.login.timeout
    return link.moved_until


def late(link: "NodeLink", leg: Leg, written: bool, now: float) -> None:
    """Its client gets TIMEOUT now; a reply that still comes is dropped by its position."""
    if not isinstance(leg, Dropped):
        link.timeouts += 1
    if written and not link.late_since:
        link.late_since = now
    fail(link, leg, link.failure(TIMEOUT, f"no reply in {round(link.login.timeout * 1000)} ms", written))


def expire_queue(link: "NodeLink", now: float) -> None:
    """Deadlines of what waits for the link."""
    kept: list[Waiting] = []
    queue = link.take_queue()
    for waiting in queue:
        if max(waiting.leg.due + link.grace, link.node.busy_until) < now:
            late(link, waiting.leg, False, now)
        else:
            kept.append(waiting)
    link.put_queue(kept + link.queue)


# -- suspect ---------------------------------------------------------------------------------------------


def suspect(link: "NodeLink", now: float) -> None:
    """Nothing has come in time for a while: nobody is made to wait for it any more."""
    link.suspect = True
    link.cause = f"suspect: it answers, but nothing in {round(link.login.timeout * 1000)} ms"
    if link.shared:
        link.node.suspect = True
        link.node.cause = link.cause
    link.node.trouble("suspect")
    link.set_open()
    probe(link, now)


def probe(link: "NodeLink", now: float) -> None:
    """Ask whether it is in time again."""
    if now >= link.probe_at and len(link.fifo) - link.head < limits.PROBES:
        link.probe_at = now + limits.SUSPECT_SECONDS
        ping = Dropped()
        ping.due = now + link.login.timeout
        link.send(ping, PING, link.proto, link.db, 1)


def in_time(link: "NodeLink", now: float) -> None:
    """Something has come in time."""
    link.late_since = 0.0
    if link.suspect:
        trusted(link)
        link.set_open()
        link.release_queue(now)


def trusted(link: "NodeLink") -> None:
    """It is not suspect any more."""
    link.suspect = False
    link.cause = ""
    if link.shared:
        link.node.suspect = False
        link.node.cause = ""
