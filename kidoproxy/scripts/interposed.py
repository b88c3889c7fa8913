"""A script with its prologue, as the copies get it, and its replies as its client knows the script."""

import hashlib
from typing import Final, final

from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.scripts.prologue import interpose


@final
class InterposedScript:
    """The text that copies run in place of ``text``; ``digests``: its own, and the one that clients know."""

    def __init__(self, text: bytes, pieces: list[str]) -> None:
        self.text: Final = interpose(text, pieces)
        self.digests: Final = (hex_digest(self.text), hex_digest(text))
        self.publishes: Final = "PUBLISH" in pieces


def hex_digest(text: bytes) -> bytes:
    """The name that servers give to a script."""
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


@final
class ShownDigest(DelegatingHandler):
    """Errors name the script that ran: the client reads the digest of the one that it has sent."""

    def __init__(self, parent: ReplyHandler, digests: tuple[bytes, bytes]) -> None:
        super().__init__(parent)
        self.digests = digests

    def on_reply(self, raw: bytes) -> None:
        """An error, or the list of all copies' errors."""
        if raw[:1] in (b"-", b"*"):
            sent, shown = self.digests
            raw = raw.replace(sent, shown)
        self.parent.on_reply(raw)
