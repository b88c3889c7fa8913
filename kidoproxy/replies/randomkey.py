"""RANDOMKEY of a ring: one of the keys that the nodes offer, each node weighted by its number of keys.

The replies come in pairs, what a node offers and how many keys it has. An error in place of an offer is the answer, for
what the node would have offered is not known; a node that does not say how many keys it has counts as one with one key.
"""

from typing import Final

from kidoproxy.resp.decode import is_error, is_null, type_byte
from kidoproxy.resp.scan import COLON, parse_int64

#: Random numbers are below this.
RANDOM_RANGE: Final = 1 << 31


def choose_weighted(replies: list[bytes], random_number: int) -> bytes:
    """One of the offers, chosen by ``random_number`` (below `RANDOM_RANGE`); the null if all offers are null."""
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
    """The number of keys in ``raw``, at least 1, for the node did offer one."""
    number = parse_int64(raw[1:-2]) if type_byte(raw) == COLON and raw[0] == COLON else None
    return max(number or 1, 1)
