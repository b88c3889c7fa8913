"""The matrix is complete, and says what it leaves out; `tox -e matrix` runs it."""

import tomllib
from pathlib import Path

from click.testing import CliRunner

from tests.matrix import ROOT, TESTS, VERSIONS, Combination, combinations
from tests.matrix.__main__ import main


def test_all_versions_meet() -> None:
    """Each of one package with each of the others; a wish leaves those that fulfil it."""
    assert len(list(combinations([]))) == 36
    assert len(list(combinations(["Django==5.2", "redis==7"]))) == len(VERSIONS["django-redis"])
    assert list(combinations(["Django==1.0"])) == []


def test_what_this_python_cannot_run_is_said() -> None:
    """Not skipped in silence."""
    newest = Combination((("Django", "6.0"), ("redis", "8")))
    assert newest.why_not((3, 11)) == "Django 6.0 needs Python 3.12"
    assert newest.why_not((3, 12)) == ""


def test_the_command() -> None:
    """``--list`` names all; a combination that is none is a wrong use."""
    listed = CliRunner().invoke(main, ["--list"])
    assert (listed.exit_code, len(listed.output.splitlines())) == (0, 36)
    assert CliRunner().invoke(main, ["redis==3"]).exit_code == 2


def test_it_runs_what_there_is() -> None:
    """The files of tests are there; tox has the environment, and not among those of `tox -p`."""
    assert [path for path in TESTS if not Path(ROOT, path).exists()] == []
    tox = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))["tool"]["tox"]
    assert "matrix" in tox["env"]
    assert "matrix" not in tox["env_list"]
