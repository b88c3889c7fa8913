"""What cannot have happened to locks, and to keys that expire: the clocks of the copies have their say.

``slack``: seconds by which the clocks of a client, of the proxy and of a node may disagree.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tests.consistency.findings import Latest, Problem, named, succeeded
from tests.consistency.history import OK, Operation

#: Seconds by which the clocks of a client, of the proxy and of a node may disagree on when a key expires.
SLACK: Final = 0.05


# -- lock: acquire(seconds) -> bool, extend(seconds) -> bool, release -> bool; a client holds what it has acquired ----


def check_lock(key: str, entries: Sequence[Operation], slack: float = SLACK) -> Iterator[Problem]:
    """Two clients never hold it at once: from the reply to the release, or until it expires; and nobody loses it.

    A reply that comes when the lock may have expired gives nothing: it may have been acquired as soon as it was asked
    for, and another client rightly have it since.
    """
    held: list[Tenure] = []
    by_client: defaultdict[int, list[Operation]] = defaultdict(list)
    for entry in entries:
        by_client[entry.client].append(entry)
    for mine in by_client.values():
        for tenure in tenures(mine, slack):
            if tenure.since < tenure.until:
                held.append(tenure)
            if tenure.lost is not None:
                yield Problem("lost", key, f"{tenure.lost}; it was held: {tenure.by}")
    held.sort(key=lambda tenure: tenure.since)
    for one, next_one in pairwise(held):
        if next_one.since < one.until:
            yield Problem("overlap", key, f"{one.by} until {one.until:.4f}, and {next_one.by}")


@dataclass(slots=True)
class Tenure:
    """A time for which a client certainly held the lock; ``lost``: how it heard that it did not."""

    by: Operation
    since: float
    until: float
    lost: Operation | None = None


def tenures(mine: Iterable[Operation], slack: float) -> Iterator[Tenure]:
    """Those of one client, whose operations follow one another."""
    tenure: Tenure | None = None
    for entry in mine:
        holds = entry.outcome == OK and entry.result
        if tenure is not None and entry.action != "acquire" and entry.outcome == OK and not holds:
            tenure.lost = entry if entry.completed < tenure.until else None
        if tenure is not None and (entry.action == "release" or (entry.action == "acquire" and holds)):
            if entry.action == "release":
                tenure.until = min(tenure.until, entry.invoked)
            yield tenure
            tenure = None
        if holds and entry.action != "release":
            if tenure is None:
                tenure = Tenure(entry, entry.completed, 0.0)
            # It expires so long after it was asked for, or later.
            tenure.until = entry.invoked + entry.value - slack
    if tenure is not None:
        yield tenure


# -- lifetime: write(seconds to live or None), delete, read -> bool, peek -> bool: a key that is written once ----------


def check_lifetime(key: str, entries: Sequence[Operation], slack: float = SLACK) -> Iterator[Problem]:
    """It is there from its writing until it expires or is deleted, and never comes back.

    Where clocks differ it may have expired at one copy, and still be there at another one that is asked later.
    """
    (write,) = named(entries, "write")
    life = math.inf if write.value is None else write.value
    written = write.completed if write.outcome == OK else math.inf
    deletes = [entry for entry in named(entries, "delete") if entry.may_have_run()]
    # A deletion that ran before the write has deleted nothing.
    gone = min((entry.completed for entry in deletes if entry.invoked > written), default=math.inf)
    going = min((entry.invoked for entry in deletes), default=math.inf)
    reads = succeeded(entries, "read", "peek")
    absent = Latest((read.completed, read.invoked) for read in reads if read.action == "read" and not read.result)
    for read in reads:
        if read.result and (not write.may_have_run() or read.completed < write.invoked):
            yield Problem("invented", key, f"{read}; it was not written")
        elif read.result and read.invoked > min(gone, written + life + slack):
            yield Problem("stale", key, f"{read}; it was deleted or had expired before")
        elif (
            (slack == SLACK or read.completed < write.invoked + life - slack)
            and read.result
            and read.action == "read"
            and absent.before(read.invoked) > written
        ):
            yield Problem("order", key, f"{read}; it was gone before")
        elif not read.result and written < read.invoked and read.completed < min(going, write.invoked + life - slack):
            yield Problem("lost", key, f"{read}; it was there: {write}")
