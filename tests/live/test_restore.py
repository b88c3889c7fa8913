"""A copy pool from a backup, by the page of deploy/capacity.md."""

import shutil

import pytest

from tests.live.proxies import Starter
from tests.wait import eventually

pytestmark = pytest.mark.live


def test_a_backup_of_one_node(own_proxy: Starter) -> None:
    """The node with the backup is started first, the others empty: they are filled from it, and nothing is lost."""
    proxy = own_proxy("copy", 2, heal="auto", args=("--enable-protected-configs", "yes"))
    client = proxy.client()
    assert client.mset({f"key:{number}": number for number in range(200)})
    proxy.save(1)
    client.mset({f"key:{number}": "later" for number in range(200)})
    proxy.end()
    for at in (0, 1):
        proxy.kill(at)
    shutil.rmtree(proxy.folder / "state")
    proxy.restart_from_disk(1)
    proxy.restart(0)
    proxy.start()
    restored = [b"%d" % number for number in range(200)]
    assert proxy.client().mget([f"key:{number}" for number in range(200)]) == restored
    filled = proxy.node_clients()[0]
    eventually(lambda: filled.mget([f"key:{number}" for number in range(200)]) == restored)
