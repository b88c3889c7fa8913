"""Messages do not overtake subscriptions: what one Redis server does by itself, as it does one thing at a time.

A node gets SUBSCRIBE on one connection and PUBLISH on another, so a message could be there first, and would be lost for
a client that had sent SUBSCRIBE before it. So a request that publishes is held while some client of this process waits
for a name that the channel fits, until that is confirmed or refused; but no longer than a command may take. It is held
as well while what clients have is subscribed anew, after a connection was lost.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy.commands.glob import matches
from kidoproxy.commands.spec import CHANNEL, PATTERN
from kidoproxy.session.pubsub.topics import KINDS

#: With more patterns pending than these a message is compared with none of them, and waits for all.
MAX_MATCHED_PATTERNS: Final = 512


@final
class HeldPublish:
    """A request that publishes; ``send`` is called when it may be sent.

    ``unsettled`` is the number of names that it waits for, ``due`` when it waits no more.
    """

    def __init__(self, due: float, send: Callable[[], None]) -> None:
        self.due = due
        self.send = send
        self.unsettled = 0


@final
class PublishOrder:
    """By kind and name what is waited for, with the requests that are held for it."""

    def __init__(self) -> None:
        self.pending: list[dict[bytes, list[HeldPublish]]] = [{} for _ in KINDS]
        #: All that are held, in the order in which they are due.
        self.held: dict[HeldPublish, bool] = {}
        #: Those that wait until no pattern is pending.
        self.held_for_patterns: list[HeldPublish] = []

    def begin(self, kind: int, name: bytes) -> None:
        """The nodes have to confirm this name."""
        self.pending[kind].setdefault(name, [])

    def end(self, kind: int, name: bytes) -> None:
        """They have, or will not."""
        self.settle(self.pending[kind].pop(name, []))
        if self.held_for_patterns and not self.pending[PATTERN]:
            waiting = self.held_for_patterns
            self.held_for_patterns = []
            self.settle(waiting)

    def settle(self, waiting: list[HeldPublish]) -> None:
        """One of the names that each of these waits for is settled."""
        for publish in waiting:
            publish.unsettled -= 1
            if not publish.unsettled:
                self.release(publish)

    def hold(self, publish: HeldPublish, kind: int, channel: bytes) -> None:
        """Hold it for whatever a message to ``channel`` could be for; ``kind`` is CHANNEL or SHARD."""
        held_for = self.pending[kind].get(channel)
        found = [held_for] if held_for is not None else []
        patterns = self.pending[PATTERN] if kind == CHANNEL else {}
        if len(patterns) > MAX_MATCHED_PATTERNS:
            found.append(self.held_for_patterns)
        else:
            found += [held for pattern, held in patterns.items() if matches(pattern, channel)]
        for requests in found:
            requests.append(publish)
            publish.unsettled += 1
        if publish.unsettled:
            self.held[publish] = True

    def release(self, publish: HeldPublish) -> None:
        """Let it be sent, once."""
        if self.held.pop(publish, False):
            publish.send()

    def tick(self, now: float) -> None:
        """Release what has been held for as long as it may: what it still waits for came after it."""
        for publish in list(self.held):
            if now <= publish.due:
                break
            self.release(publish)
