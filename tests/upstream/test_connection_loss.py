"""Whether the connection that holds a WATCH is still the one on which the keys were watched."""

from kidoproxy.resp.errors import NodeFailure
from kidoproxy.upstream.connection_loss import ConnectionLost


def test_what_leaves_a_connection_in_doubt() -> None:
    """Anything that nobody asked for, or the loss of the connection; a handshake does not."""
    failure = NodeFailure("NODEDOWN", "a", "a:6379", "gone", False)
    for act in ("push", "disconnect"):
        handler = ConnectionLost()
        handler.on_ready()
        assert not handler.lost
        handler.on_push(b"+OK\r\n") if act == "push" else handler.on_disconnect(failure)
        assert handler.lost
