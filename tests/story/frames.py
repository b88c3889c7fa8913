"""Requests written as words and replies written as tokens, as bytes, and back for a person who reads a mismatch."""

from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.request_reader import RequestReader
from kidoproxy.resp.request_scanner import RequestLimits

Text = str | bytes


def request(text: Text) -> bytes:
    """The frame of a request written as words; bytes are a frame already."""
    if isinstance(text, bytes):
        return text
    return encode_request([word.encode() for word in text.split(" ")])


def frame(text: Text) -> bytes:
    """The frames of a reply written as tokens; bytes are a frame already."""
    if isinstance(text, bytes):
        return text
    if text[0] in "+-":
        return text.encode() + b"\r\n"
    tokens = text.split(" ")
    raw = b""
    while tokens:
        token = tokens.pop(0)
        raw += token.encode() + b"\r\n"
        if token[0] in "$=" and token != "$-1":
            payload = tokens.pop(0).encode()
            assert len(payload) == int(token[1:]), f"{token} is not the length of {payload!r}"
            raw += payload + b"\r\n"
    return raw


def frames(texts: tuple[Text, ...]) -> bytes:
    """Several replies, one behind the other."""
    return b"".join([frame(text) for text in texts])


def shown(raw: bytes) -> str:
    """Bytes for a person who reads a mismatch: one line of the protocol per line."""
    return "\n".join(["    " + repr(row[:200])[1:] for row in raw.splitlines(keepends=True)]) or "    (nothing)"


def requests(raw: bytes) -> list[bytes]:
    """What was written to a node, cut into requests."""
    reader = RequestReader(RequestLimits())
    reader.feed(raw)
    found: list[bytes] = []
    while True:
        one = reader.next()
        if one is None:
            assert not reader.buffered_bytes(), f"half a request was written: {raw[:200]!r}"
            return found
        found.append(one.raw)
