"""``python -m tests.libraries``: runs the libraries that have a set of ``together``, over a ring and over copies.

Each runs four times: straight on one server, which proves its script; over a ring of three with its set; without it,
which shows what the set is for; and over two copies, which must hold the same afterwards. The libraries are installed
into a temporary folder. It takes a few minutes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from kidoproxy.admin.embedded import EmbeddedNodes
from tests.libraries.run import install, run
from tests.libraries.table import LIBRARIES, Library
from tests.live.proxies import starter
from tests.live.same_copies import check_copies


def last(said: str) -> str:
    """What a failure comes to."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "CROSSSLOT" in line or "is not served here" in line or "rror" in line]
    return (telling or lines or [""])[-1][:150]


def verdict(said: str) -> str:
    """For the table."""
    return f"fails: {last(said)}" if said else "well"


def row(library: Library, folder: Path) -> list[str]:
    """Straight, over a ring with the set, without, and over copies."""
    path = install(library, folder)
    with EmbeddedNodes() as nodes:
        cells = [verdict(run(library, nodes.start(1, tcp=True)[0], path))]
    for together in (list(library.together), []):
        place = folder / f"{library.script}-{len(together)}"
        place.mkdir()
        with starter(place) as serve:
            cells.append(verdict(run(library, serve("ring", 3, timeout_ms=10_000, together=together).url, path)))
    return [*cells, on_copies(library, folder, path)]


def on_copies(library: Library, folder: Path, path: dict[str, str]) -> str:
    """Over two copies, which are compared."""
    place = folder / f"{library.script}-copies"
    place.mkdir()
    with starter(place) as serve:
        copies = serve("copy", 2, timeout_ms=10_000)
        found = verdict(run(library, copies.url, path))
        try:
            check_copies(copies)
        except AssertionError as error:
            return f"{found}; copies differ: {last(str(error))}"
    return found


def main(argv: list[str]) -> int:
    """Print a line for each; exit status 1 if one fails with its set, or over copies."""
    parser = argparse.ArgumentParser(prog="python -m tests.libraries", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", action="append", default=[], choices=[each.script for each in LIBRARIES])
    options = parser.parse_args(argv)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for library in LIBRARIES:
            if options.only and library.script not in options.only:
                continue
            cells = row(library, Path(folder))
            failed += cells[1] != "well" or cells[3] != "well"
            sys.stdout.write(f"| {library.script} | {' | '.join(library.together)} | {' | '.join(cells)} |\n")
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
