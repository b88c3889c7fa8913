"""Plans are compared, in tests and by people, by their drawing."""

from kidoproxy.commands.spec import AGG_SUM
from kidoproxy.routes.plan import DIRECT_REPLY, GATHER, SEND, DirectReply, Gather, Send
from kidoproxy.routes.topology import Node


def test_drawing() -> None:
    """A send names its node and who is asked else; a gather lists its parts; an answer is shown."""
    a, b = Node(0, "a", "", 1), Node(1, "b", "", 2)
    plans = [Send(a), Send(b, None, [a]), DirectReply(b"+OK\r\n")]

    assert repr(Gather([*plans], AGG_SUM)) == "[a, b else a, b'+OK\\r\\n']"
    assert [plan.kind for plan in [*plans, Gather([], AGG_SUM)]] == [SEND, SEND, DIRECT_REPLY, GATHER]
