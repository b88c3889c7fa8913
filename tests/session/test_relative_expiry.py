"""A relative expiry counts from the moment at which the write is sent, however long the request has waited here."""

from collections.abc import Callable
from typing import Final

import pytest

from tests.story import Event, Story, client, copies, given, node, story, tick, to_client, unheard

#: Each way to say a relative expiry, and the milliseconds that it means.
RELATIVE: Final = {
    "SET k v EX 2": 2000,
    "SET k v PX 1500": 1500,
    "SETEX k 2 v": 2000,
    "PSETEX k 1500 v": 1500,
    "EXPIRE k 2": 2000,
    "PEXPIRE k 1500 NX": 1500,
    "GETEX k EX 2": 2000,
    "HEXPIRE k 2 FIELDS 1 f": 2000,
    "RESTORE k 1500 x": 1500,
}


def paused(play: Story, request: str) -> Event:
    """CLIENT PAUSE holds it."""
    assert play >> client("CLIENT PAUSE 3000", name="admin") << unheard >> client(request)
    return tick(3.2)


def behind_a_barrier(play: Story, request: str) -> Event:
    """SELECT waits for a slow read, and what comes behind SELECT waits with it."""
    assert play >> client("GET k", "SELECT 0", request) << unheard >> tick(0.4)
    return node("a", "$-1") if play.connection("a").pending_count() else node("b", "$-1")


def behind_a_module(play: Story, request: str) -> Event:
    """The proxy asks a node what a command of a module is."""
    assert play >> client("X.Y k", request) << unheard >> tick(0.4)
    return node("a", "*1 *-1")


def in_a_transaction(play: Story, request: str) -> Event:
    """It is queued, and sent with EXEC."""
    assert play >> client("MULTI", request) << unheard >> tick(3)
    return client("EXEC")


def in_a_paused_transaction(play: Story, request: str) -> Event:
    """EXEC is held."""
    assert play >> client("MULTI", request) << unheard
    assert play >> client("CLIENT PAUSE 3000 WRITE", name="admin") << unheard >> client("EXEC")
    return tick(3.2)


WAYS: Final[list[Callable[[Story, str], Event]]] = [
    paused,
    behind_a_barrier,
    behind_a_module,
    in_a_transaction,
    in_a_paused_transaction,
]


@pytest.mark.parametrize("wait", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("request_text", RELATIVE)
def test_counts_from_sending(wait: Callable[[Story, str], Event], request_text: str) -> None:
    """The moment in the request that the nodes get is the clock's when they get it, and the time to live."""
    play = story(copies("a", "b"))
    goes_on = wait(play, request_text)
    assert play >> given(unheard) >> given(lambda _: None)
    goes_on(play)
    play.settle()
    moment = play.proxy.wall_ms + RELATIVE[request_text]
    for name in "ab":
        sent = b"".join(one.raw for one in play.sent[name])
        at = [int(word) for word in sent.split(b"\r\n") if len(word) == 13 and word.isdigit()]
        assert len(at) == 1
        # A pause ends at a tick of the clock, and the clock of a story may have gone on since.
        assert 0 <= moment - at[0] < 250
    unheard(play)
    assert play >> client("PING", name="other") << to_client("+PONG", name="other")
