"""The state of a connection by itself; its states and their moves are tested in test_states.py."""

import pytest

from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection_state import ConnectionBase
from kidoproxy.upstream.handshake import ConnectionOptions


def test_the_state_alone_cannot_write() -> None:
    """Who writes is for the whole connection to say."""
    with pytest.raises(NotImplementedError):
        ConnectionBase(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0).schedule_flush()
