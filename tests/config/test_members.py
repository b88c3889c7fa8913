"""Nodes and pools as members: their forms, their names, and what a ring hashes of them."""

from pathlib import Path

import pytest

from kidoproxy.config import Address, NodeConfig, PoolRef, Tls
from tests.config.files import COPY, nodes, pool, read


def test_nodes_in_every_form(tmp_path: Path) -> None:
    """A node is a URL, a socket, a table or a pool; a user and a password may stand in the URL."""
    members = (
        read(
            tmp_path,
            nodes(
                '"redis://h/0"',
                '"redis://u%40:p%2Fw@[::1]:7000/"',
                '"unix:///run/r.sock"',
                '{ name = "d", url = "rediss://:pw@h:1", weight = 3 }',
                '{ url = "redis://e", username = "u", password = "pw" }',
                '{ url = "pool:below", name = "f" }',
            )
            + COPY.replace("cache", "below").replace('listen = "127.0.0.1:6380"', ""),
        )
        .pools["cache"]
        .members
    )

    assert [member.name for member in members] == ["h:6379", "[::1]:7000", "/run/r.sock:", "d", "e:6379", "f"]
    a, b, c, d, e, f = members
    assert isinstance(b, NodeConfig)
    assert (b.username, b.password.reveal(), b.tls) == ("u@", "p/w", None)
    assert isinstance(c, NodeConfig)
    assert c.address == Address(path="/run/r.sock")
    assert isinstance(d, NodeConfig)
    assert (d.weight, d.tls, d.password.reveal()) == (3, Tls(), "pw")
    assert isinstance(e, NodeConfig)
    assert (e.username, e.password.reveal()) == ("u", "pw")
    assert f == PoolRef("f", "below", ring_name="f")
    assert isinstance(a, NodeConfig)


@pytest.mark.parametrize(
    ("hash_name", "names"),
    [
        ("ketama", ["h", "h:6379", "n", "/s:"]),
        ("hash_ring", ["0", "1", "2", "3"]),
        ("django_redis_shard", ["redis://h:11211", "redis://h/0", "n", "unix:///s"]),
    ],
)
def test_what_the_ring_hashes(tmp_path: Path, hash_name: str, names: list[str]) -> None:
    """Names as nutcracker gives them, positions as the Django backends of 2015, or URLs as django-redis lists them."""
    listed = '["redis://h:11211", "redis://h/0", { url = "redis://i", name = "n" }, "unix:///s"]'
    members = read(tmp_path, pool(f'hash = "{hash_name}"', nodes=listed)).pools["cache"].members

    assert [member.ring_name for member in members] == names
