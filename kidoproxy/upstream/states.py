"""The states of a link; which one follows which is drawn in `kidoproxy.upstream.connection`."""

from typing import Final

IDLE: Final = 0
CONNECTING: Final = 1
HANDSHAKING: Final = 2
READY: Final = 3
DOWN: Final = 4
STATE_NAMES: Final = ("idle", "connecting", "greeting", "ready", "down")
