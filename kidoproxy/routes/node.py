"""A leaf of the route tree: one node. It has one ready-made `Send`, so that the hot path makes no plan."""

from typing import final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import Plan, Send
from kidoproxy.routes.route import RequestContext, Route
from kidoproxy.routes.topology import Node


@final
class NodeRoute(Route):
    """Asks its node, whatever the request is; replies are relayed."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.name)
        self.node = node
        self.ready_plan = Send(node)

    def plan(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """The ready-made plan, whatever the request is."""
        return self.ready_plan

    def nodes(self) -> list[Node]:
        """Its node."""
        return [self.node]

    def explain(self, key: bytes) -> str:
        """Its name and address."""
        return f"{self.node.name} ({self.node.address})"
