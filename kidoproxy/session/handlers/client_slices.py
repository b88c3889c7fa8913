"""CLIENT LIST and CLIENT KILL over very many clients, or with very many arguments: in slices."""

from typing import final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.jobs import Job
from kidoproxy.resp import client_errors, encode, limits
from kidoproxy.resp.request_reader import Request
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session import slices
from kidoproxy.session.base import Session
from kidoproxy.session.handlers import client, client_kill
from kidoproxy.session.state import SessionState


def is_large(session: Session, argv: list[bytes]) -> bool:
    """Whether one of the two commands takes long."""
    return len(argv) > limits.CLIENTS_PER_SLICE or len(session.proxy.sessions) > limits.CLIENTS_PER_SLICE


def handle_kill(session: Session, spec: CommandSpec, request: Request) -> None:
    """CLIENT KILL."""
    if is_large(session, request.argv):
        slices.start_job(session, KillClientsJob(session, request.argv))
    else:
        session.send_reply(client_kill.kill_clients(session, request.argv))


def handle_list(session: Session, spec: CommandSpec, request: Request) -> None:
    """CLIENT LIST."""
    argv = request.argv
    if not is_large(session, argv):
        session.send_reply(client.client_list_reply(session, argv))
    elif len(argv) > 3 and argv[2].lower() == b"id":
        slices.start_job(session, SelectByIdJob(session, argv))
    else:
        selected = client.select_clients(session, argv)
        if isinstance(selected, bytes):
            session.send_reply(selected)
        else:
            slices.start_job(session, ListClientsJob(session, selected))


@final
class SelectByIdJob(Job):
    """Parses the ids of CLIENT LIST ID, then lists these clients."""

    def __init__(self, session: Session, argv: list[bytes]) -> None:
        self.session = session
        self.argv = argv
        self.next_index = 3
        self.client_ids: set[int] = set()

    def step(self) -> bool:
        session = self.session
        start = self.next_index
        self.next_index = start + limits.SLICE_UNITS
        for text in self.argv[start : self.next_index]:
            client_id = parse_int64(text)
            if client_id is None:
                session.send_reply(client_errors.BAD_CLIENT_ID)
                return False
            if client_id in session.proxy.sessions:
                self.client_ids.add(client_id)
        if self.next_index < len(self.argv):
            return True
        selected = [other for other in client.pool_clients(session) if other.id in self.client_ids]
        slices.start_job(session, ListClientsJob(session, selected))
        return False


@final
class ListClientsJob(Job):
    """Formats the clients that have not left meanwhile."""

    def __init__(self, session: Session, selected: list[SessionState]) -> None:
        self.session = session
        self.selected = selected
        self.next_index = 0
        self.lines: list[bytes] = []

    def step(self) -> bool:
        start = self.next_index
        self.next_index = start + limits.CLIENTS_PER_SLICE
        for other in self.selected[start : self.next_index]:
            if not other.closing:
                self.lines.append(client.format_client(other, self.session.proxy.wall_ms))
        if self.next_index < len(self.selected):
            return True
        self.session.send_reply(encode.verbatim(self.session.proto, b"".join(self.lines)))
        return False


@final
class KillClientsJob(Job):
    """Parses the options of CLIENT KILL, closes the clients in slices, then replies with their number."""

    def __init__(self, session: Session, argv: list[bytes]) -> None:
        self.session = session
        self.argv = argv
        self.kill_filter = client_kill.KillFilter(session.context.users)
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
                self.session.send_reply(error)
                return False
            if self.next_index >= len(self.argv):
                # Itself last, for the jobs of a closed session are cancelled.
                caller = self.session
                self.candidates = [other for other in client.pool_clients(caller) if other is not caller] + [caller]
                self.next_index = 0
            return True
        start = self.next_index
        self.next_index = start + limits.CLIENTS_PER_SLICE
        self.closed_count += client_kill.close_matching(
            self.session, self.kill_filter, selected[start : self.next_index]
        )
        if self.next_index < len(selected):
            return True
        self.session.send_reply(client_kill.kill_reply(self.argv, self.closed_count))
        return False

    def parse_slice(self) -> bytes:
        """Parse some options; the error reply, or empty."""
        stop = min(self.next_index + 2 * limits.CLIENTS_PER_SLICE, len(self.argv))
        while self.next_index < stop:
            error = self.kill_filter.set_option_at(self.argv, self.next_index)
            if error:
                return error
            self.next_index += 2
        return b""
