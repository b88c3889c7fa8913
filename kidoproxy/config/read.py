"""Reads the file in four steps, each of which collects all its mistakes: TOML, places, shape, sense."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from kidoproxy.config.build import ConfigBuilder
from kidoproxy.config.interpolate import VARIABLE_PATTERN, interpolate
from kidoproxy.config.model import Config
from kidoproxy.config.other_formats import other_format, toml_error, wrong_encoding
from kidoproxy.config.places import check_places
from kidoproxy.config.problems import Problems
from kidoproxy.config.schema import FileTable
from kidoproxy.config.secret_files import is_world_readable
from kidoproxy.resp.errors import ConfigError

_PASSWORD_IN_URL: Final = re.compile(r"^rediss?://[^:]*:(.*)@", re.DOTALL)


def load(path: str | os.PathLike[str], environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in a file. Raises `ConfigError` with a line for every mistake."""
    file = Path(path)
    problems = Problems(file.name)
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}{_how_to_read(file, error)}"]) from None
    why = wrong_encoding(data)
    if why:
        raise ConfigError([f"{file.name}: {why}"])
    text = data.decode("utf-8")
    try:
        config = parse(text, environ, problems, file.parent)
    except RecursionError:
        raise ConfigError([f"{file.name}: is nested too deeply"]) from None
    if is_world_readable(file) and contains_password(text):
        what = f"{file.name}: has a password in it, and every user of this machine may read it; chmod o-r it"
        config = replace(config, warnings=(what, *config.warnings))
    return config


def _how_to_read(file: Path, error: OSError) -> str:
    """What to do so that it can be read."""
    if isinstance(error, IsADirectoryError):
        return "; name the file in it"
    if not isinstance(error, PermissionError):
        return ""
    try:
        owner = f"it belongs to uid {file.stat().st_uid}"
    except OSError:
        owner = "a folder above it is closed"
    return f"; {owner}, and this process runs as uid {os.geteuid()}"


def contains_password(text: str) -> bool:
    """Whether the text of a valid file has a password in it, and not only where to find one."""
    return _contains_password(tomllib.loads(text))


def _contains_password(value: object, key: str = "") -> bool:
    if isinstance(value, dict):
        return any(_contains_password(item, name) for name, item in value.items())
    if isinstance(value, list):
        return any(_contains_password(item, key) for item in value)
    if not isinstance(value, str):
        return False
    if key == "password":
        return VARIABLE_PATTERN.sub("", value) != ""
    return any(VARIABLE_PATTERN.sub("", password) for password in _PASSWORD_IN_URL.findall(value))


def parse(text: str, environ: Mapping[str, str], problems: Problems, folder: Path = Path()) -> Config:
    """The configuration in a text; ``folder`` is where relative names of files start."""
    try:
        tree: object = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{problems.file}: {other_format(text) or toml_error(str(error), text)}"]) from None
    tree = interpolate(tree, environ, problems)
    if isinstance(tree, dict) and check_places(tree, problems):
        raise ConfigError(problems.lines)
    try:
        table = FileTable.model_validate(tree)
    except ValidationError as error:
        problems.add_validation_error(error, FileTable)
    if problems.lines:
        raise ConfigError(problems.lines)
    config = ConfigBuilder(environ, folder, problems).build(table)
    if problems.lines:
        raise ConfigError(problems.lines)
    return config


def embedded_config(mode: str, listen: str, sockets: Sequence[str], admin: str | None = None) -> Config:
    """The run without a file: one pool, ``local``, over nodes that were just started; nothing is kept.

    The nodes are named ``node-1``, ``node-2``, … because their addresses change from run to run.
    """
    nodes = [{"name": f"node-{i}", "url": url} for i, url in enumerate(sockets, 1)]
    problems = Problems("--listen")
    proxy = {"state_dir": ""} | ({} if admin is None else {"admin": admin})
    tree = {"proxy": proxy, "pool": {"local": {"listen": listen, "mode": mode, "nodes": nodes}}}
    config = ConfigBuilder({}, Path(), problems).build(FileTable.model_validate(tree))
    if problems.lines:
        raise ConfigError(problems.lines)
    return replace(config, source="")
