"""Runs a library's script in front of a ring of three, or of a server by itself."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.libraries.table import Library
from tests.live.proxies import environment
from tests.needs import needs, needs_node_packages, needs_packages

SCRIPTS: Final = Path(__file__).parent / "scripts"
SECONDS: Final = 90
PROGRAMS: Final = {".cjs": "node", ".rb": "ruby"}


def install(library: Library, folder: Path) -> dict[str, str]:
    """The environment in which a library is found, once it is installed."""
    path = {}
    if library.pip:
        path["PYTHONPATH"] = str(needs_packages(folder / library.script, *library.pip))
    if library.npm:
        path["NODE_PATH"] = str(needs_node_packages(folder / library.script, *library.npm))
    return path


def run(library: Library, url: str, path: dict[str, str]) -> str:
    """Run its script; what it said if it failed, or nothing."""
    file = SCRIPTS / library.script
    program = needs(PROGRAMS[file.suffix]) if file.suffix in PROGRAMS else sys.executable
    try:
        done = subprocess.run(
            [program, str(file), url],
            env={**environment(), **path},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return f"no end after {SECONDS} s: {os.fsdecode(error.stderr or b'')}"
    return f"{done.stdout}{done.stderr}" or f"exit status {done.returncode}" if done.returncode else ""
