"""``kidoproxy sync``: a person's requests about a copy, sent to the running proxy."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kidoproxy.admin.cli.options import BadConfig, CommandFailed, config_option, find_pool, load_config

if TYPE_CHECKING:
    from kidoproxy.config import Config


@click.command(short_help="Bring a copy up to date, now.")
@config_option(required=True)
@click.argument("names", metavar="[POOL] NODE", nargs=-1, required=True)
@click.option("--refill", is_flag=True, help="Empty NODE first (FLUSHALL), then fill it.")
@click.option("--cancel", is_flag=True, help="End the sync of NODE; it stays behind.")
@click.option("--trust", is_flag=True, help="When no copy is trusted: serve what NODE has. Says first what is lost.")
@click.option("--yes", "-y", is_flag=True, help="With --trust: do not ask.")
def sync(config_file: Path, names: tuple[str, ...], refill: bool, cancel: bool, trust: bool, yes: bool) -> None:
    """Bring NODE of the copy pool POOL up to date, now.

    Talks to the running proxy through its own listener, and shows how far it is. NODE is compared with a
    live copy that is in sync and made equal to it while writes go on; then it is read again. What only NODE
    has is removed. A node that missed writes is not read before. With heal = "auto" this happens by itself,
    unless it was cancelled; here it is asked for, now. POOL may be left out if the file has one copy pool.

    \b
    Examples:
      kidoproxy sync --config copies.toml sessions node-b
      kidoproxy sync --config copies.toml sessions node-b --cancel
      kidoproxy sync --config copies.toml sessions --trust node-b
    """
    import redis

    from kidoproxy.admin import sync_actions
    from kidoproxy.admin.progress import ProgressReport
    from kidoproxy.admin.redis_client import describe_error

    if refill + cancel + trust > 1:
        raise click.UsageError("--refill, --cancel and --trust exclude each other: give one.")
    config = load_config(config_file)
    pool, node = _find_copy(config, names)
    try:
        if trust:
            sync_actions.trust(config, pool, node, click.echo, lambda question: yes or _confirm(question))
        elif cancel:
            sync_actions.cancel(config, pool, node, click.echo)
        else:
            sync_actions.sync(config, pool, node, refill, ProgressReport(sys.stdout.isatty()))
    except (redis.RedisError, OSError) as error:
        raise CommandFailed(f"the proxy {describe_error(error)}") from None
    except LookupError as error:
        raise CommandFailed(str(error)) from None


def _confirm(question: str) -> bool:
    """What a person says; where there is none, no."""
    return sys.stdin.isatty() and click.confirm(question)


def _find_copy(config: "Config", names: tuple[str, ...]) -> tuple[str, str]:
    """The pool and the node that are meant."""
    if len(names) > 2:
        raise click.UsageError("Give a pool and a node, or a node alone.")
    pools = [pool.name for pool in config.pools.values() if pool.copy is not None]
    if len(names) == 1 and len(pools) != 1:
        raise click.UsageError(f"There are {len(pools)} copy pools in the file: name the pool before the node.")
    pool = find_pool(config, names[0] if len(names) == 2 else pools[0])
    node = names[-1]
    if pool.copy is None:
        raise BadConfig([f'{config.source}: pool "{pool.name}" is a ring: only copies can be behind'])
    if node not in [member.name for member in pool.nodes]:
        raise BadConfig([f'{config.source}: pool "{pool.name}" has no node "{node}"'])
    return pool.name, node
