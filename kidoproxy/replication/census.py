"""A census: how many keys each copy has, asked while no copy is trusted.

All nodes are asked at once, INFO and DBSIZE; a user who may not ask for the one may be allowed the other. The callback
is called once, when each has replied or failed, and never before `Census.begin` has asked all of them.
"""

from typing import final

from kidoproxy.replication.batch import BatchReply, Callback, send_requests
from kidoproxy.replication.election import UNKNOWN_KEY_COUNT
from kidoproxy.replication.parse_replies import KEYSPACE_HEADING, parse_integer, parse_keyspace
from kidoproxy.resp.decode import is_error
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import info_text, parse_info


@final
class CensusCallback(Callback):
    """Takes the replies of one copy."""

    def __init__(self, census: "Census", index: int) -> None:
        self.census = census
        self.index = index

    def on_done(self, batch_reply: BatchReply) -> None:
        census = self.census
        census.remaining -= 1
        if not batch_reply.problem:
            census.on_replies(self.index, batch_reply.replies[0], batch_reply.replies[1])
        if census.remaining == 0:
            census.finish()


@final
class Census:
    """``is_loaded``: which copies replied and have loaded their data; ``key_counts``: how many keys each has."""

    def __init__(self, connections: list[NodeConnection]) -> None:
        self.connections = connections
        self.is_loaded = [False] * len(connections)
        self.key_counts = [UNKNOWN_KEY_COUNT] * len(connections)
        #: One more than connections, so that the end does not come before all were asked.
        self.remaining = len(connections) + 1
        self.callback: Callback | None = None

    def begin(self, callback: Callback, now: float) -> None:
        self.callback = callback
        for index, connection in enumerate(self.connections):
            batch_reply = BatchReply(CensusCallback(self, index), 2)
            send_requests(connection, batch_reply, 0, [[b"INFO"], [b"DBSIZE"]], 0, now)
        self.remaining -= 1
        if self.remaining == 0:
            self.finish()

    def on_replies(self, index: int, info: bytes, dbsize: bytes) -> None:
        """Count from INFO keyspace, else from DBSIZE (database 0 alone), else unknown; nothing while it is loading."""
        text = b"" if is_error(info) else info_text(info)
        if parse_info(text).get(b"loading", b"0") != b"0":
            return
        self.is_loaded[index] = True
        if KEYSPACE_HEADING in text:
            self.key_counts[index] = sum(parse_keyspace(text).values())
        else:
            size = parse_integer(dbsize)
            self.key_counts[index] = UNKNOWN_KEY_COUNT if size is None or size < 0 else size

    def finish(self) -> None:
        callback = self.callback
        self.callback = None
        if callback is not None:
            callback.on_done(BatchReply(callback, 0))
