"""A plan: who is asked, and how the replies become one. A value; three shapes are enough.

`Send` asks one node. `Gather` asks several plans and merges what they say; plans nest, so a ring of
copy pools needs no shape of its own. `Answer` is a reply that no node is needed for.
"""

from typing import Final, final

from kidoproxy.routes.topology import CopyGroup, Node

SEND: Final = 0
GATHER: Final = 1
ANSWER: Final = 2


class Plan:
    """One of the three shapes; ``kind`` says which, cheaper than asking for the class."""

    def __init__(self, kind: int) -> None:
        self.kind = kind


@final
class Send(Plan):
    """Ask ``node`` with ``payload`` (None: the request's own bytes); if it gives no reply, ``others`` in turn.

    ``others`` is only ever given for reads: a write that may have run is not repeated.
    """

    def __init__(self, node: Node, payload: bytes | None = None, others: list[Node] | None = None) -> None:
        super().__init__(SEND)
        self.node = node
        self.payload = payload
        self.others = others

    def __repr__(self) -> str:
        tail = "".join(f" else {other.name}" for other in self.others or [])
        return f"{self.node.name}{tail}"


@final
class Gather(Plan):
    """Ask all ``plans``; ``rule`` (see `kidoproxy.merge`) makes one reply of theirs.

    * ``places[i]``: the positions of the keys that ``plans[i]`` serves, of ``keys`` in all (split commands);
    * ``raws[i]``: the frame that ``plans[i]`` is about, where it is not the request's own;
    * ``names``: the streams of an XREAD, in the order in which the reply has them;
    * ``number``: of the node that a SCAN asks, ``following``: of the next one (0: none), for its cursor;
    * ``group``: the plans are the copies of one command, leader first: the group judges their replies;
      ``touched`` are its keys (``anywhere``: and perhaps others), in ``other`` too if that is a database;
      ``strays`` are nodes that get ``stray_payload`` too and are not waited for.
    """

    def __init__(self, plans: list[Plan], rule: int) -> None:
        super().__init__(GATHER)
        self.plans = plans
        self.rule = rule
        self.places: list[list[int]] | None = None
        self.keys = 0
        self.names: list[bytes] = []
        self.raws: list[bytes] | None = None
        self.number = 0
        self.following = 0
        self.group: CopyGroup | None = None
        self.write = False
        self.touched: list[bytes] | None = None
        self.anywhere = False
        self.other: int | None = None
        self.strays: list[Node] = []
        self.stray_payload: bytes | None = None

    def __repr__(self) -> str:
        return "[" + ", ".join(repr(plan) for plan in self.plans) + "]"


@final
class Answer(Plan):
    """A reply that is already known: an error, or something that the proxy itself can say."""

    def __init__(self, frame: bytes) -> None:
        super().__init__(ANSWER)
        self.frame = frame

    def __repr__(self) -> str:
        return repr(self.frame)
