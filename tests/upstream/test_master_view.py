"""Whose word makes a server the master: that of most of the sentinels that are configured, and nobody else's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.upstream.master_view import AGREED, KEPT, UNKNOWN, Master, MasterView, parse_master

A, B = Master("10.0.0.1", 6379), Master("10.0.0.2", 6379)


def view_of(*votes: Master | None) -> MasterView:
    """All have said this, in this order."""
    view = MasterView(len(votes))
    for index, vote in enumerate(votes):
        view.on_answer(index, vote)
    return view


def test_most_of_those_that_are_configured() -> None:
    """Two of three make a master known, the second one's word and not the first's or the third's moves it."""
    view = MasterView(3)
    assert (view.state, view.on_answer(0, A), view.state) == (UNKNOWN, False, UNKNOWN)
    assert (view.on_answer(2, A), view.state, view.master) == (True, AGREED, A)
    assert not view.on_answer(1, A)
    assert view.is_settled()
    assert view.describe() == "agreed, 3 of 3 sentinels"

    assert not view.on_answer(1, B)
    assert (view.state, view.master, view.is_settled()) == (AGREED, A, False)
    assert view.on_answer(0, B)
    assert (view.state, view.master) == (AGREED, B)
    assert not view.on_answer(2, B)


def test_a_master_that_is_known_is_kept() -> None:
    """Whoever falls silent, whatever a minority says; most that agree again change nothing, or move it."""
    view = view_of(A, A, A)
    view.on_silence(0, "connection refused")
    assert (view.state, view.is_settled()) == (AGREED, True)
    view.on_silence(1, "connection refused")
    assert (view.state, view.master, view.failures) == (KEPT, A, 2)
    assert not view.on_answer(2, B)
    assert (view.state, view.master, view.agreeing_count()) == (KEPT, A, 0)
    view.on_silence(2, "it closed the connection")
    assert view.state == KEPT
    assert repr(view) == "<master 10.0.0.1:6379 kept, 0 of 3 sentinels>"

    assert not view.on_answer(0, A)
    assert not view.on_answer(1, A)
    assert view.state == AGREED
    view.on_answer(0, None)
    assert view.state == KEPT
    view.on_answer(0, B)
    assert view.on_answer(1, B)
    assert (view.state, view.master) == (AGREED, B)


def test_why_nobody_is_known() -> None:
    """How many have answered, and the first reason."""
    view = MasterView(3)
    assert view.why_unknown() == "most of its sentinels name no master, 0 of 3 have answered: not asked yet"
    view.on_answer(0, A)
    view.on_answer(1, None)
    view.on_silence(2, "connection refused")
    assert view.why_unknown() == (
        "most of its sentinels name no master, 2 of 3 have answered: it knows no master of this name"
    )
    assert view_of(A, B).why_unknown() == "most of its sentinels name no master, 2 of 2 have answered"


def test_no_other_moves() -> None:
    """A master that was known never becomes unknown."""
    with pytest.raises(RuntimeError, match="cannot become unknown"):
        view_of(A).move_to(UNKNOWN)


@pytest.mark.parametrize(
    ("host", "port", "found"),
    [
        (b"10.0.0.1", b"6379", "10.0.0.1:6379"),
        (b"Redis-0.Internal", b"1", "redis-0.internal:1"),
        (b"::1", b"65535", "[::1]:65535"),
        (b"", b"6379", None),
        (b"h", b"0", None),
        (b"h", b"65536", None),
        (b"h", b"-1", None),
        (b"h", b"x", None),
        (b"h", b"000006379", None),
        (b"h" * 256, b"1", None),
        (b"h\r\n", b"1", None),
        (b"a b", b"1", None),
        (b"\xff", b"1", None),
    ],
)
def test_addresses(host: bytes, port: bytes, found: str | None) -> None:
    """What can be an address is one, in one spelling."""
    master = parse_master(host, port)
    assert found == (None if master is None else str(master))


@given(st.integers(1, 6), st.data())
def test_a_minority_moves_nobody(count: int, data: st.DataObject) -> None:
    """Whatever fewer than half of them say, and in whichever order they fall silent, the master stays."""
    view = view_of(*[A] * count)
    liars = (count - 1) // 2
    words = st.tuples(st.integers(0, max(liars - 1, 0)), st.sampled_from([A, B, None]), st.booleans())
    for index, vote, silent in data.draw(st.lists(words)) if liars else []:
        if silent:
            view.on_silence(index, "gone")
        else:
            assert not view.on_answer(index, vote)
        assert str(view.master) == str(A)
        assert view.state == AGREED


@given(st.integers(1, 5), st.data())
def test_every_move_has_most_votes(count: int, data: st.DataObject) -> None:
    """Whenever the master moves, more than half name the new one at that moment."""
    view = MasterView(count)
    for index, vote in data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.sampled_from([A, B, None])))):
        before = view.master
        moved = view.on_answer(index, vote)
        assert moved == (str(before) != str(view.master))
        if moved:
            assert 2 * view.agreeing_count() > count
        assert (view.state == UNKNOWN) == (view.master is None)
