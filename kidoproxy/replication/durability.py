"""Acknowledgements of a copy pool that wait until the record of who is behind is on disk, and is still ours to write.

Each change of the in-sync set makes a new version of the record. Whoever has written one calls
`Durability.on_recorded`; whoever has seen since that no other proxy serves the copies calls `Durability.on_verified`.
Replies that were held for a version, or an older one, leave in their order when it has both. Whoever could not
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
        """It has taken too long, or will never be: the client is told that the outcome is unknown."""
        raise NotImplementedError


@final
class Durability:
    """The numbers of the last change of the in-sync set, the last one on disk, and the last that is known as ours."""

    def __init__(self) -> None:
        self.latest_version = 0
        self.durable_version = 0
        self.verified_version = 0
        self.waiting: list[HeldAcknowledgement] = []
        #: How often a record could not be written, and why the last one could not; empty: it was.
        self.failures = 0
        self.failure_cause = ""

    def begin_version(self, is_recorded: bool, is_verified: bool) -> None:
        """The in-sync set has changed. What nobody does (a record, a look for others) is not waited for."""
        self.latest_version += 1
        if not is_recorded:
            self.durable_version = self.latest_version
        if not is_verified and self.verified_version == self.latest_version - 1:
            self.verified_version = self.latest_version

    def is_current(self) -> bool:
        """Whether a restarted proxy would know who is behind now, and no other one serves the copies."""
        return self.durable_version == self.latest_version == self.verified_version

    def is_verified(self) -> bool:
        return self.verified_version == self.latest_version

    def hold(self, acknowledgement: HeldAcknowledgement) -> None:
        """Release it when its version is on disk."""
        self.waiting.append(acknowledgement)

    def on_recorded(self, version: int) -> None:
        """This version of the record, and so each before it, is on disk."""
        self.failure_cause = ""
        self.durable_version = max(self.durable_version, version)
        self.release()

    def on_verified(self, version: int) -> None:
        """Since this change the nodes have shown no other owner."""
        self.verified_version = max(self.verified_version, version)
        self.release()

    def release(self) -> None:
        """Let those leave whose version has everything."""
        settled_version = min(self.durable_version, self.verified_version)
        waiting = self.waiting
        self.waiting = []
        for acknowledgement in waiting:
            if acknowledgement.record_version <= settled_version:
                acknowledgement.release()
            else:
                self.waiting.append(acknowledgement)

    def give_up(self) -> None:
        """The copies are another proxy's: nothing that waits will be acknowledged."""
        waiting = self.waiting
        self.waiting = []
        for acknowledgement in waiting:
            acknowledgement.on_timeout()

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
