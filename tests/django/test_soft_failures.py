"""Failures that pages do not see are counted and logged."""

import logging

import pytest

from kidoproxy.django.soft_failures import LOG_SECONDS, PAUSE_SECONDS, SoftFailures, soft_failures_at


class Clock:
    """The time, as a test wants it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_counted_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Each is counted by its operation; a line a minute says how many there were."""
    clock = Clock()
    failures = SoftFailures("redis://h:1", clock)
    with caplog.at_level(logging.WARNING, "kidoproxy.django"):
        for _ in range(3):
            failures.note("get", "NODEDOWN a")
        clock.now += LOG_SECONDS - 0.1
        failures.note("set", "NODEDOWN a")
        clock.now += 0.1
        failures.note("get", "TIMEOUT b")
    assert failures.counts() == {"get": 4, "set": 1}
    assert [record.getMessage() for record in caplog.records] == [
        "cache at redis://h:1: get counts as a miss (NODEDOWN a); 0 more since the last such line",
        "cache at redis://h:1: get counts as a miss (TIMEOUT b); 3 more since the last such line",
    ]


def test_a_pause_after_the_proxy_was_not_there() -> None:
    """Only an unreachable proxy is left alone, and for a moment."""
    clock = Clock()
    failures = SoftFailures("redis://h:1", clock)
    failures.note("get", "NODEDOWN a")
    assert not failures.is_paused()
    failures.note("get", "refused", unreachable=True)
    assert failures.is_paused()
    clock.now += PAUSE_SECONDS
    assert not failures.is_paused()


def test_one_for_each_place() -> None:
    """All caches of a LOCATION count together."""
    assert soft_failures_at("redis://a") is soft_failures_at("redis://a")
    assert soft_failures_at("redis://a") is not soft_failures_at("redis://b")
