"""What a nutcracker.yml says, as a file of ours: keys stay where the real nutcracker has put them."""

import sys
from pathlib import Path
from typing import Any

import pytest

from kidoproxy.admin.importing.nutcracker import read_nutcracker
from kidoproxy.config import ConfigError, Pool
from kidoproxy.config.read import load
from kidoproxy.routes.build import build_placement, build_tags
from tests.routes.placement.test_owners import KEYS, VECTORS

#: The pools of the example in nutcracker's README.
POSTED = """
alpha:
  listen: 127.0.0.1:22121
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: true
  redis: true
  server_retry_timeout: 2000
  server_failure_limit: 1
  servers:
   - 127.0.0.1:6379:1
beta:
  listen: 127.0.0.1:22122
  hash: fnv1a_64
  hash_tag: "{}"
  distribution: ketama
  auto_eject_hosts: false
  timeout: 400
  redis: true
  servers:
   - 127.0.0.1:6380:1 server1
   - 127.0.0.1:6381:1 server2
   - 127.0.0.1:6382:1 server3
   - 127.0.0.1:6383:1 server4
gamma:
  listen: 127.0.0.1:22123
  hash: fnv1a_64
  distribution: ketama
  timeout: 400
  backlog: 1024
  preconnect: true
  auto_eject_hosts: true
  server_retry_timeout: 2000
  server_failure_limit: 3
  servers:
   - 127.0.0.1:11212:1
delta:
  listen: 127.0.0.1:22124
  hash: fnv1a_64
  distribution: ketama
  timeout: 100
  auto_eject_hosts: true
  server_retry_timeout: 2000
  server_failure_limit: 1
  servers:
   - 127.0.0.1:11214:1
omega:
  listen: /tmp/gamma 0666
  hash: hsieh
  distribution: ketama
  auto_eject_hosts: false
  servers:
   - 127.0.0.1:11214:100000
"""


def pools_of(text: str, tmp_path: Path, **environ: str) -> dict[str, Pool]:
    """The pools that `kidoproxy serve` would have with what was written."""
    file = tmp_path / "kidoproxy.toml"
    file.write_text(read_nutcracker(text, "nutcracker.yml").to_toml("nutcracker.yml"), encoding="utf-8")
    return dict(load(file, {"HOME": "/h", **environ}).pools)


def one_pool(*lines: str, listen: str = "127.0.0.1:6380", servers: str = "[10.0.0.1:6379:1, 10.0.0.2:6379:1]") -> str:
    """A pool named cache."""
    return "\n  ".join(["cache:", f"listen: {listen}", "redis: true", f"servers: {servers}", *lines]) + "\n"


@pytest.mark.parametrize("ring", VECTORS["nutcracker"], ids=lambda ring: f"{ring['hash']}-{len(ring['servers'])}")
def test_keys_stay(tmp_path: Path, ring: dict[str, Any]) -> None:
    """Each shape that nutcracker was asked about is imported with every key in its place."""
    servers = "[" + ", ".join(f'"{server}"' for server in ring["servers"]) + "]"
    lines = [f"hash: {ring['hash']}", *([f'hash_tag: "{ring["hash_tag"]}"'] if ring["hash_tag"] else [])]
    text = one_pool(*lines, servers=servers)
    pool = pools_of(text, tmp_path)["cache"]
    assert pool.ring is not None
    placement, tags = build_placement(pool.ring, pool.members), build_tags(pool.ring)
    assert [placement.owner(tags.hashed_part(key)) for key in KEYS] == ring["owners"]


def test_the_posted_example(tmp_path: Path) -> None:
    """Its Redis pools are served, those for memcached are named."""
    imported = read_nutcracker(POSTED, "n.yml")
    assert [pool.name for pool in imported.pools] == ["alpha", "beta"]
    assert [line.partition(": ")[2] for line in imported.lost] == [
        'alpha: auto_eject_hosts: the keys of a server that is down are misses (on_down = "miss"); they do not move to '
        "another one",
        "gamma: is left out: it is for memcached (redis: true is missing)",
        "delta: is left out: it is for memcached (redis: true is missing)",
        'omega: servers[0]: is not "host:port:weight name" with a weight from 1 to 10000',
        "omega: is left out: its servers cannot be read",
    ]
    assert "n.yml: alpha: server_retry_timeout has no counterpart, and is not needed" in imported.notes
    beta = pools_of(POSTED, tmp_path)["beta"]
    assert [member.name for member in beta.members] == ["server1", "server2", "server3", "server4"]
    assert (str(beta.listen[0]), beta.timeout, beta.ring and beta.ring.tags) == ("127.0.0.1:22122", 0.4, b"{}")


def test_options(tmp_path: Path) -> None:
    """Passwords become variables, open listeners stay open, limits stay limits."""
    text = one_pool("redis_auth: s3cret", "client_connections: 99", listen="0.0.0.0:6380")
    assert "s3cret" not in read_nutcracker(text, "n.yml").to_toml("n.yml")
    pool = pools_of(text, tmp_path, CACHE_PASSWORD="s3cret")["cache"]
    assert pool.password.reveal() == "s3cret"
    assert [node.password.reveal() for node in pool.nodes] == ["s3cret", "s3cret"]
    assert pool.limits.max_clients == 99
    assert pools_of(one_pool(listen="0.0.0.0:6380"), tmp_path)["cache"].listen
    socket = read_nutcracker(one_pool(listen="/run/n.sock 0666"), "n.yml")
    assert (socket.pools[0].listen, len(socket.notes)) == ("unix:///run/n.sock", 1)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (one_pool("distribution: modula"), "distribution: modula"),
        (one_pool("hash: sha1"), "hash: sha1 is none of nutcracker's"),
        (one_pool("redis_db: 3"), "redis_db: 3"),
        (one_pool("zone_tag: x"), "zone_tag is not known"),
        (one_pool(listen="6380"), "its listen cannot be read"),
        (one_pool(servers="[]"), "its servers cannot be read"),
        (one_pool(servers="[host:6379]"), "servers[0]"),
    ],
)
def test_what_is_lost_is_named(text: str, named: str) -> None:
    """A line each."""
    assert any(named in line for line in read_nutcracker(text, "n.yml").lost)


def test_an_ipv6_address_is_hashed_as_nutcracker_does(tmp_path: Path) -> None:
    """Without the port 11211, as every address, and with the brackets that stand there."""
    text = one_pool(servers="['::1:11211:1', '[::2]:11211:1', '::3:6379:1']")
    members = pools_of(text, tmp_path)["cache"].members
    assert [member.ring_name for member in members] == ["::1", "[::2]", "::3:6379"]


def test_one_server_needs_no_hash(tmp_path: Path) -> None:
    """All keys are there, whatever it says."""
    text = one_pool("hash: hsieh", "distribution: random", servers="['[::1]:6379:1 a']")
    assert [str(node.address) for node in pools_of(text, tmp_path)["cache"].nodes] == ["[::1]:6379"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", "n.yml: line 1, column 5: is not YAML"),
        ("- a\n- b\n", "n.yml: is no nutcracker.yml: no pool in it has servers"),
        ("global:\n  worker_processes: 2\n", "n.yml: is no nutcracker.yml"),
        ("", "n.yml: is no nutcracker.yml"),
    ],
)
def test_other_files(text: str, line: str) -> None:
    """One line with the place."""
    with pytest.raises(ConfigError) as caught:
        read_nutcracker(text, "n.yml")
    assert caught.value.problems[0].startswith(line)


def test_a_section_that_is_no_pool() -> None:
    """As the one for the whole process is."""
    imported = read_nutcracker("global:\n  worker_processes: 2\n" + one_pool(), "n.yml")
    assert imported.notes == ["n.yml: global: has no servers, and is no pool"]


def test_without_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says what to install."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r'pip install "kidoproxy\[import\]"'):
        read_nutcracker(one_pool(), "n.yml")
