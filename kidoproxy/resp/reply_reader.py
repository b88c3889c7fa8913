"""Replies of nodes: bytes in, one whole raw frame at a time out, never decoded.

A frame that is not whole is held in pieces. To let a large reply leave before its end has come, `take_partial` hands
out what is held; `next` then returns only the rest of the frame (`is_tail`).
"""

from typing import final

from mypy_extensions import i64

from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.reply_scanner import ReplyScanner
from kidoproxy.resp.scan import FramePieces


@final
class ReplyReader:
    """Splits the bytes of one connection into raw replies. After a `ProtocolError` it raises the same one again."""

    def __init__(self) -> None:
        #: Whether the last result of `next` is the rest of a reply whose beginning was taken or discarded.
        self.is_tail: bool = False
        self.partially_taken: bool = False
        self.first_byte: i64 = 0
        #: How many replies have come in more than one chunk so far: tells one unfinished reply from the next.
        self.partial_serial: i64 = 0
        self.chunk: bytes = b""
        self.pos: i64 = 0
        self.size: i64 = 0
        self.queued_chunks: list[bytes] = []
        self.pieces: FramePieces = FramePieces()
        self.scanner: ReplyScanner = ReplyScanner()
        self.protocol_error: str = ""

    def feed(self, data: bytes) -> None:
        """Add bytes from the node."""
        if self.pos < self.size or self.queued_chunks:
            self.queued_chunks.append(data)
            return
        self.chunk = data
        self.pos = 0
        self.size = len(data)

    def next(self) -> bytes | None:
        """One whole raw reply, attributes in front included; None when more bytes are needed."""
        if self.protocol_error:
            raise ProtocolError(self.protocol_error)
        while self.pos < self.size or self._load_chunk():
            try:
                end = self.scanner.advance(self.chunk, self.pos)
            except ProtocolError as error:
                self.protocol_error = str(error)
                raise
            if end >= 0:
                return self._complete_reply(end)
            self._hold_rest()
        return None

    def held_bytes(self) -> int:
        """Bytes of the unfinished reply that are held; those that were taken do not count."""
        return self.pieces.size

    def partial_type(self) -> int:
        """The first byte of the unfinished reply, even if it was taken; 0 when there is none."""
        return self.first_byte

    def take_partial(self) -> bytes:
        """Return, and forget, what is held of the unfinished reply."""
        if self.pieces.size == 0:
            return b""
        self.partially_taken = True
        return self.pieces.take_joined()

    def discard_partial(self) -> i64:
        """Forget what is held of the unfinished reply; returns the number of bytes."""
        size = self.pieces.size
        if size:
            self.partially_taken = True
            self.pieces.take_parts()
        return size

    def _load_chunk(self) -> bool:
        """Go on to the next chunk that was fed; False if there is none."""
        while self.queued_chunks:
            self.chunk = self.queued_chunks.pop(0)
            self.pos = 0
            self.size = len(self.chunk)
            if self.size:
                return True
        return False

    def _complete_reply(self, end: i64) -> bytes:
        """The reply that ends at ``end``. A chunk that is exactly this reply is returned without a copy."""
        if self.pos == 0 and end == self.size:
            raw = self.chunk
        else:
            raw = self.chunk[self.pos : end]
        self.pos = end
        self.is_tail = self.partially_taken
        if self.first_byte:
            self.partially_taken = False
            self.first_byte = 0
            if self.pieces.size:
                self.pieces.add(raw)
                raw = self.pieces.take_joined()
        return raw

    def _hold_rest(self) -> None:
        """Keep the rest of the chunk, the beginning of a reply that is not whole."""
        if not self.first_byte:
            self.first_byte = self.chunk[self.pos]
            self.partial_serial += 1
        self.pieces.add(self.chunk if self.pos == 0 else self.chunk[self.pos :])
        self.pos = self.size
        self.chunk = b""
