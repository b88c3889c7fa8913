"""What one copy group remembers of when its keys expire, so that copies are asked about few of them.

For a key it has the moment *before which it does not expire* on any copy in sync. A write that clears an expiry, or
sets a later one, or deletes the key, leaves that true: only what may set an earlier one has to be told. It is told when
such a write is sent (it may fail, then what was told is still true); what the copies have answered is taken at the end,
unless the key was forgotten since the question was sent.

It is bounded by the bytes of the names: two generations, of which the elder is dropped when the younger one is full.
"""

from typing import Final, final

from kidoproxy.commands.expiry_effect import ANY_KEYS, ExpiryEffect

#: Bytes of names, and what an entry takes beside its name, in each generation.
MEMO_BYTES: Final = 8 * 1024 * 1024
ENTRY_BYTES: Final = 200
#: The moment before which a key does not expire that has no expiry, or does not exist.
NEVER: Final = 1 << 62
#: A write to a key is followed if the key expires within so many ms after the last moment at which a copy may take it:
#: nodes' clocks may differ.
MARGIN_MS: Final = 1000

DbKey = tuple[int, bytes]


@final
class ExpiryMemo:
    """See the module. A moment is in Unix ms; below 0 it is the number of a question that is not answered yet."""

    def __init__(self, byte_limit: int = MEMO_BYTES) -> None:
        self.byte_limit = byte_limit
        self.young: dict[DbKey, int] = {}
        self.old: dict[DbKey, int] = {}
        self.young_bytes = 0
        self.last_question = 0
        #: By question: the earliest moment that was set since it was sent.
        self.set_since: dict[int, int] = {}

    def is_far(self, db_key: DbKey, late_ms: int) -> bool:
        """Whether the key is known to expire so late, or never, that all copies take a write before; by ``late_ms``."""
        moment = self.young.get(db_key, 0)
        if moment == 0 and self.old:
            moment = self.old.pop(db_key, 0)
            if moment != 0:
                self.store(db_key, moment)
        return moment > late_ms + MARGIN_MS

    def ask(self, db_key: DbKey) -> int:
        """A question about a key that is not far is being sent; returns its number, for `answer`.

        While one is open its number is given again: it was sent before, and what holds since then holds since now.
        """
        moment = self.young.get(db_key, 0)
        if moment < 0:
            return moment
        self.last_question -= 1
        self.store(db_key, self.last_question)
        return self.last_question

    def answer(self, db_key: DbKey, question: int, moment: int) -> None:
        """All copies in sync say that the key does not expire before ``moment``; 0: they do not agree."""
        set_since = self.set_since.pop(question, NEVER)
        for entries in (self.young, self.old):
            if entries.get(db_key, 0) == question:
                if moment > 0:
                    entries[db_key] = min(moment, set_since)
                else:
                    del entries[db_key]

    def note_set(self, db_key: DbKey, at_ms: int) -> None:
        """A write is being sent that may make the key expire at this moment; 0: at an unknown one."""
        for entries in (self.young, self.old):
            moment = entries.get(db_key, 0)
            if moment == 0:
                continue
            if at_ms == 0:
                self.set_since.pop(moment, 0)
                del entries[db_key]
            elif moment < 0:
                self.set_since[moment] = min(at_ms, self.set_since.get(moment, NEVER))
            else:
                entries[db_key] = min(at_ms, moment)

    def on_write_sent(self, db: int, keys: list[bytes], other_db: int | None, effect: ExpiryEffect) -> None:
        """A write is being sent after which keys may expire earlier than before, unless it fails."""
        if effect.sets == ANY_KEYS or not keys:
            self.clear()
        for key in keys:
            self.note_set((db, key), effect.at_ms)
            if other_db is not None:
                self.note_set((other_db, key), effect.at_ms)

    def store(self, db_key: DbKey, moment: int) -> None:
        """Into the young generation; when that is full it becomes the old one."""
        if db_key not in self.young:
            self.young_bytes += len(db_key[1]) + ENTRY_BYTES
            if self.young_bytes > self.byte_limit:
                self.old = self.young
                self.young = {}
                self.young_bytes = len(db_key[1]) + ENTRY_BYTES
        self.young[db_key] = moment

    def clear(self) -> None:
        """Nothing is known any more."""
        self.young.clear()
        self.old.clear()
        self.set_since.clear()
        self.young_bytes = 0
