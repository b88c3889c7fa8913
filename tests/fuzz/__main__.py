"""``python -m tests.fuzz --seconds 60``: random commands and random bytes, until one breaks the contract.

Each round has a seed of its own, which is printed when it fails: ``--seed N`` runs that round alone.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from kidoproxy.admin.embedded import EmbeddedNodes
from tests.fuzz.contract import Broken, Fuzzer
from tests.fuzz.liar import lying
from tests.fuzz.lockstep import Lockstep, play
from tests.live.proxies import starter


def round_of(fuzzer: Fuzzer, seed: int) -> None:
    """One round: conversations on emptied servers, what they hold, and noise."""
    fuzzer.seed = seed
    fuzzer.chance = random.Random(seed)
    fuzzer.empty()
    for _ in range(10):
        fuzzer.commands()
    fuzzer.contents()
    for _ in range(20):
        fuzzer.bytes()


def lockstep_of(fuzzer: Fuzzer, seed: int) -> None:
    """One round of two clients in lockstep, on emptied servers, and what they hold."""
    fuzzer.seed = seed
    fuzzer.chance = random.Random(seed)
    fuzzer.empty()
    for _ in range(3):
        both = Lockstep(fuzzer.ring.url, fuzzer.ring.nodes.urls, fuzzer.oracle, fuzzer.chance)
        try:
            play(both, 60)
        except (Broken, AssertionError, TimeoutError) as broken:
            said = "\n".join(["    " + line for line in both.transcript[-25:]])
            raise Broken(f"seed {seed}: {broken}\n{said}") from broken
        fuzzer.requests += both.requests
    fuzzer.contents()


def lies(first: int, options: argparse.Namespace) -> int:
    """Rounds with a node that lies."""
    until = time.monotonic() + options.seconds
    mode = "copy" if options.copies else "ring"
    with tempfile.TemporaryDirectory() as folder, starter(Path(folder)) as start, lying(start, mode) as trial:
        seed = first
        try:
            while seed == first or (options.seed is None and time.monotonic() < until):
                trial.round(seed)
                seed += 1
        except (Broken, AssertionError) as broken:
            sys.stdout.write(f"{broken}\n")
            return 1
    sys.stdout.write(f"{seed - first} rounds, {trial.requests} requests from seed {first}: the contract holds\n")
    return 0


def main() -> int:
    """The exit status is 1 when the contract was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, help="run this one round")
    parser.add_argument("--lockstep", type=int, metavar="NODES", help="conversations, with a ring of so many")
    parser.add_argument("--lies", action="store_true", help="one of two nodes lies")
    parser.add_argument("--copies", action="store_true", help="two copies in place of a ring of three")
    options = parser.parse_args()
    first = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    if options.lies:
        return lies(first, options)
    with tempfile.TemporaryDirectory() as folder, starter(Path(folder)) as start, EmbeddedNodes() as nodes:
        mode, count = ("copy", 2) if options.copies else ("ring", options.lockstep or 3)
        proxy = start(mode, count, timeout_ms=5000)
        fuzzer = Fuzzer(proxy, nodes.start(1)[0], first, options.copies)
        until = time.monotonic() + options.seconds
        rounds = 0
        try:
            while rounds == 0 or (options.seed is None and time.monotonic() < until):
                (lockstep_of if options.lockstep else round_of)(fuzzer, first + rounds)
                rounds += 1
        except Broken as broken:
            sys.stdout.write(f"{broken}\n")
            return 1
    sys.stdout.write(f"{rounds} rounds, {fuzzer.requests} requests from seed {first}: the contract holds\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
