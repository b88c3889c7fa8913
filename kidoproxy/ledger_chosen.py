"""A joint that chooses among what several nodes offer, each by its weight: RANDOMKEY of a ring."""

from typing import final

from kidoproxy.ledger import Joint, Leg
from kidoproxy.resp.open import is_error, is_null, kind
from kidoproxy.resp.scan import COLON, string2ll

#: How many sides the dice have.
SIDES = 1 << 31


@final
class Chosen(Joint):
    """Places come in pairs: what a node offers, and how many there are where it comes from.

    ``dice`` is a number below SIDES that decides. A failure or an error fails the whole, for what it would have offered
    is not known. Only that a node does not say how many there are costs no more than fairness.
    """

    def __init__(self, parent: Leg, count: int, dice: int) -> None:
        super().__init__(parent, count)
        self.dice = dice

    def finish(self) -> None:
        """Choose."""
        failure = self.first_failure()
        if failure is not None:
            self.parent.fail(failure)
        else:
            self.parent.take(chosen(self.replies, self.dice))


def chosen(replies: list[bytes], dice: int) -> bytes:
    """One of the offers, which stand at even places with their weights behind them; the null if all are null."""
    offers: list[bytes] = []
    weights: list[int] = []
    for at in range(0, len(replies), 2):
        if is_error(replies[at]):
            return replies[at]
        if not is_null(replies[at]):
            offers.append(replies[at])
            weights.append(weight(replies[at + 1]))
    left = sum(weights) * dice // SIDES
    for at, offer in enumerate(offers):
        if left < weights[at]:
            return offer
        left -= weights[at]
    return replies[0]


def weight(raw: bytes) -> int:
    """A count, at least 1: there was something to offer."""
    number = string2ll(raw[1:-2]) if kind(raw) == COLON and raw[0] == COLON else None
    return max(number or 1, 1)
