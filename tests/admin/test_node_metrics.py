"""Server by server, in portions; ``test_metrics.py`` has what they say."""

from kidoproxy.admin.node_metrics import node_families
from tests.session.stage import ring


def test_portions() -> None:
    """First all metrics in their order, without samples, then those of one server after the other."""
    stage = ring("a", "b")
    stage.ready()
    families = list(node_families(stage.proxy))
    names = [family.name for family in families[:9]]
    assert [family.name for family in families] == names * 3
    assert not any(family.samples for family in families[:9])
    for at, node in ((9, "a"), (18, "b")):
        assert {sample.labels["node"] for family in families[at : at + 9] for sample in family.samples} == {node}


def test_two_pools_on_one_server() -> None:
    """Their nodes are one series; causes are added up."""
    stage = ring("a", "b")
    for node in stage.nodes:
        node.name, node.address = "n", "h:1"
        node.count_failure("down")
    found = {family.name: family.samples for family in list(node_families(stage.proxy))[9:]}
    assert [sample.value for sample in found["kidoproxy_node_failures"]] == [2]
    assert len(found["kidoproxy_node_up"]) == 1
