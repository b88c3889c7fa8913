"""How pools and nodes hang together, and what is wrong when they do not."""

from pathlib import Path

import pytest

from tests.config.files import RING, nodes, pool, problems, read

MISTAKES = [
    (nodes('"redis://a"', '"redis://a:6379"'), "pool.cache.nodes[1]: is the same node as nodes[0]: a:6379"),
    (
        nodes('{ url = "redis://a", name = "x" }', '{ url = "redis://a", name = "y" }'),
        "pool.cache.nodes[1]: is the same node as nodes[0]: a:6379; if it is to have several shares, give them names "
        "that differ and say 'same_server = true'",
    ),
    (
        pool("same_server = true", nodes='["redis://a", "redis://a"]'),
        'pool.cache.nodes[1]: has the same name as nodes[0]: "a:6379"; one server under several names needs names that',
    ),
    (
        pool(
            "same_server = true",
            nodes='[{ url = "redis://a", name = "x" }, { url = "redis://:pw@a", name = "y" }]',
        ),
        "pool.cache.nodes[1]: is the same node as nodes[0]: a:6379, and has another user, password or TLS",
    ),
    (
        pool("same_server = true", nodes='["pool:b", "redis://h"]') + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]',
        "pool.cache.nodes[1]: is the same node as nodes[0]: h:6379",
    ),
    (
        pool("same_server = true", nodes='["redis://h", "pool:b"]') + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]',
        "pool.cache.nodes[1]: is the same node as nodes[0]: h:6379",
    ),
    (
        nodes('{ url = "redis://a", name = "x" }', '{ url = "redis://a", name = "y" }', mode="copy"),
        "pool.cache.nodes[1]: is the same node as nodes[0]: a:6379",
    ),
    (
        nodes('"redis://a"', '"redis://b"', mode="copy") + '[pool.b]\nlisten = "127.0.0.1:1"\nmode = "copy"\n'
        'nodes = ["redis://c", "redis://b:6379"]',
        'pool.b.nodes[1]: is a copy of pool.cache already; for the same data use mode = "ring", nodes = ["pool:cache"]',
    ),
    (pool("same_server = true", "copy"), "pool.cache: 'same_server' has no meaning in a copy pool"),
    (
        nodes('{ url = "redis://a", name = "x" }', '{ url = "redis://b", name = "x" }'),
        'pool.cache.nodes[1]: has the same name as nodes[0]: "x"',
    ),
    (
        nodes('"pool:b"', '"pool:b"') + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]',
        'pool.cache.nodes[1]: has the same name as nodes[0]: "b"',
    ),
    (nodes('"pool:cahce"'), 'pool.cache.nodes[0]: there is no pool "cahce"; did you mean "cache"?'),
    (nodes('"pool:cache"'), "pool.cache.nodes: is a cycle: cache -> cache"),
    (
        nodes('"pool:b"') + '[pool.b]\nmode = "ring"\nnodes = ["pool:c"]\n[pool.c]\nmode = "ring"\nnodes = ["pool:b"]',
        "pool.b.nodes: is a cycle: b -> c -> b",
    ),
    (
        nodes('"pool:b"', mode="copy") + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]',
        "pool.cache.nodes[0]: a copy pool of pools is not served yet",
    ),
    (
        nodes('"pool:b"', '"redis://h"') + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]',
        "pool.cache.nodes[1]: is the same node as nodes[0]: h:6379",
    ),
    (
        nodes('"pool:b"', '"pool:c"')
        + '[pool.b]\nmode = "copy"\nnodes = [{ name = "x", url = "redis://h" }]\n'
        + '[pool.c]\nmode = "copy"\nnodes = [{ name = "x", url = "redis://i" }]',
        'pool.cache.nodes[1]: has a node named as one below nodes[0]: "x"',
    ),
    (RING + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]', "pool.b: has no 'listen', and no pool uses it"),
    (
        '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]\n[pool.c]\nmode = "ring"\nnodes = ["redis://i"]',
        'pool: none of the pools listens: "b", "c"',
    ),
    (
        RING + RING.replace("cache", "b").replace("10.0.0", "10.0.1"),
        "pool.b.listen: 127.0.0.1:6380 is already taken by pool.cache.listen",
    ),
    (
        '[proxy]\nadmin = "127.0.0.1:6380"\n' + RING,
        "pool.cache.listen: 127.0.0.1:6380 is already taken by proxy.admin",
    ),
    (
        nodes('"redis://127.0.0.1:6380"'),
        "pool.cache.nodes[0]: 127.0.0.1:6380 is the proxy itself: pool.cache.listen",
    ),
    (nodes('"localhost"', '"pool:nope"'), 'pool.cache.nodes[1]: there is no pool "nope"'),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    """References, cycles, and everything that appears twice gets its line."""
    found = problems(tmp_path, text)

    assert [line for line in found if expected in line], found
    assert all(line.startswith("ring.toml: ") and "\n" not in line for line in found)


def test_one_server_may_have_several_names(tmp_path: Path) -> None:
    """In a ring that says so, under names that differ; below another ring too."""
    shares = 'same_server = true\nnodes = [{ url = "redis://a", name = "x" }, { url = "redis://a:6379", name = "y" }]'
    above = nodes('"pool:b"', '"redis://h"') + f'[pool.b]\nmode = "ring"\n{shares}\n'
    assert [node.name for node in read(tmp_path, above).pools["b"].nodes] == ["x", "y"]
