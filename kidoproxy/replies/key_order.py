"""The replies to the parts of an MGET become one, with the values in the order of its keys."""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.replies.merge import first_error, mismatch_error
from kidoproxy.resp.decode import is_null, next_line, value_start
from kidoproxy.resp.encode import array_header
from kidoproxy.resp.reply_scanner import ReplyScanner
from kidoproxy.resp.scan import DOLLAR, GREATER, STAR, TILDE, parse_length

#: More items than any reply has: a step that does all.
UNLIMITED: Final = 1 << 60


def in_key_order(replies: list[bytes], key_positions: list[list[int]], total: int) -> bytes:
    """An array of ``total`` items: the items of ``replies[i]`` at the positions ``key_positions[i]``."""
    merge = KeyOrderMerge(replies, key_positions, total)
    while merge.step(UNLIMITED):
        pass
    return merge.result


def item_end(raw: bytes, pos: i64, size: i64) -> i64:
    """The offset behind the item at ``pos`` of a whole reply; mostly that is a bulk string."""
    if raw[pos] == DOLLAR:
        length, start = parse_length(raw, pos + 1, size)
        if length >= 0:
            return start + length + 2
    return ReplyScanner().advance(raw, pos)


@final
class KeyOrderMerge:
    """The same in steps: the replies are split into items one after the other, then the items are joined.

    ``result`` is empty until the last step, and an error if the replies do not fit together.
    """

    def __init__(self, replies: list[bytes], key_positions: list[list[int]], total: int) -> None:
        self.replies = replies
        self.key_positions = key_positions
        self.items: list[bytes] = [b""] * total
        #: The reply that is being split, the offset in it (-1: not begun), and the index of its next item.
        self.reply_index = 0
        self.pos: i64 = -1
        self.item_index = 0
        self.chunks: list[bytes] = [array_header(total)]
        self.joined_count = 0
        error = first_error(replies)
        self.result = error if error is not None else b""

    def step(self, max_items: int) -> bool:
        """Process at most ``max_items`` items; returns whether there is more to do."""
        if self.result:
            return False
        if self.reply_index < len(self.replies):
            self.parse_items(max_items)
            return not self.result
        return self.join_items(max_items)

    def parse_items(self, max_items: int) -> None:
        """Split off items of one reply; if it is no list of as many items as keys, the result is an error."""
        raw = self.replies[self.reply_index]
        positions = self.key_positions[self.reply_index]
        if self.pos < 0:
            start = value_start(raw)
            if raw[start] not in (STAR, TILDE, GREATER) or is_null(raw):
                self.result = mismatch_error(self.replies)
                return
            self.pos = next_line(raw, start)
        size: i64 = len(raw)
        stop = min(self.item_index + max_items, len(positions))
        pos = self.pos
        item_index = self.item_index
        items = self.items
        while pos < size and item_index < stop:
            end = item_end(raw, pos, size)
            items[positions[item_index]] = raw[pos:end]
            pos = end
            item_index += 1
        self.pos = pos
        self.item_index = item_index
        if item_index < stop or (stop == len(positions) and pos < size):
            self.result = mismatch_error(self.replies)
        elif stop == len(positions):
            self.reply_index += 1
            self.pos = -1
            self.item_index = 0

    def join_items(self, max_items: int) -> bool:
        """Join items, and let go of them at once, so that they are not all freed in the last step."""
        start = self.joined_count
        self.joined_count = min(start + max_items, len(self.items))
        self.chunks.append(b"".join(self.items[start : self.joined_count]))
        self.items[start : self.joined_count] = [b""] * (self.joined_count - start)
        if self.joined_count < len(self.items):
            return True
        self.result = b"".join(self.chunks)
        return False
