"""``kidoproxy top``: what the status page shows, in a terminal."""

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kidoproxy.admin.cli.options import BadConfig, CommandFailed, config_option, load_config

if TYPE_CHECKING:
    from kidoproxy.config import Config

#: Moves to the upper left corner, and clears what is below.
CLEAR: Final = "\x1b[H\x1b[J"
#: Two readings that are nearer are one: the proxy makes a status once a second.
FIRST_SECONDS: Final = 1.1
#: Where the output is no terminal.
PLAIN_WIDTH: Final = 160


@click.command(short_help="Show rates, nodes, errors and slow requests of the running proxy.")
@config_option(required=True)
@click.option("--interval", type=click.FloatRange(1, 3600), default=2, show_default=True, help="Seconds between two.")
@click.option("--once", is_flag=True, help="Show it once, and end.")
def top(config_file: Path, interval: float, once: bool) -> None:
    """Show what the running proxy does: rates, nodes, errors, hot keys and slow requests.

    Asks the admin listener of the file (admin = ...), with the token of the file, for /status.json. In a terminal it is
    shown anew in place until Ctrl-C; elsewhere one status follows another as plain text.

    \b
    Examples:
      kidoproxy top --config ring.toml
      kidoproxy top --config ring.toml --once
    """
    from kidoproxy.admin.top_view import status_lines

    config = load_config(config_file)
    is_terminal = has_terminal() and not once
    before = ask(config)
    pause = FIRST_SECONDS
    try:
        while True:
            time.sleep(pause)
            now = ask(config)
            height, width = terminal_size(is_terminal)
            lines = status_lines(now, before, width)[:height]
            if is_terminal:
                click.echo(CLEAR + "\n".join(lines), color=True)
            else:
                click.echo("\n".join([*lines, ""]))
            if once:
                return
            before, pause = now, interval
    except KeyboardInterrupt:
        click.echo()


def has_terminal() -> bool:
    return sys.stdout.isatty()


def terminal_size(is_terminal: bool) -> tuple[int | None, int]:
    """Lines and columns that there is room for; None: as many lines as there are."""
    if not is_terminal:
        return None, PLAIN_WIDTH
    size = shutil.get_terminal_size()
    return size.lines - 1, size.columns


def ask(config: "Config") -> dict[str, Any]:
    """The status. `CommandFailed` when nobody tells it, `BadConfig` when the file names no listener for it."""
    import http.client

    from kidoproxy.admin.status_client import StatusRefused, fetch_status

    if config.admin is None:
        raise BadConfig([f'{config.source}: proxy.admin: there is none; set admin = "127.0.0.1:9380" and restart'])
    try:
        return fetch_status(config.admin, config.admin_token)
    except StatusRefused as error:
        raise CommandFailed(str(error)) from None
    except (OSError, http.client.HTTPException) as error:
        cause = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "it does not speak HTTP"
        raise CommandFailed(f"the proxy does not answer on {config.admin}: {cause}") from None
