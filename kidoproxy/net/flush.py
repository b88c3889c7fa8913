"""One write per turn: what was queued for a node or a client during a turn of the loop is written at its end.

Every callback of the loop (bytes, a lost connection, a tick) ends with `LoopBridge.schedule_flush`; the first one that
left something to write asks the loop for one call of `LoopBridge.flush` after all other events of this turn.
"""

import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final, final

from kidoproxy.net.logs import EventLogger, RateLimitedLog
from kidoproxy.replies.queue import ReplyQueue
from kidoproxy.replies.transport import Transport
from kidoproxy.resp import limits
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.upstream.connection import NodeConnection

log = EventLogger("kidoproxy")

#: uvloop's clock is that coarse, and a timer may fire so much early.
CLOCK_STEP_SECONDS: Final = 0.002
#: Up to this many bytes are joined into one buffer; more are handed to the kernel as they are.
MAX_JOIN_BYTES: Final = 256 * 1024

#: How many clients are written to between two looks at the clock.
WRITES_PER_CLOCK_CHECK: Final = 64


def join_chunks(out: list[bytes], size: int) -> list[bytes]:
    """The chunks for one write: one buffer if that is cheap."""
    if len(out) == 1 or size > MAX_JOIN_BYTES:
        return out
    return [b"".join(out)]


class ClientSocket(Transport):
    """A client whose socket is full."""

    def check_progress(self) -> None:
        """Time has passed: has it read anything?"""
        raise NotImplementedError


@final
class LoopBridge:
    """Between the event loop and the proxy's state: the clock, and the flush."""

    def __init__(self, loop: AbstractEventLoop, proxy: ProxyState) -> None:
        self.loop = loop
        self.proxy = proxy
        self.executor = proxy.executor
        self.turn_work = proxy.executor.turn_work
        self.dedicated_pool = proxy.dedicated_pool
        #: How many calls of `flush` the loop has been asked for; the last one does the work.
        self.scheduled_flushes = 0
        #: When this turn began, and when it should end, by the loop's clock; and how long a turn may be.
        self.turn_began = 0.0
        self.turn_deadline = 0.0
        self.turn_seconds = limits.TURN_BUDGET_SECONDS
        self.turn_durations = proxy.turn_durations
        #: Clients that leave too much unread, and when they are looked at again.
        self.slow_clients: set[ClientSocket] = set()
        self.next_slow_check = 0.0
        #: Events of nodes; one that comes and goes must not flood the log.
        self.node_log = RateLimitedLog(EventLogger("kidoproxy.nodes"))
        #: Seconds from the loop's clock to the wall clock.
        self.wall_offset = 0.0
        #: Opens and closes the sockets of connections; set by whoever has the connector.
        self.update_socket: Callable[[NodeConnection], None] | None = None
        #: When the timer of `arm_hedge_timer` fires; 0.0: it is not armed.
        self.hedge_timer_at = 0.0
        self.measure_wall_offset()

    def measure_wall_offset(self) -> None:
        """Compare the two clocks, now and then.

        The loop's clock is the monotonic one, but uvloop rounds it down and reads it once a turn. Compared with
        itself it would run ahead of the wall clock by as much, and a time to live would come out too long.
        """
        self.wall_offset = time.time() - time.monotonic()
        self.update_clock()

    def update_clock(self) -> float:
        """One reading of the clock for a whole batch."""
        now: float = self.loop.time()
        self.executor.now = now
        us = int((now + self.wall_offset) * 1_000_000)
        self.proxy.clock.us = us
        self.proxy.clock.ms = us // 1000
        return now

    def schedule_flush(self) -> None:
        """Something may have been queued."""
        turn_work = self.turn_work
        if not self.scheduled_flushes and (
            turn_work.reply_queues or self.executor.dirty_connections or turn_work.to_resume or turn_work.jobs.queue
        ):
            self.scheduled_flushes = 1
            self.turn_began = self.executor.now
            self.loop.call_soon(self.flush)

    def check_slow_clients(self) -> None:
        """Look whether slow clients have read anything, every so often."""
        now = self.executor.now
        if self.slow_clients and now >= self.next_slow_check:
            self.next_slow_check = now + limits.READ_STOP_GRACE_SECONDS
            for client in list(self.slow_clients):
                client.check_progress()

    def schedule_flush_last(self) -> None:
        """A client has sent something. While clients block at nodes, flush after all callbacks queued so far.

        The loop queues a callback when it sees that a client was reset: what others sent after that must not be
        written before the command that blocked for it has been cancelled.
        """
        if self.scheduled_flushes and self.dedicated_pool.leases:
            self.scheduled_flushes += 1
            self.loop.call_soon(self.flush)
        else:
            self.schedule_flush()

    def flush(self) -> None:
        """Write everything once: first resume sessions that waited, then write to the nodes, then to the clients."""
        self.scheduled_flushes -= 1
        if self.scheduled_flushes:
            return
        turn_work = self.turn_work
        turn_work.spent_units = 0
        if turn_work.to_resume or turn_work.jobs.queue:
            # What is resumed begins a request now, however long ago the turn's bytes were read.
            self.update_clock()
        if turn_work.jobs.queue:
            self.run_jobs()
        while turn_work.to_resume and turn_work.spent_units < limits.SLICE_UNITS:
            drained = turn_work.to_resume
            turn_work.to_resume = []
            self.resume_sessions(drained)
        if self.executor.dirty_connections:
            # The connections refer to the list itself, so it is emptied in place.
            conns = self.executor.dirty_connections[:]
            self.executor.dirty_connections.clear()
            self.flush_connections(conns)
        reply_queues = turn_work.reply_queues
        if reply_queues:
            turn_work.reply_queues = []
            if len(reply_queues) > WRITES_PER_CLOCK_CHECK:
                self.turn_deadline = time.monotonic() + self.turn_seconds
            self.flush_clients(reply_queues)
        if self.executor.copy_hedges.queues:
            self.arm_hedge_timer()
        turn_work.spent_units = 0
        self.turn_durations.observe(time.monotonic() - self.turn_began)
        self.schedule_flush()

    def arm_hedge_timer(self) -> None:
        """One timer for all reads that may be asked of a second copy: for the first that is due."""
        due = self.executor.copy_hedges.next_due()
        if due and (not self.hedge_timer_at or due < self.hedge_timer_at):
            self.hedge_timer_at = due
            self.loop.call_later(max(due - self.executor.now, 0.0), self.run_hedges)

    def run_hedges(self) -> None:
        now = self.update_clock()
        if now + CLOCK_STEP_SECONDS < self.hedge_timer_at:
            # One that was armed before an earlier read came.
            return
        self.hedge_timer_at = 0.0
        self.executor.copy_hedges.run(now)
        self.schedule_flush()
        self.arm_hedge_timer()

    def run_jobs(self) -> None:
        """A slice of each job, until the turn is over."""
        self.turn_deadline = time.monotonic() + self.turn_seconds
        try:
            self.turn_work.jobs.step_all(self.is_turn_over)
        except Exception:
            log.exception("a slice of work failed")

    def is_turn_over(self) -> bool:
        return time.monotonic() >= self.turn_deadline

    # An exception in one of these is a bug. It must not hold back the others' bytes: the loop continues behind it.

    def resume_sessions(self, reply_queues: list[ReplyQueue]) -> None:
        """Resume sessions whose reply queue has drained, as many as fit in a turn; the others go first in the next."""
        index = 0
        turn_work = self.turn_work
        while index < len(reply_queues) and turn_work.spent_units < limits.SLICE_UNITS:
            try:
                while index < len(reply_queues) and turn_work.spent_units < limits.SLICE_UNITS:
                    transport = reply_queues[index].transport
                    index += 1
                    if transport is not None:
                        transport.resume()
            except Exception:
                log.exception("a client could not go on")
        turn_work.to_resume = reply_queues[index:] + turn_work.to_resume

    def flush_connections(self, conns: list[NodeConnection]) -> None:
        """Write to the nodes; a connection without a socket, or with one that it has given up, gets or loses one."""
        index = 0
        while index < len(conns):
            try:
                while index < len(conns):
                    conn = conns[index]
                    index += 1
                    conn.flush_scheduled = False
                    transport = conn.transport
                    if transport is not None and not conn.must_close:
                        transport.flush()
                    elif self.update_socket is not None:
                        self.update_socket(conn)
            except Exception:
                log.exception("a node could not be written to")

    def flush_clients(self, reply_queues: list[ReplyQueue]) -> None:
        """Write to the clients, to as many as a turn has time for: a message may be for all of them."""
        index = 0
        while index < len(reply_queues) and not (index and self.is_turn_over()):
            stop = min(index + WRITES_PER_CLOCK_CHECK, len(reply_queues))
            try:
                while index < stop:
                    transport = reply_queues[index].transport
                    index += 1
                    if transport is not None:
                        transport.flush()
            except Exception:
                log.exception("a client could not be written to")
        self.turn_work.reply_queues = reply_queues[index:] + self.turn_work.reply_queues
