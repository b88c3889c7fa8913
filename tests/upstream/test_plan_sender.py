"""What every sender of requests has to bring itself, and what it need not."""

import pytest

from kidoproxy.replies.handler import IgnoreReply
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.plan_sender import PlanSender


def test_a_sender_says_how_it_sends_and_counts() -> None:
    """Where requests go and where misses are counted is for each kind of sender to say."""
    sender = PlanSender()
    with pytest.raises(NotImplementedError):
        sender.send(Node(0, "a", "", 1), IgnoreReply(), b"", 2, 0)
    with pytest.raises(NotImplementedError):
        sender.count_miss(True)
