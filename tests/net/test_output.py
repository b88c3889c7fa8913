"""Output that nobody can read any more ends no process, and changes no exit status."""

import subprocess
import sys
from typing import Final

import pytest

#: Both streams are pipes whose other ends are closed; what was written is in their buffers.
SCRIPT: Final = """
import os, sys
for stream in (sys.stdout, sys.stderr):
    read, write = os.pipe()
    os.dup2(write, stream.fileno())
    os.close(read)
    try:
        stream.write("gone\\n")
    except OSError:
        pass
from kidoproxy.net.output import discard_unwritable_output, flush_output
flush_output()
{}
"""


@pytest.mark.parametrize(("end", "status"), [("discard_unwritable_output()", 0), ("", 120)])
def test_the_exit_status_is_that_of_the_work(end: str, status: int) -> None:
    """Without it Python tries to write what is left, and its own status is 120."""
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(path for path in sys.path if path)}
    assert subprocess.run([sys.executable, "-P", "-c", SCRIPT.format(end)], env=env, check=False).returncode == status
