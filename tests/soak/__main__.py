"""``python -m tests.soak --minutes 60``: rings and copies at work for so long, side by side; exit status 1: a leak."""

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.live.proxies import starter
from tests.soak.soak import MIB, OPTIONS, POOLS, Soak, play


def report(name: str, soak: Soak) -> str:
    """What a person reads of one pool."""
    memory = [f"{each.memory / MIB:.1f}" for each in soak.at_work[:: max(len(soak.at_work) // 10, 1)]]
    lines = [f"{name}: {soak.turns} turns, MiB: {' '.join(memory)}, {soak.at_end.files} files without clients"]
    lines += [f"{name}: {problem}" for problem in [*soak.leaks(), *soak.problems[:20]]]
    return "\n".join(lines)


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, starter(Path(folder)) as start, ThreadPoolExecutor() as pool:
        proxies = [start(kind.mode, kind.nodes, proxy={"workers": kind.workers}, **OPTIONS) for kind in POOLS]
        plays = [pool.submit(play, proxy, options.minutes * 60, options.clients, options.seed) for proxy in proxies]
        soaks = [each.result() for each in plays]
    for kind, soak in zip(POOLS, soaks, strict=True):
        sys.stdout.write(report(kind.name, soak) + "\n")
    return 1 if any(soak.leaks() or soak.problems for soak in soaks) else 0


if __name__ == "__main__":
    sys.exit(main())
