"""Several replies become one, by the rule that the command table gives.

Whatever the rule, except ONE_SUCCEEDED, the first error in the order of the nodes is the answer: a reply that lacks a
part must never look complete. Replies that do not fit together (one node counts, another lists) become an error too.

Items are not decoded: arrays, sets and maps are joined as raw bytes, in the protocol in which the nodes sent them.
Duplicates need no care, as each key is on one node only; channels may be known to several (UNION, SUM_BY_NAME).
"""

from typing import Final

from kidoproxy.commands.spec import (
    AGG_LOGICAL_AND,
    AGG_MAX,
    AGG_MIN,
    AGG_SUM,
    ALL_EQUAL,
    ALL_SUCCEEDED,
    CONCAT,
    MERGE_INFO,
    ONE_SUCCEEDED,
    PASS_THROUGH,
    SUM_BY_NAME,
    UNION,
)
from kidoproxy.replies.merge_info import merge_info
from kidoproxy.resp import errors
from kidoproxy.resp.decode import (
    integer_value,
    is_error,
    is_null,
    items,
    line_text,
    next_line,
    string_value,
    type_byte,
    value_start,
)
from kidoproxy.resp.encode import aggregate_header, array, integer
from kidoproxy.resp.errors import InternalError
from kidoproxy.resp.scan import PERCENT, STAR

_INTEGER_TYPES: Final = b":#"
_LIST_TYPES: Final = b"*~>"
_AGGREGATE_TYPES: Final = b"*~>%"


def merge(response_policy: int, replies: list[bytes], proto: int) -> bytes:
    """Merge ``replies``, which are in the order of the nodes, for a client that speaks ``proto``."""
    if not replies:
        raise InternalError("nothing to merge")
    if response_policy == ONE_SUCCEEDED:
        return first_success(replies)
    error = first_error(replies)
    if error is not None:
        return error
    if response_policy in (PASS_THROUGH, ALL_EQUAL, ALL_SUCCEEDED):
        return replies[0]
    if response_policy in (AGG_SUM, AGG_MIN, AGG_MAX):
        return merge_integers(response_policy, replies)
    if response_policy == CONCAT:
        return concatenate(replies)
    if response_policy == AGG_LOGICAL_AND:
        return logical_and(replies)
    if response_policy == UNION:
        return union(replies)
    if response_policy == SUM_BY_NAME:
        return sum_by_name(replies)
    if response_policy == MERGE_INFO:
        return merge_info(replies, proto, [])
    raise InternalError(f"no merge for rule {response_policy}")


def merge_streams(replies: list[bytes], names: list[bytes]) -> bytes:
    """The replies of XREAD, with streams in the order of ``names``; the null when no stream has entries.

    RESP2 has a list of pairs, RESP3 a map.
    """
    order: dict[bytes, int] = {}
    for name in names:
        order.setdefault(name, len(order))
    found: list[tuple[int, bytes]] = []
    is_map = False
    for raw in replies:
        if type_byte(raw) not in _AGGREGATE_TYPES and not is_null(raw):
            return mismatch_error(replies)
        flat = items(raw)
        if type_byte(raw) == PERCENT:
            is_map = True
            pairs = [(flat[index], flat[index] + flat[index + 1]) for index in range(0, len(flat), 2)]
        else:
            pairs = [(items(pair)[0], pair) for pair in flat]
        found += [(order.get(string_value(name), len(order)), pair) for name, pair in pairs]
    if not found:
        return replies[0]
    found.sort(key=_stream_order)
    header = aggregate_header(PERCENT if is_map else STAR, len(found))
    return header + b"".join([pair for _, pair in found])


def _stream_order(ordered_pair: tuple[int, bytes]) -> int:
    return ordered_pair[0]


def first_success(replies: list[bytes]) -> bytes:
    """The first reply that is no error, or else the first."""
    for raw in replies:
        if not is_error(raw):
            return raw
    return replies[0]


def first_error(replies: list[bytes]) -> bytes | None:
    """The first error among the replies, if any."""
    for raw in replies:
        if is_error(raw):
            return raw
    return None


def merge_integers(response_policy: int, replies: list[bytes]) -> bytes:
    values: list[int] = []
    for raw in replies:
        if type_byte(raw) not in _INTEGER_TYPES:
            return mismatch_error(replies)
        values.append(integer_value(raw))
    if response_policy == AGG_SUM:
        return integer(sum(values))
    return integer(min(values) if response_policy == AGG_MIN else max(values))


def concatenate(replies: list[bytes]) -> bytes:
    """Arrays, sets or maps one behind the other, all of the same type; nulls are skipped."""
    parts = [raw for raw in replies if not is_null(raw)]
    if not parts:
        return replies[0]
    first_type = type_byte(parts[0])
    count = 0
    bodies = [b""]
    for raw in parts:
        if type_byte(raw) != first_type or first_type not in _AGGREGATE_TYPES:
            return mismatch_error(replies)
        start = value_start(raw)
        count += int(line_text(raw, start))
        bodies.append(raw[next_line(raw, start) :])
    bodies[0] = aggregate_header(first_type, count)
    return b"".join(bodies)


def logical_and(replies: list[bytes]) -> bytes:
    """The item-wise minimum of arrays of integers: 1 where every node answered 1."""
    minima: list[int] | None = None
    for raw in replies:
        if type_byte(raw) not in _LIST_TYPES:
            return mismatch_error(replies)
        found = items(raw)
        if any(type_byte(item) not in _INTEGER_TYPES for item in found):
            return mismatch_error(replies)
        values = [integer_value(item) for item in found]
        if minima is None:
            minima = values
        elif len(minima) != len(values):
            return mismatch_error(replies)
        else:
            minima = [min(a, b) for a, b in zip(minima, values, strict=True)]
    return array([integer(value) for value in minima or []])


def union(replies: list[bytes]) -> bytes:
    """All items, each once, in the order of their first occurrence."""
    found: dict[bytes, bool] = {}
    for raw in replies:
        if type_byte(raw) not in _LIST_TYPES:
            return mismatch_error(replies)
        for item in items(raw):
            found[item] = True
    return array(list(found))


def sum_by_name(replies: list[bytes]) -> bytes:
    """The sums by name of arrays ``name, number, name, number …`` with the same names in the same order."""
    names: list[bytes] | None = None
    sums: list[int] = []
    for raw in replies:
        if type_byte(raw) not in _LIST_TYPES:
            return mismatch_error(replies)
        found = items(raw)
        if any(type_byte(item) not in _INTEGER_TYPES for item in found[1::2]):
            return mismatch_error(replies)
        values = [integer_value(item) for item in found[1::2]]
        if names is None:
            names = found[::2]
            sums = values
        elif names != found[::2] or len(sums) != len(values):
            return mismatch_error(replies)
        else:
            sums = [a + b for a, b in zip(sums, values, strict=True)]
    return array([raw for name, number in zip(names or [], sums, strict=True) for raw in (name, integer(number))])


def mismatch_error(replies: list[bytes]) -> bytes:
    """The error for replies that do not fit together, with the first bytes of each."""
    beginnings = ", ".join([repr(raw[:24])[1:] for raw in replies[:4]])
    return errors.replies_mismatch(beginnings)
