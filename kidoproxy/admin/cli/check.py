"""``kidoproxy check``: reads the file, asks every node how it is, and shows each node's share of the ring."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kidoproxy.admin.cli.about import build_kind, warn_if_interpreted
from kidoproxy.admin.cli.options import CommandFailed, config_option, load_config

if TYPE_CHECKING:
    from kidoproxy.admin.node_check import NodeCheck
    from kidoproxy.config import Pool, UserConfig

BAR_WIDTH: Final = 20


@click.command(short_help="Check the file, then ask every node how it is.")
@config_option(required=True)
def check(config_file: Path) -> None:
    """Read the configuration, then ask every node how it is.

    Shows each node's version, how long a PING takes, and its share of the ring. The exit status is 1
    when a node has a problem, 2 when the file has one. Nothing is written anywhere.

    \b
    Example:
      kidoproxy check --config ring.toml
    """
    from kidoproxy.admin.node_check import check_nodes, describe_owners

    config = load_config(config_file)
    for warning in config.warnings:
        click.echo(f"WARNING: {warning}", err=True)
    warn_if_interpreted(build_kind())
    node_checks = check_nodes(config)
    for name, pool in config.pools.items():
        click.echo(_pool_heading(pool))
        if pool.users:
            click.echo(f"  users: {', '.join(_describe_user(user) for user in pool.all_users())}")
        for line in _node_table(pool, node_checks[name]):
            click.echo(f"  {line}")
        for owner in describe_owners(node_checks[name]):
            click.echo(f"  served by {owner}")
        click.echo()
    bad_nodes = [node_check.node.name for found in node_checks.values() for node_check in found if node_check.problems]
    total = sum(len(found) for found in node_checks.values())
    if bad_nodes:
        raise CommandFailed(
            f"{len(bad_nodes)} of {total} nodes {'has' if len(bad_nodes) == 1 else 'have'} a problem: "
            f"{', '.join(bad_nodes)}"
        )
    click.echo(f"{config_file.name} is valid, and all {total} nodes are well.")


def _pool_heading(pool: "Pool") -> str:
    listens = " and ".join(str(address) for address in pool.listen) or "other pools"
    return f"{pool.name}: a {pool.mode} pool for {listens}"


def _describe_user(user: "UserConfig") -> str:
    login = "disabled" if not user.enabled else "no password" if user.nopass else ""
    return f"{user.name} ({login})" if login else user.name


def _node_table(pool: "Pool", node_checks: "list[NodeCheck]") -> list[str]:
    """The nodes in columns, each with its problems below; then the pools that are members."""
    by_name = {node_check.node.name: node_check for node_check in node_checks}
    shares = _share_column(pool)
    table = [
        _node_row(by_name[node.name], share)
        for node, share in zip(pool.members, shares, strict=True)
        if node in pool.nodes
    ]
    table += [
        (member.name, f"pool:{member.pool}", "", "", share)
        for member, share in zip(pool.members, shares, strict=True)
        if member in pool.pool_refs
    ]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    lines = []
    for row in table:
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        lines += [f"  {by_name[row[0]].sentinels}"] if row[0] in by_name and by_name[row[0]].sentinels else []
        lines += [f"  ! {problem}" for problem in by_name[row[0]].problems] if row[0] in by_name else []
    return lines


def _node_row(node_check: "NodeCheck", share: str) -> tuple[str, str, str, str, str]:
    latency = "" if node_check.latency_ms is None else f"{node_check.latency_ms:.2f} ms"
    return node_check.node.name, str(node_check.address), node_check.server or "-", latency, share


def _share_column(pool: "Pool") -> list[str]:
    from kidoproxy.admin.explain import ring_shares

    fractions = ring_shares(pool)
    if fractions is None:
        return ["everything"] * len(pool.members)
    return [f"{share_bar(share)} {share:6.1%}" for share in fractions]


def share_bar(share: float) -> str:
    """A share of the whole as a bar."""
    filled = round(share * BAR_WIDTH)
    return "█" * filled + "·" * (BAR_WIDTH - filled)
