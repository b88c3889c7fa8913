"""Turns at keys: who waits for whom, and in which order they go on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replication.key_turns import DbKey, KeyTurns, OrderingTurn, Turn

A, B, C = (0, b"a"), (0, b"b"), (1, b"a")


class Recorded(Turn):
    """A turn that writes down what becomes of it; it is kept until the test ends it."""

    def __init__(self, name: str, log: list[str], keys: list[DbKey], due: float = 9.0) -> None:
        super().__init__(keys, due)
        self.name = name
        self.log = log

    def take(self) -> None:
        self.log.append(self.name)

    def on_timeout(self) -> None:
        self.log.append(f"{self.name} too late")


class Short(Recorded):
    """A turn that is over as soon as it is taken."""

    def __init__(self, turns: KeyTurns, name: str, log: list[str], keys: list[DbKey]) -> None:
        super().__init__(name, log, keys)
        self.turns = turns

    def take(self) -> None:
        super().take()
        self.turns.leave(self)


class Failing(Recorded):
    """A turn with a bug."""

    def take(self) -> None:
        raise RuntimeError(self.name)


def test_first_come_first_served() -> None:
    """At one key turns come one after another; other keys, and the same key of another database, do not wait."""
    turns, log = KeyTurns(), list[str]()
    first, second, third = [Recorded(name, log, [A]) for name in ("first", "second", "third")]
    assert not turns.busy
    assert not turns.is_taken([A])

    for turn in (first, second, third, Recorded("other", log, [B]), Recorded("elsewhere", log, [C])):
        turns.ask(turn)

    assert log == ["first", "other", "elsewhere"]
    assert turns.is_taken([B, A])
    assert not turns.is_taken([(0, b"c")])
    turns.leave(first)
    assert log[3:] == ["second"]
    turns.leave(second)
    turns.leave(third)
    assert log[4:] == ["third"]
    assert not turns.is_taken([A])
    assert turns.is_taken([])
    assert turns.busy


def test_several_keys() -> None:
    """A turn at two keys waits for both, and holds its place at both meanwhile; a key named twice counts once."""
    turns, log = KeyTurns(), list[str]()
    a, b, both = Recorded("a", log, [A]), Recorded("b", log, [B]), Recorded("both", log, [A, B, A])
    for turn in (a, b, both, Recorded("after", log, [B])):
        turns.ask(turn)

    turns.leave(a)
    assert log == ["a", "b"]
    turns.leave(b)
    assert log == ["a", "b", "both"]
    turns.leave(both)
    assert log == ["a", "b", "both", "after"]


def test_the_whole_keyspace() -> None:
    """It waits for all that were asked for before, and all that are asked for later wait for it."""
    turns, log = KeyTurns(), list[str]()
    a, b = Recorded("a", log, [A]), Recorded("b", log, [B])
    whole, later = Recorded("whole", log, []), Recorded("later", log, [C])
    next_whole, last = Recorded("next whole", log, []), Recorded("last", log, [C])
    for turn in (a, b, whole, later, next_whole, last):
        turns.ask(turn)

    assert turns.is_taken([(5, b"any")])
    for turn, seen in ((a, 2), (b, 3), (whole, 4), (later, 5), (next_whole, 6), (last, 6)):
        turns.leave(turn)
        assert len(log) == seen
    assert log == ["a", "b", "whole", "later", "next whole", "last"]
    assert not turns.busy


def test_too_late() -> None:
    """Who has waited for too long hears so, once, and keeps a place in which nothing happens."""
    turns, log = KeyTurns(), list[str]()
    first = Recorded("first", log, [A], 1.0)
    for turn in (first, Recorded("second", log, [A], 2.0), Recorded("third", log, [A], 3.0)):
        turns.ask(turn)

    for now in (2.0, 2.5, 2.6):
        turns.tick(now)
    assert log == ["first", "second too late"]
    turns.leave(first)
    assert log == ["first", "second too late", "third"]


def test_many_at_once() -> None:
    """However many follow one another at once, that takes no depth of calls; and there is a bound."""
    turns, log = KeyTurns(), list[str]()
    first = Recorded("first", log, [A])
    turns.ask(first)
    for _ in range(5000):
        turns.ask(Short(turns, "short", log, [A]))
    assert not turns.is_full()
    turns.waiting_count += 200_000
    assert turns.is_full()
    turns.waiting_count -= 200_000

    turns.leave(first)

    assert len(log) == 5001
    assert not turns.busy
    assert turns.waiting_count == 0


def test_a_bug() -> None:
    """A turn whose begin fails raises; the next ones are granted all the same."""
    turns, log = KeyTurns(), list[str]()
    with pytest.raises(RuntimeError):
        turns.ask(Failing("bug", log, [A]))
    turns.ask(Short(turns, "other", log, [B]))
    assert log == ["other"]


def test_a_turn_says_what_it_does() -> None:
    """The base does nothing."""
    for act in (Turn.take, Turn.on_timeout):
        with pytest.raises(NotImplementedError):
            act(Turn([], 0.0))


@given(st.lists(st.tuples(st.lists(st.sampled_from([A, B, C]), max_size=3), st.integers(0, 9)), max_size=40))
def test_no_two_at_one_key(script: list[tuple[list[DbKey], int]]) -> None:
    """Whatever is asked for: no two have a turn at one key, order is kept, and all have had theirs in the end."""
    turns, log = KeyTurns(), list[str]()
    running: list[Recorded] = []
    asked: list[Recorded] = []
    for number, (keys, ended) in enumerate(script):
        turn = Recorded(f"{number}", log, keys)
        asked.append(turn)
        turns.ask(turn)
        running = [one for one in asked if one.name in log and one in turns.open_turns]
        held = [key for one in running for key in set(one.keys)]
        assert len(held) == len(set(held))
        assert len(running) < 2 or all(one.keys for one in running)
        if ended < len(running):
            turns.leave(running[ended])
    while turns.open_turns:
        turns.leave(next(one for one in turns.open_turns if isinstance(one, Recorded) and one.name in log))
    for key in (A, B, C):
        order = [int(one.name) for one in asked if key in one.keys]
        assert [int(name) for name in log if int(name) in order] == order
    assert len(log) == len(script)


def test_a_place_in_the_order() -> None:
    """It comes behind those that are there, and before those that follow, whom it does not keep waiting."""
    turns, log = KeyTurns(), list[str]()
    first, other = Recorded("first", log, [A]), Recorded("other", log, [B])
    place = OrderingTurn(turns, [A, B], lambda: log.append(f"place, taken: {place.is_taken}"))
    for turn in (first, other, place, Recorded("later", log, [A])):
        turns.ask(turn)
    turns.leave(first)
    assert log == ["first", "other"]
    turns.leave(other)
    assert log[2:] == ["place, taken: True", "later"]
    assert not place.is_taken


def test_a_place_that_is_not_wanted_any_more() -> None:
    """Nothing happens in it."""
    turns, log = KeyTurns(), list[str]()
    first = Recorded("first", log, [A])
    place = OrderingTurn(turns, [A], lambda: log.append("place"))
    for turn in (first, place, Recorded("later", log, [A])):
        turns.ask(turn)
    place.cancel()
    turns.leave(first)
    assert log == ["first", "later"]
