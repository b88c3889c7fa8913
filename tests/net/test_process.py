"""What the process asks of its machine; in a process of its own, for it cannot be taken back."""

import subprocess
import sys

import pytest


def ran(code: str) -> subprocess.CompletedProcess[str]:
    """What that Python program wrote."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)


def test_the_collector_is_calm() -> None:
    """What stands at the start is no garbage to look for, and thousands of short-lived calls are none either."""
    code = "import gc; from kidoproxy.net.process import calm_collector as c; c()"
    assert int(ran(f"{code}; print(gc.get_freeze_count() * (gc.get_threshold()[0] // 100_000))").stdout) > 1000


FILES = """
import logging, resource
logging.basicConfig()
from kidoproxy.net.process import allow_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
allow_files({clients}, 4, 100)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "clients", "limit", "warning"),
    [
        (100, 500, 300, 480, ""),
        (400, 420, 300, 420, ""),
        (490, 500, 300, 490, ""),
        (100, 200, 300, 200, "few open files: limit=200 wanted=380 reason="),
    ],
)
def test_open_files(soft: int, hard: int, clients: int, limit: int, warning: str) -> None:
    """The soft limit is raised to what clients and lanes need, never lowered; told is what clients alone lack."""
    done = ran(FILES.format(soft=soft, hard=hard, clients=clients))
    assert int(done.stdout) == limit
    assert warning in done.stderr
    assert bool(done.stderr) is bool(warning)
