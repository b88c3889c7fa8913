"""`kidoproxy.replies.hedge_queue`: which reads are asked twice, and when."""

import random
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidoproxy.replies import hedge_queue
from kidoproxy.replies.hedge_queue import (
    BUDGET,
    MAX_OVER,
    MAX_TOKENS,
    MAX_WAITING,
    MIN_SAMPLES,
    HedgeQueue,
    WaitingRead,
)


class Read(WaitingRead):
    """One that may be asked of a second copy, and counts it."""

    def __init__(self, possible: bool = True) -> None:
        super().__init__()
        self.possible = possible
        self.asked = 0

    def can_be_hedged(self) -> bool:
        return self.possible

    def ask_next(self) -> None:
        self.asked += 1


def queue(delay: float | None = 0.010, tokens: float = MAX_TOKENS) -> HedgeQueue:
    found = HedgeQueue()
    found.delay = delay
    found.tokens = tokens
    return found


def test_when() -> None:
    """After the delay, once, unless it is decided by then; whoever has to call is told when."""
    reads = queue()
    first, second, third, impossible = Read(), Read(), Read(), Read(False)
    for number, read in enumerate((first, second, third, impossible)):
        reads.add(read, number / 1000)
    reads.decide(second)
    assert reads.next_due() == pytest.approx(0.010)
    reads.run(0.0105)
    assert [read.asked for read in (first, second, third)] == [1, 0, 0]
    assert reads.next_due() == pytest.approx(0.012)
    reads.run(0.020)
    assert [read.asked for read in (first, second, third, impossible)] == [1, 0, 1, 0]
    assert (reads.next_due(), reads.counts["sent"]) == (0.0, 2)


def test_never_more_than_their_share() -> None:
    """Of reads that are all slow one in twenty is asked twice, and those that might have been are counted."""
    reads = queue(tokens=0.0)
    slow = [Read() for _ in range(2000)]
    for number, read in enumerate(slow):
        reads.add(read, number / 1000)
        reads.run(number / 1000)
    reads.run(9.0)
    assert sum(read.asked for read in slow) <= len(slow) * BUDGET
    assert sum(read.asked for read in slow) > len(slow) * BUDGET * 0.9
    assert reads.counts["sent"] + reads.counts["over budget"] == len(slow)


def test_what_was_not_used_is_kept_within_bounds() -> None:
    """A quiet hour is no reason for a flood."""
    reads = queue(tokens=0.0)
    for _ in range(10_000):
        read = Read()
        reads.add(read, 0.0)
        reads.decide(read)
    reads.run(1.0)
    assert reads.tokens == MAX_TOKENS
    assert not reads.waiting


def test_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound of reads that wait others are not hedged; of a long line those that are over are forgotten."""
    monkeypatch.setattr(hedge_queue, "MAX_WAITING", MAX_WAITING)
    reads = queue()
    for number in range(MAX_WAITING + 5):
        reads.add(Read(), number / 1_000_000)
    assert len(reads.waiting) == MAX_WAITING
    reads.run(0.010 + 0.012)
    assert len(reads.waiting) < MAX_WAITING
    assert reads.next_due() > 0.022


@pytest.mark.parametrize("slow", [0, 1, 100])
def test_memory_does_not_grow_with_the_delay(slow: int) -> None:
    """Of 50 000 reads within the delay those that are answered are forgotten, whatever waits before and among them."""
    reads = queue(delay=60.0, tokens=MAX_TOKENS)
    waiting = [Read() for _ in range(slow)]
    answered: list[weakref.ref[Read]] = []
    longest = 0
    for number in range(50_000):
        if number % 500 == 0 and number // 500 < slow:
            reads.add(waiting[number // 500], number / 1000)
        read = Read()
        answered.append(weakref.ref(read))
        reads.add(read, number / 1000)
        reads.decide(read)
        longest = max(longest, len(reads.waiting))
    del read
    assert longest <= 2 * slow + MAX_OVER + 1
    assert sum(ref() is not None for ref in answered) <= longest
    reads.run(1000.0)
    assert [read.asked for read in waiting] == [1 if number < MAX_TOKENS else 0 for number in range(slow)]
    assert not reads.waiting


def test_a_long_line_is_hedged_whatever_has_been_answered() -> None:
    """Reads that are over do not fill the queue."""
    reads = queue(delay=60.0)
    for _ in range(MAX_WAITING + 1):
        read = Read()
        reads.add(read, 0.0)
        reads.decide(read)
    late = Read()
    reads.add(late, 1.0)
    reads.run(100.0)
    assert late.asked == 1


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 30)), max_size=300))
def test_it_is_like_a_line_from_which_each_may_step_out(steps: list[tuple[int, int, int]]) -> None:
    """A model: whoever is due and has not been answered is asked for, once, in the order in which they came."""
    reads = queue(delay=0.010)
    everyone: list[Read] = []
    now = 0.0
    for kind, which, wait in steps:
        now += wait / 1000 if kind == 2 else 0.0
        reads.tokens = MAX_TOKENS
        if kind == 0:
            everyone.append(Read())
            reads.add(everyone[-1], now)
        elif kind == 1 and everyone:
            reads.decide(everyone[which % len(everyone)])
        else:
            due = [read for read in everyone if read.is_waiting and read.hedge_at <= now]
            reads.run(now)
            assert [read.asked for read in due] == [1 if at < MAX_TOKENS else 0 for at in range(len(due))]
        waiting = [read for read in everyone if read.is_waiting]
        assert reads.waiting_count == len(waiting)
        assert [read for read in reads.waiting if read.is_waiting] == waiting
        assert len(reads.waiting) <= 2 * len(waiting) + MAX_OVER + 1
        assert all(read.asked <= 1 for read in everyone)


@pytest.mark.parametrize("scale", [0.0005, 0.02])
def test_the_percentile(scale: float) -> None:
    """It comes near the 95th of what is seen, and follows; before enough is known nothing is hedged."""
    reads = queue(delay=0.0)
    reads.add(Read(), 0.0)
    assert reads.next_due() == 0.0
    chance = random.Random(7)
    for _ in range(20_000):
        reads.observe(chance.expovariate(1 / scale))
    assert scale * 2.3 < reads.p95 < scale * 4.2  # -ln(0.05) = 3.0
    reads.add(Read(), 1.0)
    assert reads.next_due() == pytest.approx(1.0 + max(reads.p95, 0.001))
    for _ in range(20_000):
        reads.observe(chance.expovariate(10 / scale))
    assert reads.p95 < scale
    assert MIN_SAMPLES < 100
