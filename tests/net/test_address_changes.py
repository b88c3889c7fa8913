"""Which addresses a file has more or less, and the claims to them."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kidoproxy.config import Config
from kidoproxy.net.address_changes import AddressChanges, listen_addresses
from kidoproxy.net.address_claims import AddressClaims, BindAddress
from kidoproxy.net.given_sockets import GivenSocket, GivenSockets
from kidoproxy.net.handover import Handover
from tests.config.files import read
from tests.ports import free_port


@pytest.fixture
def handover() -> Iterator[Handover]:
    made = Handover()
    yield made
    made.given.close()
    made.claims.close()


def config(folder: Path, *addresses: str) -> Config:
    listen = ", ".join(f'"{address}"' for address in addresses)
    pool = f'[pool.a]\nprotected = false\nlisten = [{listen}]\nmode = "ring"\nnodes = ["redis://10.0.0.1"]\n'
    return read(folder, pool)


def is_free(address: str) -> bool:
    """Whether another proxy could claim it."""
    other = AddressClaims()
    host, _, port = address.rpartition(":")
    try:
        other.claim_one(BindAddress(f"tcp/{port}", host))
    except OSError:
        return False
    finally:
        other.close()
    return True


def claimed(handover: Handover, found: Config) -> Config:
    for _, address in listen_addresses(found):
        handover.claims.claim(address, False)
    return found


def test_one_for_another(tmp_path: Path, handover: Handover) -> None:
    """What is new is claimed first; what is left is free at the end."""
    stays, old, new = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    before = claimed(handover, config(tmp_path, stays, old))
    changes = AddressChanges(handover, before, config(tmp_path, stays, new))
    assert changes
    assert changes.claim() == ""
    assert len(changes.claims) == 2
    assert [is_free(each) for each in (stays, old, new)] == [False, False, False]
    changes.end(True)
    assert [is_free(each) for each in (stays, old, new)] == [False, True, False]
    assert not AddressChanges(handover, before, before)


def test_a_change_that_is_refused(tmp_path: Path, handover: Handover) -> None:
    """What was new is free again."""
    old, new = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    changes = AddressChanges(handover, claimed(handover, config(tmp_path, old)), config(tmp_path, new))
    assert changes.claim() == ""
    changes.end(False)
    assert [is_free(each) for each in (old, new)] == [False, True]


def test_somebody_has_it(tmp_path: Path, handover: Handover) -> None:
    """Another proxy, or this one by another name of the place: nothing is claimed, and nothing is lost."""
    port, theirs, new = [free_port() for _ in range(3)]
    before = claimed(handover, config(tmp_path, f"127.0.0.1:{port}"))
    other = AddressClaims()
    other.claim_one(BindAddress(f"tcp/{theirs}", "127.0.0.1"))
    cause = AddressChanges(handover, before, config(tmp_path, f"127.0.0.1:{new}", f"127.0.0.1:{theirs}")).claim()
    assert cause.startswith(f"pool.a: cannot listen on 127.0.0.1:{theirs}: address already in use by ")
    other.close()
    assert AddressChanges(handover, before, config(tmp_path, f"localhost:{port}")).claim()
    assert [is_free(f"127.0.0.1:{each}") for each in (port, theirs, new)] == [False, True, True]


def test_a_host_that_nobody_knows(tmp_path: Path, handover: Handover) -> None:
    """It fails when it is bound; one that is not known any more has nothing to give up."""
    before, after = config(tmp_path, "127.0.0.1:0"), config(tmp_path, "no-such-host.invalid:1")
    assert AddressChanges(handover, before, after).claim() == ""
    assert AddressChanges(handover, after, before).removed == ()


@pytest.mark.parametrize("name", ["kido.socket", ""])
def test_a_socket_that_was_given(tmp_path: Path, handover: Handover, name: str) -> None:
    """Systemd's is listened on as long as there is systemd; that of a former proxy is closed."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        handover.given = GivenSockets([GivenSocket(sock.dup(), name)])
    before, after = config(tmp_path, f"127.0.0.1:{port}"), config(tmp_path, "127.0.0.1:0")
    changes = AddressChanges(handover, before, after)
    assert ("systemd has given" in changes.claim()) is bool(name)
    changes.end(True)
    assert bool(handover.given.sockets) is bool(name)
