"""Plans are compared, in tests and by people, by their drawing."""

from kidoproxy.commands.spec import TOTAL
from kidoproxy.routes.plan import ANSWER, GATHER, SEND, Answer, Gather, Send
from kidoproxy.routes.topology import Node


def test_drawing() -> None:
    """A send names its node and who is asked else; a gather lists its parts; an answer is shown."""
    a, b = Node(0, "a", "", 1), Node(1, "b", "", 2)
    plans = [Send(a), Send(b, None, [a]), Answer(b"+OK\r\n")]

    assert repr(Gather([*plans], TOTAL)) == "[a, b else a, b'+OK\\r\\n']"
    assert [plan.kind for plan in [*plans, Gather([], TOTAL)]] == [SEND, SEND, ANSWER, GATHER]
