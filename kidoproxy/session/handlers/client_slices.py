"""What one worker does for CLIENT LIST and CLIENT KILL: over very many clients, or with very many arguments, in slices.

The result is this worker's *part* of the reply: a bulk string of lines, the number of closed clients, or an error.
"""

from collections.abc import Callable
from typing import final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.replies.jobs import Job
from kidoproxy.resp import client_errors, encode, limits
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session.handlers import client, client_kill
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.state import SessionState

TakePart = Callable[[bytes], None]
#: Runs a job to its end, in slices.
RunJob = Callable[[Job], None]


def is_large(proxy: ProxyState, argv: list[bytes]) -> bool:
    """Whether one of the two commands takes long."""
    return len(argv) > limits.CLIENTS_PER_SLICE or len(proxy.sessions) > limits.CLIENTS_PER_SLICE


def run_sliced(
    handler_id: HandlerId,
    proxy: ProxyState,
    context: PoolContext,
    caller: SessionState | None,
    argv: list[bytes],
    take: TakePart,
    run_job: RunJob,
) -> None:
    """One of the two, if it is large. ``caller``: None if it is a client of another worker."""
    if handler_id == handler_ids.CLIENT_KILL:
        run_job(KillClientsJob(proxy, context, caller, argv, take))
    elif len(argv) > 3 and argv[2].lower() == b"id":
        run_job(SelectByIdJob(proxy, context, argv, take, run_job))
    else:
        selected = client.select_clients(proxy, context, argv)
        if isinstance(selected, bytes):
            take(selected)
        else:
            run_job(ListClientsJob(proxy, selected, take))


@final
class SelectByIdJob(Job):
    """Parses the ids of CLIENT LIST ID, then lists these clients."""

    def __init__(
        self, proxy: ProxyState, context: PoolContext, argv: list[bytes], take: TakePart, run_job: RunJob
    ) -> None:
        self.proxy = proxy
        self.context = context
        self.argv = argv
        self.take = take
        self.run_job = run_job
        self.next_index = 3
        self.client_ids: set[int] = set()

    def step(self) -> bool:
        start = self.next_index
        self.next_index = start + limits.SLICE_UNITS
        for text in self.argv[start : self.next_index]:
            client_id = parse_int64(text)
            if client_id is None:
                self.take(client_errors.BAD_CLIENT_ID)
                return False
            if client_id in self.proxy.sessions:
                self.client_ids.add(client_id)
        if self.next_index < len(self.argv):
            return True
        selected = [other for other in client.pool_clients(self.proxy, self.context) if other.id in self.client_ids]
        self.run_job(ListClientsJob(self.proxy, selected, self.take))
        return False


@final
class ListClientsJob(Job):
    """Formats the clients that have not left meanwhile."""

    def __init__(self, proxy: ProxyState, selected: list[SessionState], take: TakePart) -> None:
        self.proxy = proxy
        self.selected = selected
        self.take = take
        self.next_index = 0
        self.lines: list[bytes] = []

    def step(self) -> bool:
        start = self.next_index
        self.next_index = start + limits.CLIENTS_PER_SLICE
        for other in self.selected[start : self.next_index]:
            if not other.closing:
                self.lines.append(client.format_client(other, self.proxy.wall_ms))
        if self.next_index < len(self.selected):
            return True
        self.take(encode.bulk(b"".join(self.lines)))
        return False


@final
class KillClientsJob(Job):
    """Parses the options of CLIENT KILL, closes the clients in slices, and counts them."""

    def __init__(
        self,
        proxy: ProxyState,
        context: PoolContext,
        caller: SessionState | None,
        argv: list[bytes],
        take: TakePart,
    ) -> None:
        self.proxy = proxy
        self.context = context
        self.caller = caller
        self.argv = argv
        self.take = take
        self.kill_filter = client_kill.KillFilter(context.users)
        self.next_index = 2
        self.candidates: list[SessionState] | None = None
        self.closed_count = 0
        if len(argv) == 3:
            self.kill_filter.set_legacy_address(argv[2])
            self.next_index = 3

    def step(self) -> bool:
        selected = self.candidates
        if selected is None:
            error = self.parse_slice()
            if error:
                self.take(error)
                return False
            if self.next_index >= len(self.argv):
                self.candidates = self.candidates_caller_last()
                self.next_index = 0
            return True
        start = self.next_index
        self.next_index = start + limits.CLIENTS_PER_SLICE
        self.closed_count += client_kill.close_matching(
            self.kill_filter, self.caller, selected[start : self.next_index], self.proxy.wall_ms
        )
        if self.next_index < len(selected):
            return True
        self.take(encode.integer(self.closed_count))
        return False

    def candidates_caller_last(self) -> list[SessionState]:
        """All clients of the pool; the caller itself last, for the jobs of a closed session are cancelled."""
        caller = self.caller
        others = [other for other in client.pool_clients(self.proxy, self.context) if other is not caller]
        return others if caller is None else [*others, caller]

    def parse_slice(self) -> bytes:
        """Parse some options; the error reply, or empty."""
        stop = min(self.next_index + 2 * limits.CLIENTS_PER_SLICE, len(self.argv))
        while self.next_index < stop:
            error = self.kill_filter.set_option_at(self.argv, self.next_index)
            if error:
                return error
            self.next_index += 2
        return b""
