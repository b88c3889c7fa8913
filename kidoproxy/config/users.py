"""The users of one pool, from their tables. Whether the commands that they name exist is for others to know."""

import re
from collections.abc import Callable
from typing import Final

from kidoproxy.config.model import UserConfig
from kidoproxy.config.problems import Location, Problems
from kidoproxy.config.schema import UserTable
from kidoproxy.config.secret import Secret

_DEFAULT: Final = "default"
_KEY_RULE: Final = re.compile(r"(?:%(R|W|RW|WR))?~(.+)", re.DOTALL | re.IGNORECASE)
_SHA256_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")


class UserBuilder:
    """Builds the users of one pool, whose own password is ``password``; ``read_secret`` reads one user's password."""

    def __init__(
        self,
        password: Secret,
        read_secret: Callable[[UserTable, Location], Secret],
        problems: Problems,
        by_certificate: bool = False,
    ) -> None:
        self.password = password
        self.read_secret = read_secret
        self.problems = problems
        #: Users without a password log in with a certificate.
        self.by_certificate = by_certificate

    def users(self, tables: dict[str, UserTable], location: Location) -> tuple[UserConfig, ...]:
        """All of them, in the order of the file."""
        return tuple(self._user(name, table, (*location, name)) for name, table in tables.items())

    def _user(self, name: str, table: UserTable, location: Location) -> UserConfig:
        if not name or not name.isprintable() or " " in name:
            self.problems.add(location, "a user's name is not empty, and has no spaces and no control characters")
        password = self.read_secret(table, location)
        has_password = bool(password or table.password_sha256)
        if name == _DEFAULT and self.password:
            if has_password or table.nopass:
                self.problems.add(
                    location, "says how the default user logs in, and so does the pool's password; keep one"
                )
            has_password, password = True, self.password
        elif has_password and table.nopass:
            self.problems.add(location, "has a password and 'nopass'")
        elif not (has_password or table.nopass or self.by_certificate) and table.enabled and name != _DEFAULT:
            self.problems.add(location, "needs 'password', 'password_file' or 'password_sha256', or 'nopass = true'")
        return UserConfig(
            name=name,
            enabled=table.enabled,
            # The default user is open unless a password is given, as in Redis.
            nopass=table.nopass or (name == _DEFAULT and not has_password),
            password=password,
            digests=self._digests(table, location),
            commands=self._commands(table, location),
            keys=self._keys(table, (*location, "keys")),
            channels=self._channels(table, (*location, "channels")),
        )

    def _digests(self, table: UserTable, location: Location) -> tuple[Secret, ...]:
        if not all(_SHA256_HEX.fullmatch(text) for text in table.password_sha256):
            self.problems.add((*location, "password_sha256"), "is no SHA-256 digest: 64 hexadecimal digits")
        return tuple(Secret(text.lower()) for text in table.password_sha256)

    def _commands(self, table: UserTable, location: Location) -> str:
        words = table.commands.lower().split()
        if words and words[0].startswith("-") and words[0] != "-@all":
            self.problems.add(
                (*location, "commands"), f'begins with "{words[0]}", but nothing is allowed yet; begin with "+@all"'
            )
        return " ".join(words)

    def _keys(self, table: UserTable, location: Location) -> tuple[bytes, ...]:
        found: list[str] = []
        for i, text in enumerate(table.keys):
            pattern, access = text, "RW"
            if text.startswith(("~", "%")):
                match = _KEY_RULE.fullmatch(text)
                if match is None:
                    self.problems.add((*location, i), 'is not "~pattern", "%R~pattern", "%W~pattern" or "%RW~pattern"')
                    continue
                access, pattern = (match[1] or "RW").upper(), match[2]
            self._check_pattern(pattern, (*location, i))
            found.append(f"~{pattern}" if len(access) == 2 else f"%{access}~{pattern}")
        return tuple(text.encode() for text in found)

    def _channels(self, table: UserTable, location: Location) -> tuple[bytes, ...]:
        patterns = [text.removeprefix("&") for text in table.channels]
        for i, pattern in enumerate(patterns):
            self._check_pattern(pattern, (*location, i))
        return tuple(f"&{pattern}".encode() for pattern in patterns)

    def _check_pattern(self, pattern: str, location: Location) -> None:
        if not pattern:
            self.problems.add(location, "is empty")
        elif any(char.isspace() or char == "\0" for char in pattern):
            self.problems.add(location, "has a space, which a pattern of Redis's ACL cannot have; write ? instead")
