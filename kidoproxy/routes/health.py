"""How well a node does, as its links find out: what the routes, the log and the metrics want to know of that."""

from typing import Final

from kidoproxy import limits

#: Exceptions of ours that wait to be logged, for each node; more are only counted.
MISHAPS: Final = 16
#: A node that answers so is not what its name stands for: another server has taken its part, or is about to.
MOVED: Final[tuple[bytes, ...]] = (b"-READONLY", b"-MASTERDOWN", b"-UNBLOCKED force unblock")


class Health:
    """The half of a node that changes while it is talked to."""

    def __init__(self) -> None:
        #: It is there, and answers nothing in time: what is sent fails at once until it has proved itself.
        self.suspect = False
        #: False once it has refused HELLO: it speaks RESP2 only.
        self.resp3 = True
        #: How often it has been greeted.
        self.met = 0
        #: How often it has said that it is not what its name stands for any more, and when it last counted.
        self.moves = 0
        self.moved_at = -limits.MOVE_SECONDS
        #: What has gone wrong with it, by cause, how often.
        self.troubles: dict[str, int] = {}
        #: Exceptions of ours while a reply of this node was handled, with the name of the request.
        self.mishaps: list[tuple[str, Exception]] = []

    def trouble(self, cause: str) -> None:
        """Count it."""
        self.troubles[cause] = self.troubles.get(cause, 0) + 1

    def mishap(self, request: str, problem: Exception) -> None:
        """An exception of ours, to be logged by whoever may."""
        self.trouble("mishap")
        if len(self.mishaps) < MISHAPS:
            self.mishaps.append((request, problem))

    def complained(self, raw: bytes, now: float) -> None:
        """It has answered with an error: one that is not what its name stands for is looked up again."""
        if raw.startswith(MOVED) and now - self.moved_at >= limits.MOVE_SECONDS:
            self.moved_at = now
            self.moves += 1
            self.trouble("moved")
