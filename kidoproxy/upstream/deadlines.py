"""Deadlines on a connection: who gets TIMEOUT, when a silent node is given up, when it is asked for a sign of life.

Replies come in order, so nobody is late while something ahead of it still has time: a large payload's own time, or
the time that its bytes take as long as they leave. When that is answered, those behind have the usual time left.
So it is while the node is busy with a command that takes long, on whatever connection that was sent.

A node that answers, but nothing in time, is *suspect*: what is sent to it fails at once, and the connection sends
probes until one is answered in time. A node that is silent is *down*.
"""

from typing import Final

from kidoproxy.replies.handler import IgnoreReply, ReplyHandler
from kidoproxy.resp import limits
from kidoproxy.resp.errors import NODEDOWN, TIMEOUT
from kidoproxy.upstream.disconnect import lose_connection
from kidoproxy.upstream.failures import fail_handler, notify_disconnect
from kidoproxy.upstream.handlers import NO_DEADLINE, BackgroundHandler
from kidoproxy.upstream.health import BECAME_SUSPECT, ENDLESS_REPLY, SILENT, TIMEOUT_CAUSE
from kidoproxy.upstream.partial_replies import is_reply_overdue
from kidoproxy.upstream.pipeline import QueuedRequest
from kidoproxy.upstream.sending import SendingConnection
from kidoproxy.upstream.states import DOWN, HANDSHAKING, READY, RECONNECT_PENDING, RETRYING, SUSPECT

PING: Final = b"*1\r\n$4\r\nPING\r\n"


def check_deadlines(conn: SendingConnection, now: float) -> None:
    """Some twenty times a second: deadlines, silence, the next attempt."""
    state = conn.state
    if state == READY:
        if conn.role_changes_seen != conn.node.role_changes and not conn.held:
            reconnect_when_idle(conn, now)
        else:
            check_ready_deadlines(conn, now)
    elif state == DOWN:
        if now >= conn.backoff.retry_at and not conn.dedicated:
            conn.add_condition(RETRYING)
            conn.attempted_at = now
            conn.start_connecting()
    elif state == HANDSHAKING and now > max(conn.handshake_deadline, conn.node.busy_until):
        lose_connection(conn, "it accepts connections and does not answer", now, True)
    if conn.queue or conn.refused:
        expire_queue(conn, now)


def check_ready_deadlines(conn: SendingConnection, now: float) -> None:
    """Time out what is overdue; give up a node that says nothing at all; ask an idle one for a sign of life."""
    if not conn.in_flight_count():
        if conn.suspect:
            send_probe(conn, now)
        elif now - conn.last_read_at > limits.PROBE_AFTER_SECONDS and conn.can_send and not conn.dedicated:
            conn.submit(IgnoreReply(), PING, conn.proto, conn.db, now)
        return
    if is_reply_overdue(conn, now):
        conn.node.count_failure(ENDLESS_REPLY)
        lose_connection(conn, f"its reply has not ended in {round((now - conn.partial_since) * 1000)} ms", now, False)
        return
    overdue = time_out_overdue(conn, now)
    if conn.fatal_error:
        lose_connection(conn, conn.fatal_error, now, True)
        return
    if overdue >= conn.options.timeout and now - conn.last_read_at >= 2 * conn.options.timeout:
        conn.node.count_failure(SILENT)
        lose_connection(conn, f"no reply for {round((now - conn.last_read_at) * 1000)} ms", now, True)
    elif conn.suspect:
        send_probe(conn, now)
    elif conn.late_since and overdue > 0.0 and now - conn.late_since >= conn.options.timeout and not conn.dedicated:
        mark_suspect(conn, now)


def reconnect_when_idle(conn: SendingConnection, now: float) -> None:
    """The node is not what its name stands for any more: look that up again, as soon as nothing is in flight."""
    if conn.in_flight_count():
        if not conn.dedicated:
            conn.add_condition(RECONNECT_PENDING)
        check_ready_deadlines(conn, now)
    elif not conn.dedicated:
        if awaits_sentinels(conn, now):
            conn.add_condition(RECONNECT_PENDING)
        else:
            reconnect(conn)
    elif conn.push_handler is None:
        # No session has it now: close it, so that none gets it again.
        lose_connection(conn, conn.node.replaced_cause, now, True)


def awaits_sentinels(conn: SendingConnection, now: float) -> bool:
    """Whether its sentinels have some time left to name another server: this one would refuse us, or our writes."""
    node = conn.node
    return node.master_view is not None and now < node.role_changed_at + conn.options.timeout


def reconnect(conn: SendingConnection) -> None:
    """Connect anew, with nothing in flight; what was refused, and the queue behind it, go on waiting."""
    queue = conn.take_refused() + conn.take_queue()
    conn.reset(conn.node.replaced_cause)
    conn.reconnects += 1
    conn.start_connecting()
    conn.replace_queue(queue)
    notify_disconnect(conn, conn.node_failure(NODEDOWN, conn.node.replaced_cause, False))


def time_out_overdue(conn: SendingConnection, now: float) -> float:
    """Time out those whose time is over; by how many seconds the worst one's is."""
    handlers = conn.reply_handlers
    timeout = conn.options.timeout
    grace_until = max(write_progress_until(conn, now), conn.node.busy_until)
    overdue = 0.0
    head = conn.head
    index = head
    while index < len(handlers):
        handler = handlers[index]
        due = handler.due
        if isinstance(handler, BackgroundHandler) and due >= now:
            # The proxy's own traffic gives those behind what it needs itself, not all that it would wait.
            grace_until = max(grace_until, handler.expected_by)
        elif due >= now:
            if grace_until < due < NO_DEADLINE:
                grace_until = due
            if index > head and due <= now + 2 * timeout:
                break
        elif grace_until >= now:
            if not handler.is_answered:
                handler.due = now + timeout
        else:
            overdue = max(overdue, now - due)
            if not handler.is_answered:
                time_out(conn, handler, True, now)
        index += 1
    return overdue


def write_progress_until(conn: SendingConnection, now: float) -> float:
    """Until when nobody is late, because a large payload is still on its way out and moves."""
    transport = conn.transport
    if transport is not None and now < conn.write_grace_until:
        sent_bytes = transport.sent_bytes()
        if sent_bytes != conn.last_sent_bytes:
            conn.last_sent_bytes = sent_bytes
            conn.write_progress_until = now + 2 * conn.options.timeout
    return conn.write_progress_until


def time_out(conn: SendingConnection, handler: ReplyHandler, written: bool, now: float) -> None:
    """Its client gets TIMEOUT now; a reply that still comes is dropped by its position.

    ``written``: it was sent, so it may have run.
    """
    if not isinstance(handler, IgnoreReply):
        conn.timeouts += 1
    if handler.serves_client():
        conn.node.count_failure(TIMEOUT_CAUSE)
    if written and not conn.late_since:
        conn.late_since = now
    fail_handler(
        conn, handler, conn.node_failure(TIMEOUT, f"no reply in {round(conn.options.timeout * 1000)} ms", written)
    )


def expire_queue(conn: SendingConnection, now: float) -> None:
    """Time out what has waited too long for the connection; it was not sent, or did not run."""
    for queued in conn.take_refused():
        if queued.handler.due < now:
            time_out(conn, queued.handler, False, now)
        else:
            conn.add_refused(queued)
    remaining: list[QueuedRequest] = []
    queue = conn.take_queue()
    for queued in queue:
        if max(queued.handler.due + conn.hold_grace, conn.node.busy_until) < now:
            time_out(conn, queued.handler, False, now)
        else:
            remaining.append(queued)
    conn.replace_queue(remaining + conn.queue)


# -- suspect ---------------------------------------------------------------------------------------------


def mark_suspect(conn: SendingConnection, now: float) -> None:
    """Nothing has come in time for a while: nobody is made to wait for this connection any more."""
    conn.add_condition(SUSPECT)
    conn.cause = f"suspect: it answers, but nothing in {round(conn.options.timeout * 1000)} ms"
    if conn.shared:
        conn.node.suspect = True
        conn.node.cause = conn.cause
    conn.node.count_failure(BECAME_SUSPECT)
    send_probe(conn, now)


def send_probe(conn: SendingConnection, now: float) -> None:
    """Ask whether it is in time again, now and then."""
    if now >= conn.next_probe_at and conn.in_flight_count() < limits.MAX_OPEN_PROBES:
        conn.next_probe_at = now + limits.UNRESPONSIVE_PROBE_SECONDS
        ping = IgnoreReply()
        ping.due = now + conn.options.timeout
        conn.send(ping, PING, conn.proto, conn.db, 1)


def on_timely_reply(conn: SendingConnection, now: float) -> None:
    """A reply has come in time: the connection is not suspect any more."""
    conn.late_since = 0.0
    if conn.suspect:
        conn.clear_suspect()
        conn.release_queue(now)
