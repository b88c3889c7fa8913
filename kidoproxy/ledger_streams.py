"""Waiting for streams of several nodes: the first one that has something ends the waiting for all."""

from typing import final

from kidoproxy.errors import NodeFailure
from kidoproxy.ledger import Joint, Leg
from kidoproxy.merge import streams
from kidoproxy.resp.open import is_error, is_null


class Hurrier:
    """Whoever can make what still waits answer at once."""

    def hurry(self) -> None:
        """One part has something: the others are not waited for any longer."""
        raise NotImplementedError


@final
class StreamsRead(Joint):
    """Parts of an XREAD or XREADGROUP: when one has something, or has failed, the others are told to hurry.

    All are waited for, since what XREADGROUP was given is given to nobody else. For the same reason a failed part
    does not spoil what the others gave to a group; of a plain read that lacks a part nothing is told.
    """

    def __init__(self, parent: Leg, count: int, names: list[bytes], write: bool, hurrier: Hurrier) -> None:
        super().__init__(parent, count)
        self.names = names
        self.write = write
        self.hurrier = hurrier
        self.hurried = False

    def fill(self, at: int, raw: bytes) -> None:
        """What one part says; a null says that its time is over."""
        if not is_null(raw):
            self.hurry()
        super().fill(at, raw)

    def fault(self, at: int, failure: NodeFailure) -> None:
        """One part will say nothing."""
        self.hurry()
        super().fault(at, failure)

    def hurry(self) -> None:
        """Once is enough."""
        if not self.hurried:
            self.hurried = True
            self.hurrier.hurry()

    def finish(self) -> None:
        """Put the streams together, or say what is wrong."""
        good = [raw for raw in self.replies if raw and not is_error(raw)]
        whole = len(good) == len(self.replies)
        if whole or (self.write and any(not is_null(raw) for raw in good)):
            self.parent.take(streams(good, self.names))
            return
        failure = self.first_failure()
        if failure is not None:
            self.parent.fail(failure)
        else:
            self.parent.take(next(raw for raw in self.replies if is_error(raw)))
