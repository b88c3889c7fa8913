"""The man page and the completions that a wheel installs are what the command line says."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from deploy.compile_packages import ROOT
from deploy.manual import SHARE, files, man_page, paragraphs, roff

MADE: Final = files()
#: What pip writes into `bin`.
PROGRAM: Final = "from kidoproxy.admin.cli import main; main(prog_name='kidoproxy')"
#: The instructions of troff that the page consists of.
MACROS: Final = frozenset([".TH", ".nh", ".SH", ".SS", ".TP", ".PP", ".nf", ".fi", '.\\"'])


@pytest.mark.parametrize("name", MADE)
def test_the_file_is_what_the_program_says(name: str) -> None:
    """Whoever changes an option, or a help text, makes the files anew."""
    assert (SHARE / name).read_text(encoding="utf-8") == MADE[name], "run python -m deploy.manual"


def test_nothing_else_is_installed() -> None:
    """The wheel takes the folder as a whole."""
    assert sorted(str(path.relative_to(SHARE)) for path in SHARE.rglob("*") if path.is_file()) == sorted(MADE)
    project = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"] == {"deploy/share": "share"}


def test_the_page_is_plain_troff() -> None:
    """ASCII, instructions that every man knows, and each command and option."""
    page = man_page()
    assert page.isascii()
    assert {line.split(" ")[0] for line in page.splitlines() if line.startswith((".", "'"))} <= MACROS
    for words in ("kidoproxy serve", "kidoproxy ring diff", "\\-\\-take\\-over", "\\-h, \\-\\-help", "EXIT STATUS"):
        assert words in page


@pytest.mark.parametrize(
    ("text", "made"),
    [
        (".SH no\n'x", "\\&.SH no\n\\(aqx"),
        ("a\\b -c `d`", "a\\eb \\-c \\(gad\\(ga"),
        ("KEY…", "KEY\\[u2026]"),
    ],
)
def test_texts_are_no_instructions(text: str, made: str) -> None:
    """Whatever a help text has in it is printed as it is."""
    assert roff(text) == made


def test_paragraphs() -> None:
    """Those behind a backspace stay as they are, the others are filled."""
    assert list(paragraphs("A\n    b.\n\n    \b\n    C\n      d\n")) == [
        ".PP\nA\nb.\n",
        ".PP\n.nf\nC\n  d\n.fi\n",
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [("se", "serve"), ("serve --take", "--take-over"), ("ring d", "diff"), ("serve --mode c", "copy")],
)
def test_bash_completes(words: str, found: str, tmp_path: Path) -> None:
    """The file alone is enough, with the program in PATH."""
    program = tmp_path / "kidoproxy"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{PROGRAM}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    script = f"""
source {SHARE}/bash-completion/completions/kidoproxy
complete -p kidoproxy
COMP_WORDS=(kidoproxy {words}) COMP_CWORD={len(words.split())}
_kidoproxy_completion kidoproxy
echo "${{COMPREPLY[@]}}"
"""
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True, env=env)
    registered, completed = done.stdout.splitlines()
    assert re.search(r"-F _kidoproxy_completion kidoproxy$", registered)
    assert completed.split() == [found]
