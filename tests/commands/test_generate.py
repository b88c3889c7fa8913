"""The generated table is what servers have answered, and its check notices when it is not."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from kidoproxy.commands import generate
from kidoproxy.commands.generate import main, refused_table, render, rows
from kidoproxy.commands.table import ROWS

COMMANDS_JSON = Path(__file__).parents[1] / "data" / "redis-commands.json"


def test_fresh() -> None:
    """The table has just the rows that the answers give."""
    assert tuple(rows(json.loads(COMMANDS_JSON.read_text()))) == ROWS


def test_write_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Written, checked, spoilt, checked again."""
    table = tmp_path / "table.py"
    assert main([], table, COMMANDS_JSON) == 0
    assert table.read_text() == render(json.loads(COMMANDS_JSON.read_text()))
    assert main(["--check"], table, COMMANDS_JSON) == 0
    table.write_text("# something else")
    assert main(["--check"], table, COMMANDS_JSON) == 1
    assert "stale" in capsys.readouterr().err


def test_program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs as a program, and says by its status how it went."""
    monkeypatch.setattr(sys, "argv", ["generate", "--refused"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(generate.__file__, run_name="__main__")
    assert stopped.value.code == 0
    assert capsys.readouterr().out == refused_table()


def test_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A Markdown row for each command that is not served, one for a container of which nothing is."""
    assert main(["--refused"]) == 0
    text = capsys.readouterr().out
    assert text == refused_table()
    assert "| SHUTDOWN | it would stop a node under every client | no |" in text
    assert "| CONFIG SET | it changes the settings of every node | yes |" in text
    assert text.count("| CLUSTER") == 2
    assert "| CLUSTERSCAN |" in text
    assert "PROXY NODE &lt;name>" in text
    assert "| MODULE LOAD |" not in text
    assert "| ACL |" not in text
    assert "| ACL SETUSER |" in text
    assert "| MODULE |" in text
    assert "| MODULE LIST |" not in text
    assert "| CONFIG |" not in text
    assert "| GET |" not in text
