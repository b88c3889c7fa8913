"""Reads the configuration, here or in a process that ends afterwards.

The library that checks the file takes 15 MiB of memory and a tenth of a second of CPU. A proxy that serves for months
needs it for a moment at its start and at each reload, so another process has it: the proxy stays small, and its loop
does not share the interpreter's lock with the reading of a long file.
"""

import pickle
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kidoproxy import __version__
from kidoproxy.resp.errors import ConfigError

if TYPE_CHECKING:
    from kidoproxy.config import Config

OTHER_PROGRAM: Final = "the program on disk is another than this process: kidoproxy upgrade, or restart it"
#: Its modules come from where ours came from, and from nowhere else: not from the folder that it is started in.
_PROGRAM: Final = """
import sys
sys.path[:] = sys.argv[2:]
from kidoproxy.admin.read_config import main
main(sys.argv[1])
"""


def read_config(config_file: Path) -> "Config":
    """The configuration, with all that can be checked without asking a node. `ConfigError`: a line per mistake."""
    from kidoproxy.config.read import load

    return _checked(load(config_file))


def _checked(config: "Config") -> "Config":
    """What the package `config` cannot know. `ConfigError`: a line per mistake."""
    from kidoproxy.admin.explain import cursor_id_collisions, unknown_commands

    problems = unknown_commands(config) + cursor_id_collisions(config)
    if problems:
        raise ConfigError(problems)
    return config


class ConfigProcess:
    """A process that reads the configuration while this one does something else."""

    def __init__(self, config_file: Path) -> None:
        self.config_file = config_file
        command = [sys.executable, "-P", "-c", _PROGRAM, str(config_file), *sys.path]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def result(self) -> "Config":
        """What it has read, once it has ended. `ConfigError`: a line per mistake, or how it failed."""
        with self.process as process:
            answer, errors = process.communicate()
        if process.returncode:
            last_line = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise ConfigError([f"{self.config_file}: reading it ended with status {process.returncode}: {last_line}"])
        version, found = pickle.loads(answer)
        if version != model_version():
            # Values would land in the wrong fields.
            raise ConfigError([f"{self.config_file}: {OTHER_PROGRAM}"])
        if isinstance(found, list):
            raise ConfigError(found)
        return _checked(found)


def model_version() -> str:
    """What this program takes a configuration for: its version, and the fields that values are written to by place."""
    from kidoproxy.config import model

    kinds = [kind for kind in vars(model).values() if isinstance(kind, type) and is_dataclass(kind)]
    fields_by_kind = sorted(f"{kind.__qualname__}({','.join(field.name for field in fields(kind))})" for kind in kinds)
    return f"{__version__} {' '.join(fields_by_kind)}"


def read_config_apart(config_file: Path) -> "Config":
    """`read_config`, whose library is loaded by a process of its own."""
    return ConfigProcess(config_file).result()


def main(config_file: str) -> None:
    """In that process: the configuration, or the list of its mistakes, goes to the standard output."""
    from kidoproxy.config.read import load

    found: Config | list[str]
    try:
        found = load(Path(config_file))
    except ConfigError as error:
        found = error.problems
    sys.stdout.buffer.write(pickle.dumps((model_version(), found)))
