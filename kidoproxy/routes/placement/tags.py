"""Which part of a key is hashed: the key, its tag, or the family that it belongs to.

``{tags}`` count as in Redis Cluster: the text between the first ``{`` and the first ``}`` behind it, if
there is any. Keys that begin with a prefix of ``together`` are hashed by that prefix alone; the longest
one counts. A named set (``@celery``) is hashed by its name, so that all its keys meet on one node. A group
of prefixes and sets (``("@celery", "mail", "news")``) is one family, hashed by the name of its first set or,
without one, by its first prefix: a group that grows at its end keeps its keys where they are. Families that
have a prefix in common are one.

A prefix wins over a tag. The operator has said that these keys meet, and it must hold for all of
them: a queue, a job or a routing key whose name happens to have braces (``_kombu.binding.{x}``) would
otherwise leave its family, and scripts that use the rest of the family would not find it.

What the sets cannot know are names that users choose without a prefix. A Celery queue is a key of its
own name, so ``@celery`` covers queues whose names begin with ``celery``, the default one among them; for
other names make a group of the set and the names, or give Celery a ``global_keyprefix`` (transport options
of broker and results) and put that prefix into ``together``.
"""

from collections.abc import Sequence
from typing import Final, final

from mypy_extensions import i64

#: In place of a character: tags do not count.
OFF: Final = -1
#: In place of a character: tags as django-redis's ShardClient has them (see `greedy_tag`).
GREEDY: Final = -2

#: Prefixes of the keys that belong together, by library; each set meets on one node.
NAMED_SETS: Final[dict[str, tuple[bytes, ...]]] = {
    # Queues (and their priorities), results, groups and events; bindings; what was taken but not done; chords.
    "@celery": (b"celery", b"_kombu.", b"unacked", b"chord-unlock-"),
    "@rq": (b"rq:",),
    # Its scripts are given the bare namespace as their only key.
    "@dramatiq": (b"dramatiq",),
    "@huey": (b"huey.",),
    "@channels_redis": (b"asgi",),
    # Bull and the Python port have the same keys.
    "@bullmq": (b"bull:",),
    "@beequeue": (b"bq:",),
    "@resque": (b"resque:",),
    # A worker waits for all its queues at once; the rest is counted and moved in one transaction. The list of queues
    # and what a process says of itself are keys of other names, which are used alone.
    "@sidekiq": (b"queue:", b"schedule", b"retry", b"dead", b"processes", b"stat:"),
    # Without a prefix, and with the one that an application has which is still called Laravel.
    "@laravel": (b"queues:", b"laravel_database_queues:", b"laravel-database-queues:"),
    "@arq": (b"arq:",),
    "@saq": (b"saq:",),
    "@streaq": (b"streaq:",),
    # A reset looks for all keys in a script.
    "@limits": (b"LIMITS",),
    # So do a store that is emptied and a channel's history that is flushed.
    "@litestar": (b"LITESTAR",),
    "@python_redis_lock": (b"lock:", b"lock-signal:"),
    "@bottleneck": (b"b_",),
    "@throttled": (b"throttled:",),
    "@self_limiters": (b"__self-limiters:",),
}
#: What keys of a set contain, where they have no prefix in common: what ``inspect`` and ``control`` ask lies in
#: ``<host>.celery.pidbox``, the replies in ``<uuid>.reply.celery.pidbox``, and Celery asks for the length of
#: its four priorities in one transaction and waits for them with one BRPOP.
INFIXES: Final[dict[bytes, bytes]] = {b"@celery": b".celery.pidbox"}


@final
class Tags:
    """Says which part of a key is hashed.

    ``together`` has prefixes, names of sets, and groups of both, none of them empty; ValueError if a set is unknown.
    """

    def __init__(self, open_char: int, close_char: int, together: Sequence[bytes | tuple[bytes, ...]]) -> None:
        self.open_char: i64 = open_char
        self.close_char: i64 = close_char
        #: Prefix -> what is hashed for it.
        self.hash_keys: dict[bytes, bytes] = {}
        #: The prefixes that begin with this byte, longest first.
        self.by_first_byte: list[list[bytes]] = [[] for _ in range(256)]
        self.infix_rules: list[tuple[bytes, bytes]] = []
        self.has_prefixes = bool(together)
        self.build_families(together)

    def build_families(self, together: Sequence[bytes | tuple[bytes, ...]]) -> None:
        for entry in together:
            self.add_family((entry,) if isinstance(entry, bytes) else entry)
        for entry in together:
            for word in (entry,) if isinstance(entry, bytes) else entry:
                infix = INFIXES.get(word)
                if infix is not None:
                    self.infix_rules.append((infix, self.hash_keys[prefixes_of(word)[0]]))
        for prefix in sorted(self.hash_keys, key=len, reverse=True):
            self.by_first_byte[prefix[0]].append(prefix)

    def add_family(self, words: tuple[bytes, ...]) -> None:
        """Make one family of these words and of the families that share one of their prefixes."""
        found = [prefix for word in words for prefix in prefixes_of(word)]
        merged = {self.hash_keys[prefix]: True for prefix in found if prefix in self.hash_keys}
        hash_keys = [hash_key for hash_key in dict.fromkeys(self.hash_keys.values()) if hash_key in merged] + list(
            words
        )
        hash_key = next((word for word in hash_keys if word.startswith(b"@")), hash_keys[0])
        for prefix, old_hash_key in self.hash_keys.items():
            if old_hash_key in merged:
                self.hash_keys[prefix] = hash_key
        for prefix in found:
            self.hash_keys[prefix] = hash_key

    def hashed_part(self, key: bytes) -> bytes:
        """The part of ``key`` that is hashed."""
        if self.has_prefixes:
            hash_key = self.hash_key(key)
            if hash_key is not None:
                return hash_key
        opening = self.open_char
        if opening < 0:
            return greedy_tag(key) if opening == GREEDY else key
        i: i64 = 0
        n: i64 = len(key)
        while i < n:
            if key[i] == opening:
                return self.tag_from(key, i + 1)
            i += 1
        return key

    def hashed_part_of_prefix(self, key_prefix: bytes) -> bytes | None:
        """What is hashed for every key that begins so; None when that depends on how it goes on."""
        if self.has_prefixes and key_prefix:
            hash_keys: set[bytes] = set()
            first: i64 = key_prefix[0]
            for prefix in self.by_first_byte[first]:
                if key_prefix.startswith(prefix):
                    hash_keys.add(self.hash_keys[prefix])
                    return self.hash_keys[prefix] if len(hash_keys) == 1 else None
                if prefix.startswith(key_prefix):
                    hash_keys.add(self.hash_keys[prefix])
            if hash_keys:
                return None
        if self.open_char < 0:
            return None
        part = self.hashed_part(key_prefix)
        return part if part != key_prefix else None

    def tag_from(self, key: bytes, start: i64) -> bytes:
        """The text from ``start`` to the closing character; the whole key if that is empty or there is none."""
        closing = self.close_char
        i = start
        n: i64 = len(key)
        while i < n:
            if key[i] == closing:
                return key[start:i] if i > start else key
            i += 1
        return key

    def hash_key(self, key: bytes) -> bytes | None:
        """What is hashed for the family that ``key`` belongs to; None if it belongs to none."""
        if not key:
            return None
        first: i64 = key[0]
        for prefix in self.by_first_byte[first]:
            if key.startswith(prefix):
                return self.hash_keys[prefix]
        for infix, hash_key in self.infix_rules:
            if infix in key:
                return hash_key
        return None


def prefixes_of(word: bytes) -> tuple[bytes, ...]:
    """The prefixes that a word of ``together`` stands for."""
    if not word:
        raise ValueError("an empty prefix would put every key on one node")
    if not word.startswith(b"@"):
        return (word,)
    name = word.decode("utf-8", "backslashreplace")
    found = NAMED_SETS.get(name)
    if found is None:
        raise ValueError(f"there is no set {name!r}; known are {', '.join(NAMED_SETS)}")
    return found


def greedy_tag(key: bytes) -> bytes:
    r"""What django-redis's ShardClient hashes: the group of ``.*\{(.*)\}.*``, else the whole key.

    The last ``{`` that has a ``}`` behind it, up to the last ``}``, within the first line; the text
    between may be empty. Unlike the tags of Redis Cluster in all three.
    """
    line = key.partition(b"\n")[0]
    end = line.rfind(b"}")
    if end < 0:
        return key
    start = line.rfind(b"{", 0, end)
    if start < 0:
        return key
    return line[start + 1 : end]
