"""The ear of a lane on which keys are watched."""

from typing import final

from kidoproxy.errors import NodeFailure
from kidoproxy.link_greeting import Ear


@final
class Watched(Ear):
    """Notices when the connection of a lane is lost that holds a WATCH."""

    def __init__(self) -> None:
        self.lost = False

    def hear(self, raw: bytes) -> None:
        """Nothing is expected: whatever it is, the lane is in doubt."""
        self.lost = True

    def ready(self) -> None:
        """It has been greeted."""

    def deaf(self, failure: NodeFailure) -> None:
        """What it held is gone."""
        self.lost = True
