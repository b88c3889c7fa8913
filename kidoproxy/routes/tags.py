"""Which part of a key is hashed: the key, its tag, or what its library's keys have in common.

``{tags}`` count as in Redis Cluster: the text between the first ``{`` and the first ``}`` behind it, if
there is any. Keys that begin with a prefix of ``together`` are hashed by that prefix alone; the longest
one counts. A named set (``@celery``) is hashed by its name, so that all its keys meet on one node. A group
of prefixes and sets (``("@celery", "mail", "news")``) is one family, hashed by the name of its first set or,
without one, by its first prefix: a group that grows at its end keeps its keys where they are. Families that
have a prefix in common are one.

A prefix wins over a tag. It is the operator's word that these keys meet, and it must hold for all of
them: a queue, a job or a routing key whose name happens to have braces (``_kombu.binding.{x}``) would
otherwise leave its family, and scripts that reach for the rest of it would miss it.

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
SETS: Final[dict[str, tuple[bytes, ...]]] = {
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
#: What keys of a set have inside, where no prefix can tell: what ``inspect`` and ``control`` ask lies in
#: ``<host>.celery.pidbox``, the replies in ``<uuid>.reply.celery.pidbox``, and Celery asks for the length of
#: its four priorities in one transaction and waits for them with one BRPOP.
INSIDE: Final[dict[bytes, bytes]] = {b"@celery": b".celery.pidbox"}


@final
class Tags:
    """Cuts out of a key what is hashed.

    ``together`` has prefixes, names of sets, and groups of both, none of them empty; ValueError if a set is unknown.
    """

    def __init__(self, open: int, close: int, together: Sequence[bytes | tuple[bytes, ...]]) -> None:
        self.open: i64 = open
        self.close: i64 = close
        #: Prefix -> what is hashed for it.
        self.homes: dict[bytes, bytes] = {}
        #: The prefixes that begin with this byte, longest first.
        self.starts: list[list[bytes]] = [[] for _ in range(256)]
        self.inside: list[tuple[bytes, bytes]] = []
        self.gathers = bool(together)
        self.learn(together)

    def learn(self, together: Sequence[bytes | tuple[bytes, ...]]) -> None:
        """Make the families, and sort their prefixes."""
        for place in together:
            self.join((place,) if isinstance(place, bytes) else place)
        for place in together:
            for word in (place,) if isinstance(place, bytes) else place:
                mark = INSIDE.get(word)
                if mark is not None:
                    self.inside.append((mark, self.homes[prefixes(word)[0]]))
        for prefix in sorted(self.homes, key=len, reverse=True):
            self.starts[prefix[0]].append(prefix)

    def join(self, words: tuple[bytes, ...]) -> None:
        """One family of these words, and of those families that have one of their prefixes already."""
        found = [prefix for word in words for prefix in prefixes(word)]
        met = {self.homes[prefix]: True for prefix in found if prefix in self.homes}
        homes = [home for home in dict.fromkeys(self.homes.values()) if home in met] + list(words)
        home = next((word for word in homes if word.startswith(b"@")), homes[0])
        for prefix, old in self.homes.items():
            if old in met:
                self.homes[prefix] = home
        for prefix in found:
            self.homes[prefix] = home

    def cut(self, key: bytes) -> bytes:
        """The part of ``key`` that is hashed."""
        if self.gathers:
            home = self.home(key)
            if home is not None:
                return home
        opening = self.open
        if opening < 0:
            return greedy_tag(key) if opening == GREEDY else key
        i: i64 = 0
        n: i64 = len(key)
        while i < n:
            if key[i] == opening:
                return self.tag(key, i + 1)
            i += 1
        return key

    def held(self, beginning: bytes) -> bytes | None:
        """What is hashed for every key that begins so; None when that depends on how it goes on."""
        if self.gathers and beginning:
            homes: set[bytes] = set()
            first: i64 = beginning[0]
            for prefix in self.starts[first]:
                if beginning.startswith(prefix):
                    homes.add(self.homes[prefix])
                    return self.homes[prefix] if len(homes) == 1 else None
                if prefix.startswith(beginning):
                    homes.add(self.homes[prefix])
            if homes:
                return None
        if self.open < 0:
            return None
        part = self.cut(beginning)
        return part if part != beginning else None

    def tag(self, key: bytes, start: i64) -> bytes:
        """What stands between ``start`` and the closing character; the key if that is nothing."""
        closing = self.close
        i = start
        n: i64 = len(key)
        while i < n:
            if key[i] == closing:
                return key[start:i] if i > start else key
            i += 1
        return key

    def home(self, key: bytes) -> bytes | None:
        """What is hashed for the family that ``key`` belongs to, if it does to any."""
        if not key:
            return None
        first: i64 = key[0]
        for prefix in self.starts[first]:
            if key.startswith(prefix):
                return self.homes[prefix]
        for mark, home in self.inside:
            if mark in key:
                return home
        return None


def prefixes(word: bytes) -> tuple[bytes, ...]:
    """The prefixes that a word of ``together`` stands for."""
    if not word:
        raise ValueError("an empty prefix would put every key on one node")
    if not word.startswith(b"@"):
        return (word,)
    name = word.decode("utf-8", "backslashreplace")
    found = SETS.get(name)
    if found is None:
        raise ValueError(f"there is no set {name!r}; known are {', '.join(SETS)}")
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
