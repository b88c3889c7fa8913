"""Acknowledgements of a copy pool that wait until the record of who is behind is on disk.

Each change of the in-sync set makes a new version of the record. Whoever has written one calls
`Durability.on_recorded`; replies that were held for it, or an older one, then leave in their order. Whoever could not
write it calls `Durability.on_record_failed` and tries again; until it is written, writes are refused before anything is
sent, for after a crash nobody would know which copy has missed them.
"""

from typing import final

from kidoproxy.resp.limits import RECORD_DURABLE_SECONDS


class HeldAcknowledgement:
    """A write's reply that must not leave before the record of who has missed it is on disk."""

    def __init__(self, version: int) -> None:
        #: The record that it waits for, and until when, by the loop's clock (0.0: no tick has seen it yet).
        self.record_version = version
        self.deadline = 0.0

    def release(self) -> None:
        """The record is on disk: the reply may leave."""
        raise NotImplementedError

    def on_timeout(self) -> None:
        """The disk has taken too long: the client is told that the outcome is unknown."""
        raise NotImplementedError


@final
class Durability:
    """The number of the last change of the in-sync set, and of the last one that is on disk."""

    def __init__(self) -> None:
        self.latest_version = 0
        self.durable_version = 0
        self.waiting: list[HeldAcknowledgement] = []
        #: How often a record could not be written, and why the last one could not; empty: it was.
        self.failures = 0
        self.failure_cause = ""

    def is_current(self) -> bool:
        """Whether a restarted proxy would know who is behind now."""
        return self.durable_version == self.latest_version

    def hold(self, acknowledgement: HeldAcknowledgement) -> None:
        """Release it when its version is on disk."""
        self.waiting.append(acknowledgement)

    def on_recorded(self, version: int) -> None:
        """This version of the record, and so each before it, is on disk."""
        self.failure_cause = ""
        self.durable_version = max(self.durable_version, version)
        waiting = self.waiting
        self.waiting = []
        for acknowledgement in waiting:
            if acknowledgement.record_version <= self.durable_version:
                acknowledgement.release()
            else:
                self.waiting.append(acknowledgement)

    def on_record_failed(self, cause: str) -> None:
        """The newest record could not be written: what waits for it goes on waiting, up to its deadline."""
        self.failures += 1
        self.failure_cause = cause

    def write_refusal(self) -> str:
        """Why no write may be sent now; empty when it may."""
        return "" if self.is_current() else self.failure_cause

    def tick(self, now: float) -> None:
        """Give up acknowledgements for which the disk has had `limits.RECORD_DURABLE_SECONDS`."""
        waiting = self.waiting
        self.waiting = []
        for acknowledgement in waiting:
            if not acknowledgement.deadline:
                acknowledgement.deadline = now + RECORD_DURABLE_SECONDS
            if now < acknowledgement.deadline:
                self.waiting.append(acknowledgement)
            else:
                acknowledgement.on_timeout()
