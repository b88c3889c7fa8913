"""How many error replies the clients of a pool got, by code and by family of commands, and who made them.

Each error reply counts once, where it is put into its client's queue. Of a reply that is a list (EXEC of several
nodes, PROXY EACH) each place counts that the proxy itself has filled with an error. What nodes say inside of a list
travels unread, and does not count.
"""

from typing import final

from kidoproxy.commands.families import FAMILIES, UNKNOWN_FAMILY
from kidoproxy.resp.error_codes import NODE_CODES, PROXY_CODES, node_code, proxy_code
from kidoproxy.resp.node_errors import NodeErrorReply


@final
class ErrorCounts:
    """See the module. All have every code from the start, so that the first error already shows as a rise."""

    def __init__(self) -> None:
        self.by_proxy: dict[str, int] = dict.fromkeys(PROXY_CODES, 0)
        self.by_nodes: dict[str, int] = dict.fromkeys(NODE_CODES, 0)
        #: The same by the number of the command's family.
        self.proxy_errors_by_family = [0] * len(FAMILIES)
        self.node_errors_by_family = [0] * len(FAMILIES)
        #: The family of the request that is being handled, which is answered at once if its place names no command.
        self.current_family = UNKNOWN_FAMILY

    def count(self, raw: bytes, family: int) -> None:
        """An error reply for a client, to a command of this family."""
        if isinstance(raw, NodeErrorReply):
            self.by_nodes[node_code(raw)] += 1
            self.node_errors_by_family[family] += 1
        else:
            self.by_proxy[proxy_code(raw)] += 1
            self.proxy_errors_by_family[family] += 1

    def total(self) -> int:
        """All of them, as ``total_error_replies`` has them."""
        return sum(self.by_proxy.values()) + sum(self.by_nodes.values())

    def by_code(self) -> dict[str, int]:
        """Those of both by code, without codes that never came."""
        return {
            code: count
            for code in dict.fromkeys(PROXY_CODES + NODE_CODES)
            if (count := self.by_proxy.get(code, 0) + self.by_nodes.get(code, 0))
        }
