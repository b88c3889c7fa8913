"""Who is trusted, when nobody is: at the start, and after the last copy in sync has lost its server.

A copy *had everything* if it was in sync when it was last seen. It is *intact* if its server is still the same
run; else it may have lost some, or all. In this order:

1. an intact copy that can be reached;
2. none is trusted while a copy that may be intact is silent: it may live, and hold what the others have lost;
3. of the copies that had everything and were restarted, one that came back with data;
4. an empty one, if all copies are there and empty: then nobody can hold more.

In all other cases a person has to say who is trusted.
"""

from typing import Final, final

from kidoproxy.errors import NODEDOWN, NodeFailure
from kidoproxy.errors_copies import nobody_trusted
from kidoproxy.routes.topology import BEHIND, IN_SYNC, Copy, CopyGroup, Node

#: Whether a copy can be reached, is known to be dead (nothing listens at its address), or neither.
HERE: Final = 0
SILENT: Final = 1
DEAD: Final = 2

#: Nobody has said how many keys it has.
UNKNOWN: Final = -1


@final
class Sight:
    """What is known of one copy now: can it be reached, and how many keys has it."""

    def __init__(self, reach: int, keys: int = UNKNOWN) -> None:
        self.reach = reach
        self.keys = keys


@final
class Verdict:
    """Who is trusted (None: nobody, and ``refusal`` is what clients hear), and whether that copy may have lost data."""

    def __init__(self, copy: Copy | None, refusal: bytes, guess: bool) -> None:
        self.copy = copy
        self.refusal = refusal
        self.guess = guess


def recall(group: CopyGroup, recorded_behind: list[str]) -> None:
    """At the start: what a former run knew. Without a record all had everything, and none is known to be intact."""
    names = [copy.node.name for copy in group.copies]
    everybody = all(name in recorded_behind for name in names)
    for copy in group.copies:
        copy.kept = everybody or copy.node.name not in recorded_behind


def has_restarted(group: CopyGroup, copy: Copy) -> bool:
    """Whether its server is another run than the one that had everything; without a record nobody knows."""
    run = group.runs.get(copy.node.name, "")
    now = copy.node.run_id.decode("latin-1")
    return copy.restarted or not run or (bool(now) and now != run)


def had_everything(copy: Copy) -> bool:
    """Whether it had every acknowledged write when it was last seen."""
    return copy.kept or copy.state == IN_SYNC


def decide(group: CopyGroup, sights: list[Sight]) -> Verdict:
    """Who is trusted, by the rules above; ``sights`` in the order of the copies."""
    intact: list[int] = []
    silent: list[int] = []
    back: list[int] = []
    for at, copy in enumerate(group.copies):
        if had_everything(copy) and sights[at].reach == HERE:
            (back if has_restarted(group, copy) else intact).append(at)
        elif had_everything(copy) and sights[at].reach == SILENT and not has_restarted(group, copy):
            silent.append(at)
    if intact:
        return Verdict(group.copies[best_of(group, sights, intact)], b"", False)
    if silent:
        return Verdict(None, waits_for(group.copies[silent[0]].node), False)
    full = [at for at in back if sights[at].keys > 0]
    if full:
        return Verdict(group.copies[best_of(group, sights, full)], b"", True)
    if back and (len(group.copies) == 1 or all(sight.keys == 0 for sight in sights)):
        return Verdict(group.copies[best_of(group, sights, back)], b"", False)
    return Verdict(None, why_nobody(group, sights, back), False)


def best_of(group: CopyGroup, sights: list[Sight], places: list[int]) -> int:
    """Whose server runs longest has lost least; of equals, who has most keys; then the order of the configuration."""
    best = places[0]
    for at in places[1:]:
        mine, theirs = group.copies[at].node.uptime, group.copies[best].node.uptime
        if (mine, sights[at].keys) > (theirs, sights[best].keys):
            best = at
    return best


def waits_for(node: Node) -> bytes:
    """What clients hear while a copy is silent that may have everything."""
    cause = f"{node.cause or 'no answer yet'}; it may hold what the others have lost"
    return NodeFailure(NODEDOWN, node.name, node.address, cause, False).line(False)


def why_nobody(group: CopyGroup, sights: list[Sight], back: list[int]) -> bytes:
    """What clients hear when nobody is good enough: who came back empty, and who may be better."""
    here = [at for at, sight in enumerate(sights) if sight.reach == HERE]
    if not here:
        node = group.copies[0].node
        return NodeFailure(NODEDOWN, node.name, node.address, node.cause, False).line(False)
    name = group.copies[(back or here)[0]].node.name
    others = [copy.node.name for copy in group.copies if copy.node.name != name]
    return nobody_trusted(name, "is empty" if back else "missed writes", others)


def trust(group: CopyGroup, trusted: Copy) -> None:
    """From now on this copy decides and the others are behind; what it lacks the pool lacks."""
    for copy in group.copies:
        copy.kept = copy.kept or copy.state == IN_SYNC
        copy.restarted = copy.restarted or has_restarted(group, copy)
        copy.state = BEHIND
    trusted.state = IN_SYNC
    trusted.kept = False
    trusted.restarted = False
    group.returned = True
    group.elected = True
    group.doubted = False
    group.record()
