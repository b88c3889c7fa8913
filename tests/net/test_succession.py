"""What a new process says and waits for; tests/live/test_upgrade.py has both processes."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop

from kidoproxy.net import succession
from kidoproxy.net.handover import READY, Handover, Predecessor
from kidoproxy.net.succession import Succession
from kidoproxy.net.ticker import Ticker


class Workers:
    """They are waited for."""

    waited = False

    async def wait_for_all(self) -> None:
        self.waited = True


@pytest.mark.parametrize(
    ("worker", "replaces", "says"), [(None, False, True), (0, False, True), (1, False, False), (0, True, False)]
)
def test_who_says_ready(worker: int | None, replaces: bool, says: bool) -> None:
    """The only process, or the first worker when all others serve; not one that replaces it later."""
    own_end, other_end = socket.socketpair()
    with own_end, other_end:
        own_end.setblocking(False)
        handover = Handover(predecessor=Predecessor(7, other_end, [], []))
        handover.main_pid = 5
        workers = Workers()
        daemon: Any = SimpleNamespace(
            handover=handover,
            worker=worker,
            replaces=replaces,
            worker_sockets=workers,
            listeners=OpenListeners(),
        )
        made = Succession(daemon)
        uvloop.run(asyncio.wait_for(made.take_the_place(), 20))
        assert workers.waited is says
        assert made.ready_state() == "MAINPID=5\nREADY=1"
        if says:
            assert own_end.recv(100) == READY
        else:
            with pytest.raises(BlockingIOError):
                own_end.recv(100)


class Listener:
    """It is asked for its file."""

    owns_file = False

    def own_file(self) -> None:
        self.owns_file = True


class OpenListeners:
    """Those of a daemon."""

    def __init__(self) -> None:
        self.opened: list[Listener] = []

    def all(self) -> list[Listener]:
        return self.opened


class Copies:
    """Their records are locked until it has been looked so many times."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.records = SimpleNamespace(inherited={})
        self.bridge = SimpleNamespace(schedule_flush=None)

    def are_locked(self) -> bool:
        self.looks -= 1
        return self.looks >= 0

    def register_ticks(self, ticker: object) -> None:
        pass


@pytest.mark.parametrize(("looks", "left"), [(0, -1), (2, -1), (1000, 995)])
def test_copies_of_a_process_that_was_killed(looks: int, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end of the channel may be closed before its locks: they are waited for, but not for ever."""
    monkeypatch.setattr(succession, "LOCK_POLL_SECONDS", 0.001)
    monkeypatch.setattr(succession, "LOCK_SECONDS", 0.0055)
    own_end, other_end = socket.socketpair()
    own_end.close()
    daemon: Any = Daemon(looks)
    uvloop.run(asyncio.wait_for(Succession(daemon).take_over_copies(Predecessor(7, other_end, [], [])), 20))
    assert daemon.began == ["copies", "nodes", "listen"]
    assert daemon.copy_pools.looks == left
    assert daemon.listeners.opened[0].owns_file


class Daemon:
    """What it has begun, in this order."""

    def __init__(self, looks: int) -> None:
        self.handover = Handover()
        self.copy_pools = Copies(looks)
        self.ticker = Ticker()
        self.listeners = OpenListeners()
        self.began: list[str] = []

    async def start_copies(self) -> None:
        self.began.append("copies")

    async def wait_for_nodes(self) -> None:
        self.began.append("nodes")

    async def listen_for_pools(self, with_copies: bool) -> None:
        assert with_copies
        self.began.append("listen")
        self.listeners.opened.append(Listener())


def test_who_replaces_nobody() -> None:
    """The service manager knows which process it has started."""
    daemon = SimpleNamespace(handover=Handover())
    made = Succession(cast(Any, daemon))
    uvloop.run(asyncio.wait_for(made.take_the_place(), 20))
    assert made.ready_state() == "READY=1"
