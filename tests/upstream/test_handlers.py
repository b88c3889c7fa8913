"""What connections hand to their push handlers, and what the one for WATCH makes of it."""

import pytest

from kidoproxy.resp.errors import NodeFailure
from kidoproxy.upstream.handlers import PushHandler, WatchConnectionGuard


def test_what_leaves_a_connection_in_doubt() -> None:
    """Anything that nobody asked for, or the loss of the connection; a handshake does not."""
    failure = NodeFailure("NODEDOWN", "a", "a:6379", "gone", False)
    for act in ("push", "disconnect"):
        handler = WatchConnectionGuard()
        handler.on_ready()
        assert not handler.lost
        handler.on_push(b"+OK\r\n") if act == "push" else handler.on_disconnect(failure)
        assert handler.lost


def test_a_push_handler_says_what_it_does() -> None:
    """The base does nothing by itself."""
    handler = PushHandler()
    with pytest.raises(NotImplementedError):
        handler.on_push(b"")
    with pytest.raises(NotImplementedError):
        handler.on_ready()
    with pytest.raises(NotImplementedError):
        handler.on_disconnect(NodeFailure("", "", "", "", False))
