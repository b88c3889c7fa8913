"""What cannot have happened: pure functions from the operations of one key to the problems that are in them.

Operations carry the time between which they took effect. ``a`` precedes ``b`` when it had ended before ``b`` began.
A ``peek`` is a read of one copy that was in sync, past the proxy: it may show what is not acknowledged yet, so it
need not agree with reads, but nothing acknowledged may be missing from it.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from tests.consistency.findings import Latest, Problem, named, succeeded
from tests.consistency.history import FAIL, OK, UNKNOWN, History, Operation
from tests.consistency.timed import SLACK, check_lifetime, check_lock

#: No value was written yet.
NOTHING: Final = None


def check(history: History, skew: float = 0.0) -> list[Problem]:
    """All problems of all keys. ``skew``: seconds by which the clocks of the copies may be wrong."""
    found: list[Problem] = []
    for model, key, entries in history.by_key():
        if model in TIMED_CHECKS:
            found += TIMED_CHECKS[model](key, entries, SLACK + skew)
        else:
            found += CHECKS[model](key, entries)
    return found


# -- register: write(value), read -> value, peek -> value --------------------------------------------------------


@dataclass(slots=True)
class Zone:
    """A write and its reads: it took effect after ``invoked``; the value was there at ``first`` and at ``last``."""

    value: Hashable
    invoked: float
    #: The earliest end and the latest beginning of any operation of the value.
    first: float
    last: float
    write: Operation | None = None

    def is_forward(self) -> bool:
        """Whether the value must have been there for all of ``[first, last]``."""
        return self.first < self.last

    def __str__(self) -> str:
        return f"{self.value!r} ({self.write})"


def zones(key: str, entries: Sequence[Operation], problems: list[Problem]) -> dict[Hashable, Zone]:
    """One for each value; reads of what nobody can have written are problems."""
    found: dict[Hashable, Zone] = {NOTHING: Zone(NOTHING, -math.inf, -math.inf, -math.inf)}
    for write in named(entries, "write"):
        if write.may_have_run():
            found[write.value] = Zone(write.value, write.invoked, write.completed, write.invoked, write)
    for read in succeeded(entries, "read", "peek"):
        zone = found.get(read.result)
        if zone is None or read.completed < zone.invoked:
            problems.append(Problem("invented", key, f"{read}; nobody had written it"))
        elif read.action == "read":
            zone.first = min(zone.first, read.completed)
            zone.last = max(zone.last, read.invoked)
    return found


def check_register(key: str, entries: Sequence[Operation]) -> Iterator[Problem]:
    """Exact for values that are written once: no two forward zones overlap, no other zone lies within one."""
    problems: list[Problem] = []
    found = zones(key, entries, problems)
    yield from problems
    acked = Latest((write.completed, write.invoked) for write in succeeded(entries, "write"))
    for read in succeeded(entries, "read", "peek"):
        if read.result in found and found[read.result].first < acked.before(read.invoked):
            yield Problem("stale", key, f"{read}; a later write was acknowledged before it began")
    # A write whose outcome is unknown and that nobody has read need not have happened.
    happened = [zone for zone in found.values() if zone.first < math.inf]
    forward = sorted((zone for zone in happened if zone.is_forward()), key=lambda zone: zone.first)
    for one, next_one in pairwise(forward):
        if next_one.first < one.last:
            yield Problem("order", key, f"{one} and {next_one} were each read while the other one was there")
    begins = [zone.first for zone in forward]
    for zone in happened:
        at = bisect_left(begins, zone.last) - 1
        if not zone.is_forward() and at >= 0 and zone.first < forward[at].last:
            yield Problem("order", key, f"{zone} was written and gone while {forward[at]} was there")


# -- counter: add -> value behind it, read -> value, peek -> value ------------------------------------------------


def check_counter(key: str, entries: Sequence[Operation]) -> Iterator[Problem]:
    """Each increment by one has a result of its own, nothing goes back, and nothing comes from nowhere."""
    adds = named(entries, "add")
    acked = succeeded(adds, "add")
    for result, times in Counter(add.result for add in acked).items():
        if times > 1:
            yield Problem("twice", key, f"{times} increments gave {result}: all but one are lost")
    written = Latest((add.completed, add.result) for add in acked)
    seen = Latest((entry.completed, entry.result) for entry in succeeded(entries, "add", "read"))
    began = sorted(add.invoked for add in adds if add.may_have_run())
    ended = sorted(add.completed for add in acked)
    for entry in succeeded(entries, "add", "read", "peek"):
        least = entry.result - 1 if entry.action == "add" else entry.result
        if least < max(written.before(entry.invoked), bisect_left(ended, entry.invoked)):
            yield Problem("stale", key, f"{entry}; more was acknowledged before it began")
        elif entry.action != "peek" and least < seen.before(entry.invoked):
            yield Problem("order", key, f"{entry}; more was read before it began")
        if entry.result > bisect_right(began, entry.completed):
            yield Problem("invented", key, f"{entry}; fewer increments had begun")


# -- pair: add -> (value, value), read -> (value, value): two counters that one transaction increments -------------


def check_pair(key: str, entries: Sequence[Operation]) -> Iterator[Problem]:
    """Both are always equal, and each is a counter."""
    parted = [entry for entry in succeeded(entries, "add", "read", "peek") if entry.result[0] != entry.result[1]]
    for entry in parted:
        yield Problem("order", key, f"{entry}; one half of a transaction was seen")
    if not parted:
        yield from check_counter(
            key, [replace(entry, result=entry.result[0]) if entry.outcome == OK else entry for entry in entries]
        )


# -- log: append(element), read -> elements, peek -> elements -------------------------------------------------------


def check_log(key: str, entries: Sequence[Operation]) -> Iterator[Problem]:
    """All reads are beginnings of one order, which agrees with time; what was acknowledged is there."""
    reads = succeeded(entries, "read")
    order = max((read.result for read in reads), key=len, default=())
    for read in reads:
        if read.result != order[: len(read.result)]:
            yield Problem("order", key, f"{read}; another read gave {order!r}")
            return
    appends = {append.value: append for append in named(entries, "append")}
    place = {element: number for number, element in enumerate(order, 1)}
    yield from never_pushed(key, order, appends)
    if len(place) < len(order):
        yield Problem("twice", key, f"in {order!r}")
    acked = sorted(succeeded(entries, "append"), key=lambda append: append.completed)
    # Nobody has seen where the others stand: it is behind all of these.
    written = Latest((append.completed, place.get(append.value, 0)) for append in acked)
    for append in acked:
        if place.get(append.value, math.inf) < written.before(append.invoked):
            yield Problem("order", key, f"{append}; it stands before what was acknowledged before it began")
    moments = [append.completed for append in acked]
    seen = Latest((read.completed, len(read.result)) for read in reads)
    for read in succeeded(entries, "read", "peek"):
        missing = {append.value for append in acked[: bisect_left(moments, read.invoked)]}.difference(read.result)
        if missing:
            yield Problem("stale", key, f"{sorted(missing)} acknowledged before and missing: {read}")
        elif read.action == "read" and len(read.result) < seen.before(read.invoked):
            yield Problem("order", key, f"{read}; more was read before it began")
        yield from too_early(key, read, appends)


def too_early(key: str, read: Operation, pushes: dict[Any, Operation]) -> Iterator[Problem]:
    """Elements that were sent only after the reply with them had come."""
    early = [element for element in read.result if element in pushes and pushes[element].invoked > read.completed]
    if early:
        yield Problem("invented", key, f"{early} not sent yet: {read}")


def never_pushed(key: str, elements: Iterable[Any], pushes: dict[Any, Operation]) -> Iterator[Problem]:
    """Elements that nobody sent, or whose sending is known to have failed."""
    for element in elements:
        if element not in pushes or pushes[element].outcome == FAIL:
            yield Problem("invented", key, f"{element!r}, {pushes.get(element)}")


# -- collection: add(element), read -> set of elements, peek -> set of elements ---------------------------------------


def check_collection(key: str, entries: Sequence[Operation]) -> Iterator[Problem]:
    """What was acknowledged stays: nothing is ever removed from it."""
    adds = {add.value: add for add in named(entries, "add")}
    reads = sorted(succeeded(entries, "read", "peek"), key=lambda read: read.invoked)
    yield from never_pushed(key, frozenset().union(*(read.result for read in reads)), adds)
    acked = sorted(succeeded(entries, "add"), key=lambda add: add.completed)
    moments = [add.completed for add in acked]
    ended = sorted(succeeded(reads, "read"), key=lambda read: read.completed)
    seen: set[Any] = set()
    at = 0
    for read in reads:
        missing = {add.value for add in acked[: bisect_left(moments, read.invoked)]} - read.result
        if missing:
            yield Problem("stale", key, f"{sorted(missing)} acknowledged before and missing: {read}")
        while at < len(ended) and ended[at].completed < read.invoked:
            seen |= ended[at].result
            at += 1
        if read.action == "read" and not missing and not seen <= read.result:
            yield Problem("order", key, f"{sorted(seen - read.result)} read before and missing: {read}")
        yield from too_early(key, read, adds)


# -- queue: push(element), pop -> elements, move -> elements, rest -> elements ---------------------------------------


def check_queue(key: str, entries: Sequence[Operation]) -> Iterator[Problem]:
    """Each element is popped once, or is there in the end. Only a pop without a reply may have taken it with it.

    A ``move`` puts what it takes where ``rest`` looks; without a reply it loses nothing. ``value`` of a pop: how many
    elements it may take at most.
    """
    pushes = {push.value: push for push in named(entries, "push")}
    popped = Counter(element for pop in succeeded(entries, "pop") for element in pop.result)
    moved = Counter(element for move in succeeded(entries, "move") for element in move.result)
    rests = succeeded(entries, "rest")
    yield from never_pushed(key, popped.keys() | moved.keys(), pushes)
    for element, times in (popped + moved).items():
        if times > 1:
            yield Problem("twice", key, f"{element!r} was given to {times} clients")
    for taken in succeeded(entries, "pop", "move"):
        yield from too_early(key, taken, pushes)
    may_be_gone = sum(pop.value or 1 for pop in named(entries, "pop") if pop.outcome == UNKNOWN)
    for rest in rests:
        there = Counter(rest.result)
        yield from never_pushed(key, there, pushes)
        if popped.keys() & there.keys():
            yield Problem("twice", key, f"popped, and still there: {sorted(popped.keys() & there.keys())}")
        if max(there.values(), default=0) > 1:
            yield Problem("twice", key, f"more than once in the end: {[e for e, n in there.items() if n > 1]}")
        acked = {push.value for push in succeeded(entries, "push")}
        missing = (acked | moved.keys()) - popped.keys() - there.keys()
        if len(missing) > may_be_gone or missing & moved.keys():
            yield Problem("lost", key, f"{sorted(missing)}; pops without a reply may have taken {may_be_gone}")


# -- group: push(element), deliver -> elements, ack(element), rest -> (undelivered, pending) --------------------------


def check_group(key: str, entries: Sequence[Operation]) -> Iterator[Problem]:
    """A consumer group gives each entry to one consumer, and keeps it until it is acknowledged (XACK)."""
    pushes = {push.value: push for push in named(entries, "push")}
    delivered = Counter(element for entry in succeeded(entries, "deliver") for element in entry.result)
    yield from never_pushed(key, delivered, pushes)
    for element, times in delivered.items():
        if times > 1:
            yield Problem("twice", key, f"{element!r} was delivered {times} times")
    acks = {ack.value for ack in named(entries, "ack") if ack.may_have_run()}
    done = {ack.value for ack in succeeded(entries, "ack")}
    for rest in succeeded(entries, "rest"):
        undelivered, pending = map(set, rest.result)
        if delivered.keys() & undelivered:
            yield Problem("twice", key, f"delivered, and to be delivered: {sorted(delivered.keys() & undelivered)}")
        if done & pending:
            yield Problem("stale", key, f"acknowledged by XACK, and pending: {sorted(done & pending)}")
        acked = {push.value for push in succeeded(entries, "push")}
        missing = (acked | delivered.keys()) - undelivered - pending - acks
        if missing:
            yield Problem("lost", key, f"neither to be delivered nor pending: {sorted(missing)}")


CHECKS: Final[dict[str, Callable[[str, Sequence[Operation]], Iterator[Problem]]]] = {
    "register": check_register,
    "counter": check_counter,
    "pair": check_pair,
    "log": check_log,
    "collection": check_collection,
    "queue": check_queue,
    "group": check_group,
}
TIMED_CHECKS: Final[dict[str, Callable[[str, Sequence[Operation], float], Iterator[Problem]]]] = {
    "lock": check_lock,
    "lifetime": check_lifetime,
}
