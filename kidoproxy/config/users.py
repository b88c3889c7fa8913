"""The users of one pool, from their tables. Whether the commands that they name exist is for others to know."""

import re
from collections.abc import Callable
from typing import Final

from kidoproxy.config.model import User
from kidoproxy.config.problems import Place, Problems
from kidoproxy.config.schema import UserTable
from kidoproxy.config.secret import Secret

_DEFAULT: Final = "default"
_KEYS: Final = re.compile(r"(?:%(R|W|RW|WR))?~(.+)", re.DOTALL | re.IGNORECASE)
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")


class UserBuilder:
    """Builds the users of one pool, whose own password is ``password``; ``secret`` reads one user's password."""

    def __init__(self, password: Secret, secret: Callable[[UserTable, Place], Secret], problems: Problems) -> None:
        self.password = password
        self.secret = secret
        self.problems = problems

    def users(self, tables: dict[str, UserTable], place: Place) -> tuple[User, ...]:
        """All of them, in the order of the file."""
        return tuple(self._user(name, table, (*place, name)) for name, table in tables.items())

    def _user(self, name: str, table: UserTable, place: Place) -> User:
        if not name or not name.isprintable() or " " in name:
            self.problems.add(place, "a user's name is not empty, and has no spaces and no control characters")
        password = self.secret(table, place)
        own = bool(password or table.password_sha256)
        if name == _DEFAULT and self.password:
            if own or table.nopass:
                self.problems.add(place, "says how the default user logs in, and so does the pool's password; keep one")
            own, password = True, self.password
        elif own and table.nopass:
            self.problems.add(place, "has a password and 'nopass'")
        elif not own and not table.nopass and table.enabled and name != _DEFAULT:
            self.problems.add(place, "needs 'password', 'password_file' or 'password_sha256', or 'nopass = true'")
        return User(
            name=name,
            enabled=table.enabled,
            # The default user is open unless a password is given, as in Redis.
            nopass=table.nopass or (name == _DEFAULT and not own),
            password=password,
            digests=self._digests(table, place),
            commands=self._commands(table, place),
            keys=self._keys(table, (*place, "keys")),
            channels=self._channels(table, (*place, "channels")),
        )

    def _digests(self, table: UserTable, place: Place) -> tuple[Secret, ...]:
        if not all(_DIGEST.fullmatch(text) for text in table.password_sha256):
            self.problems.add((*place, "password_sha256"), "is no SHA-256 digest: 64 hexadecimal digits")
        return tuple(Secret(text.lower()) for text in table.password_sha256)

    def _commands(self, table: UserTable, place: Place) -> str:
        words = table.commands.lower().split()
        if words and words[0].startswith("-") and words[0] != "-@all":
            self.problems.add(
                (*place, "commands"), f'begins with "{words[0]}", but nothing is allowed yet; begin with "+@all"'
            )
        return " ".join(words)

    def _keys(self, table: UserTable, place: Place) -> tuple[bytes, ...]:
        found: list[str] = []
        for i, text in enumerate(table.keys):
            pattern, access = text, "RW"
            if text.startswith(("~", "%")):
                match = _KEYS.fullmatch(text)
                if match is None:
                    self.problems.add((*place, i), 'is not "~pattern", "%R~pattern", "%W~pattern" or "%RW~pattern"')
                    continue
                access, pattern = (match[1] or "RW").upper(), match[2]
            self._check_pattern(pattern, (*place, i))
            found.append(f"~{pattern}" if len(access) == 2 else f"%{access}~{pattern}")
        return tuple(text.encode() for text in found)

    def _channels(self, table: UserTable, place: Place) -> tuple[bytes, ...]:
        patterns = [text.removeprefix("&") for text in table.channels]
        for i, pattern in enumerate(patterns):
            self._check_pattern(pattern, (*place, i))
        return tuple(f"&{pattern}".encode() for pattern in patterns)

    def _check_pattern(self, pattern: str, place: Place) -> None:
        if not pattern:
            self.problems.add(place, "is empty")
        elif any(char.isspace() or char == "\0" for char in pattern):
            self.problems.add(place, "has a space, which a pattern of Redis's ACL cannot have; write ? instead")
