"""Several replies become one, by the rule that the command table gives.

An error among the replies is the answer, whatever the rule but ONE_OK: the first in the order of the nodes. A
whole that lacks a part must never look like a whole. So must replies that do not fit together (one node
counts, another lists): they become an error too, for the nodes said so, not we.

Items are never decoded: aggregates are joined and woven as raw bytes, in the protocol in which the nodes
gave them. Nothing is removed: each key lives on one node, so the parts have nothing in common. Only channels
may be known to several nodes (UNION, TALLY).
"""

from typing import Final

from kidoproxy import errors
from kidoproxy.commands.spec import (
    ALL_OK,
    CONCAT,
    EACH_AND,
    GREATEST,
    INFO,
    LEAST,
    ONE_OK,
    RELAY,
    SAME,
    TALLY,
    TOTAL,
    UNION,
)
from kidoproxy.errors import Bug
from kidoproxy.merge_info import merge_info
from kidoproxy.resp.build import array, integer
from kidoproxy.resp.open import bulk, is_error, is_null, items, kind, line, line_end, value_at
from kidoproxy.resp.open import integer as integer_of

_INTEGER_KINDS: Final = b":#"
_MAP: Final = ord("%")
_LIST_KINDS: Final = b"*~>"
_AGGREGATE_KINDS: Final = b"*~>%"


def merge(rule: int, replies: list[bytes], proto: int) -> bytes:
    """One reply of ``replies``, which are in the order of the nodes, for a client that speaks ``proto``."""
    if not replies:
        raise Bug("nothing to merge")
    if rule == ONE_OK:
        return first_success(replies)
    wrong = first_error(replies)
    if wrong is not None:
        return wrong
    if rule in (RELAY, SAME, ALL_OK):
        return replies[0]
    if rule in (TOTAL, LEAST, GREATEST):
        return number(rule, replies)
    if rule == CONCAT:
        return joined(replies)
    if rule == EACH_AND:
        return each_and(replies)
    if rule == UNION:
        return union(replies)
    if rule == TALLY:
        return tally(replies)
    if rule == INFO:
        return merge_info(replies, proto, [])
    raise Bug(f"no merge for rule {rule}")


def streams(replies: list[bytes], names: list[bytes]) -> bytes:
    """What XREAD found in several streams, in the order of their ``names``; the null when that is nothing.

    RESP2 has a list of pairs, RESP3 a map; nothing found is a null in both.
    """
    rank: dict[bytes, int] = {}
    for name in names:
        rank.setdefault(name, len(rank))
    found: list[tuple[int, bytes]] = []
    is_map = False
    for raw in replies:
        if kind(raw) not in _AGGREGATE_KINDS and not is_null(raw):
            return misfit(replies)
        flat = items(raw)
        if kind(raw) == _MAP:
            is_map = True
            pairs = [(flat[at], flat[at] + flat[at + 1]) for at in range(0, len(flat), 2)]
        else:
            pairs = [(items(pair)[0], pair) for pair in flat]
        found += [(rank.get(bulk(name), len(rank)), pair) for name, pair in pairs]
    if not found:
        return replies[0]
    found.sort(key=_rank)
    body = b"".join([pair for _, pair in found])
    return (b"%%%d\r\n" if is_map else b"*%d\r\n") % len(found) + body


def _rank(ranked: tuple[int, bytes]) -> int:
    return ranked[0]


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


def number(rule: int, replies: list[bytes]) -> bytes:
    """The sum, the smallest or the greatest of integers."""
    values: list[int] = []
    for raw in replies:
        if kind(raw) not in _INTEGER_KINDS:
            return misfit(replies)
        values.append(integer_of(raw))
    if rule == TOTAL:
        return integer(sum(values))
    return integer(min(values) if rule == LEAST else max(values))


def joined(replies: list[bytes]) -> bytes:
    """Arrays, sets or maps one behind the other; nulls add nothing. The type stays that of the parts."""
    parts = [raw for raw in replies if not is_null(raw)]
    if not parts:
        return replies[0]
    first = kind(parts[0])
    count = 0
    bodies = [b""]
    for raw in parts:
        if kind(raw) != first or first not in _AGGREGATE_KINDS:
            return misfit(replies)
        start = value_at(raw)
        count += int(line(raw, start))
        bodies.append(raw[line_end(raw, start) :])
    bodies[0] = b"%c%d\r\n" % (first, count)
    return b"".join(bodies)


def each_and(replies: list[bytes]) -> bytes:
    """Of arrays of integers, place by place, the smallest: 1 where every node said 1."""
    least: list[int] | None = None
    for raw in replies:
        if kind(raw) not in _LIST_KINDS:
            return misfit(replies)
        found = items(raw)
        if any(kind(item) not in _INTEGER_KINDS for item in found):
            return misfit(replies)
        values = [integer_of(item) for item in found]
        if least is None:
            least = values
        elif len(least) != len(values):
            return misfit(replies)
        else:
            least = [min(a, b) for a, b in zip(least, values, strict=True)]
    return array([integer(value) for value in least or []])


def union(replies: list[bytes]) -> bytes:
    """One array of all items, each once, in the order in which they are first named."""
    found: dict[bytes, bool] = {}
    for raw in replies:
        if kind(raw) not in _LIST_KINDS:
            return misfit(replies)
        for item in items(raw):
            found[item] = True
    return array(list(found))


def tally(replies: list[bytes]) -> bytes:
    """Of arrays ``name, number, name, number ...`` that name the same: each name with the sum of its numbers."""
    names: list[bytes] | None = None
    sums: list[int] = []
    for raw in replies:
        if kind(raw) not in _LIST_KINDS:
            return misfit(replies)
        found = items(raw)
        if any(kind(item) not in _INTEGER_KINDS for item in found[1::2]):
            return misfit(replies)
        values = [integer_of(item) for item in found[1::2]]
        if names is None:
            names = found[::2]
            sums = values
        elif names != found[::2] or len(sums) != len(values):
            return misfit(replies)
        else:
            sums = [a + b for a, b in zip(sums, values, strict=True)]
    return array([raw for name, number in zip(names or [], sums, strict=True) for raw in (name, integer(number))])


def misfit(replies: list[bytes]) -> bytes:
    """The error for replies that do not fit together, with how they begin."""
    shown = ", ".join([repr(raw[:24])[1:] for raw in replies[:4]])
    return errors.line(f"ERR the nodes' replies do not fit together: {shown}")
