"""Series of nodes that sentinels name: by the node's name alone; other nodes have none."""

from kidoproxy.admin.sentinel_metrics import sentinel_families
from kidoproxy.upstream.master_view import Master, MasterView
from tests.session.stage import InMemoryProxy, ring, say


def followed() -> InMemoryProxy:
    """A ring of two, of which ``a`` has three sentinels: one names its master, one another one, one is gone."""
    stage = ring("a", "b")
    node = stage.node("a")
    node.master_view = MasterView(3)
    node.master_view.on_answer(0, Master("10.0.0.1", 6379))
    node.master_view.on_answer(1, Master("10.0.0.1", 6379))
    node.master_view.on_answer(1, Master("10.0.0.2", 6379))
    node.master_view.on_silence(2, "connection refused")
    node.failovers = 4
    return stage


def test_what_is_counted() -> None:
    """Failovers, those that name the master in use, all others, and what went wrong with them."""
    found = {
        sample.name: (sample.labels, sample.value)
        for family in sentinel_families(followed().proxy)
        for sample in family.samples
    }
    assert found == {
        "kidoproxy_node_failovers_total": ({"node": "a"}, 4),
        "kidoproxy_node_sentinels_agreeing": ({"node": "a"}, 1),
        "kidoproxy_node_sentinels_missing": ({"node": "a"}, 2),
        "kidoproxy_node_sentinel_failures_total": ({"node": "a"}, 1),
    }


def test_what_clients_see() -> None:
    """PROXY NODES and INFO say it of such a node, and nothing of others."""
    client = followed().client()
    nodes, info = (say(client, *words) for words in (("PROXY", "NODES"), ("INFO", "kidoproxynodes")))

    assert nodes.count(b"$9\r\nsentinels") == nodes.count(b"failovers") == 1
    assert b"kept, 1 of 3 sentinels" in nodes
    assert info.count(b"sentinels=kept; 1 of 3 sentinels,failovers=4") == 1
