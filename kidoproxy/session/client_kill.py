"""CLIENT KILL: which clients are meant, and their end."""

from typing import TYPE_CHECKING

from kidoproxy import errors
from kidoproxy.resp import build
from kidoproxy.session.client import TYPES, integer, is_of_type, neighbours, wire
from kidoproxy.session.users import User, Users

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession


class Filter:
    """Which clients a CLIENT KILL is about; ``problem`` is the error reply when that cannot be understood."""

    def __init__(self, users: Users) -> None:
        self.users = users
        self.user: User | None = None
        self.id = 0
        self.address: bytes | None = None
        self.local: bytes | None = None
        self.max_age = 0
        #: Empty: of any kind.
        self.type = b""
        self.skip_me = True
        self.problem = b""

    def read(self, option: bytes, value: bytes) -> None:
        """One pair of words."""
        if option == b"addr":
            self.address = value
        elif option == b"laddr":
            self.local = value
        elif option == b"id":
            self.id = self.positive(value, errors.BAD_KILL_ID, errors.BAD_KILL_ID)
        elif option == b"maxage":
            self.max_age = self.positive(value, errors.BAD_MAXAGE, errors.SMALL_MAXAGE)
        elif option == b"type":
            if value.lower() not in TYPES:
                self.problem = errors.unknown_client_type(value)
            self.type = value.lower()
        elif option == b"user":
            self.user = self.users.named(value)
            if self.user is None:
                self.problem = errors.no_such_user(value)
        elif option == b"skipme" and value.lower() in (b"yes", b"no"):
            self.skip_me = value.lower() == b"yes"
        else:
            self.problem = errors.SYNTAX

    def old_form(self, address: bytes) -> None:
        """CLIENT KILL address."""
        self.address = address
        self.skip_me = False

    def read_pair(self, argv: list[bytes], at: int) -> bytes:
        """One pair of words, of which one may be missing; the error if they cannot be understood."""
        if at + 1 == len(argv):
            return errors.SYNTAX
        self.read(argv[at].lower(), argv[at + 1])
        return self.problem

    def positive(self, value: bytes, not_a_number: bytes, too_small: bytes) -> int:
        """A number above 0."""
        number = integer(value)
        if number is None:
            self.problem = not_a_number
        elif number <= 0:
            self.problem = too_small
        else:
            return number
        return 0

    def fits(self, me: "ClientSession", other: "ClientSession") -> bool:
        """Whether ``other`` is meant."""
        if (self.skip_me and other is me) or self.id not in (0, other.id):
            return False
        if self.type and not is_of_type(other, self.type):
            return False
        if self.user is not None and self.user is not other.user:
            return False
        if self.address is not None and self.address != wire(other.address):
            return False
        if self.local is not None and self.local != wire(other.local):
            return False
        return (other.house.wall_ms - other.created_ms) // 1000 >= self.max_age


def kill(session: "ClientSession", argv: list[bytes]) -> bytes:
    """CLIENT KILL: the old form names an address, the new one has pairs of words."""
    wanted = Filter(session.pool.users)
    if len(argv) == 3:
        wanted.old_form(argv[2])
    else:
        for at in range(2, len(argv), 2):
            problem = wanted.read_pair(argv, at)
            if problem:
                return problem
    return killed(argv, close_these(session, wanted, neighbours(session)))


def killed(argv: list[bytes], count: int) -> bytes:
    """The old form is answered +OK, the new one counts."""
    if len(argv) == 3:
        return build.OK if count else errors.NO_SUCH_CLIENT
    return build.integer(count)


def close_these(session: "ClientSession", wanted: Filter, others: "list[ClientSession]") -> int:
    """Close those that are meant, and still there; each gets what it is owed. How many there were."""
    count = 0
    for other in others:
        if not other.closing and wanted.fits(session, other):
            other.close()
            count += 1
    return count
