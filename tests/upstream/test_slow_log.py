"""The slow log is bounded, and each pool sees its own nodes."""

from kidoproxy.resp import limits
from kidoproxy.upstream.slow_log import NEVER, SlowLog


def test_the_slow_log() -> None:
    """The newest first; the oldest goes; forgetting is for some nodes, and numbers are never used again."""
    log = SlowLog()
    for number in range(limits.SLOW_LOG_LENGTH + 2):
        log.add(float(number), "c", number % 2, "n", [b"get"], 0.0, 1.0)
    assert len(log.requests) == limits.SLOW_LOG_LENGTH
    assert log.of_nodes([0, 1])[0].id == limits.SLOW_LOG_LENGTH + 2
    assert log.requests[0].id == 3
    log.forget([0])
    assert {request.node_id for request in log.of_nodes([0, 1])} == {1}
    log.add(0.0, "c", 0, "n", [], 0.0, 0.0)
    assert log.requests[-1].id == limits.SLOW_LOG_LENGTH + 3


def test_the_threshold() -> None:
    """0 is for none."""
    log = SlowLog()
    assert log.threshold == NEVER
    log.set_threshold(0.5)
    assert log.threshold == 0.5
    log.set_threshold(0.0)
    assert log.threshold == NEVER
