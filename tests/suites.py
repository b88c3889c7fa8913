"""``python -m tests.suites redis PATH``: the test suite of Redis itself, against a server and against the proxy.

``python -m tests.suites redis-py PATH`` does the same with redis-py's suite. PATH is a checkout of theirs; none of
their code is here. Each unit gets a fresh server, and a fresh one behind a ring of one node. What fails at the
server too is not ours. `tests/live/README.md` says how to run it, what does not pass, and why.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kidoproxy.embedded import EmbeddedNodes
from tests.live.proxies import Starter, starter

#: As Redis's own CI starts the server for its external mode.
SERVER: Final = ("--enable-protected-configs", "yes", "--enable-debug-command", "yes", "--enable-module-command", "yes")
#: What the suites need and the proxy refuses by default. DEBUG and replication are never served: see `TAGS`.
ALLOW: Final = ("bgrewriteaof", "bgsave", "config", "module|list", "save", "swapdb")
TAGS: Final = "-needs:debug -needs:repl"
#: Some scripts of the suites run for seconds.
TIMEOUT_MS: Final = 30_000

#: Tests that cannot pass, and that would leave behind something which spoils those that follow: names, as regular
#: expressions. They wait for the error that a server has for PING, or for a command that MULTI queues, while a script
#: runs for too long (the first five lines) or while memory is short, and then never end what they have begun; or they
#: count on no-writes in the text of a script during CLIENT PAUSE, and wait for hours; or they set the node's password.
LEFT_OUT: Final = (
    "FUNCTION - test function kill.*",
    "FUNCTION - test script kill not working on function",
    "Timedout read-only scripts can be killed by SCRIPT KILL.*",
    "Timedout script (does not cause|link is still).*",
    ".*EXEC.* and script timeout|MULTI and script timeout",
    "DISCARD should not fail during OOM",
    "Test (RO|read-only) scripts .*not blocked by pause RO",
)
LEFT_OUT_OF_REDIS_PY: Final = ("test_commands.py::TestRedisCommands::test_auth",)
#: Tests of redis-py that are for something else than one server.
MARKS: Final = "not redismod and not onlycluster and not ssl"

#: Files of redis-py that talk to one server; the others need modules, clusters, Sentinel, TLS or no server at all.
REDIS_PY: Final = (
    "test_commands.py",
    "test_connection.py",
    "test_connection_pool.py",
    "test_encoding.py",
    "test_function.py",
    "test_keyspace_notifications.py",
    "test_legacy_responses_arg.py",
    "test_lock.py",
    "test_monitor.py",
    "test_multiprocessing.py",
    "test_pipeline.py",
    "test_pubsub.py",
    "test_retry.py",
    "test_scripting.py",
    "test_cache.py",
)

COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
TCL: Final = re.compile(r"^\[(ok|err|exception|TIMEOUT|ignore)\]: (.*)$")
PYTEST: Final = re.compile(r"^(PASSED|FAILED|ERROR) (\S+)")


@dataclass
class Outcome:
    """What one unit came to: how many of each kind, and which tests failed, in their own words."""

    counts: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, name: str, said: str) -> None:
        """One test is over. A name may come twice in a unit; each failure counts."""
        self.counts[kind] += 1
        if kind == "failed":
            again = sum(known.partition(" #")[0] == name for known in self.failed)
            self.failed[f"{name} #{again + 1}" if again else name] = said

    def __str__(self) -> str:
        return f"{self.counts['passed']} / {self.counts['failed']}"


def tcl_outcome(text: str) -> Outcome:
    """Read what Redis's runtest has written."""
    made = Outcome()
    body = COLOUR.sub("", text).partition("\n                   The End")[0]
    lines = body.splitlines()
    for at, line in enumerate(lines):
        found = TCL.match(line)
        if found is None:
            continue
        kind, rest = found[1], found[2]
        if kind == "ok":
            made.add("passed", rest.rpartition(" (")[0], "")
        elif kind == "ignore":
            made.add("left out", rest, "")
        else:
            name = rest.partition(" in tests/")[0] if kind == "err" else f"{kind}: {rest}"
            made.add("failed", name, " ".join(lines[at + 1 : at + 3]))
    if "The End" not in text:
        made.add("failed", "the unit did not end", lines[-1] if lines else "")
    return made


def pytest_outcome(text: str) -> Outcome:
    """Read what ``pytest -rA`` has written at its end."""
    made = Outcome()
    for line in text.splitlines():
        found = PYTEST.match(line)
        if found is not None:
            said = line.partition(" - ")[2]
            made.add("passed" if found[1] == "PASSED" else "failed", found[2], said)
    return made


def run(command: Sequence[str], folder: Path, seconds: float, log: Path) -> str:
    """Run a suite's own program; what it wrote. One that does not end is killed with all it has started."""
    with log.open("wb") as out:
        child = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, process_group=0
        )
        late = ""
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            late = f"\n[TIMEOUT]: the unit did not end within {seconds:g} s\nFAILED unit - did not end\n"
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                late += ""
            child.wait()
    return log.read_text("utf-8", "replace") + late


@dataclass(frozen=True)
class Suite:
    """One suite: its checkout, its units, and how one of them is run and read."""

    name: str
    path: Path
    options: argparse.Namespace

    def units(self) -> list[str]:
        """All units that have to do with one server."""
        if self.name == "redis":
            said = subprocess.run(
                ["tclsh", "tests/test_helper.tcl", "--list-tests"],
                cwd=self.path,
                capture_output=True,
                text=True,
                check=True,
            )
            return [unit for unit in said.stdout.split() if unit.startswith("unit/") and "cluster" not in unit]
        both = [*REDIS_PY, *(f"test_asyncio/{name}" for name in REDIS_PY)]
        return [unit for unit in both if (self.path / "tests" / unit).exists()]

    def command(self, unit: str, port: int) -> list[str]:
        """What to run in the checkout."""
        if self.name == "redis":
            tags = f"{TAGS} {self.options.tags}".strip()
            where = ["--host", "127.0.0.1", "--port", str(port), "--baseport", str(20_000 + port % 5_000)]
            skipped = [word for name in LEFT_OUT for word in ("--skiptest", f"/^({name})$")]
            return ["tclsh", "tests/test_helper.tcl", *where, "--durable", "--tags", tags, *skipped, "--single", unit]
        pytest = [
            self.options.python,
            "-m",
            "pytest",
            "-q",
            "-rA",
            "--tb=short",
            "-p",
            "no:cacheprovider",
            "--timeout=60",
        ]
        url = f"--redis-url=redis://127.0.0.1:{port}/0"
        folder = unit.rpartition("/")[0]
        skipped = [f"--deselect={Path('tests', folder, name)}" for name in LEFT_OUT_OF_REDIS_PY]
        return [*pytest, url, f"--protocol={self.options.protocol}", "-m", MARKS, *skipped, f"tests/{unit}"]

    def outcome(self, unit: str, port: int, log: Path) -> Outcome:
        """Run one unit at this port."""
        text = run(self.command(unit, port), self.path, self.options.seconds, log)
        return tcl_outcome(text) if self.name == "redis" else pytest_outcome(text)


def both(suite: Suite, unit: str, start: Starter, logs: Path) -> Iterator[Outcome]:
    """The unit straight, then through a ring of one node."""
    name = unit.replace("/", "-")
    server = suite.options.server
    with EmbeddedNodes() as nodes:
        (url,) = nodes.start(1, server, True, SERVER)
        yield suite.outcome(unit, int(url.rpartition(":")[2]), logs / f"{name}.straight")
    with start("ring", 1, server=server, tcp=True, args=SERVER, timeout_ms=TIMEOUT_MS, allow=list(ALLOW)) as proxy:
        yield suite.outcome(unit, proxy.port, logs / f"{name}.proxied")
        (logs / f"{name}.proxy-log").write_text(proxy.log())


def main() -> int:
    """Prints the table; the exit status is 1 when something passes straight and not through the proxy."""
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__)
    parser.add_argument("suite", choices=["redis", "redis-py"])
    parser.add_argument("path", type=Path, help="a checkout of the suite's repository")
    parser.add_argument("units", nargs="*", help="only these")
    parser.add_argument("--server", default="auto", help="the server behind: auto, system, or a path")
    parser.add_argument("--seconds", type=float, default=600, help="a unit that takes longer is ended")
    parser.add_argument("--tags", default="-slow", help="more tags for Redis's suite")
    parser.add_argument("--protocol", default="2", choices=["2", "3"], help="of redis-py")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs redis-py's suite")
    parser.add_argument("--logs", type=Path, help="keep all that the suites say in this folder")
    options = parser.parse_args()
    suite = Suite(options.suite, options.path, options)
    worse = 0
    sys.stdout.write("| unit | straight: passed / failed | proxied: passed / failed |\n| --- | --: | --: |\n")
    with tempfile.TemporaryDirectory() as folder, starter(Path(folder)) as start:
        logs = options.logs or Path(folder)
        logs.mkdir(parents=True, exist_ok=True)
        for unit in options.units or suite.units():
            straight, proxied = both(suite, unit, start, logs)
            sys.stdout.write(f"| {unit} | {straight} | {proxied} |\n")
            for name in proxied.failed.keys() - straight.failed.keys():
                worse += 1
                sys.stdout.write(f"    {name}: {proxied.failed[name]}\n")
            sys.stdout.flush()
    return 1 if worse else 0


if __name__ == "__main__":
    raise SystemExit(main())
