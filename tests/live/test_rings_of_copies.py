"""A ring whose members are copy pools: sharded and replicated, and whole while each shard has one copy in sync."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.config.example import to_toml
from tests.live.contents import Crowd, contents, is_behind, states
from tests.live.proxies import RunningProxy
from tests.wait import eventually

pytestmark = [pytest.mark.live, pytest.mark.both_builds]

SHARDS = ("left", "right")
KEYS = [f"key:{number}" for number in range(400)]


class Nested(RunningProxy):
    """A ring of two copy pools with two nodes each: node-0 and node-1 are the left one, node-2 and node-3 the right."""

    def _toml(self, mode: str, options: dict[str, Any]) -> str:
        """Three pools."""
        lines = ["[proxy]", f"state_dir = {to_toml(str(self.folder / 'state'))}", "[pool.pool]"]
        lines += [
            f"listen = {to_toml(f'127.0.0.1:{self.port}')}",
            'mode = "ring"',
            'nodes = ["pool:left", "pool:right"]',
        ]
        for at, shard in enumerate(SHARDS):
            nodes = [{"url": self.urls[number], "name": self.names[number]} for number in (2 * at, 2 * at + 1)]
            lines += [
                f"[pool.{shard}]",
                'mode = "copy"',
                'heal = "manual"',
                "timeout_ms = 300",
                f"nodes = {to_toml(nodes)}",
            ]
        return "\n".join(lines) + "\n"


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Nested]:
    """Four nodes, and the proxy over them."""
    with EmbeddedNodes() as nodes:
        urls: Sequence[str] = nodes.start(4)
        with Nested(tmp_path, "ring", urls, nodes) as found:
            found.start()
            yield found


def shard_sizes(proxy: RunningProxy) -> list[int]:
    """The copies of each shard are equal; how many keys each shard has."""
    held = [contents(url) for url in proxy.nodes.urls]
    assert held[0] == held[1]
    assert held[2] == held[3]
    return [len(held[0]), len(held[2])]


def everything(client: Any, value: str) -> None:
    """Whatever goes over both levels finds all keys, with this value."""
    assert client.mget(KEYS) == [value.encode()] * len(KEYS)
    assert client.dbsize() == len(KEYS)
    assert sorted(client.scan_iter(count=50)) == sorted(key.encode() for key in KEYS)
    assert client.exists(*KEYS) == client.touch(*KEYS) == len(KEYS)
    assert sorted(client.keys()) == sorted(key.encode() for key in KEYS)


@pytest.mark.parametrize("protocol", [2, 3])
def test_one_copy_down(proxy: Nested, protocol: int) -> None:
    """With one copy of a shard gone everything works; empty, back and synced it serves the shard alone."""
    client = proxy.client(protocol=protocol)
    client.mset(dict.fromkeys(KEYS, "1"))
    everything(client, "1")
    proxy.kill(1)
    assert client.mset(dict.fromkeys(KEYS, "2"))
    everything(client, "2")
    with client.pipeline(transaction=True) as pipe:
        for key in KEYS:
            pipe.set(key, "3", ex=1000)
        assert pipe.execute() == [True] * len(KEYS)
    everything(client, "3")

    proxy.restart(1)
    eventually(is_behind(proxy, 1))
    everything(client, "3")
    assert client.execute_command("PROXY", "SYNC", "node-1") == b"OK"
    eventually(lambda: states(proxy) == ["in sync"] * 4)
    left, right = shard_sizes(proxy)
    assert left + right == len(KEYS)
    assert min(left, right) > 50
    proxy.kill(0)
    everything(client, "3")
    assert client.unlink(*KEYS) == len(KEYS)
    assert client.dbsize() == 0


def test_scan_and_its_copy(proxy: Nested) -> None:
    """A scan whose copy goes does not go on elsewhere: it would miss keys."""
    client = proxy.client()
    client.mset(dict.fromkeys(KEYS, "1"))
    cursor, _ = client.scan(0, count=10)
    assert cursor
    proxy.kill(0)
    client.mset(dict.fromkeys(KEYS, "2"))
    with pytest.raises(redis.ResponseError, match="invalid cursor"):
        client.scan(cursor)
    assert sorted(client.scan_iter(count=50)) == sorted(key.encode() for key in KEYS)


def test_a_shard_down(proxy: Nested) -> None:
    """A shard without any copy costs its own keys; a write over both levels says what it did."""
    client = proxy.client()
    client.mset(dict.fromkeys(KEYS, "1"))
    proxy.kill(2)
    proxy.kill(3)
    with pytest.raises(redis.ResponseError, match=r"^PARTIAL 'mset' failed for .* of 400 keys"):
        client.mset(dict.fromkeys(KEYS, "2"))
    with pytest.raises(redis.ResponseError, match="NODEDOWN"):
        client.mget(KEYS)
    values = []
    for key in KEYS:
        try:
            values.append(client.get(key))
        except redis.ResponseError:
            values.append(None)
    assert set(values) == {b"2", None}


def reached(crowd: Crowd, turns: list[int], goal: int) -> bool:
    """Whether so many turns are done, or nobody goes on."""
    return bool(crowd.problems) or sum(turns) > goal


def test_writers_on_both_levels(proxy: Nested) -> None:
    """Split writes from many clients while a copy of each shard dies in turn: all copies are equal afterwards."""
    turns = [0] * 4
    with Crowd() as crowd:
        for number in range(4):
            client = proxy.client(protocol=2 + number % 2)

            def step(turn: int, number: int = number, client: Any = client) -> None:
                mine = {f"w{number}:{turn % 7}:{at}": turn for at in range(20)}
                assert client.mset(mine)
                assert client.mget(list(mine)) == [b"%d" % turn] * 20
                client.incr("hot")
                turns[number] = turn + 1

            crowd.join(step)
        for at, goal in ((1, 60), (2, 200)):
            eventually(partial(reached, crowd, turns, goal), 30)
            proxy.kill(at)
            proxy.restart(at)
            eventually(is_behind(proxy, at))
            assert proxy.client().execute_command("PROXY", "SYNC", proxy.names[at]) == b"OK"
            eventually(lambda: crowd.problems or states(proxy) == ["in sync"] * 4, 30)
    assert int(proxy.client().get("hot")) == sum(turns)
    shard_sizes(proxy)
