"""One server under two names: refused by ``check`` and at the start, and down when it becomes so later."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from kidoproxy.admin.cli import main
from kidoproxy.admin.embedded import EmbeddedNodes
from tests.live.proxies import Starter

pytestmark = pytest.mark.live


def two_names(urls: list[str]) -> list[str]:
    """The first server twice, by address and by name; the others as they are."""
    return [urls[0], urls[0].replace("127.0.0.1", "localhost"), *urls[1:]]


@pytest.mark.parametrize("mode", ["copy", "ring"])
def test_refused_at_the_start(own_proxy: Starter, mode: str) -> None:
    """The program does not start, and one line says which two are one; nothing was written or emptied."""
    with pytest.raises(AssertionError, match=r"is the same server as node-[01] \(one run id\)"):
        own_proxy(mode, 2, tcp=True, through=two_names)


def test_nested(tmp_path: Path) -> None:
    """Everything below one listener must be different servers, however deep."""
    with EmbeddedNodes() as nodes:
        urls = nodes.start(2, tcp=True)
        names = {"left": urls, "right": [urls[1].replace("127.0.0.1", "localhost")]}
        text = '[pool.top]\nlisten = "127.0.0.1:0"\nmode = "ring"\nnodes = ["pool:left", "pool:right"]\n'
        for name, members in names.items():
            text += f'[pool.{name}]\nmode = "copy"\nnodes = [{", ".join(map(repr, members))}]\n'
        file = tmp_path / "ring.toml"
        file.write_text(text)
        checked = CliRunner().invoke(main, ["check", "--config", str(file)])

    assert checked.exit_code == 1
    assert "it is the same server as" in checked.output
