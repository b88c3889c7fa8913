"""Connections in the middle of their handshake, of every kind, and what a good node answers to them."""

from kidoproxy.replication.group import CopyGroup
from kidoproxy.resp.reply_reader import ReplyReader
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions
from tests.greet import answers

NOPERM = b"-NOPERM User app has no permissions to run the '%b' command\r\n"
UNKNOWN = b"-ERR unknown command '%b', with args beginning with: 'x' \r\n"
INFO = b"redis_version:6.0.1\r\nrun_id:1\r\n"

#: Kinds of connections: shared and for RESP2 unless they say otherwise.
KINDS = ((), ("db",), ("resp3",), ("resp3", "db"), ("dedicated",), ("dedicated", "resp3", "db"), ("copy",))


def handshaking(*kind: str) -> NodeConnection:
    """A connection of that kind that has queued its handshake."""
    conn = NodeConnection(
        Node(0, "a", "a:6379", 1), ConnectionOptions("me", "pw"), 3 if "resp3" in kind else 2, 7 * ("db" in kind), []
    )
    conn.dedicated = "dedicated" in kind
    conn.shared = not conn.dedicated
    if "copy" in kind:
        CopyGroup("pair", [conn.node, Node(1, "b", "b:6379", 2)])
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    return conn


def good_replies(conn: NodeConnection) -> list[bytes]:
    """What a good node answers to the handshake, reply by reply."""
    reader = ReplyReader()
    reader.feed(answers(b"".join(conn.take_output()), INFO, 9))
    replies: list[bytes] = []
    while (raw := reader.next()) is not None:
        replies.append(raw)
    return replies


def command_names(conn: NodeConnection) -> list[bytes]:
    """The name of each request of the handshake."""
    return [request.split(b"\r\n")[2] for request in b"".join(conn.take_output()).split(b"*")[1:]]
