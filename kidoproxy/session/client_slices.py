"""CLIENT LIST and CLIENT KILL over very many clients, or with very many words: in slices."""

from typing import TYPE_CHECKING, final

from kidoproxy import errors, limits
from kidoproxy.ledger_jobs import Job
from kidoproxy.resp import build
from kidoproxy.session import client, client_kill, slices

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession


def answer(session: "ClientSession", name: bytes, argv: list[bytes]) -> bool:
    """Begin to answer one of the two, if that takes long."""
    if name not in (b"client|list", b"client|kill"):
        return False
    if len(argv) <= limits.SLICE_CLIENTS and len(session.house.sessions) <= limits.SLICE_CLIENTS:
        return False
    if name == b"client|kill":
        slices.begin(session, Killing(session, argv))
    elif len(argv) > 3 and argv[2].lower() == b"id":
        slices.begin(session, Numbers(session, argv))
    else:
        chosen = client.listed_clients(session, argv)
        if isinstance(chosen, bytes):
            session.answer(chosen)
        else:
            slices.begin(session, Describing(session, chosen))
    return True


@final
class Numbers(Job):
    """Reads the numbers of CLIENT LIST ID; then these clients are described."""

    def __init__(self, session: "ClientSession", argv: list[bytes]) -> None:
        self.session = session
        self.argv = argv
        self.at = 3
        self.found: set[int] = set()

    def step(self) -> bool:
        """Some numbers more."""
        session = self.session
        start = self.at
        self.at = start + limits.SLICE
        for text in self.argv[start : self.at]:
            number = client.integer(text)
            if number is None:
                session.answer(errors.BAD_CLIENT_ID)
                return False
            if number in session.house.sessions:
                self.found.add(number)
        if self.at < len(self.argv):
            return True
        chosen = [other for other in client.neighbours(session) if other.id in self.found]
        slices.begin(session, Describing(session, chosen))
        return False


@final
class Describing(Job):
    """One line for each client that is still there when it is its turn."""

    def __init__(self, session: "ClientSession", chosen: "list[ClientSession]") -> None:
        self.session = session
        self.chosen = chosen
        self.at = 0
        self.lines: list[bytes] = []

    def step(self) -> bool:
        """Some clients more."""
        start = self.at
        self.at = start + limits.SLICE_CLIENTS
        for other in self.chosen[start : self.at]:
            if not other.closing:
                self.lines.append(client.described(other))
        if self.at < len(self.chosen):
            return True
        self.session.answer(build.verbatim(self.session.proto, b"".join(self.lines)))
        return False


@final
class Killing(Job):
    """Reads the words of CLIENT KILL, then closes who is meant; the client that asks hears how many when all are."""

    def __init__(self, session: "ClientSession", argv: list[bytes]) -> None:
        self.session = session
        self.argv = argv
        self.wanted = client_kill.Filter(session.pool.users)
        self.at = 2
        self.chosen: list[ClientSession] | None = None
        self.count = 0
        if len(argv) == 3:
            self.wanted.old_form(argv[2])
            self.at = 3

    def step(self) -> bool:
        """Some words or some clients more."""
        chosen = self.chosen
        if chosen is None:
            problem = self.read()
            if problem:
                self.session.answer(problem)
                return False
            if self.at >= len(self.argv):
                # Itself last: who is closed is not gone on with.
                mine = self.session
                self.chosen = [other for other in client.neighbours(mine) if other is not mine] + [mine]
                self.at = 0
            return True
        start = self.at
        self.at = start + limits.SLICE_CLIENTS
        self.count += client_kill.close_these(self.session, self.wanted, chosen[start : self.at])
        if self.at < len(chosen):
            return True
        self.session.answer(client_kill.killed(self.argv, self.count))
        return False

    def read(self) -> bytes:
        """Some words more; the error if they cannot be understood."""
        stop = min(self.at + 2 * limits.SLICE_CLIENTS, len(self.argv))
        while self.at < stop:
            problem = self.wanted.read_pair(self.argv, self.at)
            if problem:
                return problem
            self.at += 2
        return b""
