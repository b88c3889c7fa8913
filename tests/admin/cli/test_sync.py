"""``kidoproxy sync``: requests, their end, and what is said before anybody is asked."""

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from kidoproxy.admin import control_client
from kidoproxy.config import Config
from tests.admin.cli.invoke import invoke


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

    def send_sync_command(config: Config, pool: str, node: str, *words: str) -> list[str]:
        given.append((pool, node, *words))
        return ["what is lost"]

    monkeypatch.setattr(control_client, "send_sync_command", send_sync_command)
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
    text = '[pool.{}]\nlisten = "127.0.0.1:{}"\nmode = "copy"\nnodes = ["redis://10.0.0.{}"]\n'
    file.write_text(text.format("a", 1, 1) + text.format("b", 2, 2))
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
    """When no user may request a sync, that is said before anybody is asked."""
    file = tmp_path / "copies.toml"
    text = '[pool.c]\nlisten = "127.0.0.1:1"\nmode = "copy"\nnodes = [{ name = "a", url = "redis://h" }]\n'
    file.write_text(text + 'users.default = { commands = "+@read" }\n')
    result = invoke("sync", "--config", str(file), "c", "a")

    assert result.exit_code == 1
    assert 'no user of pool "c" can request it' in result.output
