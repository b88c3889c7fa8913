"""The users of one pool, as its configuration has them: who may log in, and with which rules.

Passwords are known by their SHA-256 alone, as in Redis.
"""

import hashlib
from hmac import compare_digest
from typing import Final, final

from kidoproxy.commands.acl import DENIED_COMMAND, DENIED_KEY, Acl, AclCheck
from kidoproxy.commands.key_access import external_key_option
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import client_errors

#: Who a client is before AUTH.
DEFAULT_USER: Final = b"default"


def password_digest(password: bytes) -> bytes:
    """The SHA-256 of a password in lower-case hexadecimal digits."""
    return hashlib.sha256(password).hexdigest().encode("ascii")


@final
class User:
    """``nopass``: any password is accepted, and the default user needs no AUTH."""

    def __init__(self, name: bytes, acl: Acl, enabled: bool, nopass: bool, password_hashes: list[bytes]) -> None:
        self.name = name
        self.acl = acl
        self.enabled = enabled
        self.nopass = nopass
        self.password_hashes = password_hashes
        #: Nothing is forbidden, so nothing is checked.
        self.unrestricted = acl.unrestricted
        #: A client may be this user without AUTH.
        self.needs_no_login = enabled and nopass

    def accepts_password(self, password_hash: bytes) -> bool:
        """Whether AUTH with this password succeeds; takes the same time for every hash."""
        is_right = self.nopass
        for stored in self.password_hashes:
            is_right = compare_digest(stored, password_hash) or is_right
        return self.enabled and is_right

    def denial_error(self, spec: CommandSpec, argv: list[bytes], acl_check: AclCheck | None = None) -> bytes | None:
        """The error for a request that this user may not make, else None. ``acl_check`` may be its finished check."""
        if self.unrestricted:
            return None
        if acl_check is not None and acl_check.argv is argv and acl_check.acl is self.acl:
            denial = acl_check.denial
        else:
            denial = self.acl.check(spec, argv)
        if denial is None:
            option = external_key_option(spec, argv)
            return client_errors.sort_denied(option) if option and not self.acl.allows_reading_all() else None
        if denial.kind == DENIED_COMMAND:
            return client_errors.no_permission(spec.name)
        return client_errors.NOPERM_KEY if denial.kind == DENIED_KEY else client_errors.NOPERM_CHANNEL

    def __repr__(self) -> str:
        return f"<user {self.name.decode('utf-8', 'replace')}{'' if self.enabled else ', disabled'}>"


@final
class Users:
    """The users of a pool by name. A default user that is not given has no password and may do everything."""

    def __init__(self, users: list[User]) -> None:
        self.by_name: dict[bytes, User] = {user.name: user for user in users}
        if DEFAULT_USER not in self.by_name:
            self.by_name[DEFAULT_USER] = User(DEFAULT_USER, Acl(), True, True, [])
        self.default = self.by_name[DEFAULT_USER]

    def find(self, name: bytes) -> User | None:
        return self.by_name.get(name)

    def sorted_by_name(self) -> list[User]:
        """All users in the order in which Redis lists them."""
        return [self.by_name[name] for name in sorted(self.by_name)]

    def authenticate(self, name: bytes, password: bytes) -> User | None:
        """The user of that name, if the password is right."""
        password_hash = password_digest(password)
        user = self.by_name.get(name)
        return user if user is not None and user.accepts_password(password_hash) else None
