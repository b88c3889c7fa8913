"""When a connection that failed is tried again."""

import pytest

from kidoproxy.resp import limits
from kidoproxy.upstream.backoff import Backoff
from tests.story import (
    client,
    given,
    greeted,
    node,
    refused,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)
from tests.upstream.rig import REFUSED


def test_back_off() -> None:
    """Each attempt that fails doubles the pause, up to a limit; nobody waits for a probe; use forgets it all."""
    play = story(ring("a"), shy=True) >> client("GET {a}1") >> refused("a") << to_client(REFUSED)
    conn = play.connection("a")
    pauses = []
    for _ in range(10):
        pauses.append(conn.backoff.retry_at - play.executor.now)
        assert play >> tick(pauses[-1] - 0.01) << then(lambda play: "down" in repr(conn))
        assert play >> tick(0.06) << then(lambda play: "connecting" in repr(conn))
        assert play >> client("GET {a}1") << to_client(REFUSED) >> refused("a") << silence()
    for at, pause in enumerate(pauses):
        middle = min(0.05 * 2**at, limits.BACKOFF_MAX_SECONDS)
        assert 0.75 * middle - 0.06 <= pause <= min(1.25 * middle, limits.BACKOFF_MAX_SECONDS)
    assert (
        play
        >> tick(7.0)
        >> greeted("a")
        >> client("GET {a}1")
        << to("a", "GET {a}1")
        >> node("a", "$-1")
        << to_client("$-1")
        >> tick(1.1)
        << given(unheard)
        >> refused("a")
        << then(lambda play: conn.backoff.retry_at - play.executor.now <= 1.25 * limits.BACKOFF_MIN_SECONDS)
    )


@pytest.mark.parametrize(("seconds", "replies", "useful"), [(0.5, 3, False), (2.0, 3, True), (0.5, 100, True)])
def test_which_connections_were_of_use(seconds: float, replies: int, useful: bool) -> None:
    """One that lasted, or answered its share: after it the next attempt is made at once."""
    backoff = Backoff()
    assert backoff.take_immediate_retry()
    backoff.on_ready(10.0, 1000)
    backoff.on_closed(10.0 + seconds, 1000 + replies)
    assert backoff.take_immediate_retry() is useful
