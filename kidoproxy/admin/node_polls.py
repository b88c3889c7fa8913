"""What nodes say of themselves (INFO), asked while somebody looks at the status page, and for nobody else.

A node is asked no more often than every `POLL_SECONDS`, however many look, and not again before it has answered.
"""

import time
from collections.abc import Callable
from typing import Final

from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.scan import parse_int64
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import info_text, parse_info

POLL_SECONDS: Final = 5.0
REQUEST: Final = encode_request([b"INFO"])
#: Fields of INFO that are shown, by the name under which they are.
FIELDS: Final = {
    "used_memory_bytes": b"used_memory",
    "maxmemory_bytes": b"maxmemory",
    "ops_per_second": b"instantaneous_ops_per_sec",
    "connected_clients": b"connected_clients",
    "evicted_keys": b"evicted_keys",
    "uptime_seconds": b"uptime_in_seconds",
}


class NodePoll:
    """The last word of one node, and the question that may be open. ``latency_ms`` is how long its INFO took."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.asked_at = -POLL_SECONDS
        self.is_open = False
        self.latency_ms: float | None = None
        self.fields: dict[str, int] = {}

    def begin(self) -> CallbackHandler:
        """The question is sent now; what takes its reply."""
        self.asked_at = self.clock()
        self.is_open = True
        return CallbackHandler(self.on_reply, self.on_failure)

    def is_due(self) -> bool:
        return not self.is_open and self.clock() - self.asked_at >= POLL_SECONDS

    def on_reply(self, raw: bytes) -> None:
        """Anything else than numbers is not shown; a node that may not be asked shows nothing."""
        self.is_open = False
        self.latency_ms = round((self.clock() - self.asked_at) * 1000, 2)
        self.fields = {} if is_error(raw) else parse_fields(info_text(raw))

    def on_failure(self, failure: NodeFailure) -> None:
        self.is_open = False
        self.latency_ms = None
        self.fields = {}


class NodePolls:
    """Of all nodes of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.by_node: dict[Node, NodePoll] = {}

    def ask(self, executor: Executor, nodes: list[Node]) -> None:
        """Ask those whose turn it is and that can be reached; forget those that are no longer there."""
        self.by_node = {node: self.by_node.get(node) or NodePoll(self.clock) for node in nodes}
        for node, poll in self.by_node.items():
            if not any(conn.can_send for conn in executor.connections_to(node)):
                if not poll.is_open:
                    poll.fields, poll.latency_ms = {}, None
            elif poll.is_due():
                executor.send(node, poll.begin(), REQUEST, 2, 0)


def parse_fields(text: bytes) -> dict[str, int]:
    """What is shown of an INFO text: numbers, and the number of keys of all databases."""
    info = parse_info(text)
    found: dict[str, int] = {}
    for name, field in FIELDS.items():
        number = parse_int64(info.get(field, b""))
        if number is not None and number >= 0:
            found[name] = number
    if info:
        rows = [value for field, value in info.items() if field[:2] == b"db" and field[2:].isdigit()]
        counts = [parse_int64(row.partition(b",")[0].removeprefix(b"keys=")) for row in rows]
        found["keys"] = sum([count for count in counts if count is not None])
    return found
