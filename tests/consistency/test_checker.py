"""The checker finds each kind of problem, and none in what can have happened."""

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.consistency.checker import CHECKS, TIMED_CHECKS, check, check_counter, check_register
from tests.consistency.history import FAIL, OK, UNKNOWN, History, Operation
from tests.consistency.timed import SLACK, check_lifetime, check_lock


def op(
    action: str, invoked: float, completed: float, result: Any = None, value: Any = None, client: int = 0
) -> Operation:
    """One that has succeeded."""
    return Operation(client, "", "k", action, value, invoked, completed, OK, result)


def unknown(action: str, invoked: float, value: Any = None) -> Operation:
    """One without a reply."""
    return Operation(0, "", "k", action, value, invoked, math.inf, UNKNOWN)


def failed(action: str, invoked: float, completed: float, value: Any = None) -> Operation:
    """One that was not run."""
    return Operation(0, "", "k", action, value, invoked, completed, FAIL)


def write(value: Any, invoked: float, completed: float) -> Operation:
    """A write of this value that was acknowledged; for all models that have values."""
    return op("write", invoked, completed, value=value)


def rules(model: str, entries: Sequence[Operation]) -> set[str]:
    """Which rules are broken."""
    if model in TIMED_CHECKS:
        return {problem.rule for problem in TIMED_CHECKS[model]("k", entries, SLACK)}
    return {problem.rule for problem in CHECKS[model]("k", entries)}


@pytest.mark.parametrize(
    ("entries", "broken"),
    [
        ([write(1, 0, 1), op("read", 2, 3, 1)], set()),
        ([op("read", 0, 1), write(1, 2, 3)], set()),
        ([write(1, 0, 5), op("read", 1, 2, 1), op("read", 3, 4, 1)], set()),
        ([write(1, 0, 1), op("read", 2, 3)], {"stale", "order"}),
        ([write(1, 0, 1), write(2, 2, 3), op("read", 4, 5, 1)], {"stale", "order"}),
        ([write(1, 0, 1), write(2, 2, 3), op("peek", 4, 5, 1)], {"stale"}),
        ([write(1, 0, 1), write(2, 2, 9), op("read", 4, 5, 2), op("read", 6, 7, 1)], {"order"}),
        ([write(1, 0, 1), write(2, 2, 9), op("peek", 4, 5, 2), op("read", 6, 7, 1)], set()),
        ([write(1, 0, 9), write(2, 0, 9), op("read", 1, 2, 1), op("read", 3, 4, 2), op("read", 5, 6, 1)], {"order"}),
        ([op("read", 0, 1, 5)], {"invented"}),
        ([op("read", 0, 1, 5), write(5, 2, 3)], {"invented"}),
        ([failed("write", 0, 1, 5), op("read", 2, 3, 5)], {"invented"}),
        ([unknown("write", 0, 5), op("read", 2, 3), op("read", 9, 10, 5)], set()),
        ([unknown("write", 0, 5), write(6, 1, 2), op("read", 3, 4, 6), op("read", 9, 10, 5)], set()),
        ([unknown("write", 0, 5), write(6, 1, 2), op("read", 3, 4, 5), op("read", 9, 10, 6)], {"order"}),
        ([unknown("write", 0, 5), op("read", 1, 2, 5), write(6, 3, 4), op("read", 9, 10, 5)], {"stale", "order"}),
    ],
)
def test_register(entries: list[Operation], broken: set[str]) -> None:
    """What was acknowledged stands until something else is written, also what was acknowledged to nobody but read."""
    assert rules("register", entries) == broken


def fits(entries: Sequence[Operation]) -> bool:
    """Whether there is an order of all that agrees with time and with a register; by trying each."""
    possible = [entry for entry in entries if entry.outcome == OK]
    maybe = [entry for entry in entries if entry.outcome == UNKNOWN]
    chosen = itertools.chain.from_iterable(itertools.combinations(maybe, n) for n in range(len(maybe) + 1))
    return any(is_order(order) for some in chosen for order in itertools.permutations([*possible, *some]))


def is_order(order: Sequence[Operation]) -> bool:
    """Whether this one does."""
    value = None
    for at, entry in enumerate(order):
        if any(later.completed < entry.invoked for later in order[at + 1 :]):
            return False
        if entry.action == "write":
            value = entry.value
        elif entry.result != value:
            return False
    return True


@pytest.mark.parametrize("seed", range(300))
def test_register_is_exact(seed: int) -> None:
    """A history is complained of if and only if no order of its operations explains it."""
    dice = random.Random(seed)
    entries = []
    for value in range(dice.randint(1, 3)):
        began = dice.uniform(0, 6)
        entries.append(
            unknown("write", began, value) if dice.random() < 0.2 else write(value, began, began + 3 * dice.random())
        )
    for _ in range(dice.randint(1, 3)):
        began = dice.uniform(0, 9)
        entries.append(op("read", began, began + 2 * dice.random(), dice.choice([None, *range(len(entries))])))
    assert (not list(check_register("k", entries))) == fits(entries), [str(entry) for entry in entries]


@pytest.mark.parametrize(
    ("entries", "broken"),
    [
        ([op("add", 0, 1, 1), op("add", 2, 3, 2), op("read", 4, 5, 2), op("peek", 4, 5, 2)], set()),
        ([op("add", 0, 3, 2), op("add", 1, 4, 1), op("read", 2, 5, 0)], set()),
        ([op("add", 0, 3, 1), op("add", 1, 4, 1)], {"twice"}),
        ([op("add", 0, 1, 1), op("read", 2, 3, 0)], {"stale"}),
        ([op("add", 0, 1, 1), op("peek", 2, 3, 0)], {"stale"}),
        ([op("add", 0, 1, 2), op("add", 2, 3, 1)], {"stale", "invented"}),
        ([unknown("add", 0), op("read", 1, 2, 1), op("read", 3, 4, 0)], {"order"}),
        ([unknown("add", 0), op("peek", 1, 2, 1), op("read", 3, 4, 0)], set()),
        ([unknown("add", 0), op("add", 1, 2, 2)], set()),
        ([failed("add", 0, 1), op("add", 2, 3, 2)], {"invented"}),
        ([op("add", 0, 1, 1), op("add", 0, 1, 3), unknown("add", 0), op("read", 2, 3, 3)], set()),
        ([op("add", 0, 1, 1), op("add", 0, 1, 2), unknown("add", 3), op("read", 4, 5, 1)], {"stale"}),
    ],
)
def test_counter(entries: list[Operation], broken: set[str]) -> None:
    """No increment is lost, none is counted twice, and no read goes back."""
    assert rules("counter", entries) == broken


@pytest.mark.parametrize(
    ("entries", "broken"),
    [
        ([op("add", 0, 1, (1, 1)), unknown("add", 2), op("read", 4, 5, (1, 1))], set()),
        ([op("add", 0, 1, (1, 1)), op("read", 2, 3, (1, 0))], {"order"}),
        ([op("add", 0, 1, (1, 1)), op("read", 2, 3, (0, 0))], {"stale"}),
    ],
)
def test_pair(entries: list[Operation], broken: set[str]) -> None:
    """Nobody sees half of a transaction."""
    assert rules("pair", entries) == broken


def append(element: str, invoked: float, completed: float) -> Operation:
    """One that was acknowledged."""
    return op("append", invoked, completed, value=element)


@pytest.mark.parametrize(
    ("entries", "broken"),
    [
        ([append("a", 0, 1), append("b", 2, 3), op("read", 4, 5, ("a", "b")), op("peek", 4, 5, ("a", "b"))], set()),
        ([append("a", 0, 3), append("b", 1, 4), op("read", 2, 5, ("b",)), op("read", 6, 7, ("b", "a"))], set()),
        ([append("a", 0, 1), append("b", 2, 3), op("read", 4, 5, ("b", "a"))], {"order"}),
        ([append("a", 0, 1), op("read", 2, 3, ())], {"stale"}),
        ([append("a", 0, 1), op("peek", 2, 3, ())], {"stale"}),
        ([append("a", 0, 1), append("b", 0, 1), op("read", 2, 3, ("b",))], {"stale"}),
        ([append("a", 0, 1), op("read", 2, 3, ("a", "a"))], {"twice"}),
        ([op("read", 2, 3, ("a",))], {"invented"}),
        ([failed("append", 0, 1, "a"), op("read", 2, 3, ("a",))], {"invented"}),
        ([op("read", 2, 3, ("a",)), append("a", 4, 5)], {"invented"}),
        ([unknown("append", 0, "a"), op("read", 1, 2, ()), op("read", 3, 4, ("a",))], set()),
        ([unknown("append", 0, "a"), op("read", 1, 2, ("a",)), op("read", 3, 4, ())], {"order"}),
        ([unknown("append", 0, "a"), op("peek", 1, 2, ("a",)), op("read", 3, 4, ())], set()),
        ([append("a", 0, 9), append("b", 0, 9), op("read", 1, 2, ("a",)), op("read", 1, 2, ("b",))], {"order"}),
    ],
)
def test_log(entries: list[Operation], broken: set[str]) -> None:
    """One order for all, and nothing that was acknowledged leaves it."""
    assert rules("log", entries) == broken


def add(element: str, invoked: float, completed: float) -> Operation:
    """One that was acknowledged."""
    return op("add", invoked, completed, value=element)


@pytest.mark.parametrize(
    ("entries", "broken"),
    [
        ([add("a", 0, 1), add("b", 0, 9), op("read", 2, 3, {"a"}), op("peek", 2, 3, {"a", "b"})], set()),
        ([add("a", 0, 1), op("read", 2, 3, set())], {"stale"}),
        ([add("a", 0, 1), op("peek", 2, 3, set())], {"stale"}),
        ([unknown("add", 0, "a"), op("read", 2, 3, {"a"}), op("read", 4, 5, set())], {"order"}),
        ([unknown("add", 0, "a"), op("peek", 2, 3, {"a"}), op("read", 4, 5, set())], set()),
        ([op("read", 2, 3, {"a"})], {"invented"}),
        ([failed("add", 0, 1, "a"), op("read", 2, 3, {"a"})], {"invented"}),
        ([op("read", 2, 3, {"a"}), add("a", 4, 5)], {"invented"}),
    ],
)
def test_collection(entries: list[Operation], broken: set[str]) -> None:
    """An element that was acknowledged stays."""
    assert rules("collection", entries) == broken


def push(element: str, invoked: float = 0, completed: float = 1) -> Operation:
    """One that was acknowledged."""
    return op("push", invoked, completed, value=element)


@pytest.mark.parametrize(
    ("entries", "broken"),
    [
        ([push("a"), push("b"), op("pop", 2, 3, ("a",)), op("rest", 9, 9, ("b",))], set()),
        ([push("a"), op("pop", 2, 3, ()), op("rest", 9, 9, ())], {"lost"}),
        ([push("a"), unknown("pop", 2), op("rest", 9, 9, ())], set()),
        ([push("a"), push("b"), unknown("pop", 2), op("rest", 9, 9, ())], {"lost"}),
        ([push("a"), push("b"), unknown("pop", 2, 2), op("rest", 9, 9, ())], set()),
        ([push("a"), unknown("move", 2), op("rest", 9, 9, ())], {"lost"}),
        ([push("a"), op("move", 2, 3, ("a",)), op("rest", 9, 9, ("a",))], set()),
        ([push("a"), op("move", 2, 3, ("a",)), unknown("pop", 4), op("rest", 9, 9, ())], {"lost"}),
        ([unknown("push", 0, "a"), op("rest", 9, 9, ())], set()),
        ([unknown("push", 0, "a"), op("pop", 2, 3, ("a",)), op("rest", 9, 9, ())], set()),
        ([push("a"), op("pop", 2, 3, ("a",)), op("pop", 2, 3, ("a",))], {"twice"}),
        ([push("a"), op("pop", 2, 3, ("a",)), op("rest", 9, 9, ("a",))], {"twice"}),
        ([push("a"), op("rest", 9, 9, ("a", "a"))], {"twice"}),
        ([failed("push", 0, 1, "a"), op("pop", 2, 3, ("a",))], {"invented"}),
        ([op("pop", 2, 3, ("a",)), push("a", 4, 5)], {"invented"}),
        ([op("rest", 9, 9, ("a",))], {"invented"}),
    ],
)
def test_queue(entries: list[Operation], broken: set[str]) -> None:
    """Each element has one end."""
    assert rules("queue", entries) == broken


@pytest.mark.parametrize(
    ("entries", "broken"),
    [
        ([push("a"), push("b"), op("deliver", 2, 3, ("a",)), op("rest", 9, 9, (("b",), ("a",)))], set()),
        ([push("a"), op("deliver", 2, 3, ("a",)), op("ack", 4, 5, value="a"), op("rest", 9, 9, ((), ()))], set()),
        ([push("a"), op("deliver", 2, 3, ("a",)), unknown("ack", 4, "a"), op("rest", 9, 9, ((), ()))], set()),
        ([push("a"), op("deliver", 2, 3, ("a",)), op("deliver", 4, 5, ("a",))], {"twice"}),
        ([push("a"), op("deliver", 2, 3, ("a",)), op("rest", 9, 9, (("a",), ()))], {"twice"}),
        ([push("a"), op("deliver", 2, 3, ("a",)), op("rest", 9, 9, ((), ()))], {"lost"}),
        ([push("a"), unknown("deliver", 2), op("rest", 9, 9, ((), ()))], {"lost"}),
        ([push("a"), unknown("deliver", 2), op("rest", 9, 9, ((), ("a",)))], set()),
        ([push("a"), op("ack", 4, 5, value="a"), op("rest", 9, 9, ((), ("a",)))], {"stale"}),
        ([op("deliver", 2, 3, ("a",))], {"invented"}),
    ],
)
def test_group(entries: list[Operation], broken: set[str]) -> None:
    """An entry is with one consumer until it says that it is done."""
    assert rules("group", entries) == broken


def acquire(client: int, invoked: float, completed: float, seconds: float = 10, result: bool = True) -> Operation:
    """An attempt to get the lock."""
    return op("acquire", invoked, completed, result, seconds, client)


@pytest.mark.parametrize(
    ("entries", "broken"),
    [
        ([acquire(1, 0, 1), op("release", 2, 3, True, client=1), acquire(2, 2.5, 4)], set()),
        ([acquire(1, 0, 1), acquire(2, 2, 3, result=False), op("release", 4, 5, True, client=1)], set()),
        ([acquire(1, 0, 1), acquire(2, 2, 3)], {"overlap"}),
        ([acquire(1, 0, 1), acquire(1, 2, 3)], {"overlap"}),
        ([acquire(1, 0, 1), acquire(1, 2, 3, result=False), op("release", 4, 5, True, client=1)], set()),
        ([acquire(1, 0, 1, 2), acquire(2, 2.5, 3)], set()),
        ([acquire(1, 0, 1, 2), op("extend", 1, 1.5, True, 9, 1), acquire(2, 3, 4)], {"overlap"}),
        ([op("extend", 1, 1.5, True, 9, 1), acquire(2, 3, 4)], {"overlap"}),
        ([acquire(1, 0, 1, 2), op("extend", 1, 1.5, False, 9, 1)], {"lost"}),
        ([acquire(1, 0, 1), op("release", 2, 3, False, client=1)], {"lost"}),
        ([acquire(1, 0, 1, 2), op("release", 2, 3, False, client=1)], set()),
        ([acquire(1, 0, 1), unknown("release", 2), op("release", 3, 4, False)], set()),
        ([op("release", 3, 4, False)], set()),
    ],
)
def test_lock(entries: list[Operation], broken: set[str]) -> None:
    """One at a time, and nobody loses it before its time."""
    assert rules("lock", entries) == broken


@pytest.mark.parametrize(
    ("late", "broken"),
    [
        (acquire(11, 7990.2130, 7991.2626, 1.0), set()),
        (acquire(11, 7990.2130, 7991.2626, 1.2), {"overlap"}),
        (acquire(11, 7990.5130, 7991.2626, 1.0), {"overlap"}),
    ],
)
def test_lock_with_a_late_reply(late: Operation, broken: set[str]) -> None:
    """Who hears of it after its time to live has held nothing for certain; who hears of it before has."""
    first = acquire(10, 7991.2583, 7991.2606, 1.0)
    assert rules("lock", [late, first, op("release", 7991.2708, 7991.2730, True, client=10)]) == broken


def test_a_late_reply_hides_no_overlap() -> None:
    """What was held for no time is not looked at as a neighbour of what was held."""
    assert rules("lock", [acquire(1, 8, 9), acquire(2, 5, 10, 4), acquire(3, 10, 11)]) == {"overlap"}


@pytest.mark.parametrize(
    ("entries", "broken"),
    [
        ([op("read", 0, 1, False), write(None, 2, 3), op("read", 4, 5, True), op("delete", 6, 9)], set()),
        ([write(None, 0, 1), op("delete", 2, 3), op("read", 4, 5, False), op("peek", 4, 5, False)], set()),
        ([write(None, 0, 1), op("delete", 2, 3), op("read", 4, 5, True)], {"stale"}),
        ([write(None, 0, 1), op("delete", 2, 3), op("peek", 4, 5, True)], {"stale"}),
        ([write(None, 0, 1), op("read", 4, 5, False)], {"lost"}),
        ([write(None, 0, 1), unknown("delete", 2), op("read", 3, 4, False), op("read", 5, 6, True)], {"order"}),
        ([write(None, 0, 1), unknown("delete", 2), op("peek", 3, 4, False), op("read", 5, 6, True)], set()),
        ([write(2, 0, 1), op("read", 1.2, 1.5, True), op("read", 3.5, 4, False)], set()),
        ([write(2, 0, 1), op("read", 1.2, 1.5, False)], {"lost"}),
        ([write(2, 0, 1), op("read", 3.5, 4, True)], {"stale"}),
        ([unknown("write", 0), op("delete", 1, 2), op("read", 3, 4, False), op("read", 5, 6, True)], set()),
        ([failed("write", 0, 1), op("read", 3, 4, True)], {"invented"}),
        ([failed("write", 0, 1), op("read", 3, 4, False)], set()),
        ([op("read", 0, 1, True), write(None, 2, 3)], {"invented"}),
    ],
)
def test_lifetime(entries: list[Operation], broken: set[str]) -> None:
    """What was deleted or has expired does not come back; nothing goes before its time."""
    assert rules("lifetime", entries) == broken


@pytest.mark.parametrize("seed", range(20))
def test_no_false_alarm(seed: int) -> None:
    """Many clients of one correct counter, some without a reply: nothing is found."""
    dice = random.Random(seed)
    entries, count = [], 0
    for moment in sorted(dice.uniform(0, 50) for _ in range(300)):
        began, ended = moment - dice.random(), moment + dice.random()
        action = dice.choice(["add", "read", "peek"])
        count += action == "add"
        lost = action == "add" and dice.random() < 0.1
        entries.append(unknown("add", began) if lost else op(action, began, ended, count))
    assert list(check_counter("k", entries)) == []


def test_wrong_clocks() -> None:
    """A key may expire earlier and later by as much, at each copy; what does not expire, or was deleted, is as ever."""
    life, slack = 2.0, 0.4
    for entries, found in (
        ([op("read", 2.2, 2.3, False), op("read", 2.4, 2.5, True)], []),
        ([op("read", 1.2, 1.3, False)], ["lost"]),
        ([op("read", 3.9, 4.0, True)], ["stale"]),
        ([op("delete", 1.2, 1.3), op("read", 1.5, 1.6, True)], ["stale"]),
        ([op("delete", 1.2, 1.5), op("read", 1.25, 1.3, False), op("read", 1.35, 1.4, True)], ["order"]),
    ):
        written = Operation(0, "", "k", "write", life, 0.0, 0.1, OK)
        assert [problem.rule for problem in check_lifetime("k", [written, *entries], slack)] == found
    first = Operation(1, "", "k", "acquire", 1.0, 0.0, 0.1, OK, True)
    for moment, overlaps in ((0.5, True), (0.7, False)):
        second = Operation(2, "", "k", "acquire", 1.0, moment, moment + 0.05, OK, True)
        assert bool(list(check_lock("k", [first, second], slack))) == overlaps


def test_history() -> None:
    """All keys of a history are checked, each as its model wants it."""
    history = History()
    history.record(Operation(1, "counter", "n", "add"), lambda: 2)
    history.record(Operation(1, "register", "r", "write", 1), lambda: None)
    history.record(Operation(1, "register", "r", "read"), lambda: 1)
    (problem,) = check(history)
    assert (problem.rule, problem.key) == ("invented", "n")
    assert str(problem).startswith("invented: n: [")
