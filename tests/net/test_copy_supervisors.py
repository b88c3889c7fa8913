"""Copy pools of a daemon: what PROXY SYNC may name."""

from kidoproxy.net.copy_supervisors import CopySupervisors
from tests.net.fakes import Net
from tests.session.stage import ring


def test_only_copies_can_be_synced() -> None:
    """PROXY SYNC of a ring's node is refused with a reason."""
    net = Net(ring("a"))
    assert CopySupervisors(net.bridge, [], None).request_sync(net.stage.node("a")) == "a is not part of a copy pool"
