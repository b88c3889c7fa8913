"""Claims: which group of processes listens where, so that a second proxy is told who has an address.

With SO_REUSEPORT, which workers need, the kernel lets a second proxy of the same user bind the same port in silence. A
claim is the name of an abstract unix socket: nobody else in this network namespace can take it, workers inherit it, and
it dies with the last process that holds it, however that ends. A second such name says whose it is.
"""

import errno
import hashlib
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kidoproxy.config import Address

#: The kernel's list of unix sockets; an abstract name begins with @ there.
SOCKETS: Final = Path("/proc/net/unix")
CLAIM: Final = "kidoproxy-claim"
OWNER: Final = "kidoproxy-owner"
ANY: Final = ("0.0.0.0", "::")


class Claimed(OSError):
    """Another proxy has it; the text says which."""


@dataclass(frozen=True)
class Place:
    """Where one socket is bound: ``where`` is ``tcp/PORT`` or ``unix/DIGEST``, ``host`` an IP address or empty."""

    where: str
    host: str = ""

    def overlaps(self, other: "Place") -> bool:
        """Whether a client of the one could reach the other: a wildcard stands for all of its family."""
        if self.where != other.where:
            return False
        same_family = (":" in self.host) is (":" in other.host)
        return self.host == other.host or (same_family and (self.host in ANY or other.host in ANY))


@dataclass(frozen=True)
class Owner:
    """Who has a place: the process that claimed it, and when, in seconds since 1970."""

    place: Place
    pid: int
    since: int

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.since))
        return f"kidoproxy with pid {self.pid}, since {since}"

    def name(self) -> str:
        """The name of its socket."""
        return " ".join([OWNER, str(self.pid), str(self.since), self.place.where, self.place.host]).rstrip()


def places(address: Address) -> list[Place]:
    """Where a listener at this address is bound. OSError when its host is not known."""
    if address.path:
        return [Place("unix/" + hashlib.sha256(os.path.realpath(address.path).encode()).hexdigest()[:32])]
    if not address.port:
        return []
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    hosts = {str(sockaddr[0]) for _, _, _, _, sockaddr in found}
    return [Place(f"tcp/{address.port}", host) for host in sorted(hosts)]


def owners() -> list[Owner]:
    """Who has claimed anything in this network namespace; nobody, where the kernel does not say."""
    found = []
    try:
        rows = SOCKETS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    for row in rows:
        words = row.partition(f"@{OWNER} ")[2].rstrip("@").split(" ")
        if len(words) in (3, 4) and words[0].isdigit() and words[1].isdigit():
            found.append(Owner(Place(words[2], words[3] if len(words) == 4 else ""), int(words[0]), int(words[1])))
    return found


class Claims:
    """What this process, and the workers that it forks, have claimed."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.own: set[Owner] = set()

    def claim(self, address: Address, shared: bool) -> None:
        """Take every place of an address, or none. OSError says who has it; ``shared``: workers will bind it."""
        for place in places(address):
            self.take(place)
            if shared and place.host:
                see_if_free(place.host, address.port)

    def take(self, place: Place) -> None:
        """One of them: first the name, which only one can have, then a look at those that overlap."""
        held = self.bind(f"{CLAIM} {place.where} {place.host}".rstrip())
        mine = Owner(place, os.getpid(), int(time.time()))
        if held:
            self.bind(mine.name())
            self.own.add(mine)
        others = [owner for owner in owners() if owner.place.overlaps(place) and owner not in self.own]
        if others or not held:
            ours = any(owner.place == place for owner in self.own)
            who = str(others[0]) if others else "another listener of this file" if ours else "another kidoproxy"
            raise Claimed(errno.EADDRINUSE, f"address already in use by {who}")

    def bind(self, name: str) -> bool:
        """Hold a name; False when somebody has it."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind("\0" + name)
        except OSError:
            sock.close()
            return False
        self.sockets.append(sock)
        return True

    def close(self) -> None:
        """Give up all of them, as far as this process goes."""
        for sock in self.sockets:
            sock.close()
        self.sockets.clear()
        self.own.clear()


def see_if_free(host: str, port: int) -> None:
    """OSError when any other program has the port, be it shared: only a socket that shares nothing is told."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Connections that are only waiting for their end do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
