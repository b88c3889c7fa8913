"""``kidoproxy serve``: runs the proxy, over the pools of a file or over nodes that it starts itself."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kidoproxy.admin.cli.options import BadConfig, CommandFailed, config_option, find_pool
from kidoproxy.admin.read_config import ConfigProcess, read_config_apart
from kidoproxy.resp.errors import ConfigError

if TYPE_CHECKING:
    from kidoproxy.config import Config

DEFAULT_LISTEN: Final = "127.0.0.1:6380"


@click.command(short_help="Run the proxy.")
@config_option(required=False)
@click.option("--mode", type=click.Choice(["ring", "copy"]), help="Without a file: how the nodes are used.  [ring]")
@click.option("--listen", help=f"Without a file: where clients connect.  [{DEFAULT_LISTEN}]")
@click.option("--nodes", type=click.IntRange(1, 16), help="Without a file: how many nodes are started.  [3]")
@click.option("--server", help="Without a file: auto, embedded, system, or the path of a redis-server.  [auto]")
@click.option("--http", metavar="HOST:PORT", help="Without a file: where the admin pages are.  [nowhere]")
@click.option("--take-over", metavar="POOL", multiple=True, help="Serve this copy pool though another proxy does.")
def serve(
    config_file: Path | None,
    mode: str | None,
    listen: str | None,
    nodes: int | None,
    server: str | None,
    http: str | None,
    take_over: tuple[str, ...],
) -> None:
    """Run the proxy until SIGTERM or Ctrl-C; with --config SIGHUP reloads the file (see kidoproxy reload),
    and SIGUSR2 has a new process take over (see kidoproxy upgrade).

    With --config it serves the pools of that file. Without, it starts real Valkey servers of its own to
    play with; they keep nothing and end with it.

    One proxy serves a copy pool. If another one does already, this one does not start. With --take-over the
    other one's connections to the nodes are closed, and it serves the pool no more.

    \b
    Examples:
      kidoproxy serve
      kidoproxy serve --mode copy --nodes 2 --http 127.0.0.1:9380
      kidoproxy serve --config ring.toml
      kidoproxy serve --config copies.toml --take-over sessions
    """
    if config_file is None:
        if take_over:
            raise click.UsageError("--take-over needs --config: the nodes of a run without a file are its own.")
        raise SystemExit(_serve_embedded(mode or "ring", listen or DEFAULT_LISTEN, nodes or 3, server or "auto", http))
    embedded_options = {"--mode": mode, "--listen": listen, "--nodes": nodes, "--server": server, "--http": http}
    for option, value in embedded_options.items():
        if value is not None:
            raise click.UsageError(f"{option} is for a run without a file; {config_file.name} says it otherwise.")
    # A SIGHUP while it starts waits until it serves, and then reloads.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    # One that starts cannot be replaced yet, and must not end by the wish.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    config = _read_config(config_file)
    for pool in take_over:
        if find_pool(config, pool).copy is None:
            raise click.UsageError(f'Pool "{pool}" is a ring: any number of proxies may serve it.')
    # The name as it is, and not what it leads to now: whoever swaps a link means its new end.
    read = partial(read_config_apart, config_file.absolute())
    raise SystemExit(_run_proxy(config, click.echo, frozenset(take_over), read))


def _read_config(config_file: Path) -> "Config":
    """By another process; this one loads its modules meanwhile. `BadConfig` when it cannot be used."""
    reading = ConfigProcess(config_file)

    try:
        return reading.result()
    except ConfigError as error:
        raise BadConfig(error.problems) from None


def _serve_embedded(mode: str, listen: str, node_count: int, server: str, http: str | None) -> int:
    from kidoproxy.admin.cli.first_steps import first_steps
    from kidoproxy.admin.embedded import EmbeddedError, EmbeddedNodes
    from kidoproxy.config.read import embedded_config

    with EmbeddedNodes() as nodes:
        try:
            urls = nodes.start(node_count, server)
            config = embedded_config(mode, listen, urls, http)
        except EmbeddedError as error:
            raise CommandFailed(str(error)) from None
        except ConfigError as error:
            raise BadConfig(error.problems) from None
        hints = [*first_steps(config, node_count)]

        def announce(text: str) -> None:
            click.echo(text)
            while hints:
                click.echo(hints.pop(0))

        return _run_proxy(config, announce)


def _run_proxy(
    config: "Config",
    announce: Callable[[str], None],
    take_over: frozenset[str] = frozenset(),
    read: "Callable[[], Config] | None" = None,
) -> int:
    from kidoproxy.net.logs import EventLogger
    from kidoproxy.net.serve import run

    try:
        return run(config, announce, take_over, read)
    except OSError as error:
        cause = error.strerror or str(error)
        if config.log == "json":
            # On that stream each line is an event.
            EventLogger("kidoproxy").error("cannot start", cause=cause)
            return 1
        raise CommandFailed(cause) from None
