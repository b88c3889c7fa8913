"""Who is trusted when nobody is: by record, run, reach and keys; and when a person has to say."""

import pytest

from kidoproxy.replication.election import (
    UNKNOWN_KEY_COUNT,
    CopyObservation,
    Reachability,
    apply_record,
    elect,
    make_trusted,
)
from kidoproxy.replication.group import CopyGroup
from kidoproxy.routes.topology import Node

#: The run id of a server: the recorded one, or another one.
SAME, OTHER = b"same", b"other"


def group(*servers: tuple[bytes, int], record: bool = True, behind: str = "") -> CopyGroup:
    """Copies a, b, … with these run ids and uptimes; ``behind`` are recorded as that."""
    nodes = [Node(at, "abc"[at], f"{'abc'[at]}:1", at + 1) for at in range(len(servers))]
    for node, (run, uptime) in zip(nodes, servers, strict=True):
        node.run_id, node.uptime, node.cause = run, uptime, "no connection in time"
    made = CopyGroup("pair", nodes)
    made.run_ids = {node.name: "same" for node in nodes if record and node.name not in behind}
    apply_record(made, list(behind))
    return made


FULL, EMPTY, UNCOUNTED = (
    CopyObservation(Reachability.REACHABLE, 5),
    CopyObservation(Reachability.REACHABLE, 0),
    CopyObservation(Reachability.REACHABLE, UNKNOWN_KEY_COUNT),
)
DEAD, SILENT = CopyObservation(Reachability.DEAD), CopyObservation(Reachability.SILENT)


@pytest.mark.parametrize(
    ("servers", "observations", "behind", "record", "trusted"),
    [
        # The one that runs longest, of those that never went away.
        ([(SAME, 1), (SAME, 3)], [FULL, FULL], "", True, "b"),
        ([(SAME, 3), (SAME, 3)], [FULL, FULL], "", True, "a"),
        ([(SAME, 1), (SAME, 3)], [EMPTY, FULL], "b", True, "a"),
        ([(OTHER, 9), (SAME, 1)], [FULL, FULL], "", True, "b"),
        ([(OTHER, 9), (SAME, 1)], [FULL, EMPTY], "", True, "b"),
        # One that may live is waited for; one that is dead is not.
        ([(OTHER, 9), (b"", 0)], [FULL, SILENT], "", True, "NODEDOWN b"),
        ([(OTHER, 9), (b"", 0)], [EMPTY, SILENT], "", True, "NODEDOWN b"),
        ([(OTHER, 9), (b"", 0)], [FULL, DEAD], "", True, "a"),
        ([(OTHER, 9), (b"", 0)], [FULL, SILENT], "b", True, "a"),
        # Restarted: with data, longest, most keys.
        ([(OTHER, 1), (OTHER, 3)], [FULL, FULL], "", True, "b"),
        ([(OTHER, 3), (OTHER, 3)], [FULL, CopyObservation(Reachability.REACHABLE, 6)], "", True, "b"),
        ([(OTHER, 9), (OTHER, 3)], [EMPTY, FULL], "", True, "b"),
        # Empty: only when nobody can have more.
        ([(OTHER, 9), (OTHER, 3)], [EMPTY, EMPTY], "", True, "a"),
        ([(OTHER, 9), (b"", 0)], [EMPTY, DEAD], "", True, "NOREPLICAS no copy can be trusted: a is empty"),
        ([(OTHER, 9), (OTHER, 9)], [EMPTY, UNCOUNTED], "", True, "NOREPLICAS no copy can be trusted: a is empty"),
        ([(OTHER, 9), (SAME, 9)], [EMPTY, FULL], "b", True, "NOREPLICAS no copy can be trusted: a is empty"),
        ([(b"", 0), (SAME, 9)], [DEAD, FULL], "b", True, "NOREPLICAS no copy can be trusted: b missed writes"),
        ([(b"", 0), (b"", 0)], [DEAD, DEAD], "", True, "NODEDOWN a"),
        # Without a record nobody is known to be intact; if all are recorded as behind nobody is.
        ([(SAME, 1), (SAME, 3)], [FULL, FULL], "", False, "b"),
        ([(SAME, 9), (SAME, 3)], [EMPTY, FULL], "", False, "b"),
        ([(SAME, 9), (b"", 0)], [FULL, SILENT], "", False, "a"),
        ([(SAME, 9), (b"", 0)], [EMPTY, SILENT], "", False, "NOREPLICAS no copy can be trusted: a is empty"),
        ([(SAME, 1), (SAME, 3)], [FULL, FULL], "ab", True, "b"),
        # A copy alone is all there is.
        ([(b"", 1)], [UNCOUNTED], "", False, "a"),
        ([(OTHER, 1)], [EMPTY], "", True, "a"),
    ],
)
def test_rules(
    servers: list[tuple[bytes, int]], observations: list[CopyObservation], behind: str, record: bool, trusted: str
) -> None:
    """Each rule, in its order."""
    pool = group(*servers, record=record, behind=behind)
    result = elect(pool, observations)
    if result.copy is not None:
        assert (result.copy.node.name, result.refusal) == (trusted, b"")
    else:
        assert result.refusal.startswith(b"-" + trusted.encode())
        assert len(result.refusal) < 200


def test_a_trusted_copy_decides() -> None:
    """A trusted copy decides; the others had everything, too, until a write is acknowledged."""
    pool = group((OTHER, 1), (SAME, 1), (SAME, 1), behind="c")
    journal: list[list[str]] = []
    pool.journal = lambda changed: journal.append(changed.behind_names())
    make_trusted(pool, pool.copies[0])
    assert [copy.node.name for copy in pool.in_sync()] == ["a"]
    assert [copy.had_all_writes for copy in pool.copies] == [False, True, False]
    assert [copy.restarted for copy in pool.copies] == [False, False, True]
    assert (pool.elected, pool.trust_is_revocable, journal) == (True, True, [["b", "c"]])
    assert pool.run_ids["a"] == "other"


@pytest.mark.parametrize(
    ("observations", "missed_write", "trusted"),
    [
        ([EMPTY, FULL], False, "b"),
        ([EMPTY, FULL], True, None),
        ([DEAD, FULL], False, None),
        ([EMPTY, UNCOUNTED], False, None),
        ([FULL, FULL], False, "a"),
    ],
)
def test_a_copy_that_was_being_filled(
    observations: list[CopyObservation], missed_write: bool, trusted: str | None
) -> None:
    """It is trusted when what it was filled from is back empty and nobody else can hold more; it may lack data."""
    pool = group((OTHER, 9), (OTHER, 3), behind="b")
    pool.fill_begins(pool.copies[1].node)
    pool.copies[1].missed_write = missed_write
    result = elect(pool, observations)
    assert (result.copy and result.copy.node.name) == trusted
    assert result.may_have_lost_data is (trusted is not None)


def test_what_may_be_lost_is_remembered() -> None:
    """When a copy is trusted that may have lost data, each other one may hold more, until it is in sync again."""
    pool = group((OTHER, 1), (OTHER, 1), (OTHER, 1))
    make_trusted(pool, pool.copies[0], True)
    make_trusted(pool, pool.copies[1], False)
    assert [copy.may_hold_more for copy in pool.copies] == [False, False, True]
    pool.mark_in_sync(pool.copies[2].node)
    assert not pool.copies[2].may_hold_more
