"""Replies of nodes: bytes in, one whole raw frame out at a time, never decoded.

A frame that is not whole yet is held in pieces. Who cannot wait (a large reply whose client's turn it
is) may `take` what is held: the frame then comes out as heads and one tail, together the same bytes.
"""

from typing import final

from mypy_extensions import i64

from kidoproxy.errors import ProtocolError
from kidoproxy.resp.scan import Pieces, ReplyScanner


@final
class ReplyReader:
    """Cuts the bytes of one link into raw replies. After a `ProtocolError` it stays broken."""

    def __init__(self) -> None:
        #: Whether the reply that `next` gave last is the rest of one of which `take` gave the beginning.
        self.tail: bool = False
        self.taken: bool = False
        self.first: i64 = 0
        #: How many replies did not come in one piece.
        self.serial: i64 = 0
        self.chunk: bytes = b""
        self.at: i64 = 0
        self.size: i64 = 0
        self.waiting: list[bytes] = []
        self.pieces: Pieces = Pieces()
        self.scanner: ReplyScanner = ReplyScanner()
        self.broken: str = ""

    def feed(self, data: bytes) -> None:
        """More bytes from the node."""
        if self.at < self.size or self.waiting:
            self.waiting.append(data)
            return
        self.chunk = data
        self.at = 0
        self.size = len(data)

    def next(self) -> bytes | None:
        """One whole raw reply, attributes in front included; None when more bytes are needed."""
        if self.broken:
            raise ProtocolError(self.broken)
        while self.at < self.size or self._load():
            try:
                end = self.scanner.advance(self.chunk, self.at)
            except ProtocolError as error:
                self.broken = str(error)
                raise
            if end >= 0:
                return self._cut(end)
            self._hold()
        return None

    def held(self) -> int:
        """Bytes of the unfinished reply that are here; what was taken does not count."""
        return self.pieces.size

    def kind(self) -> int:
        """The first byte of the unfinished reply, taken or not; 0 when there is none."""
        return self.first

    def take(self) -> bytes:
        """Hands out, and forgets, what is held of the unfinished reply."""
        if self.pieces.size == 0:
            return b""
        self.taken = True
        return self.pieces.take()

    def pass_over(self) -> i64:
        """Forgets what is held of the unfinished reply, which nobody wants; how much that was."""
        size = self.pieces.size
        if size:
            self.taken = True
            self.pieces.take_parts()
        return size

    def _load(self) -> bool:
        """The next chunk that was fed while an earlier one was not used up."""
        while self.waiting:
            self.chunk = self.waiting.pop(0)
            self.at = 0
            self.size = len(self.chunk)
            if self.size:
                return True
        return False

    def _cut(self, end: i64) -> bytes:
        """The reply that ends at ``end``. A chunk that is just this reply is handed out itself."""
        if self.at == 0 and end == self.size:
            raw = self.chunk
        else:
            raw = self.chunk[self.at : end]
        self.at = end
        self.tail = self.taken
        if self.first:
            self.taken = False
            self.first = 0
            if self.pieces.size:
                self.pieces.add(raw)
                raw = self.pieces.take()
        return raw

    def _hold(self) -> None:
        """The rest of the chunk belongs to a reply that is not whole."""
        if not self.first:
            self.first = self.chunk[self.at]
            self.serial += 1
        self.pieces.add(self.chunk if self.at == 0 else self.chunk[self.at :])
        self.at = self.size
        self.chunk = b""
