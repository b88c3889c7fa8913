"""Whether the dedicated connection on which keys are watched has been lost since."""

from typing import final

from kidoproxy.resp.errors import NodeFailure
from kidoproxy.upstream.handshake import PushHandler


@final
class ConnectionLost(PushHandler):
    """Notices that a connection which holds a WATCH is lost, or in doubt."""

    def __init__(self) -> None:
        self.lost = False

    def on_push(self, raw: bytes) -> None:
        """Nothing is expected: whatever it is, the connection is in doubt."""
        self.lost = True

    def on_ready(self) -> None:
        """The handshake loses nothing."""

    def on_disconnect(self, failure: NodeFailure) -> None:
        """The server has forgotten what was watched."""
        self.lost = True
