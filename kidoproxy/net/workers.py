"""Several processes that share the listening ports (SO_REUSEPORT), for more than one core.

A pool with copies is served by the first one alone: one place must order its writes. Unix sockets and the
admin pages belong to the first one too. A worker that dies is replaced; when the parent goes, all go.

SIGHUP is the parent's: it reads the file, and if all of it can be applied sends it to each worker, through a pipe, as
the value that it has checked (`kidoproxy.net.worker_orders`). So all have it or none; one that is replaced begins with
it. A signal is only handled while the parent waits for its workers, never in the middle of what it does.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import FrameType
from typing import Final, NoReturn

from kidoproxy.config import Config
from kidoproxy.net.address_changes import AddressChanges
from kidoproxy.net.handover import Handover
from kidoproxy.net.logs import EventLogger, configure_logging
from kidoproxy.net.output import flush_output
from kidoproxy.net.reload import (
    STOPPING,
    ReadConfig,
    claim_addresses,
    hold_hangup,
    ignore_hangup,
    read_changed,
    reject,
    reloading_state,
)
from kidoproxy.net.reload_answer import ReloadAnswer, find_client
from kidoproxy.net.systemd import sd_notify
from kidoproxy.net.worker_orders import Answer, Order, Step, receive_answer, send_order

log = EventLogger("kidoproxy.workers")

#: A worker that dies again and again is not restarted faster than this.
RESTART_SECONDS: Final = 1.0
#: How long the parent waits for all workers to take over a configuration, also for those that are starting.
ANSWER_SECONDS: Final = 5.0
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
#: The exit status of a worker that cannot serve, now or later: all stop.
EXIT_CANNOT_START: Final = 1
#: Serves as worker of that number until it is told to stop, and is told of reloads by the pipe; the exit status.
RunWorker = Callable[[Config, int, Connection], int]
OTHER_WORKERS: Final = (
    "other workers than now would have something to listen for: that needs a restart; nothing was applied"
)
#: Of one that was ended by a bug (EX_SOFTWARE of sysexits.h): it is replaced.
EXIT_CRASHED: Final = 70


def worker_config(config: Config, worker: int) -> Config:
    """What worker number ``worker`` serves."""
    if worker == 0:
        return config
    pools = {}
    for name, pool in config.pools.items():
        serves_pool = not config.contains_copy_pool(name)
        listen = tuple(address for address in pool.listen if not address.is_unix) if serves_pool else ()
        pools[name] = replace(pool, listen=listen)
    return replace(config, pools=pools, admin=None)


def serving_workers(config: Config) -> list[int]:
    """The numbers of those that have something to serve."""
    return [at for at in range(config.workers) if worker_config(config, at).listening_pools()]


class Workers:
    """The parent process: starts, replaces and stops the workers."""

    def __init__(
        self,
        config: Config,
        run_worker: RunWorker,
        restart_seconds: float = RESTART_SECONDS,
        read: ReadConfig | None = None,
        handover: Handover | None = None,
    ) -> None:
        self.config = config
        #: Reads the file anew; None: there is none, and SIGHUP ends the process.
        self.read = read
        self.run_worker = run_worker
        #: The claims to where we listen are ours, and the workers' as long as they live.
        self.handover = handover or Handover()
        self.order_number = 0
        self.restart_seconds = restart_seconds
        self.worker_by_pid: dict[int, int] = {}
        #: By worker, by the monotonic clock.
        self.started_at: dict[int, float] = {}
        #: How each worker is told of a reload, by its process.
        self.pipe_by_pid: dict[int, Connection] = {}
        self.is_reloading = False
        self.must_reload = False
        #: Those that run in place of one that has died.
        self.replacements: set[int] = set()
        self.stopping = False
        self.exit_status = 0

    def numbers(self) -> list[int]:
        """The workers that have something to serve."""
        return serving_workers(self.config)

    def run(self) -> int:
        """Run until all workers have ended; the highest exit status."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, self.forward_signal)
        if self.read is not None:
            hold_hangup()
            signal.signal(signal.SIGHUP, self.on_hangup)
            signal.signal(signal.SIGUSR2, self.forward_upgrade)
        for worker in self.numbers():
            self.start(worker)
        while self.worker_by_pid:
            pid, status = self.wait()
            worker = self.worker_by_pid.pop(pid, -1)
            if pid in self.pipe_by_pid:
                self.pipe_by_pid.pop(pid).close()
            # As the first process of a container we must also wait for orphans.
            if worker >= 0:
                self.on_exit(worker, pid, os.waitstatus_to_exitcode(status))
        return self.exit_status

    def wait(self) -> tuple[int, int]:
        """The next process that has ended, and how. The one moment in which a SIGHUP comes."""
        if self.read is None:
            return os.wait()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        try:
            return os.wait()
        finally:
            hold_hangup()

    def on_hangup(self, signum: int, frame: FrameType | None) -> None:
        """Reload; a SIGHUP that comes meanwhile is the next one."""
        self.must_reload = True
        while self.must_reload and not self.is_reloading and self.read is not None:
            self.must_reload, self.is_reloading = False, True
            try:
                self.reload(self.read)
            except Exception:
                # Out of a signal handler it would end the parent, and with it all workers.
                log.exception("reload failed")
            finally:
                self.is_reloading = False

    def reload(self, read: ReadConfig) -> None:
        """Read the file and have all workers take it over, or none."""
        client = find_client()
        if self.stopping or self.handover.done.is_set():
            log.warning("reload rejected", cause=STOPPING)
            self.tell_workers(Step.REJECT)
            client.answer(ReloadAnswer.of(False, [STOPPING]))
            return
        sd_notify(reloading_state())
        problems: list[str] = []
        config = read_changed(read, self.config, problems)
        changes = None if config is None else claim_addresses(self.handover, self.config, config, problems)
        is_applied = changes is not None and self.prepare(changes, problems)
        if is_applied and changes is not None:
            self.apply(changes)
        else:
            self.tell_workers(Step.REJECT, changes)
        if changes is not None:
            changes.end(is_applied)
        client.answer(ReloadAnswer.of(is_applied, problems))
        if not self.stopping:
            sd_notify("READY=1")

    def prepare(self, changes: AddressChanges, problems: list[str]) -> bool:
        """Whether each worker is able to take the configuration over, and has all that is new."""
        if serving_workers(changes.config) != self.numbers():
            reject(OTHER_WORKERS, problems)
            return False
        for worker, answer in self.ask_workers(Step.PREPARE, changes).items():
            if answer is None:
                reject(f"worker {worker} does not answer within {ANSWER_SECONDS:g} s", problems)
            else:
                problems += [problem for problem in answer.problems if problem not in problems]
        return not problems

    def apply(self, changes: AddressChanges) -> None:
        """Have all workers take it over.

        One that a bug keeps from it is replaced by one that begins with it, as one that has died: all have the same.
        """
        config = changes.config
        if (config.log, config.log_level) != (self.config.log, self.config.log_level):
            configure_logging(config.log, config.log_level)
        self.config = config
        pids = {worker: pid for pid, worker in self.worker_by_pid.items()}
        for worker, answer in self.ask_workers(Step.APPLY, changes).items():
            if answer is None:
                log.warning("reload not answered", worker=worker, seconds=ANSWER_SECONDS)
            elif answer.problems:
                log.error("reload failed", worker=worker)
                os.kill(pids[worker], signal.SIGTERM)

    def ask_workers(self, step: Step, changes: AddressChanges) -> dict[int, Answer | None]:
        """What each has to say to it, together in no more than `ANSWER_SECONDS`; those that have died say nothing."""
        self.tell_workers(step, changes)
        deadline = time.monotonic() + ANSWER_SECONDS
        answers: dict[int, Answer | None] = {}
        for pid, worker in list(self.worker_by_pid.items()):
            with contextlib.suppress(OSError, EOFError):
                seconds = max(deadline - time.monotonic(), 0.0)
                answers[worker] = receive_answer(self.pipe_by_pid[pid], self.order_number, seconds)
        return answers

    def tell_workers(self, step: Step, changes: AddressChanges | None = None) -> None:
        """Send each worker its part."""
        self.order_number += 1
        prepares = step is Step.PREPARE
        gone = changes.given_up(step is Step.APPLY) if changes is not None and not prepares else ()
        claims = changes.claims if changes is not None and prepares else []
        for pid, worker in list(self.worker_by_pid.items()):
            config = worker_config(changes.config, worker) if changes is not None and prepares else None
            with contextlib.suppress(OSError):
                order = Order(self.order_number, step, config, len(claims), gone)
                send_order(self.pipe_by_pid[pid], order, claims, pid)

    def on_exit(self, worker: int, pid: int, code: int) -> None:
        """A worker has ended: as ordered, or with a status that stops all, or it is replaced."""
        if self.stopping:
            # Killed by our own signal before it had a handler for it: a clean end.
            self.exit_status = max(self.exit_status, 0 if -code in STOP_SIGNALS else abs(code))
        elif code == EXIT_CANNOT_START:
            self.exit_status = code
            self.forward_signal(signal.SIGTERM, None)
        else:
            log.error("worker died", worker=worker, pid=pid, status=code)
            if not self.handover.is_worker_missed(worker):
                self.forward_signal(signal.SIGTERM, None)
                return
            # At once, unless it was started just now.
            time.sleep(max(0.0, self.restart_seconds - (time.monotonic() - self.started_at[worker])))
            self.replacements.add(worker)
            self.start(worker)

    def start(self, worker: int) -> None:
        """Fork a worker; a signal meanwhile waits until both processes know who they are."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            flush_output()
            child_end, own_end = Pipe()
            pid = os.fork()
            if pid == 0:
                for pipe in (own_end, *self.pipe_by_pid.values()):
                    pipe.close()
                self.run_child(worker, child_end)
            child_end.close()
            self.worker_by_pid[pid] = worker
            self.started_at[worker] = time.monotonic()
            self.pipe_by_pid[pid] = own_end
            if self.stopping:
                # Stopped meanwhile: this process sleeps before it restarts a worker.
                os.kill(pid, signal.SIGTERM)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def run_child(self, worker: int, pipe: Connection) -> NoReturn:
        """What the child does; it never returns into the parent's code."""
        code = EXIT_CRASHED
        try:
            for signum in STOP_SIGNALS:
                signal.signal(signum, signal.SIG_DFL)
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            if self.read is not None:
                ignore_hangup()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
            code = self.run_worker(worker_config(self.config, worker), worker, pipe)
        except Exception:
            log.exception("worker failed", worker=worker)
        finally:
            flush_output()
            os._exit(code)

    def forward_signal(self, signum: int, frame: FrameType | None) -> None:
        """Stop, and tell all workers to."""
        self.stopping = True
        self.handover.let_go()
        for pid in list(self.worker_by_pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)

    def forward_upgrade(self, signum: int, frame: FrameType | None) -> None:
        """The first worker starts the new program, and sends us SIGTERM when that has taken over."""
        for pid, worker in list(self.worker_by_pid.items()):
            if worker == 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signum)
