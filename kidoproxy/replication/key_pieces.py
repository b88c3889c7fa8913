"""How a large value is read in pieces, so that neither a node nor a connection is busy with it for long.

Strings, lists and streams have an order: a piece is a range of it, and the next one begins where this one ended. The
members of hashes, sets and sorted sets have none: their names are found by a scan of one copy, and a piece is what all
copies hold for some names. Behind a stream's entries come its groups, their ids, consumers and counts, and then what
is pending in each.
"""

from typing import Final, final

from kidoproxy.replication.batch_size import BATCH_BYTES
from kidoproxy.replication.key_meaning import group_names, meaning, pending_meaning, score_meaning
from kidoproxy.replication.parse_replies import parse_array, parse_bulk, parse_scan_reply

#: Most members or entries of one piece, however small they are.
PIECE_MEMBERS: Final = 1000
#: On the average a member may have so many bytes, or the value is not read in pieces.
MEMBER_BYTES: Final = 8 << 20
#: By type: the command that finds names, and the one that asks what is there for them.
_SCANS: Final = {b"hash": b"HSCAN", b"set": b"SSCAN", b"zset": b"ZSCAN"}
_LOOKUPS: Final = {b"hash": b"HMGET", b"set": b"SMISMEMBER", b"zset": b"ZMSCORE"}
#: Types whose scan tells a value behind each name.
_PAIRS: Final = (b"hash", b"zset")
_ORDERED: Final = (b"string", b"list", b"stream")


def has_pieces(kind: bytes, length: int, size: int) -> bool:
    """Whether a value of this type, as TYPE says it, can be read so: none of a module, nor one with huge members.

    A member cannot be cut, and every copy's is held at the same time.
    """
    has_scan_or_order = kind in _SCANS or kind in _ORDERED
    return kind == b"string" or (has_scan_or_order and size <= length * MEMBER_BYTES)


@final
class KeyPieces:
    """The way through one value: `piece_request` again and again until it ``is_over``.

    ``length`` and ``size``: of how many members it is, and of about how many bytes. Members are asked for by ``names``,
    which `scan_request` and `take_scan` find; it is time for that while ``needs_scan``. ``copies``: so many of them are
    scanned one after another, where one may have names that another one has not.
    """

    def __init__(self, kind: bytes, key: bytes, length: int, size: int, copies: int = 1) -> None:
        self.kind = kind
        self.key = key
        self.length = length
        self.count = max(1, min(length * BATCH_BYTES // max(size, 1), PIECE_MEMBERS))
        if kind == b"string":
            self.count = BATCH_BYTES
        self.position = 0
        self.cursor = b"0"
        #: Which copy is scanned, and how many come behind it.
        self.copy_at = 0
        self.copies_left = copies - 1
        self.names: list[bytes] = []
        self.needs_scan = kind in _SCANS
        #: Of a stream: where the next piece begins; whether it is about the groups, for all entries have been read; and
        #: those of which the pending entries are still to be read.
        self.first_id = b"-"
        self.about_groups = False
        self.groups: list[bytes] = []
        self.is_over = False

    def scan_request(self) -> list[bytes]:
        """The command for the next names."""
        return [_SCANS[self.kind], self.key, self.cursor, b"COUNT", b"%d" % self.count]

    def take_scan(self, raw: bytes) -> bool:
        """Whether its reply makes sense. There may be no names in it; after the last ones it is over."""
        found = parse_scan_reply(raw)
        if found is None or (found[0] == self.cursor and self.cursor != b"0"):
            return False
        self.cursor, words = found
        self.names = words[::2] if self.kind in _PAIRS else words
        self.needs_scan = False
        if not self.names:
            self.after_names()
        return True

    def after_names(self) -> None:
        """The names that were found have been looked up: more of this copy, the next copy, or the end."""
        self.names = []
        if self.cursor == b"0" and self.copies_left:
            self.copy_at += 1
            self.copies_left -= 1
            self.needs_scan = True
        else:
            self.needs_scan = self.cursor != b"0"
            self.is_over = not self.needs_scan

    def piece_request(self) -> list[bytes]:
        """The command for the next piece, the same for all copies."""
        begin, end = b"%d" % self.position, b"%d" % (self.position + self.count - 1)
        if self.kind == b"string":
            return [b"GETRANGE", self.key, begin, end]
        if self.kind == b"list":
            return [b"LRANGE", self.key, begin, end]
        if self.about_groups:
            return [b"XINFO", b"STREAM", self.key, b"FULL", b"COUNT", b"1"]
        if self.groups:
            return [b"XPENDING", self.key, self.groups[0], self.first_id, b"+", b"%d" % PIECE_MEMBERS]
        if self.kind == b"stream":
            return [b"XRANGE", self.key, self.first_id, b"+", b"COUNT", b"%d" % self.count]
        return [_LOOKUPS[self.kind], self.key, *self.names]

    def meaning_of(self, raw: bytes) -> bytes:
        """The reply to `piece_request` without what does not matter."""
        if self.about_groups:
            return meaning(b"stream", raw)
        scores = parse_array(raw) if self.kind == b"zset" else None
        if scores is not None:
            return b"".join([score_meaning(each) for each in scores])
        return pending_meaning(raw) if self.groups else raw

    def take_piece(self, raw: bytes) -> None:
        """One copy's reply is there: where does the next piece begin?"""
        if self.kind == b"stream":
            self.take_part_of_stream(raw)
        elif self.kind in _SCANS:
            self.after_names()
        else:
            self.position += self.count
            self.is_over = self.position >= self.length

    def take_part_of_stream(self, raw: bytes) -> None:
        """Entries, or pending ones, from id to id; in between what the groups are."""
        if self.about_groups:
            self.about_groups = False
            self.groups = group_names(raw)
            self.is_over = not self.groups
            return
        rows = parse_array(raw) or []
        last = parse_array(rows[-1]) if rows else None
        last_id = parse_bulk(last[0]) if last else None
        if last_id is not None and len(rows) >= (PIECE_MEMBERS if self.groups else self.count):
            self.first_id = b"(" + last_id
            return
        self.first_id = b"-"
        self.about_groups = not self.groups
        self.groups = self.groups[1:]
        self.is_over = not self.about_groups and not self.groups
