"""Plans are values: nothing changes one, and tests and people compare them by how they are written."""

import ast
from pathlib import Path

from kidoproxy.commands.spec import AGG_SUM
from kidoproxy.routes.plan import DIRECT_REPLY, GATHER, SEND, DirectReply, Gather, Send
from kidoproxy.routes.topology import Node

PLAN = Path(__file__).resolve().parents[2] / "kidoproxy" / "routes" / "plan.py"


def test_repr() -> None:
    """A send names its node and its fallbacks; a gather lists its parts; a direct reply is shown."""
    a, b = Node(0, "a", "", 1), Node(1, "b", "", 2)
    plans = [Send(a), Send(b, None, [a]), DirectReply(b"+OK\r\n")]

    assert repr(Gather([*plans], AGG_SUM)) == "[a, b else a, b'+OK\\r\\n']"
    assert [plan.kind for plan in [*plans, Gather([], AGG_SUM)]] == [SEND, SEND, DIRECT_REPLY, GATHER]


def test_nothing_assigns_to_a_plan() -> None:
    """Every attribute is set once, where the plan is made: the type checker refuses any other assignment."""
    tree = ast.parse(PLAN.read_text(encoding="utf-8"))
    stored = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    finals = [
        node.target
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "Final"
    ]
    assert len(stored) > 10
    assert [ast.unparse(node) for node in stored if node not in finals] == []
