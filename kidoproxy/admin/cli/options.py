"""What commands share: ``--config FILE``, its pools, and the two ways in which a command fails."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kidoproxy.resp.errors import ConfigError, escape_unprintable

if TYPE_CHECKING:
    from kidoproxy.config import Config, Pool


class BadConfig(click.ClickException):
    """The configuration cannot be used: its problems, one a line, and exit status 2."""

    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(map(escape_unprintable, problems)))

    def show(self, file: object = None) -> None:
        click.echo(self.message, err=True)


class CommandFailed(click.ClickException):
    """Something did not work: one line, and exit status 1."""

    def show(self, file: object = None) -> None:
        click.echo(f"kidoproxy: {self.message}", err=True)


def config_option(required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """``--config FILE``, or the variable of that name."""
    return click.option(
        "-c",
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        envvar="KIDOPROXY_CONFIG",
        show_envvar=True,
        required=required,
        help="The TOML file that names the pools and their nodes.",
    )


def load_config(config_file: Path) -> "Config":
    from kidoproxy.admin.read_config import read_config

    try:
        return read_config(config_file)
    except ConfigError as error:
        raise BadConfig(error.problems) from None


def find_pool(config: "Config", name: str | None) -> "Pool":
    from kidoproxy.config.wording import did_you_mean, quote_words

    if name is not None:
        if name not in config.pools:
            raise BadConfig([f'{config.source}: there is no pool "{name}"{did_you_mean(name, config.pools)}'])
        return config.pools[name]
    listening = config.listening_pools()
    if len(listening) > 1:
        raise click.UsageError(
            f"Several pools listen, choose one with --pool: {quote_words(p.name for p in listening)}"
        )
    return listening[0]


def find_process(config: "Config", other_than: int = 0) -> int:
    """The proxy that listens where the file says; ``other_than`` only if no other one does. `CommandFailed`: nobody."""
    from kidoproxy.net.address_claims import listening_process

    addresses = [address for pool in config.listening_pools() for address in pool.listen]
    try:
        owner = listening_process(addresses, other_than)
    except OSError as error:
        raise CommandFailed(f"the addresses of the file cannot be looked up: {error.strerror or error}") from None
    if owner is None and other_than:
        return other_than
    if owner is None:
        listens = ", ".join(map(str, addresses))
        raise CommandFailed(f"no kidoproxy of yours listens on {listens} here; say which process it is with --pid")
    return owner.pid
