"""The clients of a crowd: what each has said, and which replies are right."""

from collections import Counter
from typing import Final

from kidoproxy.resp.decode import is_error, is_null, items
from kidoproxy.resp.decode import string_value as text
from kidoproxy.resp.encode import (
    OK,
    QUEUED,
    bulk,
    integer,
    null_array,
)
from kidoproxy.resp.error_codes import code_word
from kidoproxy.resp.reply_reader import ReplyReader
from tests.crowd.requests import UNBLOCK, blocks, streams

#: The words with which an error may begin here.
WORDS: Final = (
    b"ERR NODEDOWN TIMEOUT PARTIAL CROSSSLOT NOREPLICAS BEHIND EXECABORT UNBLOCKED NOPROTO WRONGPASS NOAUTH LOADING"
).split()


class Speaker:
    """One client: what it has said, and which of that has to be answered."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.owed: list[list[bytes]] = []
        self.reader = ReplyReader()
        self.queued: list[list[bytes]] = []
        self.multi = False
        self.monitor = False
        self.quiet = False
        self.skip = False
        self.ended = False
        self.killed = False
        #: What it waits for is to be unblocked, for so it was told to the proxy; or may be at any time.
        self.to_unblock = False
        self.may_be_unblocked = False
        #: The numbers of those that the proxy has unblocked for this one.
        self.has_unblocked: list[bytes] = []
        #: The errors that it was told, by their first word.
        self.errors: Counter[str] = Counter()

    def says(self, argv: list[bytes]) -> None:
        """Note what must come of it."""
        name = b" ".join(argv[:2]).upper()
        silent = self.quiet or self.skip
        self.skip = False
        if argv[0] == b"RESET":
            silent = silent and not self.quiet
            self.quiet = self.multi = self.monitor = False
        elif name == b"CLIENT REPLY" and not self.multi:
            self.quiet = argv[2] == b"OFF" or (self.quiet and argv[2] == b"SKIP")
            self.skip = argv[2] == b"SKIP" and not self.quiet
            silent = argv[2] != b"ON"
        elif argv[0] == b"MULTI":
            self.multi = True
        elif argv[0] in (b"EXEC", b"DISCARD"):
            self.multi = False
        elif argv[0] == b"QUIT":
            self.ended = True
        if not silent:
            self.owed.append(argv)

    def hear(self, raw: bytes) -> None:
        """Each reply must be one to what was asked, in this order."""
        self.reader.feed(raw)
        while (reply := self.reader.next()) is not None:
            if reply.startswith(b"+line "):
                continue
            if reply[:1] == b"-":
                self.errors[code_word(reply)] += 1
            assert self.owed, f"{self.name} was told what it has not asked for: {reply!r}"
            asked = self.owed.pop(0)
            self.to_unblock = self.to_unblock and not blocks(asked)
            if asked[:2] == UNBLOCK and reply == integer(1):
                self.has_unblocked.append(asked[2])
            assert self.fits(asked, reply), f"{self.name} has asked {asked} and was told {reply!r}"
        assert not self.reader.held_bytes()

    def fits(self, argv: list[bytes], raw: bytes) -> bool:
        """Whether this may be said to that."""
        name = argv[0]
        queued: list[list[bytes]] = []
        if name in (b"EXEC", b"DISCARD", b"RESET") or (name == b"MULTI" and raw == OK):
            queued, self.queued = self.queued, []
        if is_error(raw):
            return raw[1:].split(b" ")[0].strip() in WORDS
        if raw == QUEUED:
            self.queued.append(argv)
            return name not in (b"MULTI", b"EXEC", b"DISCARD", b"RESET", b"QUIT", b"WATCH")
        if name == b"EXEC":
            return is_null(raw) or all(self.fits(*both) for both in zip(queued, items(raw), strict=True))
        return fits(argv, raw)


def fits(argv: list[bytes], raw: bytes) -> bool:
    """Whether a reply that is no error is one to this request."""
    name, proto = argv[0], 3 if raw == b"_\r\n" else 2
    if name in (b"GET", b"BLMOVE"):
        return is_null(raw) or raw == bulk(argv[1])
    if name == b"MGET":
        return all(is_null(one) or one == bulk(key) for key, one in zip(argv[1:], items(raw), strict=True))
    if name in (b"BLPOP", b"BZPOPMIN"):
        return raw == null_array(proto) or items(raw)[0] == bulk(argv[1])
    if name in (b"XREAD", b"XREADGROUP"):
        flat = [] if raw == null_array(proto) else items(raw)
        names = flat[::2] if raw[:1] == b"%" else [items(pair)[0] for pair in flat]
        return all(text(one) in streams(argv) for one in names)
    if name == b"PING":
        return raw == bulk(argv[1])
    if name == b"RESET":
        return raw == b"+RESET\r\n"
    if name in (b"SET", b"WATCH", b"UNWATCH", b"MULTI", b"DISCARD", b"SELECT", b"QUIT", b"MONITOR"):
        return raw == OK
    return raw[:1] in ((b":",) if name == b"WAIT" else (b":", b"+", b"*", b"%", b"$", b"="))
