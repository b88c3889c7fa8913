"""``kidoproxy upgrade``: has a new process take over from the running proxy."""

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kidoproxy.admin.cli.options import CommandFailed, config_option, find_process, load_config

if TYPE_CHECKING:
    from kidoproxy.config import Config

#: The new process has 60 seconds; see `kidoproxy.net.upgrade`.
WAIT_SECONDS: Final = 75.0
POLL_SECONDS: Final = 0.05


@click.command(short_help="Have a new process take over from the running proxy.")
@config_option(required=True)
@click.option("--pid", type=click.IntRange(min=1), help="The proxy's process.  [the one that listens where FILE says]")
def upgrade(config_file: Path, pid: int | None) -> None:
    """Have the running proxy start the program anew (SIGUSR2): new code, the same command line, the file as it is now.

    The new process gets the listening sockets, so no client is refused; when it is ready the old one finishes what is
    under way and ends. If it does not get ready the old one serves on, and its log says why. Copy pools pass over when
    all writes are answered; who asks meanwhile waits a moment.

    It waits for the outcome: the exit status is 0 when the new process has taken over, 1 when the old one serves on.

    \b
    Examples:
      kidoproxy upgrade --config ring.toml
      kidoproxy upgrade --config ring.toml --pid "$(systemctl show -P MainPID kidoproxy)"
    """
    config = load_config(config_file)
    pid = pid or find_process(config)
    failures = _failures(pid)
    if failures is None:
        raise CommandFailed(f"process {pid} is no kidoproxy that serves a file here")
    try:
        os.kill(pid, signal.SIGUSR2)
    except (OSError, OverflowError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CommandFailed(f"process {pid} cannot be signalled: {cause.lower()}") from None
    click.echo(f"Process {new_process(config, pid, failures)} has taken over from process {pid}.")


def new_process(config: "Config", pid: int, failures: int) -> int:
    """Wait for the process that takes over from ``pid``. `CommandFailed` when there is none."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        now = _failures(pid)
        if now is not None and now > failures:
            raise CommandFailed(f"the new process did not get ready; process {pid} serves on, and its log says why")
        # Both have a claim until the new one is ready.
        if not _has_claims(pid) and (found := find_process(config, other_than=pid)) != pid:
            return found
        time.sleep(POLL_SECONDS)
    raise CommandFailed(f"nothing has come of it after {WAIT_SECONDS:g} s; see the log of process {pid}")


def _has_claims(pid: int) -> bool:
    from kidoproxy.net.address_claims import claim_owners

    return any(owner.pid == pid for owner in claim_owners())


def _failures(pid: int) -> int | None:
    """How many upgrades of that process have failed; None if it does not say."""
    from kidoproxy.net.address_claims import abstract_names
    from kidoproxy.net.upgrade import FAILURES_NAME

    found = [fields for name in abstract_names(FAILURES_NAME) if (fields := name.split())[:1] == [str(pid)]]
    return max([int(fields[-1]) for fields in found if fields[-1].isdigit()], default=None)
