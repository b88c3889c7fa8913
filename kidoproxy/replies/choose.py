"""A joint that chooses among what several nodes offer, each by its weight: RANDOMKEY of a ring."""

from typing import final

from kidoproxy.replies.queue import Aggregate, ReplyHandler
from kidoproxy.resp.decode import is_error, is_null, type_byte
from kidoproxy.resp.scan import COLON, parse_int64

#: How many sides the dice have.
RANDOM_RANGE = 1 << 31


@final
class WeightedChoice(Aggregate):
    """Places come in pairs: what a node offers, and how many there are where it comes from.

    ``dice`` is a number below SIDES that decides. A failure or an error fails the whole, for what it would have offered
    is not known. Only that a node does not say how many there are costs no more than fairness.
    """

    def __init__(self, parent: ReplyHandler, count: int, random_number: int) -> None:
        super().__init__(parent, count)
        self.random_number = random_number

    def answer_parent(self) -> None:
        """Choose."""
        failure = self.first_failure()
        if failure is not None:
            self.parent.on_failure(failure)
        else:
            self.parent.on_reply(choose_weighted(self.replies, self.random_number))


def choose_weighted(replies: list[bytes], random_number: int) -> bytes:
    """One of the offers, which stand at even places with their weights behind them; the null if all are null."""
    offers: list[bytes] = []
    weights: list[int] = []
    for index in range(0, len(replies), 2):
        if is_error(replies[index]):
            return replies[index]
        if not is_null(replies[index]):
            offers.append(replies[index])
            weights.append(parse_weight(replies[index + 1]))
    remaining = sum(weights) * random_number // RANDOM_RANGE
    for index, offer in enumerate(offers):
        if remaining < weights[index]:
            return offer
        remaining -= weights[index]
    return replies[0]


def parse_weight(raw: bytes) -> int:
    """A count, at least 1: there was something to offer."""
    number = parse_int64(raw[1:-2]) if type_byte(raw) == COLON and raw[0] == COLON else None
    return max(number or 1, 1)
