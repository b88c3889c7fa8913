"""Hot keys, large keys and slow requests of the status page."""

from kidoproxy.admin.status import pool_name_by_node
from kidoproxy.admin.traffic_status import SHOWN, big_key_documents, hot_key_documents, slow_documents
from tests.session.stage import ring


def test_keys_and_slow_requests() -> None:
    """The hottest, largest and newest first, as text, whatever bytes they are; not more than fit on a page."""
    stage = ring("a", "b")
    pools = pool_name_by_node(stage.proxy)
    for number in range(2 * SHOWN):
        for _ in range(2):
            stage.node("a").traffic.hot_keys.add(b"k%d" % number)
        stage.node("b").traffic.big_keys.note(b"k%d" % number, 10 + number)
        stage.proxy.slow_log.add(9.0, "c:1", 0, "a", [b"GET", b"k%d" % number], 0.1, 0.2)
    for _ in range(120):
        stage.node("a").traffic.hot_keys.add(b"\xff hot")
    stage.executor.now = 10.0
    hot, big, slow = hot_key_documents(pools), big_key_documents(pools), slow_documents(stage.proxy)
    assert [len(found) for found in (hot, big, slow)] == [SHOWN] * 3
    assert hot[0] == {"key": hot[0]["key"], "pool": "cache", "node": "a", "share": 0.6, "samples": 120}
    assert str(hot[0]["key"]).endswith(" hot")
    assert big[0] == {"key": "k39", "pool": "cache", "node": "b", "bytes": 49}
    assert slow[0] == {
        "id": 40,
        "time_ms": stage.proxy.wall_ms - 1000,
        "request": "GET k39",
        "client": "c:1",
        "node": "a",
        "total_us": 300_000,
        "queue_us": 100_000,
        "node_us": 200_000,
    }
