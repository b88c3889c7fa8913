"""A leaf: one node. It owns one ready-made `Send`, so that the hot path makes no plan."""

from typing import final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import Plan, Send
from kidoproxy.routes.route import Ask, Route
from kidoproxy.routes.topology import Node


@final
class NodeRoute(Route):
    """Asks its node, whatever the request is; replies are relayed."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.name)
        self.node = node
        self.send = Send(node)

    def plan(self, spec: CommandSpec, request: Request, ask: Ask) -> Plan:
        """The ready-made plan."""
        return self.send

    def nodes(self) -> list[Node]:
        """Its node."""
        return [self.node]

    def why(self, key: bytes) -> str:
        """Its name and address."""
        return f"{self.node.name} ({self.node.address})"
