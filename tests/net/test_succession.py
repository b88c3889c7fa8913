"""What a new process says and waits for; tests/live/test_upgrade.py has both processes."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop

from kidoproxy.net.handover import READY, Handover, Predecessor
from kidoproxy.net.succession import Succession


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
            listeners=[],
            admin_listener=None,
        )
        succession = Succession(daemon)
        uvloop.run(asyncio.wait_for(succession.take_the_place(), 20))
        assert workers.waited is says
        assert succession.ready_state() == "MAINPID=5\nREADY=1"
        if says:
            assert own_end.recv(100) == READY
        else:
            with pytest.raises(BlockingIOError):
                own_end.recv(100)


def test_who_replaces_nobody() -> None:
    """The service manager knows which process it has started."""
    daemon = SimpleNamespace(handover=Handover())
    succession = Succession(cast(Any, daemon))
    uvloop.run(asyncio.wait_for(succession.take_the_place(), 20))
    assert succession.ready_state() == "READY=1"
