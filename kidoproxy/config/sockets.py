"""Who may connect to a pool's unix sockets: names of users and groups become the system's numbers."""

import grp
import pwd
import re
from collections.abc import Callable
from typing import Final

from kidoproxy.config.model import SocketAccess
from kidoproxy.config.problems import Location, Problems
from kidoproxy.config.schema import PoolTable

_MODE: Final = re.compile("0?([0-7]{3})")


class SocketBuilder:
    """Notes who is not known, and what has no effect."""

    def __init__(self, problems: Problems, warn: Callable[[Location, str], None]) -> None:
        self.problems = problems
        self.warn = warn

    def access(self, table: PoolTable, location: Location) -> SocketAccess:
        """The rights of the files; they need a unix socket to be for."""
        given = [key for key in ("socket_mode", "socket_user", "socket_group") if getattr(table, key) is not None]
        if table.listen and not any(address.startswith("unix:") for address in table.listen):
            for key in given:
                self.warn((*location, key), "has no effect: the pool listens on no unix socket")
        mode = _MODE.fullmatch(table.socket_mode or "")
        if table.socket_mode is not None and mode is None:
            self.problems.add((*location, "socket_mode"), 'must be three octal digits, such as "660"')
        return SocketAccess(
            int(mode[1], 8) if mode is not None else None,
            self._number(table.socket_user, lambda name: pwd.getpwnam(name).pw_uid, (*location, "socket_user")),
            self._number(table.socket_group, lambda name: grp.getgrnam(name).gr_gid, (*location, "socket_group")),
        )

    def _number(self, name: str | None, look_up: Callable[[str], int], location: Location) -> int:
        if name is None:
            return -1
        if name.isascii() and name.isdigit():
            return int(name)
        try:
            return look_up(name)
        except KeyError:
            self.problems.add(location, f'"{name}" is not known to this machine')
            return -1
