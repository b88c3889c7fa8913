"""The nodes as the routes know them: names and facts, never sockets.

A `Node` is written by its connections (whether it is live, which run of the server it is) and read by the routes. What
lies above this file is known by an empty base only: its connections (`NodeConnectionSet`), and the copies that it is
one of (`NodeGroup`).
"""

from typing import final

from kidoproxy.resp.replication_errors import same_server_cause
from kidoproxy.resp.scan import parse_int64, visible_ascii
from kidoproxy.scripts.warmup import WarmupState
from kidoproxy.upstream.health import NodeHealth


class NodeConnectionSet:
    """The connections to a node: `kidoproxy.upstream.connection_set.ConnectionSet`; `connection_set_of` types them."""


class NodeGroup:
    """The copies that a node is one of: `kidoproxy.replication.group.CopyGroup`; `group_of` gives it its type."""

    def __init__(self, shard_id: int) -> None:
        #: The same number for all copies, and for no other nodes.
        self.placement_id = shard_id


@final
class Node(NodeHealth):
    """One configured server, as routes know it.

    ``node_id`` is unique among the nodes of the process; ``cursor_id`` is its small number in SCAN cursors.
    """

    def __init__(self, node_id: int, name: str, address: str, cursor_id: int) -> None:
        super().__init__()
        self.node_id = node_id
        self.name = name
        self.address = address
        self.cursor_id = cursor_id
        #: Set by the `ConnectionSet` itself when it is made; nothing is sent to a node before.
        self.connection_set: NodeConnectionSet | None = None
        #: False while a connection to it cannot be made; what is sent then fails at once.
        self.live = True
        self.cause = ""
        #: Commands that may take long, and until when: it is busy with them, not silent.
        self.slow_commands = 0
        self.busy_until = 0.0
        #: The highest database that it is known to have.
        self.highest_db = 0
        self.run_id = b""
        self.uptime = 0
        self.version = b""
        #: Its writes must keep one order, so it has one shared connection for everything.
        self.has_ordered_connection = False
        #: The last ordered connection: the run of the server, and its CLIENT ID there.
        self.last_connection = (b"", b"")
        #: The group of a copy, which sets both; see `NodeGroup`.
        self.group: NodeGroup | None = None
        self.warmup = WarmupState()
        #: The other nodes that one listening pool reaches together with this one: each must be another server.
        self.pool_neighbours: list[Node] = []
        #: Its last handshake showed it to be the same server as this one, so it was refused.
        self.same_server_as: Node | None = None

    def note_same_server(self, info: dict[bytes, bytes]) -> bool:
        """Whether its INFO (if it has a run id) shows it to be the very server that a live neighbour is.

        If so it is noted which one, and the cause.
        """
        run_id = visible_ascii(info.get(b"run_id", b""))
        for other in self.pool_neighbours:
            if run_id and other.run_id == run_id and other.live:
                self.same_server_as = other
                self.cause = same_server_cause(other.name)
                return True
        return False

    def on_info(self, info: dict[bytes, bytes]) -> bool:
        """Note what its INFO says; returns whether it is another run of the server than the one we knew."""
        previous_run_id = self.run_id
        uptime = info.get(b"uptime_in_seconds", b"")
        self.run_id = visible_ascii(info.get(b"run_id", b""))
        self.version = visible_ascii(info.get(b"valkey_version", b"") or info.get(b"redis_version", b""))
        self.uptime = max(parse_int64(uptime) or 0, 0)
        self.live = True
        self.cause = ""
        self.handshakes += 1
        self.same_server_as = None
        restarted = bool(previous_run_id) and previous_run_id != self.run_id
        if restarted:
            self.warmup.needs_warmup = True
            self.highest_db = 0
        return restarted

    @property
    def is_copy(self) -> bool:
        """Whether it is one of the copies of a pool."""
        return self.group is not None

    def shard_id(self) -> int:
        """The same number for all copies of the same keys, and for no others."""
        return self.node_id if self.group is None else self.group.placement_id

    def __repr__(self) -> str:
        return f"<node {self.name} {self.address} {'live' if self.live else 'down'}>"
