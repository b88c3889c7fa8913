"""``kidoproxy route``: says which node a key belongs to, and why, by the file alone."""

from pathlib import Path

import click

from kidoproxy.admin.cli.options import config_option, find_pool, load_config


@click.command(short_help="Say which node a key belongs to, and why.")
@config_option(required=True)
@click.option("--pool", "pool_name", help="The pool that clients would ask. Default: the listening one.")
@click.argument("keys", metavar="KEY…", nargs=-1, required=True)
def route(config_file: Path, pool_name: str | None, keys: tuple[str, ...]) -> None:
    """Say which node a KEY belongs to, and why: its tag, its hash, its place on the ring.

    Works from the file alone: no proxy and no node is asked. A running proxy answers
    `redis-cli -p 6380 proxy route get KEY` with what it would do at this moment.

    \b
    Examples:
      kidoproxy route --config ring.toml user:1 '{user:1}:cart'
    """
    from kidoproxy.admin.explain import explain_key

    config = load_config(config_file)
    pool = find_pool(config, pool_name)
    for key in keys:
        click.echo(key)
        for line in explain_key(config, pool, key.encode("utf-8", "surrogateescape")):
            click.echo(f"  {line}")
