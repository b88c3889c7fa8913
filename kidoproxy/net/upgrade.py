"""SIGUSR2: a new process of the same command line takes over, and no client is refused.

    old  SIGUSR2 ─► start the new one ─ sockets, claims ─►          ─► close listeners ─► release copies ─► drain slowly
    new                                  rings: connect, listen ─ READY ┘       records └─► claim copies ─► listen

Up to READY the old process changes nothing: a new one that ends, or is silent, costs a line in the log and a counter.
From then on it accepts nobody. Clients of copy pools that come meanwhile wait in the listening socket, which is the new
one's, until that one owns the copies: so the copies have one owner at a time, and no command fails.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from typing import Final, Protocol

from kidoproxy.net.given_sockets import GivenSocket
from kidoproxy.net.handover import EXIT_SECONDS, READY, VARIABLE, Handover, describe, read_message
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.succession import Succession
from kidoproxy.net.tasks import Tasks
from kidoproxy.session.proxy_state import ProxyState

log = EventLogger("kidoproxy")

#: A new process that is not ready by then has failed.
READY_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.02
#: An abstract socket that says to `kidoproxy upgrade` how many upgrades of this process have failed.
FAILURES_NAME: Final = "kidoproxy-upgrade-failures"


class UpgradeError(Exception):
    """The new process does not take over; the text says why."""


class Upgradable(Protocol):
    """What a daemon is to those who replace it."""

    proxy: ProxyState
    tasks: Tasks
    stop_event: asyncio.Event

    def stop(self) -> None:
        """Drain."""


class Upgrades:
    """Hears SIGUSR2 for one process, or for all workers."""

    def __init__(self, daemon: Upgradable, succession: Succession) -> None:
        self.daemon = daemon
        self.succession = succession
        self.handover = succession.handover
        self.is_running = False
        self.failures_socket: socket.socket | None = None
        #: The new process; it lives on when this one ends.
        self.process: subprocess.Popen[bytes] | None = None
        #: Its end tells the new process that it may claim the copies.
        self.channel: socket.socket | None = None

    def attach(self) -> None:
        self.count_failures(0)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, self.request)

    def request(self) -> None:
        """Begin, unless one is under way."""
        if self.is_running or self.daemon.stop_event.is_set():
            log.warning("upgrade rejected", cause="the proxy is stopping or being replaced already")
        else:
            self.is_running = True
            self.daemon.tasks.start(self.run(), "upgrade")

    async def run(self) -> None:
        """One upgrade. If it fails this process goes on as before."""
        try:
            await self.upgrade()
        except Exception as problem:
            self.handover.successor.forget()
            self.daemon.proxy.upgrade_failures += 1
            if isinstance(problem, (UpgradeError, OSError)):
                log.error("upgrade failed", cause=problem)
            else:
                log.exception("upgrade failed")
            self.is_running = self.handover.done.is_set()
            self.count_failures(self.daemon.proxy.upgrade_failures)

    def give_up(self) -> None:
        """This process is told to stop: then the one that was to replace it does not start."""
        if self.process is not None and not self.handover.done.is_set():
            self.process.kill()

    async def upgrade(self) -> None:
        command = self.handover.command
        if command is None:
            raise UpgradeError("the nodes of a run without a file end with it")
        if self.handover.main_pid == 1:
            raise UpgradeError("the end of a container's first process ends the container: replace the container")
        started = time.monotonic()
        reloads = self.daemon.proxy.reloads.copy()
        process, channel = await self.start(command)
        try:
            log.info("upgrade begins", process=process.pid)
            await wait_until_ready(process, channel)
            self.check_not_stopping()
        except BaseException:
            channel.close()
            raise
        if self.daemon.proxy.reloads != reloads:
            # It may have read the file before that was changed.
            process.send_signal(signal.SIGHUP)
        await self.hand_over(channel)
        log.info("upgrade done", process=process.pid, seconds=round(time.monotonic() - started, 1))

    def check_not_stopping(self) -> None:
        """`UpgradeError` if this process was told to stop: then nothing is to serve in its place."""
        if self.daemon.stop_event.is_set():
            raise UpgradeError("the proxy is stopping")

    async def start(self, command: list[str]) -> tuple["subprocess.Popen[bytes]", socket.socket]:
        """The new process, and our end of the channel."""
        own_end, other_end = socket.socketpair()
        own_end.setblocking(False)
        sockets: list[GivenSocket] = []
        try:
            sockets += await self.succession.listening_sockets()
            self.check_not_stopping()
            self.process = start_program(command, self.handover, other_end, sockets)
            self.handover.successor.note(self.process.pid)
        except BaseException:
            own_end.close()
            raise
        finally:
            for given in sockets:
                given.socket.close()
            other_end.close()
        return self.process, own_end

    async def hand_over(self, channel: socket.socket) -> None:
        """Nothing is taken back from here on.

        Should the copies not be released, by a bug or by a signal to stop, the channel stays open to our end: until
        then they have this owner.
        """
        self.channel = channel
        self.handover.done.set()
        try:
            self.handover.let_go()
            records = await self.succession.release()
            with channel, contextlib.suppress(OSError):
                await asyncio.get_running_loop().sock_sendall(channel, json.dumps(records).encode() + b"\n")
        finally:
            self.stop_all()

    def stop_all(self) -> None:
        """This process and its workers; a second order would cut their clients."""
        if self.daemon.stop_event.is_set():
            return
        if self.handover.main_pid == os.getpid():
            self.daemon.stop()
        else:
            os.kill(self.handover.main_pid, signal.SIGTERM)

    def count_failures(self, count: int) -> None:
        """For `kidoproxy upgrade`, which has no other way to see it."""
        if self.failures_socket is not None:
            self.failures_socket.close()
        self.failures_socket = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            self.failures_socket.bind(f"\0{FAILURES_NAME} {self.handover.main_pid} {count}")

    def close(self) -> None:
        if self.failures_socket is not None:
            self.failures_socket.close()


def start_program(
    command: list[str], handover: Handover, channel: socket.socket, sockets: list[GivenSocket]
) -> "subprocess.Popen[bytes]":
    """The new process: the same command line and environment, and what it takes over."""
    claims = handover.claims.claim_sockets()
    message = describe(handover.main_pid, channel, sockets, claims)
    fds = [sock.fileno() for sock in (channel, *claims, *[given.socket for given in sockets])]
    return subprocess.Popen(command, env={**os.environ, VARIABLE: message}, pass_fds=fds, stdin=subprocess.DEVNULL)


async def wait_until_ready(process: "subprocess.Popen[bytes]", channel: socket.socket) -> None:
    """`UpgradeError` if that does not come: the new process is ended then."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            if await read_message(channel) == READY.rstrip():
                return
            await until_ended(process, EXIT_SECONDS)
    except TimeoutError:
        process.kill()
        await until_ended(process, EXIT_SECONDS)
        raise UpgradeError(f"the new process was not ready after {READY_SECONDS:g} s") from None
    if process.returncode is None:
        process.kill()
        await until_ended(process, EXIT_SECONDS)
    raise UpgradeError(f"the new process ended with status {process.returncode} before it was ready")


async def until_ended(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Wait for its end, but not for ever."""
    for _ in range(int(seconds / POLL_SECONDS)):
        if process.poll() is not None:
            return
        await asyncio.sleep(POLL_SECONDS)
