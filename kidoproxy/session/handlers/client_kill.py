"""CLIENT KILL: selects clients and closes them."""

from kidoproxy.resp import client_errors, encode, errors
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session.handlers.client import CLIENT_TYPES, encode_text, has_type, pool_clients
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.state import SessionState
from kidoproxy.session.users import User, Users


class KillFilter:
    """The clients that CLIENT KILL selects; ``error`` is the error reply for options that are wrong."""

    def __init__(self, users: Users) -> None:
        self.users = users
        self.user: User | None = None
        self.client_id = 0
        self.address: bytes | None = None
        self.local_address: bytes | None = None
        self.max_age = 0
        #: Empty: any type.
        self.client_type = b""
        self.skip_me = True
        self.error = b""

    def set_option(self, option: bytes, value: bytes) -> None:
        if option == b"addr":
            self.address = value
        elif option == b"laddr":
            self.local_address = value
        elif option == b"id":
            self.client_id = self.parse_positive(value, client_errors.BAD_KILL_ID, client_errors.BAD_KILL_ID)
        elif option == b"maxage":
            self.max_age = self.parse_positive(value, client_errors.BAD_MAXAGE, client_errors.NOT_POSITIVE_MAXAGE)
        elif option == b"type":
            if value.lower() not in CLIENT_TYPES:
                self.error = client_errors.unknown_client_type(value)
            self.client_type = value.lower()
        elif option == b"user":
            self.user = self.users.find(value)
            if self.user is None:
                self.error = client_errors.no_such_user(value)
        elif option == b"skipme" and value.lower() in (b"yes", b"no"):
            self.skip_me = value.lower() == b"yes"
        else:
            self.error = errors.SYNTAX

    def set_legacy_address(self, address: bytes) -> None:
        """The old form, CLIENT KILL address, may close the caller."""
        self.address = address
        self.skip_me = False

    def set_option_at(self, argv: list[bytes], index: int) -> bytes:
        """Parse the option at ``index`` and its value; the error reply, or empty."""
        if index + 1 == len(argv):
            return errors.SYNTAX
        self.set_option(argv[index].lower(), argv[index + 1])
        return self.error

    def parse_positive(self, value: bytes, not_a_number: bytes, too_small: bytes) -> int:
        """A positive number; 0 after an error."""
        number = parse_int64(value)
        if number is None:
            self.error = not_a_number
        elif number <= 0:
            self.error = too_small
        else:
            return number
        return 0

    def matches(self, caller: SessionState | None, other: SessionState, wall_ms: int) -> bool:
        """Whether it closes this one. ``caller``: None if it is a client of another worker."""
        if (self.skip_me and other is caller) or self.client_id not in (0, other.id):
            return False
        if self.client_type and not has_type(other, self.client_type):
            return False
        if self.user is not None and self.user.name != other.user.name:
            return False
        if self.address is not None and self.address != encode_text(other.address):
            return False
        if self.local_address is not None and self.local_address != encode_text(other.local_address):
            return False
        return (wall_ms - other.created_ms) // 1000 >= self.max_age


def kill_clients(proxy: ProxyState, context: PoolContext, caller: SessionState | None, argv: list[bytes]) -> bytes:
    """CLIENT KILL: the old form is one address, the new one has options and values. The number of those closed."""
    kill_filter = KillFilter(context.users)
    if len(argv) == 3:
        kill_filter.set_legacy_address(argv[2])
    else:
        for index in range(2, len(argv), 2):
            error = kill_filter.set_option_at(argv, index)
            if error:
                return error
    return encode.integer(close_matching(kill_filter, caller, pool_clients(proxy, context), proxy.wall_ms))


def kill_reply(argv: list[bytes], count: int) -> bytes:
    """The old form is answered +OK, the new one with the number of closed clients."""
    if len(argv) == 3:
        return encode.OK if count else client_errors.NO_SUCH_CLIENT
    return encode.integer(count)


def close_matching(
    kill_filter: KillFilter, caller: SessionState | None, candidates: list[SessionState], wall_ms: int
) -> int:
    """Close the candidates that match and are not closing already; their number."""
    count = 0
    for other in candidates:
        if not other.closing and kill_filter.matches(caller, other, wall_ms):
            other.close()
            count += 1
    return count
