"""``kidoproxy reload``: has the running proxy read its file anew."""

import os
import signal
from pathlib import Path

import click

from kidoproxy.admin.cli.options import CommandFailed, config_option, find_process, load_config


@click.command(short_help="Have the running proxy read its file anew.")
@config_option(required=True)
@click.option("--pid", type=click.IntRange(min=1), help="The proxy's process.  [the one that listens where FILE says]")
def reload(config_file: Path, pid: int | None) -> None:
    """Have the running proxy read its file anew (SIGHUP), and go on with what it says while clients stay.

    The file is checked first; one with mistakes is not sent, and the exit status is 2. What the proxy made of it is in
    its log and its metrics: passwords, users, limits, time-outs, denied commands and certificates are applied. A
    change of anything else (nodes, listeners, modes) needs a restart; then nothing at all is applied, and the log
    names the keys.

    \b
    Examples:
      kidoproxy reload --config ring.toml
      kidoproxy reload --config ring.toml --pid "$(systemctl show -P MainPID kidoproxy)"
    """
    config = load_config(config_file)
    if pid is None:
        pid = find_process(config)
    try:
        os.kill(pid, signal.SIGHUP)
    except (OSError, OverflowError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CommandFailed(f"process {pid} cannot be signalled: {cause.lower()}") from None
    click.echo(f"Process {pid} reads {config_file.name} anew; its log says what came of it.")
