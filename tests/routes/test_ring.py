"""A ring: each key on one child; what cannot be split is refused; what concerns the whole asks every child."""

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import DirectReply
from kidoproxy.routes.route import RequestContext, WallClock
from tests.routes.rings import planned, ring_with_families
from tests.story import client, node, refused, ring, silence, story, to, to_client


def test_plans() -> None:
    """One key: the child's plan; several: one part per child; the whole: every child; no key: any child."""
    pool = ring("a", "b")
    assert repr(planned(pool, "GET {b}1")) == "b"
    assert repr(planned(pool, "RENAME {b}1 {b}2")) == "b"
    assert repr(planned(pool, "MGET {b}1 {b}2")) == "b"
    assert repr(planned(pool, "MGET {b}1 {a}2")) == "[a, b]"
    assert repr(planned(pool, "DBSIZE")) == "[a, b]"
    assert repr(planned(pool, "SCAN 0")) == "[a]"
    assert repr(planned(pool, "SCAN 2")) == "[b]"
    assert repr(planned(pool, "PUBLISH {b}c m")) == repr(planned(pool, "SPUBLISH {b}c m")) == "b"
    assert repr(planned(pool, "PUBSUB NUMPAT")) == "[a, b]"


def test_any_live_node() -> None:
    """A command that any node can serve goes to the first that is alive; if none is, to the first."""
    (
        story(ring("a", "b"))
        >> client("CONFIG GET maxmemory") << to("a", "CONFIG GET maxmemory")
        >> refused("a") << to_client("-NODEDOWN a a:6379 (connection refused)")
        >> client("CONFIG GET maxmemory") << to("b", "CONFIG GET maxmemory")
        >> node("b", "*0") << to_client("*0")
        >> refused("b") >> client("CONFIG GET maxmemory")
        << to_client("-NODEDOWN a a:6379 (connection refused)") << silence()
    )  # fmt: skip


def test_sort_by_keys_of_other_nodes() -> None:
    """SORT by a pattern would read keys of other nodes; on a ring of one there are none."""
    refusal = planned(ring("a", "b"), "SORT {a}1 BY w_*")
    assert isinstance(refusal, DirectReply)
    assert refusal.frame.startswith(b"-ERR 'sort' with the pattern 'w_*' reads keys that may live on other nodes")
    assert repr(planned(ring("a", "b"), "SORT {a}1 BY nosort")) == "a"
    assert repr(planned(ring("a"), "SORT {a}1 BY w_*")) == "a"


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        ("SORT {a}1 BY {a}w_*", True),
        ("SORT {a}1 BY {a}w_* GET {a}o_*->f GET # STORE {a}d", True),
        ("SORT_RO x{a} GET y{a}*", True),
        ("SORT {a}1 BY {b}w_*", False),
        ("SORT {a}1 BY {a}w_* GET o_*", False),
        ("SORT {a}1 BY *{a}", False),
        ("SORT {a}1 BY {*a}", False),
        ("SORT {a}1 BY {a*}", False),
        ("SORT a1 BY a_w_*", True),
        ("SORT a1 BY a*", False),
        ("SORT a1 BY ab*", False),
        ("SORT a1 BY {a}w_*", True),
        ("SORT a1 BY {b}w_*", False),
    ],
)
def test_sort_inside_a_tag(words: str, fits: bool) -> None:
    """A pattern whose names all live with the key, by their tag or their family, is served."""
    argv = [word.encode() for word in words.split()]
    plan = ring_with_families("a", "b").plan(
        COMMANDS[argv[0].lower()], Request(argv, b""), RequestContext(0, 2, False, False, WallClock(0))
    )
    assert isinstance(plan, DirectReply) != fits
