"""What the log says of nodes: a line per change of a state, and per exception of ours while a node was listened to."""

import logging
import traceback
from pathlib import Path
from typing import Final

from kidoproxy.net.flush import Hub
from kidoproxy.routes.topology import Node

#: How much of its trace a line about an exception of ours shows.
FRAMES: Final = 6


class NodeNews:
    """Looks at the nodes at every tick; floods are folded by `Folded`."""

    def __init__(self, hub: Hub, nodes: list[Node]) -> None:
        self.news = hub.node_news
        self.exchange = hub.exchange
        self.nodes = nodes
        self.told: dict[int, str] = {}
        #: The exceptions of which the log has had the trace.
        self.traced: set[str] = set()

    def tick(self) -> None:
        """Tell what is new."""
        for node in self.nodes:
            for request, problem in node.mishaps:
                self.tell_mishap(node, request, problem)
            node.mishaps.clear()
            state = self.state(node)
            if state != self.told.get(node.index) and (state != "down" or node.cause):
                self.told[node.index] = state
                self.tell_state(node, state)
        self.news.tick()

    def state(self, node: Node) -> str:
        """Down while no link is ready."""
        if not any(link.ready() for link in self.exchange.links_of(node)):
            return "down"
        return "suspect" if node.suspect else "up"

    def tell_state(self, node: Node, state: str) -> None:
        """It has changed."""
        if state == "up":
            level, text, last = logging.INFO, "node up: node=%s address=%s version=%s", readable(node.version)
        else:
            level, text, last = logging.WARNING, f"node {state}: node=%s address=%s cause=%s", node.cause
        self.news.tell(f"{state} {node.name}", level, text, node.name, node.address, last)

    def tell_mishap(self, node: Node, request: str, problem: Exception) -> None:
        """A bug of ours; the first of its kind with all that helps to find it."""
        kind = f"{request} {type(problem).__name__}"
        trace = "" if kind in self.traced else f" at {where(problem)}"
        self.traced.add(kind)
        text = "reply not handled: node=%s request=%s cause=%s: %s%s"
        shown = str(problem)[:200].replace("\r", " ").replace("\n", " ")
        self.news.tell(f"mishap {kind}", logging.ERROR, text, node.name, request, type(problem).__name__, shown, trace)


def where(problem: Exception) -> str:
    """The innermost frames of its trace, on one line."""
    frames = traceback.extract_tb(problem.__traceback__)[-FRAMES:]
    return " < ".join([f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)])


def readable(version: bytes) -> str:
    """What a node says of itself may be anything."""
    return version.decode("utf-8", "backslashreplace")
