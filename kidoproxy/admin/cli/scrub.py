"""``kidoproxy scrub``: compares the copies of a pool, by the running proxy."""

import sys
from pathlib import Path

import click

from kidoproxy.admin.cli.options import BadConfig, config_option, find_pool, load_config


class CouldNot(click.ClickException):
    """The copies were not compared: one line, and exit status 2, for 1 means that they differ."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        click.echo(f"kidoproxy: {self.message}", err=True)


@click.command(short_help="Compare the copies of a pool, and repair what differs.")
@config_option(required=True)
@click.argument("pool_name", metavar="POOL")
@click.option("--dry-run", is_flag=True, help="Only report what differs.")
def scrub(config_file: Path, pool_name: str, dry_run: bool) -> None:
    """Compare every key of the copy pool POOL on all copies that are in sync, and repair what differs.

    Talks to the running proxy through its own listener, and shows how far it is. Writes go on meanwhile. A key
    that differs is named, and copied from its leader to the others. Differences arise where somebody writes to a
    node past the proxy, or a server loses data unnoticed. With scrub = "24h" in the pool it is done by itself.

    \b
    Exit status: 0 all keys are equal, 1 some differed (repaired or not), 2 it could not be done, or nobody
    waited for the end: Ctrl-C leaves it to the proxy.

    \b
    Examples:
      kidoproxy scrub --config copies.toml sessions --dry-run
    """
    import redis

    from kidoproxy.admin import scrub_client
    from kidoproxy.admin.progress import ProgressReport
    from kidoproxy.admin.redis_client import describe_error

    config = load_config(config_file)
    pool = find_pool(config, pool_name)
    if pool.copy is None:
        raise BadConfig([f'{config.source}: pool "{pool.name}" is a ring: it has no copies to compare'])
    try:
        differences = scrub_client.scrub(config, pool.name, dry_run, ProgressReport(sys.stdout.isatty()))
    except (redis.RedisError, OSError) as error:
        raise CouldNot(f"the proxy {describe_error(error)}") from None
    except LookupError as error:
        raise CouldNot(str(error)) from None
    except KeyboardInterrupt:
        raise CouldNot(f"{pool.name} is still being scrubbed; PROXY SCRUB CANCEL {pool.name} ends that") from None
    if differences:
        raise SystemExit(1)
