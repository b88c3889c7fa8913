"""What pip installs for a site: no compiler is asked for, and nothing is silent about what that costs the proxy."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

import pytest

from tests.live.guide import section
from tests.needs import without

pytestmark = pytest.mark.live

ROOT: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 100
#: What only the proxy needs.
OF_THE_PROXY: Final = ("hiredis", "prometheus_client", "pydantic", "uhashring", "uvloop")
LOOK: Final = """
import importlib.util, sys
from django.conf import settings

settings.configure()
from kidoproxy.django import KidoCache

print(KidoCache("redis://127.0.0.1:1/0", {"OPTIONS": {"FAIL_SOFT": True}}).get("key", "miss"))
print([name for name in sys.argv[1:] if importlib.util.find_spec(name) is not None])
"""


class Environment:
    """A fresh virtual environment, and a PATH that leads to no program at all."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "venv", with_pip=False)
        (folder / "empty").mkdir()
        self.bin = folder / "venv" / "bin"
        variables = {name: value for name, value in os.environ.items() if name not in ("CC", "KIDOPROXY_COMPILE")}
        self.env = {**variables, "PATH": str(folder / "empty"), "PYTHONPATH": ""}

    def pip(self, line: str) -> str:
        """What the build says while pip does a line of the guide; the package is the one in this checkout."""
        words = [re.sub(r"^kidoproxy", str(ROOT), word.strip('"')) for word in line.split()]
        assert words[:2] == ["pip", "install"]
        command = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), *words[1:], "-v"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self.env, timeout=SECONDS)
        if done.returncode and "No matching distribution" in done.stderr:
            without(f"needs packages that pip could not find: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        return done.stderr

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A program of the environment."""
        command = [str(self.bin / words[0]), *words[1:]]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=self.env, timeout=SECONDS)


def lines() -> list[str]:
    """The lines of the guide that install something."""
    return [line for line in section("kidoproxy/django/README.md", "To install").splitlines() if line[:4] == "pip "]


@pytest.mark.timeout(2 * SECONDS)
def test_the_extra_needs_no_compiler(tmp_path: Path) -> None:
    """pip is done in its usual time, the cache is there, and the wheel and the proxy say what they are."""
    made = Environment(tmp_path)
    said = made.pip(lines()[0])
    assert "could NOT be compiled: there is no C compiler" in said
    assert made.run("python", "-c", LOOK).stdout == "miss\n[]\n"
    version = made.run("kidoproxy", "version")
    assert "(interpreted)" in version.stdout
    assert "costs several times the CPU" in version.stderr
    assert (tmp_path / "venv/share/man/man1/kidoproxy.1").exists()


@pytest.mark.timeout(2 * SECONDS)
def test_a_site_can_do_without_the_packages_of_the_proxy(tmp_path: Path) -> None:
    """With Django, redis-py and nothing else the backends are whole."""
    made = Environment(tmp_path)
    for line in lines()[1:]:
        made.pip(line)
    assert made.run("python", "-c", LOOK, *OF_THE_PROXY).stdout == "miss\n[]\n"
