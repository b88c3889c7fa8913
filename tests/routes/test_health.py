"""What a node's links note of how it does."""

import pytest

from kidoproxy import limits
from kidoproxy.routes.health import Health


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
    health = Health()
    for at in range(10):
        health.complained(raw, at / 100)
    assert health.moves == moves
    health.complained(raw, limits.MOVE_SECONDS + 0.01)
    assert health.moves == 2 * moves
    assert health.troubles == ({"moved": 2} if moves else {})
