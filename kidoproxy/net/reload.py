"""SIGHUP: the configuration is read anew and applied while clients stay, or refused as a whole.

    SIGHUP ─► a thread: read, plan, claim, make ─► bind ─► apply, in one turn of the loop        alone: `SignalReloads`
    SIGHUP ─► the parent: read, plan, claim ─► all workers: make, bind ─► all workers: apply    workers: `ParentReloads`

A file with a mistake, with a change that needs a restart or with an address that cannot be had changes nothing: the log
has a line for each, the counter of rejected reloads moves, the old configuration stays. A SIGHUP during the start waits
for its end; one during a reload is the next reload; one during the drain is rejected.
"""

import asyncio
import contextlib
import os
import pickle
import signal
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Final, Protocol

from kidoproxy.config import Config, ConfigError
from kidoproxy.config.changes import plan_reload
from kidoproxy.net.address_changes import AddressChanges
from kidoproxy.net.handover import Handover
from kidoproxy.net.live_update import LiveUpdate
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.reload_answer import BUG, ReloadAnswer, find_client
from kidoproxy.net.succession import StartError
from kidoproxy.net.tasks import Tasks, in_thread
from kidoproxy.net.worker_orders import Answer, Order, Step, receive_order
from kidoproxy.session.proxy_state import ProxyState

log = EventLogger("kidoproxy")

#: Reads and checks the file; `ConfigError` has a line for each mistake.
ReadConfig = Callable[[], Config]

STOPPING: Final = "the proxy is stopping"
UNREADABLE: Final = "the file could not be read"
FAILED: Final = "it failed, and nothing was applied; the log of the proxy says why"
RESTART_NEEDED: Final = "a change of this key needs a restart; nothing was applied"


class Reloadable(Protocol):
    """What a daemon is to those who reload it."""

    config: Config
    proxy: ProxyState
    tasks: Tasks
    stop_event: asyncio.Event

    handover: Handover

    def make_update(self, config: Config) -> LiveUpdate:
        """What a configuration that `plan_reload` has found live will set; in a thread, and nothing is set yet."""

    async def prepare_update(self, update: LiveUpdate) -> None:
        """Do what may fail; `StartError` says why, and nothing is done."""

    def cancel_update(self, update: LiveUpdate) -> None:
        """Undo that."""

    async def apply_update(self, update: LiveUpdate) -> None:
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


async def prepare_or_log(daemon: Reloadable, config: Config | None, problems: list[str]) -> LiveUpdate | None:
    """What is to be set; None for a reload that was rejected before, or is now: ``problems`` say why."""
    update = await in_thread(partial(make_or_log, daemon, config))
    if update is None:
        return None
    try:
        await daemon.prepare_update(update)
    except StartError as problem:
        reject(str(problem), problems)
        return None
    except Exception:
        log.exception("reload failed")
        return None
    if daemon.stop_event.is_set():
        daemon.cancel_update(update)
        reject(STOPPING, problems)
        return None
    return update


def make_or_log(daemon: Reloadable, config: Config | None) -> LiveUpdate | None:
    """What is to be set; None for a reload that was rejected, or that cannot be."""
    try:
        return None if config is None else daemon.make_update(config)
    except Exception:
        log.exception("reload failed")
        return None


def reject(cause: str, problems: list[str]) -> None:
    """Say why a reload is rejected, in the log and to whoever waits for it."""
    log.error("reload rejected", cause=cause)
    problems.append(cause)


async def apply_or_log(daemon: Reloadable, update: LiveUpdate | None) -> bool:
    """Set it, count what came of the reload, and say whether it was taken over."""
    try:
        if update is not None:
            await daemon.apply_update(update)
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
        self.requested.set()

    async def run(self) -> None:
        while True:
            await self.requested.wait()
            self.requested.clear()
            await self.reload()

    async def reload(self) -> None:
        """Read, and take over what can be."""
        daemon = self.daemon
        problems: list[str] = []
        client = await in_thread(find_client)
        if daemon.stop_event.is_set() or daemon.handover.done.is_set():
            # The process that replaces this one reads the file itself.
            log.warning("reload rejected", cause=STOPPING)
            daemon.proxy.count_reload(False)
            client.answer(ReloadAnswer.of(False, [STOPPING]))
            return
        daemon.notify(reloading_state())
        try:
            changes = await in_thread(lambda: self.read_and_claim(problems))
        except Exception:
            log.exception("reload failed")
            problems.append(FAILED)
            changes = None
        update = await prepare_or_log(daemon, None if changes is None else changes.config, problems)
        is_applied = await apply_or_log(daemon, update)
        if changes is not None:
            changes.end(is_applied)
        client.answer(ReloadAnswer.of(is_applied, problems))
        if not daemon.stop_event.is_set():
            daemon.notify("READY=1")

    def read_and_claim(self, problems: list[str]) -> AddressChanges | None:
        """In a thread: what the file says now, and a claim to where it listens; None: ``problems`` say why not."""
        config = read_changed(self.read, self.daemon.config, problems)
        if config is None:
            return None
        return claim_addresses(self.daemon.handover, self.daemon.config, config, problems)


def claim_addresses(handover: Handover, current: Config, config: Config, problems: list[str]) -> AddressChanges | None:
    """Claim where ``config`` listens in addition; None: the log and ``problems`` say why that cannot be."""
    changes = AddressChanges(handover, current, config)
    if cause := changes.claim():
        reject(cause, problems)
        return None
    return changes


class ParentReloads:
    """The reloads of a worker: its parent says what to prepare, and then to apply that or not; see `worker_orders`."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.orders: asyncio.Queue[Order] = asyncio.Queue()
        #: What is prepared, and waits for the word of the parent.
        self.prepared: LiveUpdate | None = None

    def attach(self, daemon: Reloadable) -> None:
        self.daemon = daemon
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.pipe.fileno(), self.receive)
        # The loop has changed that: half of a long order would look like the end of the parent.
        os.set_blocking(self.pipe.fileno(), True)
        daemon.tasks.start(self.run(), "reload")

    def receive(self) -> None:
        """One order; the parent writes it in one go, and is gone if there is none."""
        try:
            order, claims = receive_order(self.pipe)
        except (OSError, EOFError, pickle.UnpicklingError):
            self.loop.remove_reader(self.pipe.fileno())
            return
        self.daemon.handover.claims.sockets += claims
        self.orders.put_nowait(order)

    async def run(self) -> None:
        """One after the other, until the end, at which nothing stays prepared."""
        try:
            while True:
                await self.obey(await self.orders.get())
        finally:
            self.drop_prepared()

    async def obey(self, order: Order) -> None:
        if order.step is Step.PREPARE:
            self.answer(order, await self.prepare(order))
        elif order.step is Step.APPLY:
            self.answer(order, await self.apply())
        else:
            self.reject()
        self.daemon.handover.give_up(order.given_up)

    async def prepare(self, order: Order) -> list[str]:
        """Make and bind all that is new; why not, or empty."""
        self.drop_prepared()
        problems: list[str] = []
        self.prepared = await prepare_or_log(self.daemon, order.config, problems)
        return problems or ([BUG] if self.prepared is None else [])

    async def apply(self) -> list[str]:
        """Take over what is prepared; why not, or empty."""
        update, self.prepared = self.prepared, None
        if update is not None and self.daemon.stop_event.is_set():
            self.daemon.cancel_update(update)
            return []
        return [] if await apply_or_log(self.daemon, update) else [BUG]

    def reject(self) -> None:
        """Here, in the parent, or by another worker."""
        self.drop_prepared()
        self.daemon.proxy.count_reload(False)

    def drop_prepared(self) -> None:
        update, self.prepared = self.prepared, None
        if update is not None:
            self.daemon.cancel_update(update)

    def answer(self, order: Order, problems: list[str]) -> None:
        with contextlib.suppress(OSError):  # the parent has gone
            self.pipe.send(Answer(order.number, tuple(problems)))


def hold_hangup() -> None:
    """Let SIGHUP wait until somebody handles it; without this it would end a process that is starting."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def ignore_hangup() -> None:
    """In a worker: a terminal that closes signals all processes, and the parent passes it on."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
