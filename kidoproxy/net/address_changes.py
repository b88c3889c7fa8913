"""Which addresses a changed configuration has more, and which it gives up; the claims follow.

Whoever decides about a reload (the only process, or the parent of workers) claims what is new before anything is bound.
What is given up is released by each process that holds it, when it has closed its listeners there.
"""

import contextlib
import socket

from kidoproxy.config import Address, Config
from kidoproxy.net.address_claims import AddressClaims, BindAddress, bind_addresses
from kidoproxy.net.handover import Handover
from kidoproxy.net.listen import describe_bind_error
from kidoproxy.net.succession import StartError


def listen_addresses(config: Config) -> list[tuple[str, Address]]:
    """Every address to listen on, with the setting that asks for it."""
    found = [(f"pool.{pool.name}", address) for pool in config.listening_pools() for address in pool.listen]
    return found if config.admin is None else [*found, ("proxy.admin", config.admin)]


def cannot_listen(setting: str, address: Address, problem: OSError) -> StartError:
    """What is said of an address that cannot be had."""
    return StartError(f"{setting}: cannot listen on {address}: {describe_bind_error(problem)}")


class AddressChanges:
    """From ``current`` to ``config``. Hosts are resolved, so it is made and used where that may take its time."""

    def __init__(self, handover: Handover, current: Config, config: Config) -> None:
        self.handover = handover
        self.config = config
        old, new = listen_addresses(current), listen_addresses(config)
        old_addresses, new_addresses = [address for _, address in old], [address for _, address in new]
        self.added = [(setting, address) for setting, address in new if address not in old_addresses]
        #: What each process is to give up: after the change, and after it has been refused. Another name of a place
        #: that is listened on is refused, and the claim to that place stays.
        self.removed = resolve([address for address in old_addresses if address not in new_addresses])
        held_before = [owner.bind_address for owner in handover.claims.own_claims]
        added = resolve([address for _, address in self.added])
        self.refused = tuple(each for each in added if each not in held_before)
        #: The sockets that are claims now, and were not before.
        self.claims: list[socket.socket] = []

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    def claim(self) -> str:
        """Claim what is added. Why not, or empty: somebody has it, or systemd would go on to listen for nobody."""
        claims = self.handover.claims
        before = list(claims.sockets)
        try:
            for setting, address in self.added:
                claim_or_explain(claims, setting, address, self.config.workers > 1)
            self.handover.given.check_all_wanted(listen_addresses(self.config))
        except OSError as problem:
            self.end(False)
            return problem.strerror or str(problem)
        self.claims = [sock for sock in claims.sockets if sock not in before]
        return ""

    def given_up(self, is_applied: bool) -> tuple[BindAddress, ...]:
        """What each process is to give up, now that the change is made, or refused."""
        return self.removed if is_applied else self.refused

    def end(self, is_applied: bool) -> None:
        """Give that up, in this process."""
        self.handover.give_up(self.given_up(is_applied))


def claim_or_explain(claims: AddressClaims, setting: str, address: Address, check_port: bool) -> None:
    """`StartError` says who has the address. A name that cannot be resolved fails when it is bound."""
    try:
        claims.claim(address, check_port)
    except socket.gaierror:
        return
    except OSError as problem:
        raise cannot_listen(setting, address, problem) from None


def resolve(addresses: list[Address]) -> tuple[BindAddress, ...]:
    """Where they are bound; nothing, and a claim stays, for one whose host is not known any more."""
    found: list[BindAddress] = []
    for address in addresses:
        with contextlib.suppress(OSError):
            found += bind_addresses(address)
    return tuple(found)
