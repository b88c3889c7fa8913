"""``kidoproxy reload``: has the running proxy read its file anew."""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kidoproxy.admin.cli.options import CommandFailed, config_option, load_config

if TYPE_CHECKING:
    from kidoproxy.config import Config


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
        pid = _find_process(config)
    try:
        os.kill(pid, signal.SIGHUP)
    except (OSError, OverflowError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CommandFailed(f"process {pid} cannot be signalled: {cause.lower()}") from None
    click.echo(f"Process {pid} reads {config_file.name} anew; its log says what came of it.")


def _find_process(config: "Config") -> int:
    from kidoproxy.net.address_claims import listening_process

    addresses = [address for pool in config.listening_pools() for address in pool.listen]
    try:
        owner = listening_process(addresses)
    except OSError as error:
        raise CommandFailed(f"the addresses of the file cannot be looked up: {error.strerror or error}") from None
    if owner is None:
        listens = ", ".join(map(str, addresses))
        raise CommandFailed(f"no kidoproxy of yours listens on {listens} here; say which process it is with --pid")
    return owner.pid
