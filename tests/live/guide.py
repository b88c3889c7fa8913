# mypy: disable-error-code="import-untyped"
"""One section of a guide, run as a reader would: its files, its commands, its settings, its dialogue."""

import doctest
import re
import shlex
from pathlib import Path
from typing import Any, Final

from kidoproxy.admin.embedded import EmbeddedNodes
from tests import fork_server
from tests.fork_server import ForkedProcess
from tests.live.proxies import READY, STOP_SECONDS, environment
from tests.ports import free_port

ROOT: Final = Path(__file__).resolve().parents[2]
BLOCK: Final = re.compile(r"(?ms)^```(\w+)\n(.*?)^```$")
#: Addresses as they stand in the guides: of nodes, and of the proxy.
NODE: Final = re.compile(r"\b10\.0\.0\.\d:\d+")
LISTENER: Final = re.compile(r"\b127\.0\.0\.1:\d+")


def section(page: str, title: str) -> str:
    """The text of a page below this heading."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


class Guide:
    """A section whose addresses are those of real servers; used with ``with``."""

    def __init__(self, page: str, title: str, folder: Path) -> None:
        text = section(page, title)
        self.folder = folder
        self.servers = EmbeddedNodes()
        self._proxy: ForkedProcess | None = None
        self.nodes = list(dict.fromkeys(NODE.findall(text)))
        found = [url.partition("://")[2] for url in self.servers.start(len(self.nodes), tcp=True)]
        self.real = dict(zip(self.nodes, found, strict=True))
        self.real |= {address: f"127.0.0.1:{free_port()}" for address in dict.fromkeys(LISTENER.findall(text))}
        for written, real in self.real.items():
            text = re.sub(rf"\b{re.escape(written)}\b", real, text)
        self.blocks = BLOCK.findall(text)
        self.ran: list[str] = []

    def __enter__(self) -> "Guide":
        return self

    def __exit__(self, *_: object) -> None:
        if self._proxy is not None:
            self._proxy.kill()
            self._proxy.wait(STOP_SECONDS)
            self._proxy.stdout.close()
        self.servers.stop()

    def block(self, language: str, beginning: str = "") -> str:
        """The next block in this language that begins so; each is taken once."""
        for at, (found, text) in enumerate(self.blocks):
            if found == language and text.startswith(beginning):
                del self.blocks[at]
                return str(text)
        raise AssertionError(f"no block of {language} that begins with {beginning!r}")

    def run_commands(self) -> None:
        """Each command of the next ``sh`` block; the last one is the proxy, and is ready afterwards."""
        (self.folder / "kidoproxy.toml").write_text(self.block("toml"), encoding="utf-8")
        *before, last = [shlex.split(line)[1:] for line in self.block("sh").splitlines()]
        for args in before:
            command = self._start(args)
            with command.stdout:
                said = command.stdout.read()
            assert command.wait(STOP_SECONDS) == 0, (args, said)
        self._proxy = self._start(last)
        assert any(READY in line for line in self._proxy.stdout)

    def _start(self, args: list[str]) -> ForkedProcess:
        config = str(self.folder / "kidoproxy.toml")
        args = [config if arg == "kidoproxy.toml" else arg for arg in args]
        env = {**environment(), "XDG_STATE_HOME": str(self.folder)}
        with (self.folder / "log").open("ab") as log:
            return fork_server.start(args, log.fileno(), env)

    def settings(self) -> dict[str, Any]:
        """What the next block of settings sets."""
        text = self.block("python", "# settings.py\n").replace(
            '"kidoproxy.toml"', repr(str(self.folder / "kidoproxy.toml"))
        )
        return settings_in(text)

    def run_dialogue(self) -> None:
        """Every answer of the next dialogue is what the page says."""
        run_dialogue("", self.block("python", ">>> "))


def settings_in(text: str) -> dict[str, Any]:
    """What a block of settings sets."""
    names: dict[str, Any] = {}
    exec(text, names)
    return {name: value for name, value in names.items() if name.isupper()}


def run_dialogue(before: str, text: str) -> None:
    """Every answer of a dialogue is what the page says; ``before`` is what it takes for granted."""
    names: dict[str, Any] = {}
    exec(before, names)
    told = doctest.DocTestParser().get_doctest(text, names, "guide", None, 0)
    complaints: list[str] = []
    result = doctest.DocTestRunner().run(told, out=complaints.append)
    assert result.failed == 0, "".join(complaints)
    assert result.attempted > 1
