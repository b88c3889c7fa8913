"""Config in, routes out: rings, copies, and pools in pools."""

from dataclasses import replace
from pathlib import Path

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.config import Config
from kidoproxy.net.workers import worker_config
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.build import RouteTree, build
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.placement.owners import django_redis_shard, hash_ring, ketama
from kidoproxy.routes.read_order import READ_FIRST
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import RequestContext, WallClock
from tests.config.files import read

NODES = 'nodes = ["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"]'


def tree(tmp_path: Path, text: str) -> RouteTree:
    """The tree of a configuration file."""
    return build(read(tmp_path, text))


def ring(tmp_path: Path, lines: str, nodes: str = NODES) -> Ring:
    """The one ring of a file."""
    found = tree(tmp_path, f'[pool.cache]\nlisten = "127.0.0.1:6380"\nmode = "ring"\n{nodes}\n{lines}\n').pools["cache"]
    assert isinstance(found, Ring)
    return found


def test_ring(tmp_path: Path) -> None:
    """The default ring places as nutcracker does, by the names that the configuration gives."""
    found = ring(tmp_path, "")
    assert [node.name for node in found.nodes()] == ["10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379"]
    assert len({node.cursor_id for node in found.nodes()}) == 3
    assert found.tags.hashed_part(b"a{b}c") == b"b"
    assert found.owner_of(b"a{b}c") == found.owner_of(b"b")


def test_hashes(tmp_path: Path) -> None:
    """Each hash has its placement, and its way with tags."""
    keys = [b"key:%d" % at for at in range(200)]
    urls = ["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"]
    fnv = ring(tmp_path, 'hash = "fnv1a_64"')
    md5 = ring(tmp_path, 'hash = "ketama"')
    assert fnv.placement.points == md5.placement.points
    assert fnv.placement.key_hash != md5.placement.key_hash
    assert [fnv.owner_of(key) for key in keys] != [md5.owner_of(key) for key in keys]
    old = hash_ring(["0", "1", "2"], [1, 1, 1])
    assert [ring(tmp_path, 'hash = "hash_ring"').owner_of(key) for key in keys] == [old.owner(key) for key in keys]
    shard = ring(tmp_path, 'hash = "django_redis_shard"')
    assert [shard.owner_of(key) for key in keys] == [django_redis_shard(urls).owner(key) for key in keys]
    assert shard.tags.hashed_part(b"a{b}") == b"b"
    assert ketama(["a"], [1]).owner(b"k") == 0


def test_tags(tmp_path: Path) -> None:
    """Other characters, none, and families."""
    assert ring(tmp_path, 'tags = "<>"').tags.hashed_part(b"a<b>{c}") == b"b"
    assert ring(tmp_path, 'tags = ""').tags.hashed_part(b"a{b}") == b"a{b}"
    assert ring(tmp_path, 'together = ["rq:"]').tags.hashed_part(b"rq:job:1") == b"rq:"
    assert ring(tmp_path, 'hash = "django_redis_shard"\ntags = "<>"').tags.hashed_part(b"a<b>{c}") == b"b"


def test_copies(tmp_path: Path) -> None:
    """A copy pool has a group that all its nodes know."""
    found = tree(
        tmp_path,
        f'[pool.pair]\nlisten = "127.0.0.1:6380"\nmode = "copy"\nmin_in_sync = 2\nread = "first"\n{NODES}\n',
    )
    route = found.pools["pair"]
    assert isinstance(route, CopyPool)
    assert (route.group.min_in_sync, route.read_order) == (2, READ_FIRST)
    assert found.copy_groups == [route.group]
    assert all(node.group is route.group for node in found.nodes)


@pytest.mark.parametrize(
    ("setting", "needed"),
    [('ack = "all"', 0), ('ack = "leader"', 1), ('ack = "quorum"', 2), ('ack = "leader"\nmin_in_sync = 2', 2)],
)
def test_acknowledgements(tmp_path: Path, setting: str, needed: int) -> None:
    """How many copies must have a write: the leader, most of them, at least ``min_in_sync``."""
    found = tree(tmp_path, f'[pool.pair]\nlisten = "127.0.0.1:6380"\nmode = "copy"\n{setting}\n{NODES}\n')
    assert found.copy_groups[0].acks_needed == needed


def test_nested(tmp_path: Path) -> None:
    """A ring of copy pools; a pool that is the member of two is built once."""
    found = tree(
        tmp_path,
        """
[pool.cache]
listen = "127.0.0.1:6380"
mode = "ring"
nodes = ["pool:left", "pool:right", "redis://10.0.0.9"]
[pool.left]
listen = "127.0.0.1:6381"
mode = "copy"
nodes = ["redis://10.0.0.1", "redis://10.0.0.2"]
[pool.right]
mode = "copy"
nodes = ["redis://10.0.0.3", "redis://10.0.0.4"]
""",
    )
    root = found.pools["cache"]
    assert isinstance(root, Ring)
    assert root.members[0] is found.pools["left"]
    assert sorted(found.pools) == ["cache", "left", "right"]
    assert [source.name for source, _ in found.node_configs] == [node.name for node in found.nodes]
    assert [pool.name for _, pool in found.node_configs] == ["left", "left", "right", "right", "cache"]
    assert [node.node_id for node in found.nodes] == [0, 1, 2, 3, 4]
    plan = root.plan(COMMANDS[b"dbsize"], Request([b"DBSIZE"], b""), RequestContext(0, 2, False, False, WallClock(0)))
    assert "10.0.0.9" in repr(plan)


def test_neighbours(tmp_path: Path) -> None:
    """Whatever one listening pool reaches must be different servers; two pools may stand on one server."""
    text = (
        '[pool.top]\nlisten = "127.0.0.1:1"\nmode = "ring"\nnodes = ["pool:left", "pool:right", "redis://10.0.0.5"]\n'
    )
    for name, first in (("left", 1), ("right", 3)):
        text += f'[pool.{name}]\nmode = "copy"\nnodes = ["redis://10.0.0.{first}", "redis://10.0.0.{first + 1}"]\n'
    text += '[pool.other]\nlisten = "127.0.0.1:2"\nmode = "ring"\nnodes = ["redis://10.0.0.9", "pool:left"]\n'
    found = {node.name.removesuffix(":6379"): node for node in tree(tmp_path, text).nodes}
    seen = {name: sorted(other.name[7] for other in node.pool_neighbours) for name, node in found.items()}
    assert seen == {
        "10.0.0.1": ["2", "3", "4", "5", "9"],
        "10.0.0.2": ["1", "3", "4", "5", "9"],
        "10.0.0.3": ["1", "2", "4", "5"],
        "10.0.0.4": ["1", "2", "3", "5"],
        "10.0.0.5": ["1", "2", "3", "4"],
        "10.0.0.9": ["1", "2"],
    }


MANY = """
[pool.cache]
listen = "127.0.0.1:6380"
mode = "ring"
nodes = ["pool:pair", "redis://10.0.0.9", { url = "redis://10.0.0.1:7000", name = "n" }]
[pool.alone]
listen = "127.0.0.1:6381"
mode = "ring"
nodes = ["redis://10.0.0.9", "redis://10.0.0.8", { url = "redis://10.0.0.2:7000", name = "n" }]
[pool.pair]
mode = "copy"
nodes = ["redis://10.0.0.3", "redis://10.0.0.4"]
"""
MORE = """
[pool.a]
listen = "127.0.0.1:6389"
mode = "ring"
nodes = ["redis://10.0.1.1", "redis://10.0.1.2"]
"""


def cursor_ids(config: Config) -> dict[tuple[str, str], int]:
    """The number of each node in cursors, by pool and name."""
    made = build(config)
    return {
        (pool.name, source.name): node.cursor_id
        for node, (source, pool) in zip(made.nodes, made.node_configs, strict=True)
    }


def test_numbers_in_cursors_are_the_same_everywhere(tmp_path: Path) -> None:
    """In every worker, whatever pools it builds, and whatever pools and nodes come before, behind or away."""
    whole = read(tmp_path, MANY)
    known = cursor_ids(whole)
    assert len(set(known.values())) == len(known) == 7
    second = cursor_ids(worker_config(replace(whole, workers=2), 1))
    assert second
    assert second.items() <= known.items()
    assert known.items() <= cursor_ids(read(tmp_path, MORE + MANY)).items()
    fewer = cursor_ids(read(tmp_path, MANY.replace('"redis://10.0.0.9", "redis://10.0.0.8"', '"redis://10.0.0.8"')))
    assert fewer.items() <= known.items()
    assert len(fewer) == 6


SHARES = """nodes = [
  { name = "one", url = "redis://10.0.0.1" }, { name = "two", url = "redis://10.0.0.2" },
  { name = "three", url = "redis://10.0.0.1:6379", weight = 2 },
]"""


def test_one_server_with_several_shares(tmp_path: Path) -> None:
    """Each name has its part of the ring, where it always was; the server is asked once for what is of all."""
    found = ring(tmp_path, "same_server = true", SHARES)
    apart = ketama(["one", "two", "three"], [1, 1, 2])
    keys = [b"key:%d" % at for at in range(300)]
    assert [found.owner_of(key) for key in keys] == [{0: 0, 1: 1, 2: 0}[apart.owner(key)] for key in keys]
    assert [node.address for node in found.nodes()] == ["10.0.0.1:6379", "10.0.0.2:6379"]
    assert len(found.members) == 3
    request_context = RequestContext(0, 2, False, False, WallClock(0))
    for name in (b"dbsize", b"keys", b"flushdb", b"info", b"scan"):
        argv = [name.upper(), b"0"]
        plan = found.plan(COMMANDS[name], Request(argv, encode_request(argv)), request_context)
        assert repr(plan).count("one") == 1
    assert len(found.scan_routes()) == len(found.children()) == 2
    here = next(key for key in keys if apart.owner(key) == 0)
    there = next(key for key in keys if apart.owner(key) == 2)
    request = Request([b"RENAME", here, there], b"")
    assert repr(found.plan(COMMANDS[b"rename"], request, request_context)) == "one"
    request = Request([b"DEL", here, there], b"")
    assert repr(found.plan(COMMANDS[b"del"], request, request_context)) == "one"
