"""The states of a link; which one follows which is drawn in `kidoproxy.link`."""

from typing import Final

IDLE: Final = 0
CONNECTING: Final = 1
GREETING: Final = 2
READY: Final = 3
DOWN: Final = 4
STATES: Final = ("idle", "connecting", "greeting", "ready", "down")
