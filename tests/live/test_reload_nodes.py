"""Nodes that are at other addresses after a reload, under clients that notice nothing."""

import threading
from pathlib import Path
from typing import Final

import pytest
import redis

from tests.live.proxies import Starter
from tests.live.reloading import load, reload, replace
from tests.wait import eventually

pytestmark = pytest.mark.live

ONE_AND_TWO: Final = pytest.mark.parametrize("workers", [1, 2])


def other_way(folder: Path, url: str) -> str:
    """Another address of the same server."""
    link = folder / "link"
    link.hardlink_to(url.removeprefix("unix://"))
    return f"unix://{link}"


@ONE_AND_TWO
def test_moved_under_load(own_proxy: Starter, tmp_path: Path, workers: int) -> None:
    """The same servers by other ways: each worker goes there, and nobody sees an error; subscriptions go on."""
    proxy = own_proxy("ring", 2, proxy={"workers": workers})
    url = proxy.urls[0]
    new = other_way(tmp_path, url)
    listener = proxy.client().pubsub(ignore_subscribe_messages=True)
    listener.psubscribe("*")
    node = proxy.node_clients()[0]
    with load(proxy):
        connections = node.info("stats")["total_connections_received"]
        replace(proxy, f'"{url}"', f'"{new}"')
        reload(proxy, workers=workers)
        assert proxy.log().count(f"node moved: node=node-0 old={url} new={new}") == workers
        Path(url.removeprefix("unix://")).unlink()
        eventually(lambda: node.info("stats")["total_connections_received"] >= connections + 2 * workers)
    eventually(lambda: proxy.client().publish("{n}news", "x"))
    eventually(lambda: (listener.get_message() or {}).get("data") == b"x")
    assert "Traceback" not in proxy.log()


def test_what_is_watched(own_proxy: Starter, tmp_path: Path) -> None:
    """EXEC aborts, for the server is another one; what blocks goes on; the page of nodes has the new address."""
    proxy = own_proxy("ring", 1)
    url = proxy.urls[0]
    new = other_way(tmp_path, url)
    found: list[object] = []
    blocked = proxy.client()
    thread = threading.Thread(target=lambda: found.append(list(blocked.blpop("q", 20))))
    with proxy.client().pipeline() as pipe:
        pipe.watch("k")
        thread.start()
        eventually(lambda: proxy.node_clients()[0].info("clients")["blocked_clients"] == 1)
        replace(proxy, f'"{url}"', f'"{new}"')
        reload(proxy)
        pipe.multi()
        pipe.set("k", 1)
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert proxy.client().rpush("q", "x") == 1
    thread.join()
    assert found == [[b"q", b"x"]]
    assert new in str(proxy.client().execute_command("PROXY", "NODES"))
