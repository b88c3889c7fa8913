"""Replies of nodes: bytes in, one whole raw frame out at a time, never decoded.

A frame that is not whole yet is held in pieces. Who cannot wait (a large reply whose client's turn it
is) may `take` what is held: the frame then comes out as heads and one tail, together the same bytes.
"""

from typing import final

from mypy_extensions import i64

from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.scan import FramePieces, ReplyScanner


@final
class ReplyReader:
    """Cuts the bytes of one link into raw replies. After a `ProtocolError` it stays broken."""

    def __init__(self) -> None:
        #: Whether the reply that `next` gave last is the rest of one of which `take` gave the beginning.
        self.is_tail: bool = False
        self.partially_taken: bool = False
        self.first_byte: i64 = 0
        #: How many replies did not come in one piece.
        self.partial_serial: i64 = 0
        self.chunk: bytes = b""
        self.pos: i64 = 0
        self.size: i64 = 0
        self.queued_chunks: list[bytes] = []
        self.pieces: FramePieces = FramePieces()
        self.scanner: ReplyScanner = ReplyScanner()
        self.protocol_error: str = ""

    def feed(self, data: bytes) -> None:
        """More bytes from the node."""
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
        """Bytes of the unfinished reply that are here; what was taken does not count."""
        return self.pieces.size

    def partial_type(self) -> int:
        """The first byte of the unfinished reply, taken or not; 0 when there is none."""
        return self.first_byte

    def take_partial(self) -> bytes:
        """Hands out, and forgets, what is held of the unfinished reply."""
        if self.pieces.size == 0:
            return b""
        self.partially_taken = True
        return self.pieces.take_joined()

    def discard_partial(self) -> i64:
        """Forgets what is held of the unfinished reply, which nobody wants; how much that was."""
        size = self.pieces.size
        if size:
            self.partially_taken = True
            self.pieces.take_parts()
        return size

    def _load_chunk(self) -> bool:
        """The next chunk that was fed while an earlier one was not used up."""
        while self.queued_chunks:
            self.chunk = self.queued_chunks.pop(0)
            self.pos = 0
            self.size = len(self.chunk)
            if self.size:
                return True
        return False

    def _complete_reply(self, end: i64) -> bytes:
        """The reply that ends at ``end``. A chunk that is just this reply is handed out itself."""
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
        """The rest of the chunk belongs to a reply that is not whole."""
        if not self.first_byte:
            self.first_byte = self.chunk[self.pos]
            self.partial_serial += 1
        self.pieces.add(self.chunk if self.pos == 0 else self.chunk[self.pos :])
        self.pos = self.size
        self.chunk = b""
