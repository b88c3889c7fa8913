"""Several processes that share the listening ports (SO_REUSEPORT), for more than one core.

A pool with copies is served by the first one alone: one place must order its writes. Unix sockets and the
admin pages belong to the first one too. A worker that dies is replaced; when the parent goes, all go.
"""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Final, NoReturn

from kidoproxy.config import Config

log = logging.getLogger("kidoproxy.workers")

#: A worker that dies again and again is not restarted faster than this.
RESTART_SECONDS: Final = 1.0
#: What tells us to stop.
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
#: The exit status of a worker that cannot serve, now or ever: all stop.
CANNOT_START: Final = 1
#: Of one that ended by a bug (EX_SOFTWARE of sysexits.h): it is replaced.
FAILED: Final = 70


def share(config: Config, at: int) -> Config:
    """What worker number ``at`` serves."""
    if at == 0:
        return config
    pools = {}
    for name, pool in config.pools.items():
        ours = not config.has_copies(name)
        listen = tuple(address for address in pool.listen if not address.is_unix) if ours else ()
        pools[name] = replace(pool, listen=listen)
    return replace(config, pools=pools, admin=None)


class Workers:
    """The parent: starts, replaces and stops the others."""

    def __init__(
        self, config: Config, work: Callable[[Config, int], int], restart_seconds: float = RESTART_SECONDS
    ) -> None:
        self.config = config
        self.work = work
        self.restart_seconds = restart_seconds
        self.running: dict[int, int] = {}
        self.stopping = False
        self.worst = 0

    def run(self) -> int:
        """Until all have ended; the highest exit status."""
        for sign in SIGNALS:
            signal.signal(sign, self.pass_on)
        for at in range(self.config.workers):
            if share(self.config, at).listening():
                self.start(at)
        while self.running:
            pid, status = os.wait()
            at = self.running.pop(pid, -1)
            # As the first process of a container we are also given orphans to bury.
            if at >= 0:
                self.ended(at, pid, os.waitstatus_to_exitcode(status))
        return self.worst

    def ended(self, at: int, pid: int, code: int) -> None:
        """One has ended: it was told to, or all must stop, or it is replaced."""
        if self.stopping:
            # Killed by our own signal before it could listen to it: a clean end.
            self.worst = max(self.worst, 0 if -code in SIGNALS else abs(code))
        elif code == CANNOT_START:
            self.worst = code
            self.pass_on(signal.SIGTERM, None)
        else:
            log.error("worker died: worker=%d pid=%d status=%d", at, pid, code)
            time.sleep(self.restart_seconds)
            self.start(at)

    def start(self, at: int) -> None:
        """Fork one; a signal meanwhile waits until both sides know who they are."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            flush_output()
            pid = os.fork()
            if pid == 0:
                self.be_worker(at)
            self.running[pid] = at
            if self.stopping:
                # While we slept, for one.
                os.kill(pid, signal.SIGTERM)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def be_worker(self, at: int) -> NoReturn:
        """The child: it works, and never returns into the parent's code."""
        code = FAILED
        try:
            for sign in SIGNALS:
                signal.signal(sign, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            code = self.work(share(self.config, at), at)
        except Exception:
            log.exception("worker failed: worker=%d", at)
        finally:
            flush_output()
            os._exit(code)

    def pass_on(self, sign: int, frame: FrameType | None) -> None:
        """Tell all to stop."""
        self.stopping = True
        for pid in list(self.running):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)


def flush_output() -> None:
    """Nothing is to be written twice, or not at all, because of a fork."""
    sys.stdout.flush()
    sys.stderr.flush()
