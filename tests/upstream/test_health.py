"""What a node's connections note of how it does."""

import pytest

from kidoproxy.resp import limits
from kidoproxy.upstream.health import NodeHealth


@pytest.mark.parametrize(
    ("raw", "moves"),
    [
        (b"-READONLY You can't write against a read only replica.\r\n", 1),
        (b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n", 1),
        (b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n", 1),
        (b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n", 0),
        (b"-ERR READONLY\r\n", 0),
        (b"-LOADING Redis is loading the dataset in memory\r\n", 0),
    ],
)
def test_what_its_name_does_not_stand_for(raw: bytes, moves: int) -> None:
    """A replica where a master was expected is noted once a second, however often it says so."""
    health = NodeHealth()
    for at in range(10):
        health.on_error_reply(raw, at / 100)
    assert health.role_changes == moves
    health.on_error_reply(raw, limits.RERESOLVE_SECONDS + 0.01)
    assert health.role_changes == 2 * moves
    assert health.failure_counts == ({"role changed": 2} if moves else {})


def test_how_soon_it_answers() -> None:
    """The first time counts in full, later ones pull the average along."""
    health = NodeHealth()
    health.note_reply_time(0.008)
    assert health.reply_seconds == 0.008
    health.note_reply_time(0.016)
    assert health.reply_seconds == pytest.approx(0.009)
    for _ in range(100):
        health.note_reply_time(0.001)
    assert health.reply_seconds == pytest.approx(0.001, rel=0.01)
    health.set_timed(True)
    assert health.reply_seconds
    health.set_timed(False)
    assert not health.reply_seconds
