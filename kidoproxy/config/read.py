"""Reads the file in three steps, each of which collects all its mistakes: TOML, shape, sense."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from kidoproxy.config.build import Builder, is_readable_by_all
from kidoproxy.config.interpolate import VARIABLE, interpolated
from kidoproxy.config.model import Config
from kidoproxy.config.problems import Problems
from kidoproxy.config.schema import FileTable
from kidoproxy.errors import ConfigError

_PASSWORD_IN_URL: Final = re.compile(r"^rediss?://[^:]*:(.*)@", re.DOTALL)
_TOML_PLACE: Final = re.compile(r"^(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)


def load(path: str | os.PathLike[str], environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in a file. Raises `ConfigError` with a line for every mistake."""
    file = Path(path)
    problems = Problems(file.name)
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{file.name}: is not TOML: byte {error.start} is not UTF-8"]) from None
    config = parse(text, environ, problems, file.parent)
    if is_readable_by_all(file) and holds_secrets(text):
        what = f"{file.name}: has a password in it, and every user of this machine may read it; chmod o-r it"
        config = replace(config, warnings=(what, *config.warnings))
    return config


def holds_secrets(text: str) -> bool:
    """Whether the text of a valid file has a password in it, and not only where to find one."""
    return _holds_secrets(tomllib.loads(text))


def _holds_secrets(value: object, key: str = "") -> bool:
    if isinstance(value, dict):
        return any(_holds_secrets(item, name) for name, item in value.items())
    if isinstance(value, list):
        return any(_holds_secrets(item, key) for item in value)
    if not isinstance(value, str):
        return False
    if key == "password":
        return VARIABLE.sub("", value) != ""
    return any(VARIABLE.sub("", password) for password in _PASSWORD_IN_URL.findall(value))


def parse(text: str, environ: Mapping[str, str], problems: Problems, folder: Path = Path()) -> Config:
    """The configuration in a text; ``folder`` is where relative names of files start."""
    try:
        tree: object = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_not_toml(str(error), problems.file)]) from None
    tree = interpolated(tree, environ, problems)
    try:
        table = FileTable.model_validate(tree)
    except ValidationError as error:
        problems.add_schema(error, FileTable)
    if problems.lines:
        raise ConfigError(problems.lines)
    config = Builder(environ, folder, problems).config(table)
    if problems.lines:
        raise ConfigError(problems.lines)
    return config


def embedded_config(mode: str, listen: str, sockets: Sequence[str]) -> Config:
    """The run without a file: one pool, ``local``, over nodes that were just started; nothing is kept.

    The nodes are named ``node-1``, ``node-2``, … because their addresses change from run to run.
    """
    nodes = [{"name": f"node-{i}", "url": url} for i, url in enumerate(sockets, 1)]
    problems = Problems("--listen")
    tree = {"proxy": {"state_dir": ""}, "pool": {"local": {"listen": listen, "mode": mode, "nodes": nodes}}}
    config = Builder({}, Path(), problems).config(FileTable.model_validate(tree))
    if problems.lines:
        raise ConfigError(problems.lines)
    return replace(config, source="")


def _not_toml(message: str, file: str) -> str:
    # Where tomllib stopped is a part of its sentence, and the only part of it that may be missing.
    found = _TOML_PLACE.match(message)
    what, line, column = found.groups() if found else (message, None, None)
    where = f"line {line}, column {column}" if line else "at its end"
    return f"{file}: {where}: is not TOML: {what[:1].lower()}{what[1:]}"
