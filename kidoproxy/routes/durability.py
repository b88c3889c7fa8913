"""What waits until the record of who is behind is on disk: the acknowledgements of a copy pool.

Each change of the in-sync set makes a new version of the record. Whoever writes it tells `Durability.recorded`.
"""

from typing import final

from kidoproxy.limits import RECORD_SECONDS


class Acknowledgement:
    """A write's reply that must not leave before the record of who has missed it is on disk."""

    def __init__(self, version: int) -> None:
        #: The record that it waits for, and until when, by the loop's clock (0.0: no tick has seen it yet).
        self.version = version
        self.until = 0.0

    def durable(self) -> None:
        """The record is on disk: the reply may leave."""
        raise NotImplementedError

    def overdue(self) -> None:
        """The disk has taken too long: the client hears that the outcome is unknown."""
        raise NotImplementedError


@final
class Durability:
    """Changes of the in-sync set (``version``), and how many of them are on disk (``durable``)."""

    def __init__(self) -> None:
        self.version = 0
        self.durable = 0
        self.held: list[Acknowledgement] = []

    def is_reached(self) -> bool:
        """Whether a restarted proxy would know who is behind now."""
        return self.durable == self.version

    def hold(self, acknowledgement: Acknowledgement) -> None:
        """Let it go when its version is on disk, in the order in which they came."""
        self.held.append(acknowledgement)

    def recorded(self, version: int) -> None:
        """This version of the record, and so each before it, is on disk, or never will be."""
        self.durable = max(self.durable, version)
        held = self.held
        self.held = []
        for acknowledgement in held:
            if acknowledgement.version <= self.durable:
                acknowledgement.durable()
            else:
                self.held.append(acknowledgement)

    def tick(self, now: float) -> None:
        """Give up acknowledgements for which the disk has had `limits.RECORD_SECONDS`."""
        held = self.held
        self.held = []
        for acknowledgement in held:
            if not acknowledgement.until:
                acknowledgement.until = now + RECORD_SECONDS
            if now < acknowledgement.until:
                self.held.append(acknowledgement)
            else:
                acknowledgement.overdue()
