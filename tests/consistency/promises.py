"""What a pool promises by its ``ack``, as far as the checker may hold it to that.

* ``all``: an acknowledged write is on every copy in sync, whoever looks. Nothing that was acknowledged is ever lost.
* ``quorum`` and ``leader``: through the proxy the same holds: a read asks a copy behind the writes that it was sent,
  and one that does not take them leaves. Past the proxy a copy in sync may lack what it is just being sent, so reads
  of single copies say nothing before all is quiet. An acknowledged write may be lost if the proxy is killed before the
  other copies have it, or if as many copies as had to acknowledge it die, or hear nothing, at once. It had its deadline
  for reaching them: what was acknowledged, or read, in that time before the harm is taken for unknown. All older ones
  must be there, and the copies must be equal in the end.
* With ``read = "first"`` and ``"random"`` the same holds as with ``"leader"``, for each copy has its writes in order.
* Where the clocks of copies differ, a key may expire so much earlier or later, by each of them; see `checker`.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from tests.consistency.history import OK, UNKNOWN, Operation

#: What is read or taken; the rest changes something.
READS: Final = ("read", "peek", "deliver")
ALL: Final = "all"


def promised(operations: Iterable[Operation], ack: str, losses: Iterable[tuple[float, float]] = ()) -> list[Operation]:
    """The operations as the checker may see them. ``losses``: from when to when what was acknowledged may be lost."""
    return [kept for entry in operations for kept in may_be_held_to(entry, ack, tuple(losses))]


def may_be_held_to(entry: Operation, ack: str, losses: tuple[tuple[float, float], ...]) -> Iterator[Operation]:
    """The operation, with an unknown outcome, or not at all."""
    # Those behind the end are of nobody: their number is not positive.
    if ack != ALL and entry.action == "peek" and entry.client > 0:
        return
    if entry.outcome != OK or not any(begin <= entry.completed <= end for begin, end in losses):
        yield entry
    elif entry.action not in READS:
        yield replace(entry, outcome=UNKNOWN, completed=math.inf, result="it may be lost")
