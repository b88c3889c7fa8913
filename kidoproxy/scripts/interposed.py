"""A script with its prologue, as the copies get it, and its replies as its client knows the script."""

import hashlib
from typing import Final, final

from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.resp.decode import items
from kidoproxy.resp.node_errors import NodeErrorReply
from kidoproxy.scripts.lexer import STRING_TOKEN, SYMBOL_TOKEN, Tokens
from kidoproxy.scripts.prologue import interpose, interpose_function

#: Words in errors of the servers, and what a client reads in their place.
ShownWords = tuple[tuple[bytes, bytes], ...]


@final
class InterposedScript:
    """The text that copies run in place of another one, its ``source``. ``shown``: see `ShownErrors`."""

    def __init__(self, text: bytes, source: bytes, shown_name: bytes, is_function: bool, pieces: list[str]) -> None:
        self.text: Final = text
        self.digest: Final = hex_digest(text)
        self.may_reply_noscript: Final = may_make_errors(source)
        #: How often it was sent, as far as it matters.
        self.uses = 0
        shown = (self.digest, shown_name)
        self.shown: Final[ShownWords] = (shown, (b"user_script:", b"user_function:")) if is_function else (shown,)
        self.publishes: Final = "PUBLISH" in pieces


def interposed_script(text: bytes, pieces: list[str]) -> InterposedScript:
    """In place of a script: errors have the digest of its own text."""
    return InterposedScript(interpose(text, pieces), text, hex_digest(text), False, pieces)


def interposed_function(code: bytes, name: bytes, flags: list[bytes], pieces: list[str]) -> InterposedScript:
    """In place of a function of the library with this code: errors have its name."""
    return InterposedScript(interpose_function(code, name, flags, pieces), code, name, True, pieces)


def may_make_errors(text: bytes) -> bool:
    """Whether a script may return an error of its own words: one that calls itself NOSCRIPT would be taken for it."""
    tokens = Tokens(text)
    for at, word in enumerate(tokens.values):
        if word == b"error_reply" or (word == b"err" and tokens.kinds[at] == STRING_TOKEN):
            return True
        if word == b"err" and tokens.values[at + 1] == b"=" and tokens.kinds[at + 1] == SYMBOL_TOKEN:
            return True
    return False


def hex_digest(text: bytes) -> bytes:
    """The name that servers give to a script."""
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


@final
class ShownErrors(DelegatingHandler):
    """Errors name the script that ran: the client reads the name of what it has asked for."""

    def __init__(self, parent: ReplyHandler, shown: ShownWords) -> None:
        super().__init__(parent)
        self.shown = shown

    def on_reply(self, raw: bytes) -> None:
        """An error, or the list of all copies' replies."""
        if raw[:1] == b"-":
            raw = self.with_shown_words(raw)
        elif raw[:1] == b"*" and self.shown[0][0] in raw:
            parts = [self.with_shown_words(item) if item[:1] == b"-" else item for item in items(raw)]
            raw = b"*%d\r\n%b" % (len(parts), b"".join(parts))
        self.parent.on_reply(raw)

    def with_shown_words(self, error: bytes) -> bytes:
        for word, shown in self.shown:
            error = error.replace(word, shown)
        return NodeErrorReply(error)
