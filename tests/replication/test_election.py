"""Who is trusted when nobody is: by record, run, reach and keys; and when a person has to say."""

import pytest

from kidoproxy.replication.election import (
    DEAD,
    REACHABLE,
    SILENT,
    UNKNOWN_KEY_COUNT,
    CopyObservation,
    apply_record,
    elect,
    make_trusted,
)
from kidoproxy.routes.topology import CopyGroup, Node

#: How a copy looks: what a run id says (the recorded one, another one, none), whether it is there, and its keys.
SAME, OTHER = b"same", b"other"


def group(*looks: tuple[bytes, int], record: bool = True, behind: str = "") -> CopyGroup:
    """Copies a, b, … with these run ids and uptimes; ``behind`` are recorded as that."""
    nodes = [Node(at, "abc"[at], f"{'abc'[at]}:1", at + 1) for at in range(len(looks))]
    for node, (run, uptime) in zip(nodes, looks, strict=True):
        node.run_id, node.uptime, node.cause = run, uptime, "no connection in time"
    found = CopyGroup("pair", nodes)
    found.run_ids = {node.name: "same" for node in nodes if record and node.name not in behind}
    apply_record(found, list(behind))
    return found


HAS, NONE, WHO = (
    CopyObservation(REACHABLE, 5),
    CopyObservation(REACHABLE, 0),
    CopyObservation(REACHABLE, UNKNOWN_KEY_COUNT),
)
GONE, MUTE = CopyObservation(DEAD), CopyObservation(SILENT)


@pytest.mark.parametrize(
    ("looks", "sights", "behind", "record", "trusted"),
    [
        # The one that runs longest, of those that never went away.
        ([(SAME, 1), (SAME, 3)], [HAS, HAS], "", True, "b"),
        ([(SAME, 3), (SAME, 3)], [HAS, HAS], "", True, "a"),
        ([(SAME, 1), (SAME, 3)], [NONE, HAS], "b", True, "a"),
        ([(OTHER, 9), (SAME, 1)], [HAS, HAS], "", True, "b"),
        ([(OTHER, 9), (SAME, 1)], [HAS, NONE], "", True, "b"),
        # One that may live is waited for; one that is dead is not.
        ([(OTHER, 9), (b"", 0)], [HAS, MUTE], "", True, "NODEDOWN b"),
        ([(OTHER, 9), (b"", 0)], [NONE, MUTE], "", True, "NODEDOWN b"),
        ([(OTHER, 9), (b"", 0)], [HAS, GONE], "", True, "a"),
        ([(OTHER, 9), (b"", 0)], [HAS, MUTE], "b", True, "a"),
        # Restarted: with data, longest, most keys.
        ([(OTHER, 1), (OTHER, 3)], [HAS, HAS], "", True, "b"),
        ([(OTHER, 3), (OTHER, 3)], [HAS, CopyObservation(REACHABLE, 6)], "", True, "b"),
        ([(OTHER, 9), (OTHER, 3)], [NONE, HAS], "", True, "b"),
        # Empty: only when nobody can have more.
        ([(OTHER, 9), (OTHER, 3)], [NONE, NONE], "", True, "a"),
        ([(OTHER, 9), (b"", 0)], [NONE, GONE], "", True, "NOREPLICAS no copy can be trusted: a is empty"),
        ([(OTHER, 9), (OTHER, 9)], [NONE, WHO], "", True, "NOREPLICAS no copy can be trusted: a is empty"),
        ([(OTHER, 9), (SAME, 9)], [NONE, HAS], "b", True, "NOREPLICAS no copy can be trusted: a is empty"),
        ([(b"", 0), (SAME, 9)], [GONE, HAS], "b", True, "NOREPLICAS no copy can be trusted: b missed writes"),
        ([(b"", 0), (b"", 0)], [GONE, GONE], "", True, "NODEDOWN a"),
        # Without a record nobody is known to be intact; if all are recorded as behind nobody is.
        ([(SAME, 1), (SAME, 3)], [HAS, HAS], "", False, "b"),
        ([(SAME, 9), (SAME, 3)], [NONE, HAS], "", False, "b"),
        ([(SAME, 9), (b"", 0)], [HAS, MUTE], "", False, "a"),
        ([(SAME, 9), (b"", 0)], [NONE, MUTE], "", False, "NOREPLICAS no copy can be trusted: a is empty"),
        ([(SAME, 1), (SAME, 3)], [HAS, HAS], "ab", True, "b"),
        # A copy alone is all there is.
        ([(b"", 1)], [WHO], "", False, "a"),
        ([(OTHER, 1)], [NONE], "", True, "a"),
    ],
)
def test_rules(
    looks: list[tuple[bytes, int]], sights: list[CopyObservation], behind: str, record: bool, trusted: str
) -> None:
    """Each rule, in its order."""
    pool = group(*looks, record=record, behind=behind)
    verdict = elect(pool, sights)
    if verdict.copy is not None:
        assert (verdict.copy.node.name, verdict.refusal) == (trusted, b"")
    else:
        assert verdict.refusal.startswith(b"-" + trusted.encode())
        assert len(verdict.refusal) < 200


def test_trust() -> None:
    """Whoever is trusted decides; the others had everything, too, until a write is acknowledged."""
    pool = group((OTHER, 1), (SAME, 1), (SAME, 1), behind="c")
    journal: list[list[str]] = []
    pool.journal = lambda told: journal.append(told.behind_names())
    make_trusted(pool, pool.copies[0])
    assert [copy.node.name for copy in pool.in_sync()] == ["a"]
    assert [copy.had_all_writes for copy in pool.copies] == [False, True, False]
    assert [copy.restarted for copy in pool.copies] == [False, False, True]
    assert (pool.elected, pool.left_by_restart, journal) == (True, True, [["b", "c"]])
    assert pool.run_ids["a"] == "other"
