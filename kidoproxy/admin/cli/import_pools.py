"""``kidoproxy import``: writes a configuration from a nutcracker.yml, or from the CACHES of a Django site."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from kidoproxy.admin.cli.options import BadConfig, CommandFailed
from kidoproxy.resp.errors import ConfigError, escape_unprintable

if TYPE_CHECKING:
    from kidoproxy.admin.importing.imported import Imported


@click.command("import", short_help="Write a configuration from nutcracker.yml or from Django's settings.")
@click.argument("source", metavar="FILE|MODULE")
def import_pools(source: str) -> None:
    """Write the pools of a nutcracker.yml, or of the CACHES in Django's settings, as a file of kidoproxy.

    Keys stay on the nodes where they are. What could not be carried over is named on standard error, a
    line each, and the exit status is 1 then. Passwords are not printed: the file has variables for them.
    Settings are given as a file or as a module, which is imported.

    \b
    Examples:
      kidoproxy import /etc/nutcracker.yml > kidoproxy.toml
      kidoproxy import mysite.settings > kidoproxy.toml
    """
    try:
        imported = _read(source)
    except ConfigError as error:
        raise BadConfig(error.problems) from None
    for note in imported.notes:
        click.echo(escape_unprintable(note), err=True)
    for line in imported.lost:
        click.echo(f"NOT CARRIED OVER: {escape_unprintable(line)}", err=True)
    if imported.pools:
        click.echo(imported.to_toml(source), nl=False)
    if imported.lost or not imported.pools:
        raise CommandFailed(
            f"{len(imported.lost)} {'thing was' if len(imported.lost) == 1 else 'things were'} not carried over"
            if imported.lost
            else f"{source} has no pool of Redis servers"
        )


def _read(source: str) -> "Imported":
    if source.endswith((".yml", ".yaml", ".conf")):
        from kidoproxy.admin.importing.nutcracker import read_nutcracker

        try:
            text = Path(source).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{source}: cannot be read: {getattr(error, 'strerror', None) or error}"]) from None
        return read_nutcracker(text, Path(source).name)
    from kidoproxy.admin.importing.django_caches import read_caches

    caches = getattr(_settings(source), "CACHES", None)
    if not isinstance(caches, Mapping) or not all(isinstance(conf, Mapping) for conf in caches.values()):
        raise ConfigError([f"{source}: has no CACHES"])
    return read_caches(caches, source)


def _settings(source: str) -> ModuleType:
    """The module of the settings; whatever goes wrong in it becomes a line."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what the module prints is no part of the file
            return _from_file(Path(source)) if source.endswith(".py") else importlib.import_module(source)
    except Exception as error:  # noqa: BLE001 (a settings module may raise anything)
        raise ConfigError([f"{source}: cannot be imported: {type(error).__name__}: {error}"]) from None
    finally:
        sys.path.pop(0)


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
