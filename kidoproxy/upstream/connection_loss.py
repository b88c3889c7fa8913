"""The ear of a lane on which keys are watched."""

from typing import final

from kidoproxy.resp.errors import NodeFailure
from kidoproxy.upstream.handshake import PushHandler


@final
class ConnectionLost(PushHandler):
    """Notices when the connection of a lane is lost that holds a WATCH."""

    def __init__(self) -> None:
        self.lost = False

    def on_push(self, raw: bytes) -> None:
        """Nothing is expected: whatever it is, the lane is in doubt."""
        self.lost = True

    def on_ready(self) -> None:
        """It has been greeted."""

    def on_disconnect(self, failure: NodeFailure) -> None:
        """What it held is gone."""
        self.lost = True
