"""Turns of the loop over a stage, one at a time: to see how much is done in each."""

from tests.session.stage import Stage


def turn(stage: Stage) -> None:
    """One turn of the loop, as the hub makes it: the next slices, and no more."""
    turn = stage.exchange.turn
    turn.spent = 0
    turn.jobs.go_on(lambda: False)
    drained, turn.drained = turn.drained, []
    for session in stage.house.sessions.values():
        if session.ledger in drained:
            session.resume()


def finished(stage: Stage) -> int:
    """The turns that it takes until nothing is left to do."""
    turns = 0
    while stage.exchange.turn.jobs.waiting or stage.exchange.turn.drained:
        turn(stage)
        turns += 1
    return turns
