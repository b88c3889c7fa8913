"""Claims: nobody else can take an address, everybody learns who has it, and the end of a process gives it up."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kidoproxy.config import Address
from kidoproxy.net import address_claims
from kidoproxy.net.address_claims import (
    AddressClaimed,
    AddressClaims,
    BindAddress,
    Owner,
    bind_addresses,
    check_port_free,
    claim_owners,
)
from tests.ports import free_port

#: Claims the addresses that it reads, says so, and waits; a child that it forks holds the same until its input ends.
HOLDER = """
import os, sys
from kidoproxy.config import Address
from kidoproxy.net.address_claims import AddressClaims
held = AddressClaims()
held.claim(Address(sys.argv[1], int(sys.argv[2]), sys.argv[3]), False)
if sys.argv[4] == "forks" and os.fork():
    os.kill(os.getpid(), 9)
print("held", flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process that has claimed an address."""

    def __init__(self, address: Address, how: str = "") -> None:
        argv = [sys.executable, "-c", HOLDER, address.host, str(address.port), address.path, how]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def end(self) -> None:
        """It and its child are gone, however."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def mine() -> Iterator[AddressClaims]:
    """Claims of this process."""
    found = AddressClaims()
    yield found
    found.close()


HOSTS = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::"]


@pytest.mark.parametrize("theirs", HOSTS)
def test_addresses_that_overlap(theirs: str) -> None:
    """Two wildcards, two equal ones, or one of either in the same family; the others live side by side."""
    port = free_port()
    holder = Holder(Address(theirs, port))
    try:
        for ours in HOSTS:
            with closing(AddressClaims()) as mine:
                clash = theirs == ours or (
                    (":" in theirs) is (":" in ours) and bool({theirs, ours} & {"0.0.0.0", "::"})
                )
                if clash:
                    with pytest.raises(AddressClaimed, match=f"kidoproxy with pid {holder.process.pid}, since 20"):
                        mine.claim(Address(ours, port), False)
                else:
                    mine.claim(Address(ours, port), False)
                mine.claim(Address(ours, next(other for other in iter(free_port, 0) if other != port)), False)
    finally:
        holder.end()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_death_gives_it_up(sign: int, mine: AddressClaims, tmp_path: Path) -> None:
    """However a process ends: nothing is left that would have to be removed by a person."""
    for address in (Address("127.0.0.1", free_port()), Address(path=str(tmp_path / "socket"))):
        holder = Holder(address)
        with pytest.raises(AddressClaimed, match=f"pid {holder.process.pid}"):
            mine.claim(address, False)
        holder.process.send_signal(sign)
        holder.end()
        mine.claim(address, False)


def test_workers_hold_it_too(mine: AddressClaims) -> None:
    """A parent that was killed leaves workers that still serve for a moment: the address is theirs until they end."""
    address = Address("127.0.0.1", free_port())
    holder = Holder(address, "forks")
    with pytest.raises(AddressClaimed, match=f"pid {holder.process.pid}"):
        mine.claim(address, False)
    holder.end()
    mine.claim(address, False)


def test_one_file_by_two_names(mine: AddressClaims, tmp_path: Path) -> None:
    """A unix socket is the file, whatever path leads there."""
    (tmp_path / "link").symlink_to(tmp_path)
    holder = Holder(Address(path=str(tmp_path / "socket")))
    with pytest.raises(AddressClaimed):
        mine.claim(Address(path=str(tmp_path / "link" / "socket")), False)
    mine.claim(Address(path=str(tmp_path / "other")), False)
    holder.end()


def test_what_is_claimed_twice_by_one(mine: AddressClaims) -> None:
    """Listeners of one file that overlap: the kernel refuses, and two equal ones are refused here."""
    port = free_port()
    mine.claim(Address("127.0.0.1", port), False)
    mine.claim(Address("0.0.0.0", port), False)
    with pytest.raises(AddressClaimed, match="another listener of this file"):
        mine.claim(Address("127.0.0.1", port), False)
    mine.claim(Address("127.0.0.1", 0), False)
    assert len(mine.own_claims) == 2


def test_where_the_kernel_does_not_say_who(
    mine: AddressClaims, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is refused all the same; and lines that are none of ours are passed over."""
    address = Address("127.0.0.1", free_port())
    holder = Holder(address)
    monkeypatch.setattr(address_claims, "SOCKETS", tmp_path / "none")
    with pytest.raises(AddressClaimed, match="another kidoproxy"):
        mine.claim(address, False)
    holder.end()
    rows = ["Num Path", "0: 0 @kidoproxy-owner x 1 tcp/1 ::", "0: 0 @kidoproxy-owner 7", "0: 0 /run/socket"]
    (tmp_path / "some").write_text(
        "\n".join([*rows, "0: 0 @kidoproxy-owner 7 0 tcp/1 ::1@", "0: @kidoproxy-owner 8 9 u"])
    )
    monkeypatch.setattr(address_claims, "SOCKETS", tmp_path / "some")
    assert claim_owners() == [Owner(BindAddress("tcp/1", "::1"), 7, 0), Owner(BindAddress("u"), 8, 9)]
    assert str(claim_owners()[0]) == "kidoproxy with pid 7, since 1970-01-01T00:00:00Z"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1"])
def test_another_program_that_shares_its_port(host: str, mine: AddressClaims) -> None:
    """Workers share a port with each other, and with nobody else that would share it too."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((host, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            mine.claim(Address("::1" if ":" in host else "127.0.0.1", port), True)
    check_port_free(host, port)


def test_names_of_hosts() -> None:
    """A name may be several addresses; one that is not known is no place."""
    assert BindAddress("tcp/6380", "127.0.0.1") in bind_addresses(Address("localhost", 6380))
    with pytest.raises(socket.gaierror):
        bind_addresses(Address("no.such.host.invalid", 6380))
    for nonsense in ("127.0..1", "x" * 64):
        with pytest.raises(OSError, match="label"):
            bind_addresses(Address(nonsense, 6380))
