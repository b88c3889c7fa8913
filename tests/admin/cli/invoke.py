"""Runs a command of the command line, with a daemon that only remembers."""

from collections.abc import Callable

from click.testing import CliRunner, Result

from kidoproxy.admin import cli
from kidoproxy.config import Config


def invoke(*args: str) -> Result:
    return CliRunner(env={"KIDOPROXY_CONFIG": None}).invoke(cli.main, args)


class Daemon:
    """Stands in for the daemon: notes its configuration, announces, ends as the test says."""

    def __init__(self) -> None:
        self.config: Config | None = None
        self.error: OSError | None = None
        self.take_over: frozenset[str] = frozenset()
        self.read: Callable[[], Config] | None = None

    def run(
        self,
        config: Config,
        announce: Callable[[str], None],
        take_over: frozenset[str],
        read: Callable[[], Config] | None,
    ) -> int:
        self.take_over = take_over
        self.read = read
        self.config = config
        if self.error is not None:
            raise self.error
        announce("ready")
        announce("still ready")
        return 0
