"""What a node knows of its server, and who else shares its place."""

from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replication.group import CopyGroup, group_of
from kidoproxy.routes.topology import Node


@given(st.binary(max_size=200), st.one_of(st.binary(max_size=30), st.just(b"9" * 5000)))
def test_what_a_node_tells_of_itself_is_short_and_visible(said: bytes, uptime: bytes) -> None:
    """Pages, logs and the state file show it."""
    node = Node(0, "a", "a:1", 1)
    node.on_info({b"run_id": said, b"redis_version": said, b"uptime_in_seconds": uptime})
    assert node.run_id == node.version
    assert len(node.version) <= 64
    assert all(33 <= byte <= 126 for byte in node.version)
    assert node.uptime >= 0


def test_placement_id() -> None:
    """It is the same for all copies of the same keys, and for nobody else."""
    nodes = [Node(number, name, f"{name}:6379", number + 1) for number, name in enumerate("abcd")]
    pair, other = CopyGroup("pair", nodes[:2]), CopyGroup("other", nodes[2:3])
    assert [node.shard_id() for node in nodes] == [0, 0, 2, 3]
    assert [group_of(node) for node in nodes] == [pair, pair, other, None]
    assert [node.is_copy for node in nodes] == [True, True, True, False]
