"""``python -m tests.suites redis PATH``: the field's own test suites, against a server and against the proxy.

Suites: ``redis`` (also Valkey's), ``redis-py``, ``django`` and ``django-redis``; PATH is a checkout of theirs, and none
of their code is here. Each unit gets a fresh server, and then a fresh one behind a ring of one node (``django``: of
three), or behind copies: what fails at the server too is not ours. `tests/live/README.md` says how to run it, what does
not pass, and why.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kidoproxy.admin.embedded import EmbeddedNodes
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
#: runs for too long or while memory is short, and then never end what they have begun; or CLIENT PAUSE is to do more
#: than it does here; or they set the node's password.
LEFT_OUT: Final = (
    "FUNCTION - test function kill.*",
    "FUNCTION - test script kill not working on function",
    "Timedout read-only scripts can be killed by SCRIPT KILL.*",
    "Timedout script (does not cause|link is still).*",
    "(.*EXEC.* and|MULTI and) script timeout",
    "DISCARD should not fail during OOM",
    "EXEC with only read commands should not be rejected when OOM",
    "Test (RO|read-only) scripts .*not blocked by pause RO",
    "Test both active and passive expires are skipped during client pause",
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
#: Settings of django-redis that want one server by TCP; the address that stands in them.
DJANGO_REDIS: Final = (
    "sqlite",
    *(f"sqlite_{name}" for name in ["gzip", "herd", "json", "lz4", "msgpack", "sharding", "zlib", "zstd"]),
)
DJANGO_REDIS_SERVER: Final = "127.0.0.1:6379"

#: Django's tests that use the cache of the settings, and the settings.
DJANGO: Final = ("cache.tests.RedisCacheTests", "sessions_tests")
DJANGO_SETTINGS: Final = """
from test_sqlite import *

CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:%d"}}
"""

COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
TCL: Final = re.compile(r"^\[(ok|err|exception|TIMEOUT|ignore|skip)\]: (.*)$")
PYTEST: Final = re.compile(r"^(PASSED|FAILED|ERROR) ([^ \[]+(?:\[.*?\](?= - |$))?)")
UNITTEST_RAN: Final = re.compile(r"(?m)^Ran (\d+) tests? in ")
UNITTEST_LEFT_OUT: Final = re.compile(r"\b(?:skipped|expected failures)=(\d+)")
UNITTEST_FAILED: Final = re.compile(
    r"(?m)^(?:FAIL|ERROR|UNEXPECTED SUCCESS): \w+ \((\S+)\)(?:.*\n)+?-{70}\n((?:.*\n)*?)\n"
)
PYTEST_OPTIONS: Final = ("-q", "-rA", "--tb=short", "-p", "no:cacheprovider", "--timeout=60")


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
    lines = COLOUR.sub("", text).partition("\n                   The End")[0].splitlines()
    for at, line in enumerate(lines):
        found = TCL.match(line)
        if found is None:
            continue
        kind, rest = found[1], found[2]
        if kind == "ok":
            made.add("passed", rest.rpartition(" (")[0], "")
        elif kind in ("ignore", "skip"):
            made.add("left out", rest, "")
        else:
            name = rest.partition(" in tests/")[0] if kind == "err" else f"{kind}: {rest}"
            made.add("failed", name, " ".join(lines[at + 1 : at + 2]))
    if "The End" not in text:
        made.add("failed", "the unit did not end", lines[-1] if lines else "")
    return made


def pytest_outcome(text: str) -> Outcome:
    """Read what ``pytest -rA`` has written at its end."""
    made = Outcome()
    for line in text.splitlines():
        found = PYTEST.match(line)
        if found is not None:
            made.add("passed" if found[1] == "PASSED" else "failed", found[2], line.partition(" - ")[2])
    if not made.counts and " deselected" not in text and " skipped" not in text:
        made.add("failed", "the unit did not end", text.rpartition("\n")[2])
    return made


def unittest_outcome(text: str) -> Outcome:
    """Read what Django's runtests has written at its end."""
    made = Outcome()
    for name, said in UNITTEST_FAILED.findall(text):
        made.add("failed", name, said.strip().rpartition("\n")[2])
    ran = UNITTEST_RAN.search(text)
    if ran is None:
        made.add("failed", "the unit did not end", text.strip().rpartition("\n")[2])
        return made
    made.counts["left out"] = sum(map(int, UNITTEST_LEFT_OUT.findall(text[ran.end() :])))
    made.counts["passed"] = int(ran[1]) - made.counts["left out"] - made.counts["failed"]
    return made


def run(command: Sequence[str], folder: Path, seconds: float, log: Path, **env: str) -> str:
    """Run a suite's own program; what it wrote. What it has started ends with it, and it ends after so many seconds."""
    with log.open("wb") as out:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "COLUMNS": "300", **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        late = ""
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            late = f"\n[TIMEOUT]: it was ended after {seconds:g} s\n"
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            late += "\n"  # nothing is left of it
        child.wait()
    return log.read_text("utf-8", "replace") + late


class Suite:
    """One suite: its checkout, its units, and how one of them is run and read."""

    #: Nodes of the ring that stands between.
    ring_nodes = 1

    def __init__(self, options: argparse.Namespace) -> None:
        self.path: Path = options.path.resolve()
        self.options = options

    def units(self) -> Sequence[str]:
        """All units that have to do with one server."""
        raise NotImplementedError

    def outcome(self, unit: str, port: int, log: Path) -> Outcome:
        """Run one unit at this port."""
        raise NotImplementedError

    def pytest(self, folder: Path, log: Path, *arguments: str) -> Outcome:
        """Run pytest in their checkout."""
        command = [self.options.python, "-m", "pytest", *PYTEST_OPTIONS, *arguments]
        return pytest_outcome(run(command, folder, self.options.seconds, log))


class RedisSuite(Suite):
    """Redis's own, in its external mode."""

    def units(self) -> Sequence[str]:
        """As runtest lists them."""
        command = ["tclsh", "tests/test_helper.tcl", "--list-tests"]
        said = subprocess.run(command, cwd=self.path, capture_output=True, text=True, check=True).stdout
        return [unit for unit in said.split() if unit.startswith("unit/") and "cluster" not in unit]

    def outcome(self, unit: str, port: int, log: Path) -> Outcome:
        """Errors outside of a test count too."""
        skipped = [word for name in LEFT_OUT for word in ("--skiptest", f"/^({name})$")]
        where = ["--host", "127.0.0.1", "--port", str(port), "--baseport", str(20_000 + port % 5_000)]
        tags = f"{TAGS} {self.options.tags}".strip()
        command = ["tclsh", "tests/test_helper.tcl", *where, "--durable", "--tags", tags, *skipped, "--single", unit]
        return tcl_outcome(run(command, self.path, self.options.seconds, log))


class RedisPySuite(Suite):
    """redis-py's, synchronous and asyncio."""

    def units(self) -> Sequence[str]:
        """Those of our list that this version has."""
        both = [*REDIS_PY, *(f"test_asyncio/{name}" for name in REDIS_PY)]
        return [unit for unit in both if (self.path / "tests" / unit).exists()]

    def outcome(self, unit: str, port: int, log: Path) -> Outcome:
        """One file."""
        skipped = [f"--deselect={Path('tests', unit).parent / name}" for name in LEFT_OUT_OF_REDIS_PY]
        where = [f"--redis-url=redis://127.0.0.1:{port}/0", f"--protocol={self.options.protocol}"]
        return self.pytest(self.path, log, *where, "-m", MARKS, *skipped, f"tests/{unit}")


class DjangoSuite(Suite):
    """Django's own, of its cache on Redis, and of sessions in that cache."""

    ring_nodes = 3

    def units(self) -> Sequence[str]:
        """Those that have to do with a cache."""
        return DJANGO

    def outcome(self, unit: str, port: int, log: Path) -> Outcome:
        """With the Django of the checkout."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "on_redis.py").write_text(DJANGO_SETTINGS % port, encoding="utf-8")
            paths = os.pathsep.join([str(self.path), folder])
            command = [self.options.python, "runtests.py", "--settings=on_redis", "--parallel=1", "--noinput", unit]
            said = run(command, self.path / "tests", self.options.seconds, log, PYTHONPATH=paths)
        return unittest_outcome(said)


class DjangoRedisSuite(Suite):
    """django-redis's; its settings name the server, so each unit runs in a copy that names another port."""

    def units(self) -> Sequence[str]:
        """One for each of its settings."""
        return DJANGO_REDIS

    def outcome(self, unit: str, port: int, log: Path) -> Outcome:
        """All tests with these settings."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            shutil.copytree(self.path, copy)
            for settings in (copy / "tests" / "settings").glob("*.py"):
                settings.write_text(settings.read_text().replace(DJANGO_REDIS_SERVER, f"127.0.0.1:{port}"))
            chosen = unit if "_" in unit else f"{unit} and not {unit}_"
            return self.pytest(copy, log, "--no-cov", "tests", "-k", chosen)


SUITES: Final = {
    "redis": RedisSuite,
    "redis-py": RedisPySuite,
    "django": DjangoSuite,
    "django-redis": DjangoRedisSuite,
}


def both(suite: Suite, unit: str, start: Starter, logs: Path) -> Iterator[Outcome]:
    """The unit straight, then through a pool."""
    name = unit.replace("/", "-")
    server = suite.options.server
    with EmbeddedNodes() as nodes:
        (url,) = nodes.start(1, server, True, SERVER)
        yield suite.outcome(unit, int(url.rpartition(":")[2]), logs / f"{name}.straight")
    mode, count = suite.options.mode, 2 if suite.options.mode == "copy" else suite.ring_nodes
    with start(mode, count, server=server, tcp=True, args=SERVER, timeout_ms=TIMEOUT_MS, allow=list(ALLOW)) as proxy:
        yield suite.outcome(unit, proxy.port, logs / f"{name}.proxied")
        (logs / f"{name}.proxy-log").write_text(proxy.log())


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__)
    parser.add_argument("suite", choices=list(SUITES))
    parser.add_argument("path", type=Path, help="a checkout of the suite's repository")
    parser.add_argument("units", nargs="*", help="only these")
    parser.add_argument("--mode", default="ring", choices=["ring", "copy"], help="the pool that stands between")
    parser.add_argument("--server", default="auto", help="the server behind: auto, embedded, system, or a path")
    parser.add_argument("--seconds", type=float, default=300, help="a unit that takes longer is ended")
    parser.add_argument("--tags", default="", help="more tags for Redis's suite")
    parser.add_argument("--protocol", default="2", choices=["2", "3"], help="of redis-py")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has what the suite needs")
    parser.add_argument("--logs", type=Path, help="keep all that the suites say in this folder")
    return parser.parse_args()


def main() -> int:
    """Prints the table; the exit status is 1 when something passes straight and not through the proxy."""
    options = arguments()
    suite: Suite = SUITES[options.suite](options)
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
