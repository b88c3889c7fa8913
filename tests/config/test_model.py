"""The configuration as the rest of the code reads it."""

import pickle
from pathlib import Path

from tests.config.files import RING, nodes, pool, read


def test_the_tree_of_pools(tmp_path: Path) -> None:
    """A ring of copy pools is known to need one place that orders its writes."""
    text = nodes('"pool:a"', '"pool:b"')
    for name, host in (("a", 1), ("b", 3)):
        text += f'\n[pool.{name}]\nmode = "copy"\nnodes = ["redis://n{host}", "redis://n{host + 1}"]\n'
    text += RING.replace("pool.cache", "pool.plain").replace("6380", "6381")
    config = read(tmp_path, text)

    assert [found.name for found in config.pools_below("cache")] == ["cache", "a", "b"]
    assert [found.name for found in config.listening_pools()] == ["cache", "plain"]
    assert [child.pool for child in config.pools["cache"].pool_refs] == ["a", "b"]
    assert config.contains_copy_pool("cache")
    assert not config.contains_copy_pool("plain")


def test_it_travels_to_workers(tmp_path: Path) -> None:
    """A configuration can be pickled, secrets included."""
    config = read(tmp_path, pool('password = "hush"'))

    assert pickle.loads(pickle.dumps(config)) == config
