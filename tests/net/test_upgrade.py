"""What keeps a new process from taking over, and the old one goes on; tests/live/test_upgrade.py has the rest."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, cast

import pytest
import uvloop

from kidoproxy.net import upgrade
from kidoproxy.net.address_claims import abstract_names
from kidoproxy.net.given_sockets import GivenSocket
from kidoproxy.net.handover import Handover
from kidoproxy.net.succession import Succession
from kidoproxy.net.tasks import Tasks
from kidoproxy.net.upgrade import FAILURES_NAME, Upgrades
from kidoproxy.session.proxy_state import ProxyState
from tests.session.stage import ring

#: Says READY on its channel, and waits to be told of the copies.
READY_PROGRAM = """
import json, os, socket
told = json.loads(os.environ["KIDOPROXY_PREDECESSOR"])
channel = socket.socket(fileno=told["channel"])
channel.send(b"READY\\n")
assert channel.recv(100) == b'{"file": "record"}\\n'
"""


class FakeSuccession:
    """A daemon that has no sockets, and one record."""

    def __init__(self, handover: Handover) -> None:
        self.handover = handover
        self.released = False

    async def listening_sockets(self) -> list[GivenSocket]:
        return []

    async def release(self) -> dict[str, str]:
        self.released = True
        return {"file": "record"}


class FakeDaemon:
    """It knows whether it was stopped."""

    def __init__(self) -> None:
        self.proxy: ProxyState = ring("a").proxy
        self.tasks = Tasks()
        self.stop_event = asyncio.Event()

    def stop(self) -> None:
        assert not self.stop_event.is_set(), "a second order cuts the clients"
        self.stop_event.set()


def upgrades(command: list[str] | None) -> tuple[Upgrades, FakeDaemon, FakeSuccession]:
    daemon, succession = FakeDaemon(), FakeSuccession(Handover(command=command))
    return Upgrades(daemon, cast(Succession, succession)), daemon, succession


def run(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(scenario, 30))


async def until_over(made: Upgrades, daemon: FakeDaemon) -> None:
    """One upgrade, asked for by a signal."""
    made.attach()
    heard = asyncio.Event()

    def request_twice() -> None:
        made.request()
        made.request()
        heard.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, request_twice)
    os.kill(os.getpid(), signal.SIGUSR2)
    await heard.wait()
    await asyncio.gather(*daemon.tasks.running)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("raise SystemExit(2)", "the new process ended with status 2 before it was ready"),
        ("import os; os.kill(os.getpid(), 9)", "the new process ended with status -9 before it was ready"),
        ("import time; time.sleep(60)", "the new process was not ready after 1 s"),
    ],
)
def test_a_new_process_that_does_not_get_ready(
    code: str, cause: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is gone, the old one has lost nothing, the log and a counter say so, and another upgrade may come."""
    monkeypatch.setattr(upgrade, "READY_SECONDS", 1.0)
    made, daemon, succession = upgrades([sys.executable, "-c", code])

    async def scenario() -> None:
        await until_over(made, daemon)
        assert f"{os.getpid()} 1" in abstract_names(FAILURES_NAME)

    run(scenario())
    assert f"upgrade failed: cause={cause}" in caplog.text
    assert "upgrade rejected: cause=the proxy is stopping or being replaced already" in caplog.text
    assert daemon.proxy.upgrade_failures == 1
    assert (made.is_running, succession.released, daemon.stop_event.is_set()) == (False, False, False)
    assert not succession.handover.done.is_set()
    made.close()
    assert f"{os.getpid()} 1" not in abstract_names(FAILURES_NAME)


@pytest.mark.parametrize(("command", "main_pid"), [(None, 7), ([sys.executable], 1), (["/no/such/program"], 7)])
def test_what_cannot_be_started(command: list[str] | None, main_pid: int, caplog: pytest.LogCaptureFixture) -> None:
    """A run with nodes of its own, the first process of a container, a program that is gone."""
    made, daemon, succession = upgrades(command)
    succession.handover.main_pid = main_pid
    run(until_over(made, daemon))
    assert caplog.text.count("upgrade failed") == 1
    assert daemon.proxy.upgrade_failures == 1
    made.close()


def test_the_new_process_takes_over(caplog: pytest.LogCaptureFixture) -> None:
    """Behind READY it is told what became of the copies, and the old one stops."""
    made, daemon, succession = upgrades([sys.executable, "-c", READY_PROGRAM])
    run(until_over(made, daemon))
    assert (succession.released, daemon.stop_event.is_set(), succession.handover.done.is_set()) == (True, True, True)
    assert daemon.proxy.upgrade_failures == 0
    assert "upgrade failed" not in caplog.text
    assert made.process is not None
    assert made.process.wait(20) == 0
    made.close()


@pytest.mark.parametrize("is_started", [True, False])
def test_a_stop_before_the_new_process_is_ready(
    is_started: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is to serve in its place: the new process ends, or is not even started."""
    made, daemon, succession = upgrades([sys.executable, "-c", "import time; time.sleep(60)"])

    async def scenario() -> None:
        waits = asyncio.Event()

        async def wait_until_ready(*arguments: Any) -> None:
            waits.set()
            await wait(*arguments)

        wait = upgrade.wait_until_ready
        monkeypatch.setattr(upgrade, "wait_until_ready", wait_until_ready)
        made.request()
        if is_started:
            await waits.wait()
        daemon.stop()
        made.give_up()
        await asyncio.gather(*daemon.tasks.running)

    run(scenario())
    assert (made.process is not None and made.process.returncode) == (-signal.SIGKILL if is_started else False)
    assert (succession.released, succession.handover.done.is_set()) == (False, False)
    assert caplog.text.count("upgrade failed") == 1
    made.close()


def test_copies_that_are_not_released(caplog: pytest.LogCaptureFixture) -> None:
    """By a bug: the old process stops all the same, and the channel says until its end that it owns them."""
    made, daemon, succession = upgrades([sys.executable, "-c", READY_PROGRAM.replace("assert ", "")])

    async def release() -> dict[str, str]:
        raise RuntimeError("a bug")

    succession.release = release  # type: ignore[method-assign]
    run(until_over(made, daemon))
    assert "upgrade failed" in caplog.text
    assert daemon.stop_event.is_set()
    assert made.channel is not None
    assert made.process is not None
    assert made.process.poll() is None
    made.channel.close()
    assert made.process.wait(20) == 0
    made.close()


def test_a_stop_while_the_copies_are_released() -> None:
    """It is the one that the upgrade would give."""
    made, daemon, succession = upgrades([sys.executable, "-c", READY_PROGRAM])

    async def release() -> dict[str, str]:
        daemon.stop()
        return {"file": "record"}

    succession.release = release  # type: ignore[method-assign]
    run(until_over(made, daemon))
    assert made.process is not None
    assert made.process.wait(20) == 0
    made.close()


def test_a_reload_while_the_new_process_starts() -> None:
    """It may have read the old file: it is told to read it again."""
    program = f"import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])\n{READY_PROGRAM}"
    made, daemon, succession = upgrades([sys.executable, "-c", f"{program}\nsignal.sigwait([signal.SIGHUP])"])

    async def listening_sockets() -> list[GivenSocket]:
        daemon.proxy.count_reload(True)
        return []

    succession.listening_sockets = listening_sockets  # type: ignore[method-assign]
    run(until_over(made, daemon))
    assert made.process is not None
    assert made.process.wait(20) == 0
    made.close()
