"""What a test needs besides the packages that are installed: found, or the test is skipped with a reason.

``needs("nutcracker")`` gives the program's path. Where it is missing the test is skipped and says what to
install; in continuous integration (``CI=true`` or ``KIDOPROXY_CI=1``) it fails, for nothing is skipped there.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NoReturn

import pytest

#: What to install on Debian for each program.
PACKAGES: Final = {
    "cc": "gcc",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "nutcracker": "nutcracker",
    "promtool": "prometheus",
    "redis-benchmark": "redis-tools",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "ruby": "ruby-sidekiq",
    "systemd-analyze": "systemd",
}

#: Where Debian puts servers, which a plain user's PATH may leave out.
SERVER_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")

#: What npm may take, which tries a registry again and again; a test has more.
INSTALL_SECONDS: Final = 100


def in_ci() -> bool:
    """Whether a missing program is a failure."""
    return os.environ.get("CI") == "true" or os.environ.get("KIDOPROXY_CI") == "1"


def find(program: str) -> str | None:
    """The path of `program`, or None."""
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *SERVER_FOLDERS]
    return shutil.which(program, path=os.pathsep.join(folders))


def needs(program: str) -> str:
    """The path of `program`; without it the test is skipped, in continuous integration it fails."""
    path = find(program)
    if path is not None:
        return path
    return without(f"needs {program} (on Debian: apt-get install {PACKAGES.get(program, program)})")


def without(reason: str) -> NoReturn:
    """Skip the test and say what it needs; in continuous integration fail it."""
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def needs_package(name: str, version: str, folder: Path) -> Path:
    """Another version of a package than ours, put into the folder by pip; the folder, for PYTHONPATH."""
    return needs_packages(folder, f"{name}{version}")


def needs_packages(folder: Path, *packages: str) -> Path:
    """Packages that we do not have, put into the folder by pip; the folder, for PYTHONPATH."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        without(f"needs {' and '.join(packages)}, which pip could not install: {done.stderr.strip()}")
    return folder


def needs_node_packages(folder: Path, *packages: str) -> Path:
    """Packages for Node.js, put into the folder by npm, without scripts of theirs; the folder, for NODE_PATH."""
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    command = [needs("npm"), "install", *options, *packages]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=INSTALL_SECONDS)
    except subprocess.SubprocessError as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
        without(f"needs {' and '.join(packages)}, which npm could not install: {said}")
    return folder / "node_modules"
