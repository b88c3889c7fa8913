"""What the log says of nodes: an event per change of a state, and per bug of ours while a reply was handled."""

import logging
import traceback
from pathlib import Path
from typing import Final

from kidoproxy.net.flush import LoopBridge
from kidoproxy.routes.topology import Node

#: How many frames of its traceback an event about a bug of ours shows.
TRACE_FRAMES: Final = 6


class NodeLogger:
    """Looks at the nodes at every tick; floods are folded by `RateLimitedLog`."""

    def __init__(self, bridge: LoopBridge, nodes: list[Node]) -> None:
        self.rate_limited_log = bridge.node_log
        self.executor = bridge.executor
        self.nodes = nodes
        self.logged_states: dict[int, str] = {}
        self.logged_unfenced: dict[int, str] = {}
        #: The kinds of exceptions whose traceback has been logged.
        self.traced_kinds: set[str] = set()

    def tick(self) -> None:
        """Log what is new."""
        for node in self.nodes:
            for request_name, problem in node.internal_errors:
                self.log_exception(node, request_name, problem)
            node.internal_errors.clear()
            state = self.node_state(node)
            if state != self.logged_states.get(node.node_id) and (state != "down" or node.cause):
                self.logged_states[node.node_id] = state
                self.log_state(node, state)
            self.log_unfenced(node)
        self.rate_limited_log.emit_folded()

    def node_state(self, node: Node) -> str:
        """Down while no connection is ready."""
        if not any(conn.is_ready() for conn in self.executor.connections_to(node)):
            return "down"
        return "suspect" if node.suspect else "up"

    def log_state(self, node: Node, state: str) -> None:
        level, detail = logging.WARNING, {"cause": node.cause}
        if state == "up":
            level, detail = logging.INFO, {"version": decode_version(node.version)}
        kind = f"{state} {node.name}"
        self.rate_limited_log.emit(kind, level, f"node {state}", node=node.name, address=node.address, **detail)

    def log_unfenced(self, node: Node) -> None:
        """A copy that the proxy cannot guard against late writes: once for each reason."""
        if node.unfenced and node.unfenced != self.logged_unfenced.get(node.node_id):
            self.logged_unfenced[node.node_id] = node.unfenced
            fields = {"node": node.name, "address": node.address, "cause": node.unfenced}
            self.rate_limited_log.emit(f"unfenced {node.name}", logging.WARNING, "node not fenced", **fields)

    def log_exception(self, node: Node, request_name: str, problem: Exception) -> None:
        """A bug of ours; the first of its kind with its traceback."""
        kind = f"{request_name} {type(problem).__name__}"
        trace = "" if kind in self.traced_kinds else f" at {format_trace(problem)}"
        self.traced_kinds.add(kind)
        message = str(problem)[:200].replace("\r", " ").replace("\n", " ")
        self.rate_limited_log.emit(
            f"internal error {kind}",
            logging.ERROR,
            "reply not handled",
            node=node.name,
            request=request_name,
            cause=f"{type(problem).__name__}: {message}{trace}",
        )


def format_trace(problem: Exception) -> str:
    """The innermost frames of its traceback, on one line."""
    frames = traceback.extract_tb(problem.__traceback__)[-TRACE_FRAMES:]
    return " < ".join([f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)])


def decode_version(version: bytes) -> str:
    """Any bytes as text: a node may say anything of itself."""
    return version.decode("utf-8", "backslashreplace")
