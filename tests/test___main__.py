"""The package can be run."""

import subprocess
import sys


def test_python_m() -> None:
    """``python -m kidoproxy`` is the command line."""
    ran = subprocess.run([sys.executable, "-m", "kidoproxy", "--version"], capture_output=True, text=True, check=True)

    assert ran.stdout.startswith("kidoproxy, version ")
