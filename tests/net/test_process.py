"""What the process asks of its machine; in a process of its own, for it cannot be taken back."""

import resource
import subprocess
import sys

import pytest

from kidoproxy.net.process import raise_file_limit


def ran(code: str) -> subprocess.CompletedProcess[str]:
    """What that Python program wrote."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)


def test_the_collector_is_calm() -> None:
    """What stands at the start is no garbage to look for, and thousands of short-lived calls are none either."""
    code = "import gc; from kidoproxy.net.process import tune_gc as c; c()"
    assert int(ran(f"{code}; print(gc.get_freeze_count() * (gc.get_threshold()[0] // 100_000))").stdout) > 1000


FILES = """
import logging, resource
logging.basicConfig()
from kidoproxy.net.process import raise_file_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_file_limit({clients}, 4, 100), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "clients", "said", "warning"),
    [
        (100, 600, 300, "400 496", ""),
        (400, 420, 300, "324 420", ""),
        (498, 600, 300, "400 498", ""),
        (100, 200, 300, "104 200", "max_clients lowered: from=300 to=104 reason="),
        (50, 97, 300, "49 97", "max_clients lowered: from=300 to=49 reason="),
    ],
)
def test_open_files(soft: int, hard: int, clients: int, said: str, warning: str) -> None:
    """The soft limit is raised to what clients and dedicated connections need, never lowered; nodes keep a share."""
    done = ran(FILES.format(soft=soft, hard=hard, clients=clients))
    assert done.stdout.strip() == said
    assert warning in done.stderr
    assert bool(done.stderr) is bool(warning)


def test_open_files_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is lowered, and nothing is to be raised."""
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert raise_file_limit(10, 4, 5) == 15
