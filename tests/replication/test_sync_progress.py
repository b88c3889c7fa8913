"""Keys, per cent, rate, time left and pace of a sync."""

import pytest

from kidoproxy.replication.sync_progress import BURST_SECONDS, UNKNOWN_SECONDS, SyncProgress


def test_at_the_beginning() -> None:
    """Before anything is known only the count is shown."""
    progress = SyncProgress(0, 10.0)
    progress.tick(10.0)
    assert (progress.text(), progress.seconds_left()) == ("0 of 0 keys", UNKNOWN_SECONDS)
    progress.begin_pass(200)
    assert progress.text() == "0 of 200 keys (0 %)"


@pytest.mark.parametrize("tick", [0.05, 1.0])
def test_rate_and_time_left(tick: float) -> None:
    """The rate is that of the last seconds; the time left is that of the pass."""
    progress = SyncProgress(0, 0.0)
    progress.begin_pass(100_000)
    now = 0.0
    while now < 20.0:
        now += tick
        progress.add(round(1000 * tick))
        progress.tick(now)
    assert progress.rate == pytest.approx(1000, rel=0.01)
    assert progress.seconds_left() == pytest.approx(80, abs=2)
    assert progress.text().startswith("20000 of 100000 keys (20 %), 1000 keys/s, ")
    while now < 60.0:
        now += tick
        progress.add(round(2000 * tick))
        progress.tick(now)
    assert progress.rate == pytest.approx(2000, rel=0.01)
    progress.add(10)
    assert "(100 %), 2000 keys/s, 0 s left" in progress.text()


def test_pace() -> None:
    """As many keys as its seconds allow; after a pause it catches up on a moment, and no more."""
    progress = SyncProgress(1000, 0.0)
    assert not progress.may_go_on(0.0)
    looked_at, now = 0, 0.0
    while now < 10.0:
        now += 0.05
        progress.tick(now)
        while progress.may_go_on(now):
            progress.add(100)
            looked_at += 100
    assert looked_at == pytest.approx(10_000, abs=200)
    progress.tick(now + 100)
    assert progress.allowance == 1000 * BURST_SECONDS
    assert SyncProgress(0, 0.0).may_go_on(0.0)


def test_half_of_the_time_is_for_clients_alone() -> None:
    """At full speed, too, it rests until the next tick."""
    progress = SyncProgress(0, 1.0)
    assert progress.may_go_on(1.024)
    assert not progress.may_go_on(1.025)
    progress.tick(1.05)
    assert progress.may_go_on(1.074)
