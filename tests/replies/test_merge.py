"""`kidoproxy.replies.merge`: one reply that a single Redis could have sent, or an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.commands.spec import (
    AGG_LOGICAL_AND,
    AGG_MAX,
    AGG_MIN,
    AGG_SUM,
    ALL_EQUAL,
    ALL_SUCCEEDED,
    CONCAT,
    IN_KEY_ORDER,
    MERGE_INFO,
    ONE_SUCCEEDED,
    PASS_THROUGH,
    SUM_BY_NAME,
    UNION,
)
from kidoproxy.replies.merge import merge
from kidoproxy.resp.decode import items
from kidoproxy.resp.encode import array, bulk, integer, mapping, set_of
from kidoproxy.resp.errors import InternalError

RULES = [
    PASS_THROUGH,
    ALL_EQUAL,
    ALL_SUCCEEDED,
    AGG_SUM,
    AGG_MIN,
    AGG_MAX,
    AGG_LOGICAL_AND,
    CONCAT,
    MERGE_INFO,
    UNION,
    SUM_BY_NAME,
]
ERROR = b"-ERR no\r\n"


@pytest.mark.parametrize("rule", RULES)
def test_the_first_error_is_the_answer(rule: int) -> None:
    """Whatever the rule, for a reply that lacks a part must not look complete."""
    assert merge(rule, [b":1\r\n", ERROR, b"-ERR later\r\n"], 2) == ERROR
    assert merge(rule, [b"!5\r\nERR x\r\n", ERROR], 3) == b"!5\r\nERR x\r\n"


@pytest.mark.parametrize(
    ("rule", "replies", "expected"),
    [
        (PASS_THROUGH, [b"$1\r\nx\r\n"], b"$1\r\nx\r\n"),
        (ALL_EQUAL, [b"+a\r\n", b"+a\r\n"], b"+a\r\n"),
        (ALL_EQUAL, [b"+a\r\n", b"+b\r\n"], b"+a\r\n"),
        (ALL_SUCCEEDED, [b"+OK\r\n", b"+OK\r\n"], b"+OK\r\n"),
        (AGG_SUM, [b":1\r\n", b":20\r\n", b":-3\r\n"], b":18\r\n"),
        (AGG_SUM, [b":9223372036854775807\r\n", b":1\r\n"], b":9223372036854775808\r\n"),
        (AGG_SUM, [b"#t\r\n", b"#t\r\n"], b":2\r\n"),
        (AGG_MIN, [b":3\r\n", b":1\r\n", b":2\r\n"], b":1\r\n"),
        (AGG_MAX, [b":3\r\n", b":5\r\n", b":2\r\n"], b":5\r\n"),
        (AGG_SUM, [b"|1\r\n+ttl\r\n:5\r\n:1\r\n", b":2\r\n"], b":3\r\n"),
        (AGG_LOGICAL_AND, [b"*2\r\n:1\r\n:1\r\n", b"*2\r\n:1\r\n:0\r\n"], b"*2\r\n:1\r\n:0\r\n"),
        (AGG_LOGICAL_AND, [b"*0\r\n", b"*0\r\n"], b"*0\r\n"),
        (CONCAT, [b"*1\r\n:1\r\n", b"*0\r\n", b"*2\r\n:2\r\n$-1\r\n"], b"*3\r\n:1\r\n:2\r\n$-1\r\n"),
        (CONCAT, [b"~1\r\n:1\r\n", b"~1\r\n:2\r\n"], b"~2\r\n:1\r\n:2\r\n"),
        (CONCAT, [b"%1\r\n+a\r\n:1\r\n", b"%1\r\n+b\r\n:2\r\n"], b"%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n"),
        (CONCAT, [b"*-1\r\n", b"*1\r\n:1\r\n"], b"*1\r\n:1\r\n"),
        (CONCAT, [b"_\r\n", b"_\r\n"], b"_\r\n"),
        (UNION, [b"*2\r\n+a\r\n+b\r\n", b"*0\r\n", b"*2\r\n+b\r\n+c\r\n"], b"*3\r\n+a\r\n+b\r\n+c\r\n"),
        (SUM_BY_NAME, [b"*0\r\n", b"*0\r\n"], b"*0\r\n"),
        (SUM_BY_NAME, [b"*4\r\n+a\r\n:1\r\n+a\r\n:0\r\n"] * 2, b"*4\r\n+a\r\n:2\r\n+a\r\n:0\r\n"),
        (CONCAT, [b"|1\r\n+a\r\n*1\r\n:1\r\n*1\r\n:7\r\n", b"*1\r\n:8\r\n"], b"*2\r\n:7\r\n:8\r\n"),
    ],
)
def test_rules(rule: int, replies: list[bytes], expected: bytes) -> None:
    """Each rule, on the types that its commands reply with."""
    assert merge(rule, replies, 3) == expected


@pytest.mark.parametrize(
    ("rule", "replies"),
    [
        (AGG_SUM, [b":1\r\n", b"+OK\r\n"]),
        (AGG_MIN, [b":1\r\n", b"$-1\r\n"]),
        (CONCAT, [b"*0\r\n", b"~0\r\n"]),
        (CONCAT, [b":1\r\n", b":1\r\n"]),
        (AGG_LOGICAL_AND, [b"*1\r\n:1\r\n", b"*2\r\n:1\r\n:1\r\n"]),
        (AGG_LOGICAL_AND, [b"*1\r\n:1\r\n", b":1\r\n"]),
        (UNION, [b"*0\r\n", b":1\r\n"]),
        (SUM_BY_NAME, [b"*0\r\n", b":1\r\n"]),
        (SUM_BY_NAME, [b"*2\r\n+a\r\n:1\r\n", b"*2\r\n+b\r\n:1\r\n"]),
        (SUM_BY_NAME, [b"*2\r\n+a\r\n:1\r\n", b"*1\r\n+a\r\n"]),
        (SUM_BY_NAME, [b"*2\r\n+a\r\n+b\r\n", b"*2\r\n+a\r\n+b\r\n"]),
        (AGG_LOGICAL_AND, [b"*1\r\n+1\r\n", b"*1\r\n:1\r\n"]),
    ],
)
def test_mismatch(rule: int, replies: list[bytes]) -> None:
    """Replies that do not fit together are an error that shows them, never a wrong answer."""
    answer = merge(rule, replies, 3)

    assert answer.startswith(b"-ERR the nodes' replies do not fit together: '")
    assert answer.endswith(b"'\r\n")
    assert b"\n" not in answer[:-1]


def test_nothing_to_merge() -> None:
    """No replies are a bug, and so is a rule that needs key positions."""
    with pytest.raises(InternalError, match="nothing to merge"):
        merge(AGG_SUM, [], 2)
    with pytest.raises(InternalError, match="no merge for rule"):
        merge(IN_KEY_ORDER, [b"*0\r\n"], 2)


@given(st.lists(st.lists(st.binary(max_size=5), max_size=4), min_size=1, max_size=4), st.sampled_from([2, 3]))
def test_concatenation(parts: list[list[bytes]], proto: int) -> None:
    """Arrays, sets and maps get the items of all parts in order, in both protocols."""
    raw = [[bulk(item) for item in part] for part in parts]
    flat = [item for part in raw for item in part]

    assert items(merge(CONCAT, [array(part) for part in raw], proto)) == flat
    assert merge(CONCAT, [set_of(proto, part) for part in raw], proto) == set_of(proto, flat)
    pairs = [[entry for item in part for entry in (item, integer(1))] for part in raw]
    whole = mapping(proto, [entry for part in pairs for entry in part])
    assert merge(CONCAT, [mapping(proto, part) for part in pairs], proto) == whole


def test_one_success_is_enough() -> None:
    """A kill that succeeded on one node has succeeded; if it did on none, the first node's error is the answer."""
    idle = b"-NOTBUSY No scripts in execution right now.\r\n"

    assert merge(ONE_SUCCEEDED, [idle, b"+OK\r\n", idle], 2) == b"+OK\r\n"
    assert merge(ONE_SUCCEEDED, [idle, idle], 2) == idle
