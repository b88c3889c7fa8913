"""``kidoproxy serve``: what it prints, and its exit status: 0 done, 1 did not work, 2 wrong file or usage."""

import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from kidoproxy.admin import cli
from kidoproxy.resp.errors import ConfigError
from tests.admin.cli.invoke import Daemon, invoke


def test_help_teaches() -> None:
    """The first help page has the two modes and a first session; each command has an example."""
    page = invoke("--help").output

    assert "kidoproxy serve" in page
    assert "each key lives on every node" in page
    for command in ("serve", "check", "reload", "route", "sync", "scrub", "config"):
        assert "Example" in invoke(command, "--help").output, command


def test_serve_a_file(ring: str, daemon: Daemon) -> None:
    """With a file its pools are served, and what the daemon announces is printed."""
    result = invoke("serve", "--config", ring)

    assert (result.exit_code, result.output) == (0, "ready\nstill ready\n")
    assert daemon.config is not None
    assert list(daemon.config.pools) == ["cache"]


def test_the_file_can_be_read_anew(ring: str, daemon: Daemon) -> None:
    """As at the start, from wherever the process is then; a SIGHUP waits until the daemon takes it."""
    invoke("serve", "--config", ring)
    assert signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert daemon.read is not None
    assert daemon.read() == daemon.config
    Path(ring).write_text("x")
    with pytest.raises(ConfigError):
        daemon.read()


def test_the_file_may_come_from_the_environment(ring: str, daemon: Daemon) -> None:
    """A container needs no arguments."""
    assert CliRunner(env={"KIDOPROXY_CONFIG": ring}).invoke(cli.main, ["serve"]).exit_code == 0
    assert daemon.config is not None
    assert daemon.config.source == "ring.toml"


@pytest.mark.live
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], "a ring of 3 embedded nodes. Try:\n"),
        (["--nodes", "1", "--http", "127.0.0.1:9380"], "  http://127.0.0.1:9380/\n"),
        (["--mode", "copy", "--nodes", "1", "--server", "system"], "copies of 1 embedded node. Try:"),
        (["--listen", "unix:///tmp/k.sock", "--nodes", "1"], "redis.Redis.from_url('unix:///tmp/k.sock').get('hello')"),
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


def test_take_over(copies: str, daemon: Daemon) -> None:
    """The copy pools that another proxy has to leave are named."""
    assert invoke("serve", "--config", copies, "--take-over", "cache").exit_code == 0
    assert daemon.take_over == {"cache"}


@pytest.mark.parametrize(
    ("pool", "expected"), [("cache", 'Pool "cache" is a ring: any number'), ("other", 'there is no pool "other"')]
)
def test_take_over_of_what_is_no_copy_pool(ring: str, daemon: Daemon, pool: str, expected: str) -> None:
    result = invoke("serve", "--config", ring, "--take-over", pool)
    assert result.exit_code == 2
    assert expected in result.output
    assert daemon.config is None


def test_take_over_needs_a_file() -> None:
    result = invoke("serve", "--take-over", "local")
    assert result.exit_code == 2
    assert "--take-over needs --config" in result.output


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
