"""Sending ahead of what is not written yet. For whom: tests/session/test_hanging_up.py."""

from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp.encode import encode_request
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.send_first import is_flushed, submit_ahead_of_unwritten


def test_sent_first_during_the_handshake() -> None:
    """What goes first waits for a handshake that is under way, which is not begun again."""
    dirty: list[NodeConnection] = []
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, dirty)
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    submit_ahead_of_unwritten(conn, ReplyQueue(TurnWork()).open_pending(None), encode_request([b"PING"]), 0.0)
    assert len(conn.queue) == 1
    assert not is_flushed(conn)
