"""Listening sockets that this process was given: by systemd (sd_listen_fds(3)), or by the proxy that it replaces.

Each is matched with an address of the file by where it is bound. One that systemd has given belongs to systemd, with
the file of a unix socket: it is never unlinked, several workers share it, and one for which the file has no use is a
mistake. Of what the former proxy had, that is simply closed.
"""

import os
import socket
from collections.abc import Collection, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Final

from kidoproxy.config import Address
from kidoproxy.net.address_claims import BindAddress, bind_addresses

#: The first one that systemd gives.
FIRST_FD: Final = 3


class UnusableSocket(OSError):
    """What was given is no socket to listen on, or nothing listens there; the text says which and what to do."""


@dataclass(frozen=True)
class GivenSocket:
    """One of them. ``by_systemd``: it is systemd's, under this name; empty if the former proxy has given it."""

    socket: socket.socket
    by_systemd: str = ""

    def address(self) -> str:
        """As a file would have it."""
        name = self.socket.getsockname()
        if isinstance(name, tuple):
            return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
        return f"unix://{os.fsdecode(name)}"

    def bind_address(self) -> BindAddress:
        name = self.socket.getsockname()
        if isinstance(name, tuple):
            return BindAddress(f"tcp/{name[1]}", name[0])
        return bind_addresses(Address(path=os.fsdecode(name)))[0]


class GivenSockets:
    """All of them, for one process and for the workers that it forks."""

    def __init__(self, sockets: Iterable[GivenSocket] = ()) -> None:
        self.sockets = list(sockets)

    def matching(self, address: Address) -> list[GivenSocket]:
        """Those that are bound where ``address`` says. OSError when its host is not known."""
        if not self.sockets:
            return []
        wanted = bind_addresses(address)
        return [given for given in self.sockets if given.bind_address() in wanted]

    def take(self, address: Address, worker: int, workers: int) -> list[GivenSocket]:
        """The part of worker number ``worker``; if there are fewer than workers, several share one."""
        found = self.matching(address)
        return found[worker::workers] or found[worker % len(found) :][:1] if found else []

    def check_all_wanted(self, addresses: list[tuple[str, Address]]) -> None:
        """`UnusableSocket` for one of systemd's for which there is no address, with the setting of each that is."""
        for given in self.sockets:
            if given.by_systemd and not any(given in self.matching(address) for _, address in addresses):
                listens = ", ".join([f"{setting} on {address}" for setting, address in addresses])
                raise UnusableSocket(
                    f"systemd has given {given.address()} ({given.by_systemd}), and the file listens elsewhere: "
                    f"{listens}; make ListenStream= and the file say the same"
                )

    def keep_only(self, addresses: list[Address]) -> None:
        """Close what is listened on no more, in this process. OSError when a host is not known."""
        wanted = [given for address in addresses for given in self.matching(address)]
        for given in self.sockets:
            if given not in wanted:
                given.socket.close()
        self.sockets = [given for given in self.sockets if given in wanted]

    def drop(self, addresses: Collection[BindAddress]) -> None:
        """Close those that are bound there, in this process; systemd's stay, for it listens anyway."""
        gone = [given for given in self.sockets if not given.by_systemd and given.bind_address() in addresses]
        for given in gone:
            self.sockets.remove(given)
            given.socket.close()

    def close(self) -> None:
        self.keep_only([])


def sockets_of_systemd(environ: MutableMapping[str, str]) -> list[GivenSocket]:
    """What systemd has given to this process; whoever is started by it is not to take them for its own."""
    pid, count, names = [environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")]
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    known = names.split(":") if names else []
    return [
        GivenSocket(open_listening(fd), known[at] if at < len(known) else f"number {at + 1}")
        for at, fd in enumerate(range(FIRST_FD, FIRST_FD + int(count)))
    ]


def open_listening(fd: int) -> socket.socket:
    """A socket that was given by its number; `UnusableSocket` if nobody could connect to it."""
    os.set_inheritable(fd, False)
    try:
        sock = socket.socket(fileno=fd)
        is_listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as problem:
        raise UnusableSocket(f"file descriptor {fd} is no socket: {problem.strerror}") from None
    if sock.type != socket.SOCK_STREAM or not is_listening:
        sock.close()
        raise UnusableSocket(f"file descriptor {fd} is no listening stream socket: systemd wants ListenStream=")
    return sock
