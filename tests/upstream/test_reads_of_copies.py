"""`kidoproxy.upstream.reads_of_copies`: pools with reads that may be asked twice. What is sent: test_hedged_read.py."""

from kidoproxy.replies.hedge_queue import HedgeQueue
from kidoproxy.upstream.reads_of_copies import Hedges
from tests.replies.test_hedge_queue import Read, queue


def waiting(since: float) -> HedgeQueue:
    """A pool with one read, which is due 10 ms later."""
    found = queue()
    found.add(Read(), since)
    return found


def test_the_first_of_several_pools() -> None:
    """Whoever is due next decides when the timer fires; pools without such a read are forgotten."""
    hedges = Hedges()
    assert hedges.next_due() == 0.0
    hedges.queues += [queue(), waiting(2.0), waiting(1.0), waiting(3.0)]
    assert hedges.next_due() == 1.0 + 0.010
    assert len(hedges.queues) == 3
    hedges.run(2.5)
    assert hedges.next_due() == 3.0 + 0.010
    assert len(hedges.queues) == 1
