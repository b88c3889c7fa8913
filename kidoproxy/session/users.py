"""Who may log in, and what they may do: the users of one pool, as its configuration has them.

Passwords are known by their SHA-256 alone, as in Redis.
"""

import hashlib
from hmac import compare_digest
from typing import Final, final

from kidoproxy import errors
from kidoproxy.commands.access import beyond
from kidoproxy.commands.permit import COMMAND, KEY, Checking, Permit
from kidoproxy.commands.spec import CommandSpec

#: Who a client is before it says who it is.
DEFAULT: Final = b"default"


def digest(password: bytes) -> bytes:
    """What is kept of a password: its SHA-256 in lower-case hexadecimal digits."""
    return hashlib.sha256(password).hexdigest().encode("ascii")


@final
class User:
    """``nopass``: any password will do, and for the default user none."""

    def __init__(self, name: bytes, permit: Permit, enabled: bool, nopass: bool, digests: list[bytes]) -> None:
        self.name = name
        self.permit = permit
        self.enabled = enabled
        self.nopass = nopass
        self.digests = digests
        #: Nothing is forbidden, so nothing is judged.
        self.free = permit.free
        #: A client is this user without having said anything.
        self.open = enabled and nopass

    def admits(self, hashed: bytes) -> bool:
        """Whether somebody with this password may log in."""
        right = self.nopass
        for known in self.digests:
            right = compare_digest(known, hashed) or right
        return self.enabled and right

    def refusal(self, spec: CommandSpec, argv: list[bytes], checked: Checking | None = None) -> bytes | None:
        """The error for a request that this user may not make; None for any other. ``checked`` may be its check."""
        if self.free:
            return None
        if checked is not None and checked.argv is argv and checked.permit is self.permit:
            denial = checked.denial
        else:
            denial = self.permit.check(spec, argv)
        if denial is None:
            option = beyond(spec, argv)
            return errors.sort_denied(option) if option and not self.permit.reads_all() else None
        if denial.kind == COMMAND:
            return errors.no_permission(spec.name)
        return errors.NOPERM_KEY if denial.kind == KEY else errors.NOPERM_CHANNEL

    def __repr__(self) -> str:
        return f"<user {self.name.decode('utf-8', 'replace')}{'' if self.enabled else ', disabled'}>"


@final
class Users:
    """The users of a pool by name. The default one is always there: free and without a password unless given."""

    def __init__(self, users: list[User]) -> None:
        self.by_name: dict[bytes, User] = {user.name: user for user in users}
        if DEFAULT not in self.by_name:
            self.by_name[DEFAULT] = User(DEFAULT, Permit(), True, True, [])
        self.default = self.by_name[DEFAULT]

    def named(self, name: bytes) -> User | None:
        """The user of that name."""
        return self.by_name.get(name)

    def sorted(self) -> list[User]:
        """All of them, in the order in which Redis lists them."""
        return [self.by_name[name] for name in sorted(self.by_name)]

    def login(self, name: bytes, password: bytes) -> User | None:
        """The user of that name, if the password is right."""
        hashed = digest(password)
        user = self.by_name.get(name)
        return user if user is not None and user.admits(hashed) else None
