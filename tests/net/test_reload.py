"""Reading a changed file, and what comes of it: taken over, or a line for each reason why not."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import Pipe
from pathlib import Path

import pytest

from kidoproxy.config import Config, ConfigError
from kidoproxy.net.handover import Handover
from kidoproxy.net.listeners import Listeners
from kidoproxy.net.live_update import LiveUpdate
from kidoproxy.net.reload import (
    ParentReloads,
    ReadConfig,
    SignalReloads,
    hold_hangup,
    ignore_hangup,
    read_changed,
    reloading_state,
)
from kidoproxy.net.reload_answer import BUG
from kidoproxy.net.succession import StartError
from kidoproxy.net.tasks import Tasks
from kidoproxy.net.worker_orders import Answer, Order, Step
from kidoproxy.routes.build import RouteTree
from kidoproxy.session.proxy_state import ProxyState
from tests.config.files import pool, read
from tests.net.real import run, until
from tests.session.stage import ring


@pytest.fixture(autouse=True)
def hangup() -> Iterator[None]:
    """Whatever a test does to SIGHUP ends with it."""
    handler, mask = signal.getsignal(signal.SIGHUP), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.signal(signal.SIGHUP, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def hang_up() -> None:
    """To this thread: others that run here since earlier tests do not hold the signal back."""
    signal.pthread_kill(threading.get_ident(), signal.SIGHUP)


class FakeDaemon:
    """Notes what it is told."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.proxy: ProxyState = ring("a").proxy
        self.tasks = Tasks()
        self.stop_event = asyncio.Event()
        self.prepared: list[Config] = []
        self.applied: list[Config] = []
        self.handover = Handover()
        self.fails_in = ""
        self.notified: list[str] = []

    def make_update(self, config: Config) -> LiveUpdate:
        if self.fails_in == "make":
            raise RuntimeError("a bug")
        return LiveUpdate(config, config, self.proxy, RouteTree(), Listeners(self.handover, None, set()))

    async def prepare_update(self, update: LiveUpdate) -> None:
        if self.fails_in == "prepare":
            raise StartError("no such address")
        self.prepared.append(update.config)

    def cancel_update(self, update: LiveUpdate) -> None:
        self.prepared.remove(update.config)

    async def apply_update(self, update: LiveUpdate) -> None:
        if self.fails_in == "apply":
            raise RuntimeError("a bug")
        self.applied.append(update.config)
        self.config = update.config

    def notify(self, state: str) -> None:
        self.notified.append(state.partition("=")[0])


def has_rejected(daemon: FakeDaemon, count: int) -> bool:
    return daemon.proxy.reloads == {"ok": 1, "rejected": count}


def reader(*outcomes: Config | Exception) -> ReadConfig:
    """Reads these, one after the other."""
    left = list(outcomes)

    def take() -> Config:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return take


# -- reading -----------------------------------------------------------------------------------------------


def test_a_change_that_is_live(tmp_path: Path, lines: Callable[[], list[str]]) -> None:
    """The log names its keys; a warning that is new is a line, an old one is not repeated."""
    old = read(tmp_path, pool("protected = true"))
    new = read(tmp_path, pool("timeout_ms = 7\npassword = 'x'"))
    warned = Config(new.pools, warnings=("old", "new"))
    assert read_changed(reader(warned), Config(old.pools, warnings=("old",)), []) is warned
    assert lines() == [
        "dangerous setting: reason=new",
        "configuration read: changed=pool.cache.password,pool.cache.timeout_ms",
    ]
    assert read_changed(reader(new), new, []) is new
    assert lines()[-1] == "configuration read: changed=nothing"


def test_a_change_that_needs_a_restart(tmp_path: Path, lines: Callable[[], list[str]]) -> None:
    """A line for each key, and none of the others is applied."""
    old, new = read(tmp_path, pool("")), read(tmp_path, pool("databases = 7\nhash = 'fnv1a_64'\ntimeout_ms = 7"))
    problems: list[str] = []
    assert read_changed(reader(new), old, problems) is None
    cause = "cause=a change of this key needs a restart; nothing was applied"
    assert lines() == [
        f"reload rejected: key=pool.cache.databases {cause}",
        f"reload rejected: key=pool.cache.hash {cause}",
    ]
    assert problems[0] == "pool.cache.databases: a change of this key needs a restart; nothing was applied"


def test_mistakes(tmp_path: Path, lines: Callable[[], list[str]]) -> None:
    """A line for each, as at the start; a bug of the reader is not the end either."""
    old = read(tmp_path, pool(""))
    problems: list[str] = []
    assert read_changed(reader(ConfigError(["one", "two"])), old, problems) is None
    assert lines() == ["reload rejected: cause=one", "reload rejected: cause=two"]
    assert read_changed(reader(ValueError("bug")), old, problems) is None
    assert problems == ["one", "two", "the file could not be read"]
    assert lines()[-1] == "reload rejected: cause=the file could not be read"


# -- one process -------------------------------------------------------------------------------------------


def test_a_signal(tmp_path: Path) -> None:
    """What came before it listened for it counts; the service manager hears of each reload, good or bad."""
    old, new = read(tmp_path, pool("")), read(tmp_path, pool("timeout_ms = 7"))

    async def scenario() -> None:
        daemon = FakeDaemon(old)
        hang_up()
        SignalReloads(reader(new, ConfigError(["bad"]))).attach(daemon)
        await until(lambda: daemon.notified == ["RELOADING", "READY"])
        hang_up()
        await until(lambda: daemon.notified == ["RELOADING", "READY"] * 2)
        assert daemon.applied == [new]
        assert daemon.proxy.reloads == {"ok": 1, "rejected": 1}
        assert daemon.proxy.configured_ms == daemon.proxy.wall_ms
        await daemon.tasks.stop()

    hold_hangup()
    run(scenario())


def test_signals_that_come_together(tmp_path: Path) -> None:
    """Those before it reads are one reload, those while it reads are one more."""
    old, new = read(tmp_path, pool("")), read(tmp_path, pool("timeout_ms = 7"))

    async def scenario() -> None:
        daemon = FakeDaemon(old)
        reloads = SignalReloads(reader(*[new] * 9))
        reloads.attach(daemon)
        for _ in range(3):
            reloads.request()
        await until(lambda: "RELOADING" in daemon.notified)
        for _ in range(3):
            reloads.request()
        await until(lambda: len(daemon.notified) == 4)
        assert daemon.proxy.reloads == {"ok": 2, "rejected": 0}
        await daemon.tasks.stop()

    run(scenario())


def test_a_disk_that_is_gone(tmp_path: Path) -> None:
    """The end of the process does not wait for it, and what it says then is nobody's any more."""
    old = read(tmp_path, pool(""))
    answer, threads = threading.Event(), [*threading.enumerate()]

    def wait() -> Config:
        answer.wait(60)
        return old

    async def scenario(answers: bool) -> None:
        daemon = FakeDaemon(old)
        reloads = SignalReloads(wait)
        reloads.attach(daemon)
        reloads.request()
        await until(lambda: daemon.notified)
        await daemon.tasks.stop()
        if answers:
            answer.set()
            await until(lambda: threading.enumerate() == threads)
        assert daemon.proxy.reloads == {"ok": 0, "rejected": 0}

    run(scenario(True))
    answer.clear()
    run(scenario(False))
    answer.set()
    for thread in set(threading.enumerate()) - set(threads):
        thread.join(20)


def test_while_it_stops(tmp_path: Path, lines: Callable[[], list[str]]) -> None:
    """It is rejected; one that is under way does not say READY any more."""
    old = read(tmp_path, pool(""))

    async def scenario() -> None:
        daemon = FakeDaemon(old)
        reloads = SignalReloads(reader(old))
        reloads.attach(daemon)
        reloads.request()
        await until(lambda: daemon.notified)
        daemon.stop_event.set()
        reloads.request()
        await until(lambda: daemon.proxy.reloads == {"ok": 0, "rejected": 2})
        assert (daemon.notified, daemon.prepared, daemon.applied) == (["RELOADING"], [], [])
        assert lines()[-1] == "reload rejected: cause=the proxy is stopping"
        await daemon.tasks.stop()

    run(scenario())


def test_the_time_of_a_reload() -> None:
    """In microseconds, as sd_notify(3) wants it."""
    first, second = reloading_state().split("\n")
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


# -- workers -----------------------------------------------------------------------------------------------


def test_a_worker_is_told(tmp_path: Path, lines: Callable[[], list[str]]) -> None:
    """A configuration, a reload that was rejected, one that fails by a bug; the end of the parent is no message."""
    old, new = read(tmp_path, pool("")), read(tmp_path, pool("password = 'x'"))

    async def scenario() -> None:
        receiver, sender = Pipe()
        daemon = FakeDaemon(old)
        steps = [(Step.PREPARE, new), (Step.APPLY, None), (Step.REJECT, None)]
        for number, (step, config) in enumerate(steps):
            sender.send(Order(number, step, config))
        ParentReloads(receiver).attach(daemon)
        await until(lambda: daemon.proxy.reloads == {"ok": 1, "rejected": 1})
        assert daemon.applied == [new]
        assert [sender.recv() for _ in range(2)] == [Answer(0), Answer(1)]
        for rejected, daemon.fails_in in enumerate(("make", "prepare", ""), 2):
            sender.send(Order(5, Step.PREPARE, new))
            sender.send(Order(6, Step.REJECT))
            await until(partial(has_rejected, daemon, rejected))
        answers = [sender.recv() for _ in range(3)]
        assert answers == [Answer(5, (BUG,)), Answer(5, ("no such address",)), Answer(5)]
        assert daemon.prepared == daemon.applied
        sender.send(Order(7, Step.PREPARE, new))
        daemon.fails_in = "apply"
        sender.send(Order(8, Step.APPLY))
        await until(partial(has_rejected, daemon, 5))
        assert [sender.recv() for _ in range(2)] == [Answer(7), Answer(8, (BUG,))]
        assert lines() == ["reload failed", "reload rejected: cause=no such address", "reload failed"]
        daemon.stop_event.set()
        for number, (step, config) in enumerate(steps[:2]):
            sender.send(Order(number, step, config))
        assert await asyncio.to_thread(lambda: [sender.recv() for _ in range(2)]) == [
            Answer(0, ("the proxy is stopping",)),
            Answer(1, (BUG,)),
        ]
        sender.close()
        await until(lambda: not asyncio.get_running_loop().remove_reader(receiver.fileno()))
        receiver.close()
        await daemon.tasks.stop()

    run(scenario())


def test_a_worker_ignores_the_signal() -> None:
    """Its parent passes it on, even where a terminal has sent it to all."""
    hold_hangup()
    ignore_hangup()
    hang_up()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
