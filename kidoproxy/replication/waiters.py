"""Clients that wait in the proxy for keys of a copy group: who is next, and when is it worth an attempt?

Each key has a line of waiters, first come, first served; of a stream each consumer group has one. A waiter stands in
the lines of all its keys. An *attempt* is its command's twin that does not wait, sent to all copies. The rules:

* A write that may have put something there lets the first in line attempt, directly behind it on the same connections.
* Attempts that are sent together are served in their order, for nothing comes in between. So where it is known how many
  elements a write adds, as many attempt at once; where not, one does, and after each success twice as many.
* Nothing else is sent for a line while such an attempt is open, for if it finds nothing the same waiter is still first.
  A newcomer attempts at once unless somebody before it may still be served.

A waiter that finds nothing keeps its place.
"""

from collections.abc import Callable
from typing import Final, final

#: It stands in line; its attempt is open; it waits no more.
IDLE: Final = 0
ATTEMPTING: Final = 1
GONE: Final = 2
#: At most so many attempt together where nobody knows how many will find something.
MAX_BURST: Final = 1024
#: What a place in a line costs beside the bytes of its key, and how much all places of a group may cost.
PLACE_OVERHEAD_BYTES: Final = 256
MAX_PLACES_BYTES: Final = 64 * 1024 * 1024


@final
class Waiter:
    """One client in the lines of its keys; ``send_attempt`` is called when it is its turn."""

    def __init__(self, send_attempt: Callable[[], None]) -> None:
        self.send_attempt = send_attempt
        self.lines: list[Line] = []
        self.state = IDLE
        #: It has attempted before, and found nothing.
        self.tried = False
        #: Its open attempt follows a write that has put something there for it.
        self.is_certain = False

    def may_begin(self) -> bool:
        """Whether nobody who was there before may still be served out of one of its lines."""
        return all(not line.may_have_more and (not line.attempts or not line.idle) for line in self.lines)


def attempt_nothing() -> None:
    """Whoever waits no more does not attempt any more either."""


@final
class Line:
    """Who waits for one key (of a stream: in one consumer group), first come first."""

    def __init__(self, db: int, key: bytes, consumer_group: bytes) -> None:
        self.db = db
        self.key = key
        self.consumer_group = consumer_group
        self.waiters: list[Waiter] = []
        #: No waiter before this index is idle.
        self.first_idle = 0
        #: So many wait, of these are idle, and of these have not attempted yet; open attempts, and the uncertain ones.
        self.count = 0
        self.idle = 0
        self.untried = 0
        self.attempts = 0
        self.uncertain = 0
        #: Something may have come since the open attempts were sent.
        self.may_have_more = False
        #: So many attempt together next time.
        self.burst = 1

    def next_idle(self, count: int) -> list[Waiter]:
        """The first ``count`` that are idle."""
        found: list[Waiter] = []
        index = self.first_idle
        while index < len(self.waiters) and len(found) < count:
            waiter = self.waiters[index]
            index += 1
            if waiter.state == IDLE:
                found.append(waiter)
        self.first_idle = index
        return found

    def next_untried(self) -> list[Waiter]:
        """Newcomers that had to let others go first, and need not any more."""
        return [w for w in self.waiters if w.state == IDLE and not w.tried and w.may_begin()] if self.untried else []

    def forget_gone(self) -> None:
        """Remove those who wait no more, many at a time."""
        if len(self.waiters) > 2 * self.count + 16:
            self.waiters = [waiter for waiter in self.waiters if waiter.state != GONE]
            self.first_idle = 0


@final
class Wakeup:
    """A write that has been sent: what it may have put where.

    ``added``: so many elements for each of ``keys``, 0 if that is not known. ``other_keys``: perhaps others, too.
    """

    def __init__(self, dbs: list[int], keys: list[bytes], added: int, other_keys: bool) -> None:
        self.dbs: Final = dbs
        self.keys: Final = keys
        self.added: Final = added
        self.other_keys: Final = other_keys


@final
class Waiters:
    """All lines of a copy group."""

    def __init__(self) -> None:
        self.lines: dict[tuple[int, bytes], list[Line]] = {}
        self.count = 0
        self.places_bytes = 0
        #: Called when a write may have changed keys that it does not name.
        self.on_unknown_write: Callable[[], None] | None = None
        self.ready_lines: list[Line] = []
        self.is_advancing = False

    # -- coming and going ------------------------------------------------------------------------------

    def has_room(self, keys: list[bytes]) -> bool:
        """Whether so many more places may be held."""
        return self.places_bytes + places_bytes(keys) <= MAX_PLACES_BYTES

    def join(self, waiter: Waiter, db: int, keys: list[bytes], consumer_group: bytes) -> None:
        """Stand in the lines of ``keys``, and attempt at once unless others have to go first."""
        waiter.lines = [self.line_of(db, key, consumer_group) for key in dict.fromkeys(keys)]
        may_begin = waiter.may_begin()
        self.count += 1
        for line in waiter.lines:
            self.places_bytes += PLACE_OVERHEAD_BYTES + len(line.key)
            line.waiters.append(waiter)
            line.count += 1
            line.idle += 1
            line.untried += 1
        if may_begin:
            self.begin([waiter], False)

    def line_of(self, db: int, key: bytes, consumer_group: bytes) -> Line:
        """The line, a new one if there is none."""
        lines = self.lines.setdefault((db, key), [])
        for line in lines:
            if line.consumer_group == consumer_group:
                return line
        line = Line(db, key, consumer_group)
        lines.append(line)
        return line

    def leave(self, waiter: Waiter, was_served: bool) -> None:
        """It is answered. If it ``was_served`` without its being certain, there may be more for those behind."""
        self.count -= 1
        was_attempting = waiter.state == ATTEMPTING
        waiter.state = GONE
        for line in waiter.lines:
            if was_attempting:
                end_attempt(line, waiter)
            else:
                line.idle -= 1
                line.untried -= 0 if waiter.tried else 1
            if was_served and not waiter.is_certain:
                line.burst = min(line.burst + 1, MAX_BURST)
                line.may_have_more = line.may_have_more or line.idle > 0
            self.leave_line(line)
        lines, waiter.lines = waiter.lines, []
        # It knows whom it stood in line for, and is known by them: a circle, which held the client that has gone.
        waiter.send_attempt = attempt_nothing
        self.advance(lines)

    def leave_line(self, line: Line) -> None:
        self.places_bytes -= PLACE_OVERHEAD_BYTES + len(line.key)
        line.count -= 1
        line.forget_gone()
        if not line.count:
            lines = self.lines[line.db, line.key]
            lines.remove(line)
            if not lines:
                del self.lines[line.db, line.key]

    # -- attempts --------------------------------------------------------------------------------------

    def begin(self, waiters: list[Waiter], is_certain: bool) -> None:
        """Let these attempt, one directly behind the other."""
        for waiter in waiters:
            waiter.state = ATTEMPTING
            waiter.is_certain = is_certain
            for line in waiter.lines:
                line.idle -= 1
                line.attempts += 1
                line.uncertain += 0 if is_certain else 1
                line.untried -= 0 if waiter.tried else 1
        for waiter in waiters:
            waiter.send_attempt()

    def found_nothing(self, waiter: Waiter) -> None:
        """Its attempt came to nothing: it goes on waiting, in its place."""
        waiter.state = IDLE
        waiter.tried = True
        for line in waiter.lines:
            end_attempt(line, waiter)
            line.idle += 1
            line.first_idle = 0
            line.burst = 1
        self.advance(waiter.lines)

    def advance(self, lines: list[Line]) -> None:
        """Let those attempt whose turn it is now in these lines."""
        self.ready_lines += lines
        if self.is_advancing:
            return
        self.is_advancing = True
        try:
            while self.ready_lines:
                self.advance_line(self.ready_lines.pop(0))
        finally:
            self.is_advancing = False

    def advance_line(self, line: Line) -> None:
        if line.attempts:
            return
        if line.may_have_more:
            line.may_have_more = False
            if line.idle:
                self.begin(line.next_idle(line.burst), False)
                return
        self.begin(line.next_untried(), False)

    # -- writes ----------------------------------------------------------------------------------------

    def wake(self, wakeup: Wakeup) -> None:
        """A write has been sent."""
        for key in wakeup.keys:
            for db in wakeup.dbs:
                for line in self.lines.get((db, key), [])[:]:
                    self.wake_line(line, wakeup.added)
        if wakeup.other_keys and self.count and self.on_unknown_write is not None:
            self.on_unknown_write()

    def wake_line(self, line: Line, added: int) -> None:
        """Something may have come; ``added`` elements have for certain."""
        if added and not line.uncertain and not line.may_have_more:
            self.begin(line.next_idle(added), True)
        else:
            line.may_have_more = True
            line.burst = max(line.burst, min(added, MAX_BURST))
            self.advance([line])

    def wake_key(self, db: int, key: bytes) -> None:
        """Somebody has looked: there is something."""
        self.wake(Wakeup([db], [key], 0, False))

    def waited_for(self) -> tuple[dict[int, list[bytes]], list[tuple[int, bytes]]]:
        """The keys that are waited for: by database those that have to exist; and streams, which exist anyway."""
        keys: dict[int, list[bytes]] = {}
        streams: list[tuple[int, bytes]] = []
        for (db, key), lines in self.lines.items():
            if any(line.consumer_group for line in lines):
                streams.append((db, key))
            else:
                keys.setdefault(db, []).append(key)
        return keys, streams


def end_attempt(line: Line, waiter: Waiter) -> None:
    line.attempts -= 1
    line.uncertain -= 0 if waiter.is_certain else 1


def places_bytes(keys: list[bytes]) -> int:
    """What a place in the line of each key costs."""
    return sum([PLACE_OVERHEAD_BYTES + len(key) for key in keys])
