"""``kidoproxy check`` against real servers: what is well, what is not, and what it looks like."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from kidoproxy.admin.cli import main
from kidoproxy.admin.embedded import EmbeddedNodes

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def nodes() -> Iterator[EmbeddedNodes]:
    """Two servers for the whole file; what a test changes, it restores."""
    with EmbeddedNodes() as started:
        started.start(2, tcp=True)
        yield started


def check(tmp_path: Path, text: str) -> Result:
    file = tmp_path / "ring.toml"
    file.write_text(text)
    # For there may be a password in it.
    file.chmod(0o600)
    return CliRunner().invoke(main, ["check", "--config", str(file)])


def pool(urls: list[str], mode: str = "ring", name: str = "cache", listen: str = 'listen = "127.0.0.1:6380"') -> str:
    tables = ", ".join(url if url.startswith("{") else f'"{url}"' for url in urls)
    return f'[pool.{name}]\n{listen}\nmode = "{mode}"\nnodes = [{tables}]\nconnect_timeout_ms = 2000\n'


def test_all_well(tmp_path: Path, nodes: EmbeddedNodes) -> None:
    """Each node has a row with its server, its latency and its share; the shares make the whole."""
    result = check(tmp_path, pool(nodes.urls))
    lines = result.output.splitlines()

    assert result.exit_code == 0, result.output
    assert lines[0] == "cache: a ring pool for 127.0.0.1:6380"
    assert lines[-1] == "ring.toml is valid, and all 2 nodes are well."
    for url, line in zip(nodes.urls, lines[1:], strict=False):
        name, address, kind, version, latency, unit, bar, share = line.split()
        assert name == address == url.removeprefix("redis://")
        assert (kind, version[0], unit) == ("valkey", "9", "ms")
        assert float(latency) > 0
        assert set(bar) <= set("█·")
        assert share.endswith("%")
    assert sum(float(line.split()[-1].rstrip("%")) for line in lines[1:3]) == pytest.approx(100, abs=0.2)


def test_users(tmp_path: Path, nodes: EmbeddedNodes) -> None:
    """Where there are users they are named, with what is unusual about them; a wrong rule is told before any node."""
    text = pool(nodes.urls) + '[pool.cache.users]\nalice = { password = "hush" }\nbob = { enabled = false }\n'
    result = check(tmp_path, text)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[1] == "  users: default (no password), alice, bob (disabled)"

    wrong = check(tmp_path, text.replace("enabled = false", 'nopass = true, commands = "+gett"'))
    assert wrong.exit_code == 2
    assert wrong.output.endswith(
        'ring.toml: pool.cache.users.bob.commands: there is no command "gett"; did you mean "+get"?\n'
    )


def test_a_ring_of_copies(tmp_path: Path, nodes: EmbeddedNodes) -> None:
    """Pools have rows too, and each pool a part of its own."""
    text = pool(["pool:a", "pool:b"])
    text += pool([nodes.urls[0]], "copy", "a", "") + pool([nodes.urls[1]], "copy", "b", "")
    result = check(tmp_path, text)

    assert result.exit_code == 0, result.output
    assert "a  pool:a" in result.output
    assert "a: a copy pool for other pools\n" in result.output
    assert "everything" in result.output


def test_what_is_not_well(tmp_path: Path, nodes: EmbeddedNodes) -> None:
    """Each node that disappoints has its line, the others their rows, and the status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = taken.getsockname()[1]
    with EmbeddedNodes() as guarded:
        (locked,) = guarded.start(1, args=["--requirepass", "hush"])
        result = check(
            tmp_path,
            pool(
                [
                    nodes.urls[0],
                    f"redis://127.0.0.1:{dead}",
                    f'{{ name = "locked", url = "{locked}" }}',
                    nodes.urls[1].replace("redis://", "redis://:wrong@"),
                ]
            ),
        )
        wrong = check(tmp_path, pool([f'{{ name = "locked", url = "{locked}", password = "wr0ng" }}']))
        right = check(tmp_path, pool([f'{{ name = "locked", url = "{locked}", password = "hush" }}']))

    problems = [line.strip() for line in result.output.splitlines() if line.strip().startswith("!")]
    assert result.exit_code == 1
    assert problems == [
        "! connection refused",
        "! wants a password, and none is configured",
        "! wants no password, but one is configured",
    ]
    assert "kidoproxy: 3 of 4 nodes have a problem: " in result.output
    assert "! refuses the configured user or password" in wrong.output
    assert "kidoproxy: 1 of 1 nodes has a problem: locked" in wrong.output
    assert "wr0ng" not in wrong.output
    assert right.exit_code == 0


def test_a_replica(tmp_path: Path, nodes: EmbeddedNodes) -> None:
    """A server that follows another one takes no writes, so it is no node."""
    host, port = nodes.urls[0].removeprefix("redis://").split(":")
    with redis.Redis.from_url(nodes.urls[1], protocol=2) as client:
        client.replicaof(host, port)
        try:
            result = check(tmp_path, pool(nodes.urls))
        finally:
            client.replicaof("NO", "ONE")

    assert result.exit_code == 1
    assert f"! is a replica of {host}:{port}: writes to it would fail" in result.output


def test_a_server_without_tls(tmp_path: Path, nodes: EmbeddedNodes) -> None:
    """A handshake that fails is a line, not a stack of them."""
    result = check(tmp_path, pool([nodes.urls[0].replace("redis:", "rediss:")]))

    assert result.exit_code == 1
    assert len([line for line in result.output.splitlines() if line.strip().startswith("!")]) == 1


def test_a_login_of_copies_that_may_not_do_what_copies_need(tmp_path: Path, nodes: EmbeddedNodes) -> None:
    """One line below the node for each command; the status is that of a node with a problem."""
    with redis.Redis.from_url(nodes.urls[0]) as admin:
        admin.acl_setuser("app", enabled=True, nopass=True, keys="*", channels="*", commands=["+@all", "-client|kill"])
        first = f'{{ url = "{nodes.urls[0]}", username = "app", password = "any" }}'
        try:
            result = check(tmp_path, pool([first, nodes.urls[1]], "copy"))
            assert result.exit_code == 1
            assert result.output.count("its user may not CLIENT KILL: a late write") == 1
            assert check(tmp_path, pool([first, nodes.urls[1]])).exit_code == 0, "a ring does without"
        finally:
            admin.acl_deluser("app")
