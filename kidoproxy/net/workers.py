"""Several processes that share the listening ports (SO_REUSEPORT), for more than one core.

A pool with copies is served by the first one alone: one place must order its writes. Unix sockets and the
admin pages belong to the first one too. A worker that dies is replaced; when the parent goes, all go.
"""

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

from kidoproxy.config import Config

log = logging.getLogger("kidoproxy.workers")

#: A worker that dies again and again is not restarted faster than this.
RESTART_SECONDS = 1.0


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

    def __init__(self, config: Config, work: Callable[[Config, int], int]) -> None:
        self.config = config
        self.work = work
        self.running: dict[int, int] = {}
        self.stopping = False

    def run(self) -> int:
        """Until all have ended; the highest exit status."""
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, self.pass_on)
        for at in range(self.config.workers):
            if share(self.config, at).listening():
                self.start(at)
        worst = 0
        while self.running:
            pid, status = os.wait()
            at = self.running.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if self.stopping or code == 1:
                worst = max(worst, abs(code))
                self.pass_on(signal.SIGTERM, None)
            else:
                log.error("worker died: worker=%d pid=%d status=%d", at, pid, code)
                time.sleep(RESTART_SECONDS)
                self.start(at)
        return worst

    def start(self, at: int) -> None:
        """Fork one; it never returns."""
        pid = os.fork()
        if pid == 0:
            os._exit(self.work(share(self.config, at), at))
        self.running[pid] = at

    def pass_on(self, sign: int, frame: FrameType | None) -> None:
        """Tell all to stop."""
        self.stopping = True
        for pid in list(self.running):
            os.kill(pid, sign)
