"""Who is trusted when no copy is: at the start, and after the last copy in sync has lost its server.

A copy *had everything* if it was in sync when it was last seen. It is *intact* if its server is still the same run (its
run id has not changed); otherwise it may have lost some of it, or all. The rules, in this order:

1. An intact copy that can be reached is trusted; of several the one whose server has run longest.
2. While a copy that may be intact is silent nobody is: it may live, and hold what the others have lost.
3. Of the copies that had everything and were restarted, one that came back with data is trusted.
4. If those are all empty, and all copies are there, one that a sync was filling is trusted: it lacks what it had not
   got yet, but nobody holds more, and nothing of it is old.
5. An empty one is trusted if all copies are there and empty, for then nobody can hold more.

In all other cases an operator has to say who is trusted. When that is asked, and what happens afterwards, is in
`kidoproxy.replication.election_runner`.
"""

from enum import Enum
from typing import Final, final

from kidoproxy.replication.group import BEHIND, IN_SYNC, Copy, CopyGroup
from kidoproxy.resp.errors import NODEDOWN, NodeFailure
from kidoproxy.resp.replication_errors import no_trusted_copy
from kidoproxy.routes.topology import Node

#: The key count of a copy that has not said how many keys it has.
UNKNOWN_KEY_COUNT: Final = -1


class Reachability(Enum):
    """A copy is DEAD if nothing listens at its address; SILENT if it neither answers nor is known to be dead."""

    REACHABLE = 0
    SILENT = 1
    DEAD = 2


@final
class CopyObservation:
    """What is known of one copy now."""

    def __init__(self, reachability: Reachability, key_count: int = UNKNOWN_KEY_COUNT) -> None:
        self.reachability = reachability
        self.key_count = key_count


@final
class ElectionResult:
    """Who is trusted, and whether it may have lost data; None: nobody, and ``refusal`` is the error for clients."""

    def __init__(self, copy: Copy | None, refusal: bytes, may_have_lost_data: bool) -> None:
        self.copy = copy
        self.refusal = refusal
        self.may_have_lost_data = may_have_lost_data


def apply_record(group: CopyGroup, recorded_behind: list[str]) -> None:
    """Begin with what a former run recorded; without a record all had everything, and none is known to be intact."""
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
    """Who is trusted, by the rules above; ``observations`` are in the order of the copies."""
    intact: list[int] = []
    silent: list[int] = []
    restarted: list[int] = []
    for index, copy in enumerate(group.copies):
        if not had_all_writes(copy):
            continue
        reachability = observations[index].reachability
        if reachability is Reachability.REACHABLE:
            (restarted if has_restarted(group, copy) else intact).append(index)
        elif reachability is Reachability.SILENT and not has_restarted(group, copy):
            silent.append(index)
    if intact:
        return ElectionResult(group.copies[best_candidate(group, observations, intact)], b"", False)
    if silent:
        return ElectionResult(None, waiting_error(group.copies[silent[0]].node), False)
    restarted_with_data = [index for index in restarted if observations[index].key_count > 0]
    if restarted_with_data:
        return ElectionResult(group.copies[best_candidate(group, observations, restarted_with_data)], b"", True)
    filled = filled_copies(group, observations) if restarted else []
    if filled:
        return ElectionResult(group.copies[best_candidate(group, observations, filled)], b"", True)
    if restarted and (len(group.copies) == 1 or all(observation.key_count == 0 for observation in observations)):
        return ElectionResult(group.copies[best_candidate(group, observations, restarted)], b"", False)
    return ElectionResult(None, no_candidate_error(group, observations, restarted), False)


def filled_copies(group: CopyGroup, observations: list[CopyObservation]) -> list[int]:
    """Copies that a sync was filling and that have missed no write since; none while a copy cannot be reached."""
    if any(observation.reachability is not Reachability.REACHABLE for observation in observations):
        return []
    return [
        index
        for index, copy in enumerate(group.copies)
        if copy.was_filled and not copy.missed_write and observations[index].key_count > 0
    ]


def best_candidate(group: CopyGroup, observations: list[CopyObservation], candidates: list[int]) -> int:
    """The longest uptime has lost least; of equals the most keys; then the order of the configuration decides."""
    best = candidates[0]
    for index in candidates[1:]:
        uptime, best_uptime = group.copies[index].node.uptime, group.copies[best].node.uptime
        if (uptime, observations[index].key_count) > (best_uptime, observations[best].key_count):
            best = index
    return best


def waiting_error(node: Node) -> bytes:
    """The error for clients while a copy is silent that may have everything."""
    cause = f"{node.cause or 'no answer yet'}; it may hold what the others have lost"
    return NodeFailure(NODEDOWN, node.name, node.address, cause, False).error_reply(False)


def no_candidate_error(group: CopyGroup, observations: list[CopyObservation], restarted: list[int]) -> bytes:
    """The error for clients when no copy is good enough: which one came back empty, and which ones may be better."""
    reachable = [
        index for index, observation in enumerate(observations) if observation.reachability is Reachability.REACHABLE
    ]
    if not reachable:
        node = group.copies[0].node
        return NodeFailure(NODEDOWN, node.name, node.address, node.cause, False).error_reply(False)
    name = group.copies[(restarted or reachable)[0]].node.name
    others = [copy.node.name for copy in group.copies if copy.node.name != name]
    return no_trusted_copy(name, "is empty" if restarted else "missed writes", others)


def make_trusted(group: CopyGroup, trusted: Copy, may_have_lost_data: bool = False) -> None:
    """From now on this copy decides and the others are behind; what it lacks the pool lacks."""
    group.expiry_memo.clear()
    for copy in group.copies:
        copy.may_hold_more = copy.may_hold_more or may_have_lost_data
        copy.had_all_writes = copy.had_all_writes or copy.state == IN_SYNC
        copy.restarted = copy.restarted or has_restarted(group, copy)
        copy.state = BEHIND
        copy.missed.add_everything()
    trusted.state = IN_SYNC
    trusted.had_all_writes = False
    trusted.restarted = False
    trusted.may_hold_more = trusted.is_sync_cancelled = False
    trusted.missed.reset(trusted.node.run_id)
    group.trust_is_revocable = True
    group.elected = True
    group.trust_lost = False
    group.record_change()
