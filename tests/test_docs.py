"""What the documents say is what the program does."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from kidoproxy import errors
from kidoproxy.errors import NodeFailure

ROOT: Final = Path(__file__).resolve().parent.parent
README: Final = (ROOT / "README.md").read_text()


def between(name: str) -> str:
    """The part of the README between two markers."""
    return README.split(f"<!-- {name} -->\n", 1)[1].split(f"<!-- /{name} -->", 1)[0].strip()


def said(*words: str) -> str:
    """What ``python -m …`` prints."""
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.strip()


def test_settings() -> None:
    """The table of settings is the one that the program prints."""
    assert between("settings") == said("kidoproxy", "config", "--markdown")


def test_refused_commands() -> None:
    """The list of refused commands is the one that the overlay gives."""
    page = (ROOT / "kidoproxy" / "commands" / "README.md").read_text()

    assert page.endswith(said("kidoproxy.commands.generate", "--refused") + "\n")


def code_words() -> set[str]:
    """The first word of every error sentence that errors.py holds."""
    source = (ROOT / "kidoproxy" / "errors.py").read_text()
    frames = re.findall(r'b"-([A-Z]+) ', source)
    lines = re.findall(r'line\(\s*f?"([A-Z]{3,}) ', source)
    return {*frames, *lines, errors.NODEDOWN, errors.TIMEOUT, errors.OVERLOADED}


def test_every_code_word_is_explained() -> None:
    """The table of errors has each code word, and no other."""
    rows = [row.split("|")[1] for row in between("errors").splitlines()[2:]]
    explained = {word for row in rows for word in re.findall(r"`([A-Z]+)", row)}

    assert explained == code_words()


@pytest.mark.parametrize("code", [errors.NODEDOWN, errors.TIMEOUT, errors.OVERLOADED])
def test_failures_name_node_and_cause(code: str) -> None:
    """A node's failure begins with its code word and names the node, its address and the cause."""
    frame = NodeFailure(code, "cache-b", "10.0.0.2:6379", "connection refused", False).line(False)

    assert frame == f"-{code} cache-b 10.0.0.2:6379 (connection refused)\r\n".encode()


def test_links() -> None:
    """Every link to a file leads somewhere."""
    links = re.findall(r"\]\(([^)#:]+)\)", README)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
