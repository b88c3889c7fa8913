"""The commands that make a node hold a key's contents, where its server does not read another server's DUMP.

A DUMP carries the version of its format, and an older server refuses one from a newer server. Commands have no version:
what a newer server says of a key (`key_meaning.content_request`) an older one takes as SET, RPUSH, SADD … Beside the
value a stream has ids, groups, consumers and pending entries, in the form of XINFO STREAM FULL (Redis docs).
"""

from typing import Final, final

from kidoproxy.replication.parse_replies import parse_array, parse_bulk, parse_integer
from kidoproxy.resp.scan import parse_int64

#: What is written with one command, so that no request of a rebuild is longer than servers like.
ARGUMENTS: Final = 1000
#: By type: the command that adds what the reply lists.
_ADD: Final[dict[bytes, bytes]] = {b"list": b"RPUSH", b"set": b"SADD", b"hash": b"HSET"}
#: A group that makes a stream without entries, and is gone at once; clients' names may be the same.
_FIRST_GROUP: Final = b"kidoproxy:new"
_NO_ID: Final = b"0-0"


def rebuild_requests(
    kind: bytes, key: bytes, raw: bytes, expires_ms: int, knows_counters: bool
) -> list[list[bytes]] | None:
    """The commands, for one transaction, behind which a node holds what ``raw`` says; None if it makes no sense.

    ``raw`` is the reply to `content_request` in RESP2. ``expires_ms``: Unix milliseconds, 0 for never.
    ``knows_counters``: the server keeps how many entries a stream ever had, and a group has read (Redis 7.0).
    """
    requests = value_requests(kind, key, raw, knows_counters)
    if requests is None:
        return None
    expiry = [[b"PEXPIREAT", key, b"%d" % expires_ms]] if expires_ms else []
    return [[b"UNLINK", key], *requests, *expiry]


def value_requests(kind: bytes, key: bytes, raw: bytes, knows_counters: bool) -> list[list[bytes]] | None:
    """The commands that write the value of a key that is not there."""
    if kind == b"string":
        value = parse_bulk(raw)
        return None if value is None else [[b"SET", key, value]]
    if kind == b"stream":
        stream = parse_stream(raw)
        return None if stream is None else StreamRebuild(key, stream, knows_counters).requests()
    words = parse_bulks(raw)
    if not words:
        return None
    if kind == b"zset":
        words = [words[at ^ 1] for at in range(len(words) & ~1)]
        return in_chunks([b"ZADD", key], words)
    return in_chunks([_ADD[kind], key], words)


def in_chunks(head: list[bytes], words: list[bytes]) -> list[list[bytes]]:
    """One command for so many words each; pairs stay together."""
    return [[*head, *words[at : at + ARGUMENTS]] for at in range(0, len(words), ARGUMENTS)]


def parse_bulks(raw: bytes) -> list[bytes] | None:
    """An array of bulk strings; None for anything else."""
    found: list[bytes] = []
    for item in parse_array(raw) or []:
        word = parse_bulk(item)
        if word is None:
            return None
        found.append(word)
    return found


@final
class Fields:
    """A map as RESP2 shows it, read by name; what is not there, or of another type, is None or empty."""

    def __init__(self, raw: bytes) -> None:
        parts = parse_array(raw) or []
        self.by_name = {parse_bulk(parts[at]): parts[at + 1] for at in range(0, len(parts) - 1, 2)}

    def text(self, name: bytes, default: bytes = b"") -> bytes:
        raw = self.by_name.get(name)
        return default if raw is None else parse_bulk(raw) or default

    def integer(self, name: bytes) -> int | None:
        raw = self.by_name.get(name)
        return None if raw is None else parse_integer(raw)

    def items(self, name: bytes) -> list[bytes]:
        raw = self.by_name.get(name)
        return [] if raw is None else parse_array(raw) or []


def id_order(stream_id: bytes) -> tuple[int, int]:
    """The two numbers of a stream's id; those of one that makes no sense come first."""
    ms, _, number = stream_id.partition(b"-")
    return parse_int64(ms) or 0, parse_int64(number) or 0


@final
class StreamContents:
    """What XINFO STREAM FULL says of one stream."""

    def __init__(self, fields: Fields) -> None:
        self.last_id = fields.text(b"last-generated-id")
        #: None where the server does not keep it (before Redis 7.0).
        self.entries_added = fields.integer(b"entries-added")
        self.max_deleted_id = fields.text(b"max-deleted-entry-id", _NO_ID)
        #: By id, the names and values of each entry.
        self.entries: dict[bytes, list[bytes]] = {}
        self.groups = [Fields(item) for item in fields.items(b"groups")]


def parse_stream(raw: bytes) -> StreamContents | None:
    """The reply to XINFO STREAM FULL COUNT 0; None if it makes no sense."""
    fields = Fields(raw)
    stream = StreamContents(fields)
    for item in fields.items(b"entries"):
        pair = parse_array(item) or []
        words = parse_bulks(pair[1]) if len(pair) == 2 else None
        stream_id = parse_bulk(pair[0]) if words else None
        if stream_id is None or words is None:
            return None
        stream.entries[stream_id] = words
    return stream if stream.last_id else None


@final
class StreamRebuild:
    """The commands that make a stream of these contents.

    An entry that is gone but still pending with a consumer is written, claimed and removed again, as nothing else makes
    it pending. That is done before there are others, so that all can be trimmed: XDEL would leave a trace in the
    counters, which the source may not have. Then come the entries that are there, in the order of their ids, and last
    the counters, as all of that changes them.
    """

    def __init__(self, key: bytes, stream: StreamContents, knows_counters: bool) -> None:
        self.key = key
        self.stream = stream
        self.knows_counters = knows_counters
        self.claims: list[list[bytes]] = []
        #: Ids that are pending in some group, and no entries any more; and the claims of these.
        self.gone: dict[bytes, bool] = {}
        self.gone_claims: list[list[bytes]] = []

    def requests(self) -> list[list[bytes]]:
        """All of them, for a key that is not there."""
        key, entries = self.key, self.stream.entries
        groups: list[list[bytes]] = []
        for group in self.stream.groups:
            groups += self.group_requests(group)
        gone = [[b"XADD", key, each, b"", b""] for each in sorted(self.gone, key=id_order)]
        adds = [[b"XADD", key, each, *entries[each]] for each in sorted(entries, key=id_order)]
        trim = [[b"XTRIM", key, b"MAXLEN", b"0"], [b"XSETID", key, _NO_ID]] if gone else []
        begin = [
            [b"XGROUP", b"CREATE", key, _FIRST_GROUP, b"0", b"MKSTREAM"],
            [b"XGROUP", b"DESTROY", key, _FIRST_GROUP],
        ]
        return [*begin, *groups, *gone, *self.gone_claims, *trim, *adds, *self.claims, self.counters_request()]

    def counters_request(self) -> list[bytes]:
        """The last id; and how many entries there ever were, and which was removed last."""
        stream = self.stream
        request = [b"XSETID", self.key, stream.last_id]
        if self.knows_counters and stream.entries_added is not None:
            request += [b"ENTRIESADDED", b"%d" % stream.entries_added, b"MAXDELETEDID", stream.max_deleted_id]
        return request

    def group_requests(self, group: Fields) -> list[list[bytes]]:
        """One group and its consumers; what is pending goes to the claims."""
        name = group.text(b"name")
        create = [b"XGROUP", b"CREATE", self.key, name, group.text(b"last-delivered-id", _NO_ID)]
        read = group.integer(b"entries-read")
        if self.knows_counters and read is not None:
            create += [b"ENTRIESREAD", b"%d" % read]
        requests = [create]
        for item in group.items(b"consumers"):
            requests.append([b"XGROUP", b"CREATECONSUMER", self.key, name, Fields(item).text(b"name")])
        for item in [*group.items(b"pel"), *group.items(b"pending")]:
            self.add_claim(name, parse_array(item) or [])
        return requests

    def add_claim(self, group: bytes, pending: list[bytes]) -> None:
        """A pending entry: its id, its consumer, when it was delivered (Unix milliseconds), and how often."""
        if len(pending) != 4:
            return
        stream_id, consumer = parse_bulk(pending[0]) or b"", parse_bulk(pending[1]) or b""
        moment, count = parse_integer(pending[2]) or 0, parse_integer(pending[3]) or 0
        claims = self.claims
        if stream_id not in self.stream.entries:
            self.gone[stream_id] = True
            claims = self.gone_claims
        options = [b"TIME", b"%d" % moment, b"RETRYCOUNT", b"%d" % count, b"FORCE", b"JUSTID"]
        claims.append([b"XCLAIM", self.key, group, consumer, b"0", stream_id, *options])
