"""Whether clients should be sent here: ``/readyz``, and what it says when they should not.

A pool is ready while it can serve what it promises. A ring promises the keys of the nodes that are there, so one of its
members is enough; with ``on_down = "miss"`` it answers for nodes that are down, too. A copy pool promises that a write
is taken: it wants ``min_in_sync`` copies in sync, and to be the only proxy that serves them.
"""

from kidoproxy.replication.group import CopyGroup, group_of
from kidoproxy.resp.decode import error_text
from kidoproxy.resp.errors import sanitize_bytes
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import Node
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState

#: Members of a ring that are told of in one line.
MAX_SHOWN = 8


def is_node_up(proxy: ProxyState, node: Node) -> bool:
    """Whether some connection to the node is ready."""
    return any(conn.is_ready() for conn in proxy.executor.connections_to(node))


def unready_reasons(proxy: ProxyState) -> list[str]:
    """Why clients should be sent elsewhere, one line for each pool that is not ready; empty when all are."""
    if proxy.draining:
        return ["draining"]
    reasons = [(context.name, pool_reason(proxy, context)) for context in proxy.contexts]
    return [f"{name}: {reason}" for name, reason in reasons if reason]


def pool_reason(proxy: ProxyState, context: PoolContext) -> str:
    """Why this pool cannot serve what it promises; empty when it can."""
    groups = [group for node in context.root.nodes() if (group := group_of(node)) is not None]
    for group in groups:
        if group.ownership is not None and group.ownership.yielded_to is not None:
            return f"the copies of {group.name} are served by another proxy"
    return route_reason(proxy, context.root, context.miss_on_down)


def route_reason(proxy: ProxyState, route: Route, miss_on_down: bool) -> str:
    """Why nothing below this route can be served."""
    if isinstance(route, CopyPool):
        return group_reason(proxy, route.group)
    if isinstance(route, NodeRoute):
        return "" if miss_on_down else node_reason(proxy, route.node)
    reasons = [route_reason(proxy, child, miss_on_down) for child in route.children()]
    if not all(reasons):
        return ""
    shown = ", ".join(reasons[:MAX_SHOWN])
    return f"no node can answer: {shown}" + (
        f" and {len(reasons) - MAX_SHOWN} more" if len(reasons) > MAX_SHOWN else ""
    )


def node_reason(proxy: ProxyState, node: Node) -> str:
    """Why this node cannot answer."""
    if node.suspect or not is_node_up(proxy, node):
        return f"{node.name} ({node.cause or 'not connected yet'})"
    return ""


def group_reason(proxy: ProxyState, group: CopyGroup) -> str:
    """Why these copies cannot take a write."""
    if not group.elected:
        return sanitize_bytes(error_text(group.refusal))
    in_sync = group.ranked(None)
    usable = [node for node in in_sync if not node_reason(proxy, node)]
    if len(usable) < group.min_in_sync:
        missing = [node_reason(proxy, copy.node) or f"{copy.node.name} (not in sync)" for copy in group.copies]
        shown = ", ".join([text for text, copy in zip(missing, group.copies, strict=True) if copy.node not in usable])
        return f"{len(usable)} of {group.min_in_sync} copies of {group.name} that a write wants: {shown}"
    refusal = group.durability.write_refusal()
    return f"the record of {group.name}'s copies cannot be put on disk ({refusal})" if refusal else ""
