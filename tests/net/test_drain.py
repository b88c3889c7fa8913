"""Closing all clients: at once, in portions, and those of some pools first."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest
import uvloop

from kidoproxy.net import drain
from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.drain import MIN_PORTION, accept_waiting, drain_clients, finish_clients


class FakeClient:
    """It goes when it was asked often enough."""

    def __init__(self, clients: set[Any], asks: int = 1) -> None:
        self.clients, self.asks = clients, asks
        self.sent_eof = False
        self.hurried = False
        self.reason = ""
        clients.add(self)

    def close_if_drained(self, hurry: bool) -> None:
        self.hurried = hurry
        self.asks -= 1
        if self.asks <= 0:
            self.sent_eof = True
            self.clients.discard(self)

    def disconnect(self, reason: str) -> None:
        self.reason = reason
        self.clients.discard(self)


def run(scenario: Coroutine[Any, Any, object]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 30))


def crowd(count: int, asks: int = 1) -> set[ClientIO]:
    clients: set[Any] = set()
    for _ in range(count):
        FakeClient(clients, asks)
    return cast(set[ClientIO], clients)


@pytest.mark.parametrize(("gradual", "ticks"), [(False, 1), (True, 5)])
def test_all_go_at_once_or_in_portions(gradual: bool, ticks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a take-over not all come to the new process at one moment."""
    sizes: list[int] = []
    clients = crowd(5 * MIN_PORTION)

    async def sleep(seconds: float) -> None:
        sizes.append(len(clients))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    run(drain_clients(clients, 10.0, gradual))
    assert len(sizes) == ticks
    assert sizes[-1] == 0


def test_very_many_are_gone_in_time() -> None:
    """The portions are as large as it takes."""
    clients = crowd(10_000)
    run(drain_clients(clients, 0.4, True))
    assert clients == set()


def test_who_does_not_go_is_cut() -> None:
    """When the time of the drain is over, of a part of the clients too."""
    for part in (False, True):
        clients = crowd(2, 1_000_000)
        all_of_them: list[Any] = list(clients)
        run(finish_clients(lambda found=clients: list(found), 0.5) if part else drain_clients(clients, 0.2, False))  # type: ignore[misc]
        assert [client.reason for client in all_of_them] == ["drain time is over"] * 2
        assert all(client.hurried is part for client in all_of_them)


@pytest.mark.parametrize("part", [False, True])
def test_who_is_in_a_handshake_becomes_a_client_first(part: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for, and then answered as others are; who says nothing is not waited for long."""
    monkeypatch.setattr(drain, "HANDSHAKE_SECONDS", 0.3)
    clients: set[Any] = set()
    looks: list[int] = []

    def count() -> int:
        looks.append(1)
        if len(looks) == 3:
            FakeClient(clients)
        return 1

    def drained(count: Any) -> Coroutine[Any, Any, object]:
        if part:
            return finish_clients(lambda: list(clients), 10.0, count)
        return drain_clients(clients, 10.0, False, count)

    run(drained(count))
    assert (len(looks) >= 3, clients) == (True, set())


class FakeListener:
    """Somebody waits there, so many times."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting

    def has_waiting(self) -> bool:
        self.waiting -= 1
        return self.waiting >= 0


def test_who_has_connected_is_accepted_first() -> None:
    """But not for ever: more may come at any time."""
    few, many = FakeListener(3), FakeListener(1_000_000)
    run(accept_waiting(cast(Any, [few])))
    run(accept_waiting(cast(Any, [many])))
    assert few.waiting == -1
    assert many.waiting == 1_000_000 - drain.ACCEPT_TURNS
