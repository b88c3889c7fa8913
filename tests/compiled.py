"""Runs the suite against the installed wheel: ``python -P tests/compiled.py [pytest arguments]``.

pytest puts the folder above ``tests`` in front of the import path, and there the source tree would shadow
the wheel. So the suite runs in a scratch folder that links to everything of the project except
the package. That it really is the compiled build which is imported is proven by ``test_build.py``, in the
very process that runs the suite. Tests that only read the sources have nothing to do with the build, and are left out.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = "kidoproxy"
PRIVATE: Final = (".git", ".hypothesis", ".tox", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache")


def link_project(folder: Path) -> None:
    """Link everything but the package, and what tools leave behind, into `folder`."""
    for path in ROOT.iterdir():
        if path.name != PACKAGE and path.name not in PRIVATE:
            (folder / path.name).symlink_to(path)


def compiled() -> bool:
    """Whether the installed package has compiled modules."""
    spec = importlib.util.find_spec(f"{PACKAGE}.resp.errors")
    return spec is not None and spec.origin is not None and not spec.origin.endswith(".py")


def has_compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang"))


def main() -> int:
    if not compiled():
        if has_compiler() or os.environ.get("CI") == "true" or os.environ.get("KIDOPROXY_CI") == "1":
            sys.stderr.write("The wheel is not compiled; KIDOPROXY_COMPILE=require tox -e compiled shows why.\n")
            return 1
        sys.stderr.write("There is no C compiler here: the compiled build is not tested, live tests run interpreted.\n")
        os.environ["KIDOPROXY_BUILD"] = "interpreted"
        return run_suite("live and not both_builds")
    return run_suite("not sources")


def run_suite(marks: str) -> int:
    """Run the tests that the marks choose where nothing shadows the wheel; pytest's exit status."""
    with tempfile.TemporaryDirectory(prefix="kidoproxy-tests-") as folder:
        link_project(Path(folder))
        command = [sys.executable, "-m", "pytest", "-m", marks, *sys.argv[1:]]
        return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
