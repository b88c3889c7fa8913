"""``python -m tests.outage``: what client libraries make of a node that is killed for three seconds.

Each client sends a job every half second, and its worker runs them, in processes of their own: directly on one server,
and through a ring of three with ``node_errors = "fast"`` and "retry". All keys are on the node that is killed.
The servers keep their data, so that every lost or doubled job is the client's. A cell reads *failed / lost / twice,
seconds*: jobs that could not be sent, that were sent and never run, that were run again; and how long after the
node's return the next one went well.

Libraries that the tests do not have are installed into a temporary folder. It takes about five minutes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.needs import needs_node_packages, needs_packages
from tests.outage.measure import Outcome, measure
from tests.outage.servers import Servers
from tests.outage.table import CLIENTS, Client

MODES = ("straight", "fast", "retry")


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.outage", description=__doc__.split("\n", maxsplit=1)[0])
    names = [client.name for client in CLIENTS]
    parser.add_argument("--only", action="append", default=[], metavar="NAME", choices=names)
    parser.add_argument("--mode", action="append", default=[], choices=MODES)
    parser.add_argument("--at-once", type=int, default=6, help="clients that are measured together (6)")
    parser.add_argument("--busy", action="store_true", help="kill the node while workers run jobs, not while they wait")
    parser.add_argument("--folder", type=Path, default=None, help="keep libraries, notes and logs here")
    return parser.parse_args(argv)


def install(client: Client, folder: Path) -> dict[str, str]:
    """Install its libraries; the environment in which it alone finds them, for they bring a redis-py along."""
    path = {}
    if client.pip:
        path["PYTHONPATH"] = str(needs_packages(folder, *client.pip))
    if client.npm:
        path["NODE_PATH"] = str(needs_node_packages(folder, *client.npm))
    return path


def main(argv: list[str]) -> None:
    """Measure the clients, and print a table."""
    options = arguments(argv)
    clients = [client for client in CLIENTS if not options.only or client.name in options.only]
    modes = options.mode or list(MODES)
    outcomes: dict[tuple[str, str], Outcome] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        paths = {client.name: install(client, folder / client.name) for client in clients}
        for mode in modes:
            for at in range(0, len(clients), options.at_once):
                some = clients[at : at + options.at_once]
                place = folder / f"{mode}-{at}"
                place.mkdir(parents=True)
                with Servers(mode, place) as servers:
                    for client, outcome in zip(some, measure(some, servers, paths, options.busy), strict=True):
                        outcomes[client.name, mode] = outcome
                        sys.stderr.write(f"{client.name}, {mode}: {outcome}\n")
    sys.stdout.write(f"| client | {' | '.join(modes)} |\n| --- |{' --- |' * len(modes)}\n")
    for client in clients:
        sys.stdout.write(f"| {client.name} | {' | '.join(outcomes[client.name, mode].cell() for mode in modes)} |\n")


if __name__ == "__main__":
    main(sys.argv[1:])
