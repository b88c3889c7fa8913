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

from kidoproxy.resp.errors import NODEDOWN, NodeFailure
from kidoproxy.resp.replication_errors import no_trusted_copy
from kidoproxy.routes.topology import BEHIND, IN_SYNC, Copy, CopyGroup, Node

#: Whether a copy can be reached, is known to be dead (nothing listens at its address), or neither.
REACHABLE: Final = 0
SILENT: Final = 1
DEAD: Final = 2

#: Nobody has said how many keys it has.
UNKNOWN_KEY_COUNT: Final = -1


@final
class CopyObservation:
    """What is known of one copy now: can it be reached, and how many keys has it."""

    def __init__(self, reachability: int, key_count: int = UNKNOWN_KEY_COUNT) -> None:
        self.reachability = reachability
        self.key_count = key_count


@final
class ElectionResult:
    """Who is trusted (None: nobody, and ``refusal`` is what clients hear), and whether that copy may have lost data."""

    def __init__(self, copy: Copy | None, refusal: bytes, may_have_lost_data: bool) -> None:
        self.copy = copy
        self.refusal = refusal
        self.may_have_lost_data = may_have_lost_data


def apply_record(group: CopyGroup, recorded_behind: list[str]) -> None:
    """At the start: what a former run knew. Without a record all had everything, and none is known to be intact."""
    names = [copy.node.name for copy in group.copies]
    all_behind = all(name in recorded_behind for name in names)
    for copy in group.copies:
        copy.had_all_writes = all_behind or copy.node.name not in recorded_behind


def has_restarted(group: CopyGroup, copy: Copy) -> bool:
    """Whether its server is another run than the one that had everything; without a record nobody knows."""
    known_run_id = group.run_ids.get(copy.node.name, "")
    current_run_id = copy.node.run_id.decode("latin-1")
    return copy.restarted or not known_run_id or (bool(current_run_id) and current_run_id != known_run_id)


def had_all_writes(copy: Copy) -> bool:
    """Whether it had every acknowledged write when it was last seen."""
    return copy.had_all_writes or copy.state == IN_SYNC


def elect(group: CopyGroup, observations: list[CopyObservation]) -> ElectionResult:
    """Who is trusted, by the rules above; ``sights`` in the order of the copies."""
    intact: list[int] = []
    silent: list[int] = []
    restarted: list[int] = []
    for index, copy in enumerate(group.copies):
        if had_all_writes(copy) and observations[index].reachability == REACHABLE:
            (restarted if has_restarted(group, copy) else intact).append(index)
        elif had_all_writes(copy) and observations[index].reachability == SILENT and not has_restarted(group, copy):
            silent.append(index)
    if intact:
        return ElectionResult(group.copies[best_candidate(group, observations, intact)], b"", False)
    if silent:
        return ElectionResult(None, waiting_error(group.copies[silent[0]].node), False)
    restarted_with_data = [index for index in restarted if observations[index].key_count > 0]
    if restarted_with_data:
        return ElectionResult(group.copies[best_candidate(group, observations, restarted_with_data)], b"", True)
    if restarted and (len(group.copies) == 1 or all(observation.key_count == 0 for observation in observations)):
        return ElectionResult(group.copies[best_candidate(group, observations, restarted)], b"", False)
    return ElectionResult(None, no_candidate_error(group, observations, restarted), False)


def best_candidate(group: CopyGroup, observations: list[CopyObservation], candidates: list[int]) -> int:
    """Whose server runs longest has lost least; of equals, who has most keys; then the order of the configuration."""
    best = candidates[0]
    for index in candidates[1:]:
        mine, theirs = group.copies[index].node.uptime, group.copies[best].node.uptime
        if (mine, observations[index].key_count) > (theirs, observations[best].key_count):
            best = index
    return best


def waiting_error(node: Node) -> bytes:
    """What clients hear while a copy is silent that may have everything."""
    cause = f"{node.cause or 'no answer yet'}; it may hold what the others have lost"
    return NodeFailure(NODEDOWN, node.name, node.address, cause, False).error_reply(False)


def no_candidate_error(group: CopyGroup, observations: list[CopyObservation], restarted: list[int]) -> bytes:
    """What clients hear when nobody is good enough: who came back empty, and who may be better."""
    here = [index for index, observation in enumerate(observations) if observation.reachability == REACHABLE]
    if not here:
        node = group.copies[0].node
        return NodeFailure(NODEDOWN, node.name, node.address, node.cause, False).error_reply(False)
    name = group.copies[(restarted or here)[0]].node.name
    others = [copy.node.name for copy in group.copies if copy.node.name != name]
    return no_trusted_copy(name, "is empty" if restarted else "missed writes", others)


def make_trusted(group: CopyGroup, trusted: Copy) -> None:
    """From now on this copy decides and the others are behind; what it lacks the pool lacks."""
    for copy in group.copies:
        copy.had_all_writes = copy.had_all_writes or copy.state == IN_SYNC
        copy.restarted = copy.restarted or has_restarted(group, copy)
        copy.state = BEHIND
    trusted.state = IN_SYNC
    trusted.had_all_writes = False
    trusted.restarted = False
    group.left_by_restart = True
    group.elected = True
    group.trust_lost = False
    group.record_change()
