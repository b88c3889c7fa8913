"""``python -m tests.consistency --minutes 60 --seed 7``: scenarios by chance, until something is wrong or time is over.

Each round has a seed of its own, which is printed with its name and its kind of pool: ``--only NAME --pool KIND --seed
N`` plays that round again (the same dice; threads and servers may come in another order). Each scenario comes on one
kind of pool after another. What the pool refused is printed in the end.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.consistency.history import FAIL, OK, UNKNOWN
from tests.consistency.pools import POOLS
from tests.consistency.rounds import Clusters, kind_of_round
from tests.consistency.scenarios import SCENARIOS
from tests.live.proxies import starter


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.consistency", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", action="append", choices=sorted(SCENARIOS), help="these scenarios; may be repeated")
    parser.add_argument("--pool", action="append", choices=sorted(POOLS), help="these kinds of pools; may be repeated")
    parser.add_argument("--scale", type=int, default=3, help="how many times more operations than in the suite")
    parser.add_argument("--server", default="auto", help="the servers: auto, embedded, system, or a path")
    parser.add_argument("--dump", type=Path, help="a folder for the histories of rounds with problems")
    parser.add_argument("--keep-going", action="store_true", help="do not end at the first problem")
    return parser.parse_args()


def main() -> int:
    """The exit status is 1 when something was wrong."""
    options = arguments()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    until = time.monotonic() + options.minutes * 60
    names = list(options.only or SCENARIOS)
    refused: set[str] = set()
    rounds = wrong = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        starter(Path(folder)) as start,
        Clusters(start, options.server) as all_of,
    ):
        while time.monotonic() < until and (options.keep_going or not wrong):
            # All of them once, before any of them twice.
            name = names[rounds % len(names)]
            kind = kind_of_round(SCENARIOS[name], rounds // len(names) + rounds % len(names), options.pool or ())
            began = time.monotonic()
            history, problems = all_of.play(SCENARIOS[name], seed + rounds, options.scale, kind)
            refused |= history.refused
            counts = ", ".join(f"{history.count(outcome)} {outcome}" for outcome in (OK, FAIL, UNKNOWN))
            sys.stdout.write(
                f"{name} on {kind.name} seed {seed + rounds}: {counts}, {time.monotonic() - began:.1f} s\n"
            )
            sys.stdout.write("".join(f"    {problem}\n" for problem in problems[:50]))
            sys.stdout.flush()
            if problems and options.dump:
                options.dump.mkdir(parents=True, exist_ok=True)
                lines = "".join(f"{operation}\n" for operation in history.operations)
                (options.dump / f"{name}-{seed + rounds}").write_text(lines + "\n".join(problems))
            rounds += 1
            wrong += bool(problems)
    sys.stdout.write(f"{rounds} rounds from seed {seed}, {wrong} with problems\n")
    sys.stdout.write("".join(f"refused: {text}\n" for text in sorted(refused)))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
