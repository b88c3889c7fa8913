"""The databases of the two copies of a sync: how many keys each has, and which ones both servers have at all.

A database must exist on both servers before the sync touches it on the connections that carry the clients' writes:
a SELECT that one of them refuses would fail all the writes behind it. So each is tried once, on a connection of the
sync's own, and remembered as usable for the passes that follow.
"""

from typing import final

from kidoproxy.replication.parse_replies import KEYSPACE_HEADING, parse_keyspace
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.handshake import info_text


def parse_key_counts(replies: list[bytes]) -> list[dict[int, int]]:
    """Of each reply to INFO keyspace, how many keys each database has; empty if one of them makes no sense."""
    texts = [info_text(raw) for raw in replies]
    if not all(KEYSPACE_HEADING in text for text in texts):
        return []
    return [parse_keyspace(text) for text in texts]


@final
class SyncDatabases:
    """What is left of this pass, and what is known of the servers."""

    def __init__(self) -> None:
        self.remaining: list[int] = []
        self.usable: dict[int, bool] = {}
        #: The one that both were asked for last.
        self.probed = -1

    def probe_next(self) -> bool:
        """Choose a database of this pass that was never tried; False when there is none."""
        untried = [db for db in self.remaining if db not in self.usable]
        if untried:
            self.probed = untried[0]
        return bool(untried)

    def mark_probed_usable(self, nodes: list[Node]) -> None:
        """All of ``nodes`` have accepted SELECT of the one that was tried."""
        self.usable[self.probed] = True
        for node in nodes:
            node.highest_db = max(node.highest_db, self.probed)
