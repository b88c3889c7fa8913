"""``python -m tests.matrix``: the Django backends with all versions of what they stand on; ``tox -e matrix`` runs it.

The versions are put into folders in front of the installed ones, so one environment is enough for all.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
#: Package -> its versions, as pip is asked for them.
VERSIONS: Final = {
    "Django": ("4.2", "5.2", "6.0"),
    "redis": ("5", "6", "7", "8"),
    "django-redis": ("5.4", "6.0", "7.0"),
}
#: Package and version -> the oldest Python that it runs on, where that is not ours.
NEWER_PYTHON: Final = {("Django", "6.0"): (3, 12)}
#: What a version needs that the installed one does not.
NEEDS_MORE: Final = {("redis", "5"): ("PyJWT<3",)}
TESTS: Final = ("tests/django", *(f"tests/live/test_django{name}.py" for name in (
    "", "_checks", "_fail_soft", "_failures", "_guide", "_nodes", "_redis",
)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Combination:
    """One version of each package."""

    versions: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return ", ".join(f"{package} {version}" for package, version in self.versions)

    def why_not(self, python: tuple[int, ...] = sys.version_info[:2]) -> str:
        """Why it cannot be tried with this Python; empty if it can."""
        return ", ".join(
            f"{package} {version} needs Python {'.'.join(map(str, wanted))}"
            for package, version in self.versions
            if python < (wanted := NEWER_PYTHON.get((package, version), (0,)))
        )


def combinations(wanted: list[str]) -> Iterator[Combination]:
    """Those that have all of ``wanted``, which are written as ``Django==5.2``."""
    for versions in product(*([(package, version) for version in found] for package, found in VERSIONS.items())):
        if set(wanted) <= {f"{package}=={version}" for package, version in versions}:
            yield Combination(versions)


def install(package: str, version: str, folder: Path) -> Path:
    """The newest release of this version, without what it needs, in a folder of its own."""
    target = folder / f"{package}-{version}"
    if not target.exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target)]
        subprocess.run([*command, f"{package}=={version}.*", *NEEDS_MORE.get((package, version), ())], check=True)
    return target


def run(combination: Combination, folder: Path, options: list[str]) -> tuple[bool, str]:
    """Run the tests; whether all passed, and the last line of what pytest says."""
    paths = [str(install(package, version, folder)) for package, version in combination.versions]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, str(ROOT)])}
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *TESTS]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    log = folder / f"{'-'.join(version for _, version in combination.versions)}.log"
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    return done.returncode == 0, done.stdout.strip().rpartition("\n")[2]
