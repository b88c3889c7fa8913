"""The file that commands read, and the pool that is meant."""

from pathlib import Path

import pytest

from tests.admin.cli.invoke import invoke
from tests.config.files import RING


@pytest.mark.parametrize("command", [["serve"], ["check"], ["route", "k"], ["sync", "cache", "a"], ["scrub", "cache"]])
def test_a_bad_file(tmp_path: Path, command: list[str]) -> None:
    """Every command that reads the file prints its problems and ends with 2."""
    file = tmp_path / "ring.toml"
    file.write_text(RING.replace("mode", "moed"))
    result = invoke(*command, "--config", str(file))

    assert result.exit_code == 2
    assert result.output.splitlines() == [
        "ring.toml: pool.cache.mode: is missing",
        'ring.toml: pool.cache.moed: unknown key; did you mean "mode"?',
    ]


def test_a_command_that_there_is_not(tmp_path: Path) -> None:
    """A misspelt command in the file is a mistake like any other."""
    file = tmp_path / "ring.toml"
    file.write_text(RING + 'deny = ["flushal"]\n')
    result = invoke("check", "--config", str(file))

    assert result.exit_code == 2
    assert 'did you mean "flushall"' in result.output


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there, or not named, is status 2."""
    assert invoke("check", "--config", str(tmp_path / "no.toml")).exit_code == 2
    assert "Missing option" in invoke("check").output
