"""A plan: who is asked, and how the replies become one. A value; three shapes are enough.

`Send` asks one node. `Gather` asks several plans and merges what they say; plans nest, so a ring of
copy pools needs no shape of its own. `DirectReply` is a reply that no node is needed for.
"""

from typing import Final, final

from kidoproxy.routes.topology import CopyGroup, Node

SEND: Final = 0
GATHER: Final = 1
DIRECT_REPLY: Final = 2


class Plan:
    """One of the three shapes; ``kind`` says which, cheaper than asking for the class."""

    def __init__(self, kind: int) -> None:
        self.kind = kind


@final
class Send(Plan):
    """Ask ``node`` with ``payload`` (None: the request's own bytes); if it gives no reply, ``others`` in turn.

    ``others`` is only ever given for reads: a write that may have run is not repeated.
    """

    def __init__(self, node: Node, payload: bytes | None = None, fallbacks: list[Node] | None = None) -> None:
        super().__init__(SEND)
        self.node = node
        self.payload = payload
        self.fallbacks = fallbacks

    def __repr__(self) -> str:
        tail = "".join(f" else {fallback.name}" for fallback in self.fallbacks or [])
        return f"{self.node.name}{tail}"


@final
class Gather(Plan):
    """Ask all ``plans``; ``rule`` (see `kidoproxy.replies.merge`) makes one reply of theirs.

    * ``places[i]``: the positions of the keys that ``plans[i]`` serves, of ``keys`` in all (split commands);
    * ``raws[i]``: the frame that ``plans[i]`` is about, where it is not the request's own;
    * ``names``: the streams of an XREAD, in the order in which the reply has them;
    * ``number``: of the node that a SCAN asks, ``following``: of the next one (0: none), for its cursor;
    * ``group``: the plans are the copies of one command, leader first: the group judges their replies;
      ``touched`` are its keys (``anywhere``: and perhaps others), in ``other`` too if that is a database;
      ``strays`` are nodes that get ``stray_payload`` too and are not waited for.
    """

    def __init__(self, plans: list[Plan], merge_rule: int) -> None:
        super().__init__(GATHER)
        self.plans = plans
        self.merge_rule = merge_rule
        self.key_positions: list[list[int]] | None = None
        self.key_count = 0
        self.stream_names: list[bytes] = []
        self.frames: list[bytes] | None = None
        self.cursor_id = 0
        self.next_cursor_id = 0
        self.group: CopyGroup | None = None
        self.is_write = False
        self.written_keys: list[bytes] | None = None
        self.may_write_other_keys = False
        self.other_db: int | None = None
        self.unawaited_nodes: list[Node] = []
        self.unawaited_payload: bytes | None = None

    def __repr__(self) -> str:
        return "[" + ", ".join(repr(plan) for plan in self.plans) + "]"


@final
class DirectReply(Plan):
    """A reply that is already known: an error, or something that the proxy itself can say."""

    def __init__(self, frame: bytes) -> None:
        super().__init__(DIRECT_REPLY)
        self.frame = frame

    def __repr__(self) -> str:
        return repr(self.frame)
