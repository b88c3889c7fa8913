"""Several replies become one, by the rule that the command table gives.

An error among the replies is the answer, whatever the rule but ONE_OK: the first in the order of the nodes. A
whole that lacks a part must never look like a whole. So must replies that do not fit together (one node
counts, another lists): they become an error too, for the nodes said so, not we.

Items are never decoded: aggregates are joined and woven as raw bytes, in the protocol in which the nodes
gave them. Nothing is removed: each key lives on one node, so the parts have nothing in common. Only channels
may be known to several nodes (UNION, TALLY).
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
from kidoproxy.resp.errors import Bug
from kidoproxy.resp.scan import PERCENT, STAR

_INTEGER_KINDS: Final = b":#"
_LIST_KINDS: Final = b"*~>"
_AGGREGATE_KINDS: Final = b"*~>%"


def merge(merge_rule: int, replies: list[bytes], proto: int) -> bytes:
    """One reply of ``replies``, which are in the order of the nodes, for a client that speaks ``proto``."""
    if not replies:
        raise Bug("nothing to merge")
    if merge_rule == ONE_SUCCEEDED:
        return first_success(replies)
    error = first_error(replies)
    if error is not None:
        return error
    if merge_rule in (PASS_THROUGH, ALL_EQUAL, ALL_SUCCEEDED):
        return replies[0]
    if merge_rule in (AGG_SUM, AGG_MIN, AGG_MAX):
        return merge_integers(merge_rule, replies)
    if merge_rule == CONCAT:
        return concatenate(replies)
    if merge_rule == AGG_LOGICAL_AND:
        return logical_and(replies)
    if merge_rule == UNION:
        return union(replies)
    if merge_rule == SUM_BY_NAME:
        return sum_by_name(replies)
    if merge_rule == MERGE_INFO:
        return merge_info(replies, proto, [])
    raise Bug(f"no merge for rule {merge_rule}")


def merge_streams(replies: list[bytes], names: list[bytes]) -> bytes:
    """What XREAD found in several streams, in the order of their ``names``; the null when that is nothing.

    RESP2 has a list of pairs, RESP3 a map; nothing found is a null in both.
    """
    order: dict[bytes, int] = {}
    for name in names:
        order.setdefault(name, len(order))
    found: list[tuple[int, bytes]] = []
    is_map = False
    for raw in replies:
        if type_byte(raw) not in _AGGREGATE_KINDS and not is_null(raw):
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
    """The first reply that is no error; where all are, the first."""
    for raw in replies:
        if not is_error(raw):
            return raw
    return replies[0]


def first_error(replies: list[bytes]) -> bytes | None:
    """The first error among the replies."""
    for raw in replies:
        if is_error(raw):
            return raw
    return None


def merge_integers(merge_rule: int, replies: list[bytes]) -> bytes:
    """The sum, the smallest or the greatest of integers."""
    values: list[int] = []
    for raw in replies:
        if type_byte(raw) not in _INTEGER_KINDS:
            return mismatch_error(replies)
        values.append(integer_value(raw))
    if merge_rule == AGG_SUM:
        return integer(sum(values))
    return integer(min(values) if merge_rule == AGG_MIN else max(values))


def concatenate(replies: list[bytes]) -> bytes:
    """Arrays, sets or maps one behind the other; nulls add nothing. The type stays that of the parts."""
    parts = [raw for raw in replies if not is_null(raw)]
    if not parts:
        return replies[0]
    first_kind = type_byte(parts[0])
    count = 0
    bodies = [b""]
    for raw in parts:
        if type_byte(raw) != first_kind or first_kind not in _AGGREGATE_KINDS:
            return mismatch_error(replies)
        start = value_start(raw)
        count += int(line_text(raw, start))
        bodies.append(raw[next_line(raw, start) :])
    bodies[0] = aggregate_header(first_kind, count)
    return b"".join(bodies)


def logical_and(replies: list[bytes]) -> bytes:
    """Of arrays of integers, place by place, the smallest: 1 where every node said 1."""
    minima: list[int] | None = None
    for raw in replies:
        if type_byte(raw) not in _LIST_KINDS:
            return mismatch_error(replies)
        found = items(raw)
        if any(type_byte(item) not in _INTEGER_KINDS for item in found):
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
    """One array of all items, each once, in the order in which they are first named."""
    found: dict[bytes, bool] = {}
    for raw in replies:
        if type_byte(raw) not in _LIST_KINDS:
            return mismatch_error(replies)
        for item in items(raw):
            found[item] = True
    return array(list(found))


def sum_by_name(replies: list[bytes]) -> bytes:
    """Of arrays ``name, number, name, number ...`` that name the same: each name with the sum of its numbers."""
    names: list[bytes] | None = None
    sums: list[int] = []
    for raw in replies:
        if type_byte(raw) not in _LIST_KINDS:
            return mismatch_error(replies)
        found = items(raw)
        if any(type_byte(item) not in _INTEGER_KINDS for item in found[1::2]):
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
    """The error for replies that do not fit together, with how they begin."""
    beginnings = ", ".join([repr(raw[:24])[1:] for raw in replies[:4]])
    return errors.replies_mismatch(beginnings)
