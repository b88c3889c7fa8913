"""What an import of the backends brings along."""

import subprocess
import sys


def test_needs_nothing_of_the_proxy() -> None:
    """The backends import Django alone: redis-py when a connection is made, the proxy's core never."""
    look = (
        "import sys, kidoproxy.django\n"
        "ours = {name for name in sys.modules if name.startswith('kidoproxy')}\n"
        "print(sorted(name for name in ours if not (name + '.').startswith(('kidoproxy.django.'))))\n"
        "print('redis' in sys.modules)\n"
    )
    seen = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert seen.stdout.split("\n")[:2] == ["['kidoproxy']", "False"]
