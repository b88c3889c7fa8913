"""Turns at keys of a copy group: who needs a round trip at the leader has its keys to itself meanwhile.

A command that the leader decides is sent to it alone, and later its effect to the others. What is written to the same
keys in between would stand behind it at the leader and before its effect elsewhere. So it has a *turn* at its keys,
and whatever is asked of these keys later waits for a turn of its own, whole, before anything of it is sent.

Turns come in the order in which they were asked for. A turn is asked for at all of its keys at once, so none waits for
one that waits for it. One without keys is about the whole keyspace. Nothing is counted while nobody has a turn.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Final, final

from mypy_extensions import mypyc_attr

from kidoproxy.resp import limits

DbKey = tuple[int, bytes]


@mypyc_attr(allow_interpreted_subclasses=True)
class Turn:
    """Something that has a turn at ``keys``, pairs of database and key (none: the whole keyspace), or waits for it.

    ``due``: until when it may wait, by the loop's clock.
    """

    def __init__(self, keys: list[DbKey], due: float) -> None:
        self.keys: Final = keys
        self.due = due
        #: How many earlier turns it waits for, each counted once for every key that they share.
        self.waits_for = 0
        #: Those that wait for this one.
        self.followers: list[Turn] = []
        #: It has had its turn, or will not have it any more.
        self.is_over = False

    def take(self) -> None:
        """It is its turn; `KeyTurns.leave` must follow, now or later."""
        raise NotImplementedError

    def on_timeout(self) -> None:
        """It has waited for too long: it is not asked for again, and was not begun."""
        raise NotImplementedError


@final
class KeyTurns:
    """All turns of one group, in the order in which they were asked for."""

    def __init__(self) -> None:
        #: Whether anybody has a turn: else nobody need ask for one.
        self.busy = False
        self.open_turns: dict[Turn, bool] = {}
        self.waiting_count = 0
        #: By key, the last turn that was asked for; the last one about the whole keyspace; and those asked for since.
        self.last_turns: dict[DbKey, Turn] = {}
        self.last_whole_turn: Turn | None = None
        self.turns_since: dict[Turn, bool] = {}
        self.ready_turns: deque[Turn] = deque()
        self.is_granting = False

    def is_taken(self, keys: list[DbKey]) -> bool:
        """Whether a turn at these keys would have to wait; without keys, whether there is any."""
        if not self.busy or not keys:
            return self.busy
        return self.last_whole_turn is not None or any(key in self.last_turns for key in keys)

    def is_full(self) -> bool:
        """Whether so many wait that no more should."""
        return self.waiting_count >= limits.CONNECTION_QUEUE_REPLIES

    def ask(self, turn: Turn) -> None:
        """Ask for a turn; it is taken at once if nobody else has one at any of its keys."""
        self.busy = True
        if self.last_whole_turn is not None:
            follow(self.last_whole_turn, turn)
        for key in turn.keys:
            last = self.last_turns.get(key)
            if last is not None and last is not turn:
                follow(last, turn)
            self.last_turns[key] = turn
        if turn.keys:
            self.turns_since[turn] = True
        else:
            for earlier in self.turns_since:
                follow(earlier, turn)
            self.turns_since.clear()
            self.last_whole_turn = turn
        self.open_turns[turn] = True
        self.waiting_count += 1
        if not turn.waits_for:
            self.ready_turns.append(turn)
            self.grant()

    def leave(self, turn: Turn) -> None:
        """A turn is over: those that waited for nothing else have theirs now."""
        del self.open_turns[turn]
        self.turns_since.pop(turn, None)
        if turn is self.last_whole_turn:
            self.last_whole_turn = None
        for key in turn.keys:
            if self.last_turns.get(key) is turn:
                del self.last_turns[key]
        for follower in turn.followers:
            follower.waits_for -= 1
            if not follower.waits_for:
                self.ready_turns.append(follower)
        turn.followers.clear()
        self.busy = bool(self.open_turns)
        self.grant()

    def grant(self) -> None:
        """Let those that are ready take their turns, one after another, however many follow from that."""
        if self.is_granting:
            return
        self.is_granting = True
        try:
            while self.ready_turns:
                turn = self.ready_turns.popleft()
                self.waiting_count -= 1
                if turn.is_over:
                    self.leave(turn)
                else:
                    turn.is_over = True
                    turn.take()
        finally:
            self.is_granting = False

    def tick(self, now: float) -> None:
        """Tell those that have waited for too long; they keep their places, in which nothing happens."""
        for turn in [turn for turn in self.open_turns if turn.due < now and not turn.is_over]:
            turn.is_over = True
            turn.on_timeout()


@final
class OrderingTurn(Turn):
    """Waits until all that have turns at these keys have left them, and lets all others go on at once.

    What ``proceed`` sends has its place in the order behind the effects of earlier turns, before those of later ones.
    """

    def __init__(self, key_turns: KeyTurns, keys: list[DbKey], proceed: Callable[[], None]) -> None:
        super().__init__(keys, math.inf)
        self.key_turns = key_turns
        self.proceed = proceed
        #: ``proceed`` is being called.
        self.is_taken = False

    def take(self) -> None:
        self.is_taken = True
        try:
            self.proceed()
        finally:
            self.is_taken = False
            self.key_turns.leave(self)

    def cancel(self) -> None:
        """It is not wanted any more: nothing happens in its place."""
        self.is_over = True


def follow(earlier: Turn, later: Turn) -> None:
    """``later`` has its turn after ``earlier``."""
    earlier.followers.append(later)
    later.waits_for += 1
