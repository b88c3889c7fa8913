"""``kidoproxy reload``: has the running proxy read its file anew, and says what came of it."""

import os
import signal
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import click

from kidoproxy.admin.cli.options import CommandFailed, config_option, find_process, load_config

#: How long the proxy may take; one that is starting may have to find its nodes first.
ANSWER_SECONDS: Final = 20.0


@click.command(short_help="Have the running proxy read its file anew.")
@config_option(required=True)
@click.option("--pid", type=click.IntRange(min=1), help="The proxy's process.  [the one that listens where FILE says]")
def reload(config_file: Path, pid: int | None) -> None:
    """Have the running proxy read its file anew (SIGHUP), and go on with what it says while clients stay.

    The file is checked first; one with mistakes is not sent. What the proxy made of it is said here, in its log and in
    its metrics. What can change while it serves is in the table of settings (column "change"). A change of anything
    else needs a restart; then nothing at all is applied, and the keys are named.

    Exit status 0: the proxy goes on with the file; 1: it goes on with what it had, for the reasons that are said, or
    it could not be asked; 2: the file or the command line has mistakes.

    \b
    Examples:
      kidoproxy reload --config ring.toml
      kidoproxy reload --config ring.toml --pid "$(systemctl show -P MainPID kidoproxy)"
    """
    from kidoproxy.net.reload_answer import ReloadWait

    config = load_config(config_file)
    if pid is None:
        pid = find_process(config)
    try:
        wait = ReloadWait(pid)
    except OSError:
        raise CommandFailed(f"somebody else waits for a reload of process {pid}; try again") from None
    with closing(wait):
        _hang_up(pid)
        answer = wait.wait(ANSWER_SECONDS, partial(_is_alive, pid))
    if answer is None:
        raise CommandFailed(f"process {pid} has got the signal and does not answer; its log says what came of it")
    if not answer.is_applied:
        raise CommandFailed("\n  ".join([f"process {pid} goes on with what it had", *answer.lines]))
    click.echo(f"Process {pid} goes on with {config_file.name}.")


def _hang_up(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGHUP)
    except (OSError, OverflowError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CommandFailed(f"process {pid} cannot be signalled: {cause.lower()}") from None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
