"""The table of a sync's steps: closed, every step can be reached, and nothing follows the end."""

import pytest

from kidoproxy.replication.sync_steps import LEGAL_MOVES, SyncPhase, SyncStep, checked_move


def test_every_step_can_be_reached_and_can_end() -> None:
    """From the first step there is a way to each; from each, and from nowhere else, the sync may fail."""
    reached = {SyncStep.PROVE}
    while (more := reached.union(*[LEGAL_MOVES[step] for step in reached])) != reached:
        reached = more
    assert reached == set(SyncStep) == set(LEGAL_MOVES)
    assert {step for step in SyncStep if SyncStep.DONE not in LEGAL_MOVES[step]} == {SyncStep.DONE}
    assert LEGAL_MOVES[SyncStep.DONE] == frozenset()


def test_nothing_is_changed_before_the_source_is_proved() -> None:
    """The steps that change the target come after a proof: no other way leads to the first of them."""
    assert [step for step in SyncStep if SyncStep.EMPTY in LEGAL_MOVES[step]] == [SyncStep.PROVE]
    assert checked_move(SyncStep.PROVE, SyncStep.EMPTY) is SyncStep.EMPTY


def test_a_move_that_is_not_in_the_table() -> None:
    """It is a defect, and says between which steps."""
    with pytest.raises(RuntimeError, match="a sync cannot go from WAIT_FOR_WRITES to COPY"):
        checked_move(SyncStep.WAIT_FOR_WRITES, SyncStep.COPY)


def test_what_an_operator_reads() -> None:
    """A step that stands for itself is named; of the others the part of the pass is."""
    assert SyncPhase.LISTING.text(SyncStep.PROVE) == "making sure of the source"
    assert SyncPhase.SCANNING_SOURCE.text(SyncStep.SIZE) == "copying"
    assert SyncPhase.SCANNING_TARGET.text(SyncStep.CHECK_LEFTOVERS) == "looking for leftovers"
