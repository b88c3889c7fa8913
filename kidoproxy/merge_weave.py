"""The replies to the parts of an MGET become one, in the order of its keys: at one go, or some items at a time."""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.merge import first_error, misfit
from kidoproxy.resp.build import array_head
from kidoproxy.resp.open import is_null, line_end, value_at
from kidoproxy.resp.scan import PUSH, STAR, TILDE, ReplyScanner

#: More items than any reply has.
ALL_ITEMS: Final = 1 << 60


def in_key_order(replies: list[bytes], places: list[list[int]], total: int) -> bytes:
    """One array of ``total`` items; the items of ``replies[i]`` go to ``places[i]``, each place taken once."""
    weaver = Weaver(replies, places, total)
    while weaver.step(ALL_ITEMS):
        pass
    return weaver.raw


@final
class Weaver:
    """First the replies are taken apart, one behind the other, then the whole is joined; ``raw`` is the result."""

    def __init__(self, replies: list[bytes], places: list[list[int]], total: int) -> None:
        self.replies = replies
        self.places = places
        self.woven: list[bytes] = [b""] * total
        #: Which reply is taken apart, where in it (-1: not begun), and which of its items is next.
        self.part = 0
        self.at: i64 = -1
        self.item = 0
        self.chunks: list[bytes] = [array_head(total)]
        self.joined = 0
        wrong = first_error(replies)
        self.raw = wrong if wrong is not None else b""

    def step(self, most: int) -> bool:
        """So many items further. Whether there is more to do."""
        if self.raw:
            return False
        if self.part < len(self.replies):
            self.take_apart(most)
            return not self.raw
        return self.join(most)

    def take_apart(self, most: int) -> None:
        """Some items of one reply; if it is no list, or has not as many as it should, the result is an error."""
        raw = self.replies[self.part]
        where = self.places[self.part]
        if self.at < 0:
            start = value_at(raw)
            if raw[start] not in (STAR, TILDE, PUSH) or is_null(raw):
                self.raw = misfit(self.replies)
                return
            self.at = line_end(raw, start)
        size: i64 = len(raw)
        stop = min(self.item + most, len(where))
        scanner = ReplyScanner()
        at = self.at
        item = self.item
        while at < size and item < stop:
            end = scanner.advance(raw, at)
            self.woven[where[item]] = raw[at:end]
            at = end
            item += 1
        self.at = at
        self.item = item
        if item < stop or (stop == len(where) and at < size):
            self.raw = misfit(self.replies)
        elif stop == len(where):
            self.part += 1
            self.at = -1
            self.item = 0

    def join(self, most: int) -> bool:
        """Some items of the whole; they are let go at once, so that not all of them are freed in the end."""
        start = self.joined
        self.joined = min(start + most, len(self.woven))
        self.chunks.append(b"".join(self.woven[start : self.joined]))
        self.woven[start : self.joined] = [b""] * (self.joined - start)
        if self.joined < len(self.woven):
            return True
        self.raw = b"".join(self.chunks)
        return False
