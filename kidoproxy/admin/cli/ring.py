"""``kidoproxy ring``: what another file would do to the rings, by the files alone."""

from pathlib import Path
from typing import IO, Final

import click

from kidoproxy.admin.cli.options import CommandFailed, load_config

#: As diff(1): there are differences.
EXIT_DIFFERENT: Final = 1

FILE: Final = click.Path(path_type=Path)


@click.group(short_help="Compare the rings of two files.")
def ring() -> None:
    """Compare the rings of two files: no proxy and no node is asked."""


@ring.command(short_help="Say which keys another file would move, and to where.")
@click.argument("old_file", metavar="OLD", type=FILE)
@click.argument("new_file", metavar="NEW", type=FILE)
@click.option("--keys", "key_file", type=click.File("rb"), help="Count real keys, one on each line; - is stdin.")
def diff(old_file: Path, new_file: Path, key_file: "IO[bytes] | None") -> None:
    """Say for each ring of OLD and NEW: the share of each node before and after, and what moves from where to where.

    Keys that move are not found any more: the proxy does not copy them. `kidoproxy reload` refuses a file that moves
    keys; only a restart takes it.

    Exit status 0: no key moves; 1: some do, or the keys cannot be read; 2: a file or the command line is wrong.

    \b
    Examples:
      kidoproxy ring diff ring.toml new.toml
      redis-cli -p 6380 --scan | kidoproxy ring diff ring.toml new.toml --keys -
    """
    from kidoproxy.admin.ring_diff import describe, diff_rings

    old, new = load_config(old_file), load_config(new_file)
    try:
        keys = [line.rstrip(b"\r\n") for line in key_file] if key_file is not None else []
    except OSError as error:
        raise CommandFailed(f"the keys cannot be read: {error.strerror or error}") from None
    diffs = diff_rings(old, new, keys)
    for found in diffs:
        click.echo("\n".join(describe(found)))
    for name in [name for name in (*old.pools, *new.pools) if (name in old.pools) is not (name in new.pools)]:
        click.echo(f"pool {name}: only in {(old if name in old.pools else new).source}")
    if any(found.is_remap for found in diffs):
        raise SystemExit(EXIT_DIFFERENT)
