"""SIGHUP: the configuration is read anew and applied while clients stay, or refused as a whole.

    SIGHUP ─► a thread: read, plan, make ─► apply in one turn of the loop                 alone: `SignalReloads`
    SIGHUP ─► the parent: read, plan ─► a pipe to each worker ─► a thread: make ─► apply    workers: `ParentReloads`

A file with a mistake, or with a change that needs a restart, changes nothing: the log has a line for each, the counter
of rejected reloads moves, the old configuration stays. A SIGHUP during the start waits for its end; one during a reload
is the next reload; one during the drain is rejected.
"""

import asyncio
import contextlib
import pickle
import signal
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Final, Protocol

from kidoproxy.config import Config, ConfigError
from kidoproxy.config.changes import plan_reload
from kidoproxy.net.live_update import LiveUpdate
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.reload_answer import ReloadAnswer, find_client
from kidoproxy.net.tasks import Tasks, in_thread
from kidoproxy.session.proxy_state import ProxyState

log = EventLogger("kidoproxy")

#: Reads and checks the file; `ConfigError` has a line for each mistake.
ReadConfig = Callable[[], Config]

STOPPING: Final = "the proxy is stopping"
UNREADABLE: Final = "the file could not be read"
RESTART_NEEDED: Final = "a change of this key needs a restart; nothing was applied"


class Reloadable(Protocol):
    """What a daemon is to those who reload it."""

    config: Config
    proxy: ProxyState
    tasks: Tasks
    stop_event: asyncio.Event

    def make_update(self, config: Config) -> LiveUpdate:
        """What a configuration that `plan_reload` has found live will set; in a thread, and nothing is set yet."""

    def apply_update(self, update: LiveUpdate) -> None:
        """Take it over."""

    def notify(self, state: str) -> None:
        """Tell the service manager."""


class Reloads(Protocol):
    """Where a daemon's reloads come from."""

    def attach(self, daemon: Reloadable) -> None:
        """The daemon serves: reload it from now on, also for what came before."""


def read_changed(read: ReadConfig, current: Config, problems: list[str]) -> Config | None:
    """The file as it is now, if a process that runs with ``current`` can take it over.

    Else the log and ``problems`` have a line for each reason why not.
    """
    try:
        config = read()
    except ConfigError as error:
        for problem in error.problems:
            log.error("reload rejected", cause=problem)
        problems += error.problems
        return None
    except Exception:
        log.exception("reload rejected", cause=UNREADABLE)
        problems.append(UNREADABLE)
        return None
    plan = plan_reload(current, config)
    for key in plan.restart:
        log.error("reload rejected", key=key, cause=RESTART_NEEDED)
        problems.append(f"{key}: {RESTART_NEEDED}")
    if plan.restart:
        return None
    for warning in config.warnings:
        if warning not in current.warnings:
            log.warning("dangerous setting", reason=warning)
    log.info("configuration read", changed=",".join(plan.live) or "nothing")
    return config


def reloading_state() -> str:
    """What the service manager is told when a reload begins, see sd_notify(3)."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def make_or_log(daemon: Reloadable, config: Config | None) -> LiveUpdate | None:
    """What is to be set; None for a reload that was rejected, or that cannot be."""
    try:
        return None if config is None else daemon.make_update(config)
    except Exception:
        log.exception("reload failed")
        return None


def apply_or_log(daemon: Reloadable, update: LiveUpdate | None) -> bool:
    """Set it, count what came of the reload, and say whether it was taken over."""
    try:
        if update is not None:
            daemon.apply_update(update)
    except Exception:
        log.exception("reload failed")
        update = None
    daemon.proxy.count_reload(update is not None)
    return update is not None


class SignalReloads:
    """The reloads of a process that is alone: it hears SIGHUP itself."""

    def __init__(self, read: ReadConfig) -> None:
        self.read = read
        self.requested = asyncio.Event()

    def attach(self, daemon: Reloadable) -> None:
        """Whoever has started this process may have held SIGHUP back since (`hold_hangup`): it comes now."""
        self.daemon = daemon
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.request)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        daemon.tasks.start(self.run(), "reload")

    def request(self) -> None:
        """Reload soon; once for all requests that come before it begins."""
        if self.daemon.stop_event.is_set():
            log.warning("reload rejected", cause=STOPPING)
            self.daemon.proxy.count_reload(False)
            find_client().answer(ReloadAnswer.of(False, [STOPPING]))
        else:
            self.requested.set()

    async def run(self) -> None:
        while True:
            await self.requested.wait()
            self.requested.clear()
            await self.reload()

    async def reload(self) -> None:
        """Read, and take over what can be."""
        daemon = self.daemon
        daemon.notify(reloading_state())
        problems: list[str] = []
        client = await in_thread(find_client)
        update = await in_thread(lambda: make_or_log(daemon, read_changed(self.read, daemon.config, problems)))
        is_applied = apply_or_log(daemon, update)
        client.answer(ReloadAnswer.of(is_applied, problems))
        if not daemon.stop_event.is_set():
            daemon.notify("READY=1")


class ParentReloads:
    """The reloads of a worker: its parent sends what the file says, or None for a reload that was rejected.

    Each message is answered by whether the configuration was taken over.
    """

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.messages: asyncio.Queue[Config | None] = asyncio.Queue()

    def attach(self, daemon: Reloadable) -> None:
        self.daemon = daemon
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.pipe.fileno(), self.receive)
        daemon.tasks.start(self.run(), "reload")

    def receive(self) -> None:
        """One message; the parent writes it in one go, and is gone if there is none."""
        try:
            self.messages.put_nowait(self.pipe.recv())
        except (OSError, EOFError, pickle.UnpicklingError):
            self.loop.remove_reader(self.pipe.fileno())

    async def run(self) -> None:
        """One after the other."""
        while True:
            config = await self.messages.get()
            update = await in_thread(partial(make_or_log, self.daemon, config))
            is_applied = apply_or_log(self.daemon, update)
            with contextlib.suppress(OSError):  # the parent has gone
                self.pipe.send(is_applied)


def hold_hangup() -> None:
    """Let SIGHUP wait until somebody handles it; without this it would end a process that is starting."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def ignore_hangup() -> None:
    """In a worker: a terminal that closes signals all processes, and the parent passes it on."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
