"""SIGHUP: the configuration is read anew and applied while clients stay, or refused as a whole.

    SIGHUP ─► read (in a thread) ─► plan ─► apply in one turn of the loop          one process: `SignalReloads`
    SIGHUP ─► the parent: read ─► plan ─► a pipe to each worker ─► apply there     workers: `ParentReloads`

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
from multiprocessing.connection import Connection
from threading import Thread
from typing import Final, Protocol

from kidoproxy.config import Config, ConfigError
from kidoproxy.config.changes import plan_reload
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.tasks import Tasks
from kidoproxy.session.proxy_state import ProxyState

log = EventLogger("kidoproxy")

#: Reads and checks the file; `ConfigError` has a line for each mistake.
ReadConfig = Callable[[], Config]

RESTART_NEEDED: Final = "a change of this key needs a restart; nothing was applied"


class Reloadable(Protocol):
    """What a daemon is to those who reload it."""

    config: Config
    proxy: ProxyState
    tasks: Tasks
    stop_event: asyncio.Event

    def apply_config(self, config: Config) -> None:
        """Take over a configuration that `plan_reload` has found live."""

    def notify(self, state: str) -> None:
        """Tell the service manager."""


class Reloads(Protocol):
    """Where a daemon's reloads come from."""

    def attach(self, daemon: Reloadable) -> None:
        """The daemon serves: reload it from now on, also for what came before."""


def read_changed(read: ReadConfig, current: Config) -> Config | None:
    """The file as it is now, if a process that runs with ``current`` can take it over; else the log says why not."""
    try:
        config = read()
    except ConfigError as error:
        for problem in error.problems:
            log.error("reload rejected", cause=problem)
        return None
    except Exception:
        log.exception("reload rejected", cause="the file could not be read")
        return None
    plan = plan_reload(current, config)
    for key in plan.restart:
        log.error("reload rejected", key=key, cause=RESTART_NEEDED)
    if plan.restart:
        return None
    for warning in config.warnings:
        if warning not in current.warnings:
            log.warning("dangerous setting", reason=warning)
    log.info("configuration read", changed=",".join(plan.live) or "nothing")
    return config


async def read_in_thread(read: ReadConfig, current: Config) -> Config | None:
    """As `read_changed`, for the loop never waits for a disk; nor does the end of the process, if that has gone."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Config | None] = loop.create_future()

    def work() -> None:
        config = read_changed(read, current)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(deliver, config)

    def deliver(config: Config | None) -> None:
        if not done.done():
            done.set_result(config)

    Thread(target=work, name="reload", daemon=True).start()
    return await done


def reloading_state() -> str:
    """What the service manager is told when a reload begins, see sd_notify(3)."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def apply_or_log(daemon: Reloadable, config: Config | None) -> None:
    """Take over ``config`` and count that; None is a reload that was rejected."""
    if config is not None:
        try:
            daemon.apply_config(config)
        except Exception:
            log.exception("reload failed")
            config = None
    daemon.proxy.count_reload(config is not None)


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
            log.warning("reload rejected", cause="the proxy is stopping")
            self.daemon.proxy.count_reload(False)
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
        config = await read_in_thread(self.read, daemon.config)
        apply_or_log(daemon, config)
        if not daemon.stop_event.is_set():
            daemon.notify("READY=1")


class ParentReloads:
    """The reloads of a worker: its parent sends what the file says, or None for a reload that was rejected."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def attach(self, daemon: Reloadable) -> None:
        self.daemon = daemon
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.pipe.fileno(), self.receive)

    def receive(self) -> None:
        """One message; the parent writes it in one go, and is gone if there is none."""
        try:
            config: Config | None = self.pipe.recv()
        except (OSError, EOFError, pickle.UnpicklingError):
            self.loop.remove_reader(self.pipe.fileno())
            return
        apply_or_log(self.daemon, config)


def hold_hangup() -> None:
    """Let SIGHUP wait until somebody handles it; without this it would end a process that is starting."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def ignore_hangup() -> None:
    """In a worker: a terminal that closes signals all processes, and the parent passes it on."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
