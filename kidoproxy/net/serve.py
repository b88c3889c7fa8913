"""``kidoproxy serve``, once its file has been read: claims the addresses, then runs one daemon or several workers."""

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

import uvloop

from kidoproxy.config import Config
from kidoproxy.net.address_changes import claim_or_explain, listen_addresses
from kidoproxy.net.address_claims import AddressClaims
from kidoproxy.net.daemon import Daemon, is_compiled
from kidoproxy.net.given_sockets import GivenSockets, sockets_of_systemd
from kidoproxy.net.handover import Handover, Predecessor, predecessor_of
from kidoproxy.net.logs import EventLogger, configure_logging, set_worker
from kidoproxy.net.output import discard_unwritable_output
from kidoproxy.net.reload import ParentReloads, ReadConfig, SignalReloads
from kidoproxy.net.succession import StartError
from kidoproxy.net.worker_sockets import WorkerSockets
from kidoproxy.net.workers import EXIT_CANNOT_START, Workers

log = EventLogger("kidoproxy")

Announce = Callable[[str], None]


def run(
    config: Config, announce: Announce, take_over: frozenset[str] = frozenset(), read: ReadConfig | None = None
) -> int:
    """Serve until told to stop; 0 after a clean stop. `StartError` (an OSError) when it cannot start.

    ``take_over``: the names of copy pools that another proxy has to leave to this one. ``read`` reads the file anew,
    for a reload; None: there is no file.
    """
    configure_logging(config.log, config.log_level)
    for warning in config.warnings:
        log.warning("dangerous setting", reason=warning)
    if not is_compiled():
        log.warning(
            "the core is interpreted", cost="several times the CPU", cure="install a C compiler, then kidoproxy again"
        )
    predecessor = predecessor_of(os.environ)
    # An order to take over was for the first of these processes: another proxy may have got one since.
    order = take_over if predecessor is None else frozenset[str]()
    given = take_given_sockets(config, predecessor)
    claims = claim_addresses(config, given, predecessor)
    handover = Handover(given, claims, predecessor, list(sys.orig_argv) if read is not None else None)
    try:
        return (run_workers if config.workers > 1 else run_alone)(config, announce, order, read, handover)
    finally:
        claims.close()
        discard_unwritable_output()


def run_alone(
    config: Config, announce: Announce, take_over: frozenset[str], read: ReadConfig | None, handover: Handover
) -> int:
    reloads = SignalReloads(read) if read is not None else None
    uvloop.run(Daemon(config, None, take_over, reloads, handover=handover).run(announce))
    return 0


def run_workers(
    config: Config, announce: Announce, take_over: frozenset[str], read: ReadConfig | None, handover: Handover
) -> int:
    """Each worker runs a daemon of its own; the first one announces for all.

    One that replaces another has no order to take over: since that was given another proxy may have got one.
    """

    parent = os.getpid()

    def run_worker(worker_config: Config, worker: int, pipe: Connection) -> int:
        set_worker(worker)
        replaces = worker in workers.replacements
        order = frozenset[str]() if replaces else take_over
        daemon = Daemon(worker_config, worker, order, ParentReloads(pipe), worker_sockets, replaces, parent, handover)
        try:
            uvloop.run(daemon.run(discard_announcement if worker or replaces else announce))
        except StartError as problem:
            log.error("cannot start", cause=problem)
            return EXIT_CANNOT_START
        return 0

    workers = Workers(config, run_worker, read=read, handover=handover)
    worker_sockets = WorkerSockets(workers.numbers(), config.workers)
    try:
        return workers.run()
    finally:
        worker_sockets.close()


def take_given_sockets(config: Config, predecessor: Predecessor | None) -> GivenSockets:
    """The listening sockets that this process was started with, and listens on. `StartError` if one cannot be used."""
    try:
        given = GivenSockets(sockets_of_systemd(os.environ) if predecessor is None else predecessor.sockets)
        given.check_all_wanted(listen_addresses(config))
        with contextlib.suppress(socket.gaierror):  # said when it is bound
            # Whoever connected to another one would wait for ever.
            given.keep_only([address for _, address in listen_addresses(config)])
    except OSError as problem:
        raise StartError(problem.strerror or str(problem)) from None
    return given


def claim_addresses(config: Config, given: GivenSockets, predecessor: Predecessor | None) -> AddressClaims:
    """A claim to each address, which holds while any worker lives. `StartError` says who has it already."""
    claims = AddressClaims()
    if predecessor is not None:
        claims.inherit(predecessor.claims, predecessor.pid)
    for setting, address in listen_addresses(config):
        try:
            claim_or_explain(claims, setting, address, config.workers > 1 and not given.matching(address))
        except StartError:
            claims.close()
            raise
    claims.drop_unclaimed()
    return claims


def discard_announcement(text: str) -> None:
    """What the other workers have to announce."""
