"""Claims: which group of processes listens where, so that a second proxy can say who has an address.

With SO_REUSEPORT, which workers need, the kernel lets a second proxy of the same user bind the same port in silence. A
claim is the name of an abstract unix socket: nobody else in this network namespace can take it, workers inherit it, and
it dies with the last process that holds it, however that ends. A second such name says whose it is.
"""

import errno
import hashlib
import os
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kidoproxy.config import Address

#: The kernel's list of unix sockets; an abstract name begins with @ there.
SOCKETS: Final = Path("/proc/net/unix")
CLAIM_PREFIX: Final = "kidoproxy-claim"
OWNER_PREFIX: Final = "kidoproxy-owner"
WILDCARD_HOSTS: Final = ("0.0.0.0", "::")


class AddressClaimed(OSError):
    """Another proxy listens there; the text says which."""


@dataclass(frozen=True)
class BindAddress:
    """Where one socket is bound: ``endpoint`` is ``tcp/PORT`` or ``unix/DIGEST``, ``host`` an IP address or empty."""

    endpoint: str
    host: str = ""

    def overlaps(self, other: "BindAddress") -> bool:
        """Whether a client of the one could reach the other: a wildcard stands for all of its family."""
        if self.endpoint != other.endpoint:
            return False
        same_family = (":" in self.host) is (":" in other.host)
        return self.host == other.host or (
            same_family and (self.host in WILDCARD_HOSTS or other.host in WILDCARD_HOSTS)
        )


@dataclass(frozen=True)
class Owner:
    """The process that has claimed an address, and when, in seconds since 1970."""

    bind_address: BindAddress
    pid: int
    since: int
    #: The number of the claim's socket, where the kernel has told it.
    inode: int = field(default=0, compare=False)

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.since))
        return f"kidoproxy with pid {self.pid}, since {since}"

    def socket_name(self) -> str:
        return " ".join(
            [OWNER_PREFIX, str(self.pid), str(self.since), self.bind_address.endpoint, self.bind_address.host]
        ).rstrip()


def bind_addresses(address: Address) -> list[BindAddress]:
    """Where a listener at this address is bound. OSError when its host is not known."""
    if address.path:
        return [BindAddress("unix/" + hashlib.sha256(os.path.realpath(address.path).encode()).hexdigest()[:32])]
    if not address.port:
        return []
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as problem:  # an empty label, or one that is too long
        raise socket.gaierror(socket.EAI_NONAME, str(problem)) from None
    hosts = {str(sockaddr[0]) for _, _, _, _, sockaddr in found}
    return [BindAddress(f"tcp/{address.port}", host) for host in sorted(hosts)]


def claim_owners() -> list[Owner]:
    """Who has claimed anything in this network namespace; nobody, where the kernel does not say."""
    found = []
    try:
        rows = SOCKETS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    for row in rows:
        head, _, name = row.partition(f"@{OWNER_PREFIX} ")
        fields = name.rstrip("@").split(" ")
        if len(fields) in (3, 4) and fields[0].isdigit() and fields[1].isdigit():
            bind_address = BindAddress(fields[2], fields[3] if len(fields) == 4 else "")
            inode = (head.split() or [""])[-1]
            found.append(Owner(bind_address, int(fields[0]), int(fields[1]), int(inode) if inode.isdigit() else 0))
    return found


def abstract_names(prefix: str) -> list[str]:
    """What stands behind the prefix and a space in the names of abstract sockets of this network namespace."""
    try:
        rows = SOCKETS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [row.partition(f"@{prefix} ")[2].rstrip("@") for row in rows if f"@{prefix} " in row]


def listening_process(addresses: list[Address], other_than: int = 0) -> Owner | None:
    """Who listens at one of these addresses, if it is a process of this machine's that we may look at and signal.

    ``other_than``: a process that is not looked for.

    A pid alone would not do: of another container's process it is the number there, and may be somebody else's here.
    """
    wanted = [bind_address for address in addresses for bind_address in bind_addresses(address)]
    for owner in claim_owners():
        is_there = any(owner.bind_address.overlaps(bind_address) for bind_address in wanted)
        if is_there and owner.pid != other_than and holds_socket(owner):
            return owner
    return None


def holds_socket(owner: Owner) -> bool:
    """Whether the process has the socket of its claim open."""
    try:
        return any(os.readlink(fd) == f"socket:[{owner.inode}]" for fd in Path(f"/proc/{owner.pid}/fd").iterdir())
    except OSError:
        return False


class AddressClaims:
    """What this process, and the workers that it forks, have claimed."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.own_claims: set[Owner] = set()
        #: What the proxy had claimed that this one replaces, by name, and its process.
        self.inherited: dict[bytes, socket.socket] = {}
        self.predecessor = 0

    def inherit(self, claims: list[socket.socket], predecessor: int) -> None:
        """Claim with these sockets of a process that will serve no more; what is not claimed is dropped."""
        self.inherited = {sock.getsockname(): sock for sock in claims}
        self.predecessor = predecessor

    def drop_unclaimed(self) -> None:
        """What of the inherited is of no use here is for others, when the former process has gone."""
        for sock in self.inherited.values():
            sock.close()
        self.inherited.clear()

    def claim_sockets(self) -> list[socket.socket]:
        """Those that keep others away; who owns them stands in names of their own."""
        return [sock for sock in self.sockets if sock.getsockname().startswith(b"\0" + CLAIM_PREFIX.encode())]

    def claim(self, address: Address, check_port: bool) -> None:
        """Claim all that ``address`` resolves to. OSError says who has it.

        ``check_port``: other programs are looked for, too, as a bind would not find them: workers share a port.
        """
        for bind_address in bind_addresses(address):
            self.claim_one(bind_address)
            if check_port and bind_address.host:
                check_port_free(bind_address.host, address.port)

    def claim_one(self, bind_address: BindAddress) -> None:
        """First the name, which only one process can bind, then a look at claims that overlap."""
        bound = self.bind_name(f"{CLAIM_PREFIX} {bind_address.endpoint} {bind_address.host}".rstrip())
        own_claim = Owner(bind_address, os.getpid(), int(time.time()))
        if bound:
            self.bind_name(own_claim.socket_name())
            self.own_claims.add(own_claim)
        others = [
            owner
            for owner in claim_owners()
            if owner.bind_address.overlaps(bind_address)
            and owner not in self.own_claims
            and owner.pid != self.predecessor
        ]
        if others or not bound:
            is_own = any(owner.bind_address == bind_address for owner in self.own_claims)
            holder = str(others[0]) if others else "another listener of this file" if is_own else "another kidoproxy"
            raise AddressClaimed(errno.EADDRINUSE, f"address already in use by {holder}")

    def bind_name(self, name: str) -> bool:
        """Bind an abstract socket of this name and keep it, or keep an inherited one; False when somebody has it."""
        if (inherited := self.inherited.pop(b"\0" + name.encode(), None)) is not None:
            self.sockets.append(inherited)
            return True
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind("\0" + name)
        except OSError:
            sock.close()
            return False
        self.sockets.append(sock)
        return True

    def release(self, addresses: Collection[BindAddress]) -> None:
        """Give these up, as far as this process goes: they are free when no worker holds them any more."""
        ends = {f" {found.endpoint} {found.host}".rstrip().encode() for found in addresses}
        for sock in list(self.sockets):
            if any(sock.getsockname().endswith(end) for end in ends):
                self.sockets.remove(sock)
                sock.close()
        self.own_claims = {owner for owner in self.own_claims if owner.bind_address not in addresses}

    def close(self) -> None:
        """Give up all claims, as far as this process goes: workers keep theirs."""
        for sock in self.sockets:
            sock.close()
        self.sockets.clear()
        self.drop_unclaimed()
        self.own_claims.clear()


def check_port_free(host: str, port: int) -> None:
    """OSError when any program listens on the port, even with SO_REUSEPORT: a socket that shares nothing finds out."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Connections that are only waiting for their end do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
