"""Questions to nodes, and what to make of the answers: whatever shape they have, it is read or said to be wrong.

A node may be any server, or lie. So the readers here are total: a reply of another type than the question
wants is None (or empty), never an exception.
"""

from typing import Final, final

from mypy_extensions import mypyc_attr

from kidoproxy.resp.decode import error_text, is_error, is_null, items, string_value, type_byte
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure, sanitize_bytes
from kidoproxy.resp.scan import COLON, DOLLAR, STAR, parse_int64
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import BackgroundHandler

#: Seconds for the answer to a question of ours, and more for each byte that it concerns (10 MB/s).
REPLY_SECONDS: Final = 5.0
SECONDS_PER_BYTE: Final = 1 / 10_000_000
#: A single value may take so long, however large it is.
MAX_EXTRA_SECONDS: Final = 60.0
#: How INFO begins to say which databases have keys; an empty server says that much, too.
KEYSPACE_HEADING: Final = b"# Keyspace"


@mypyc_attr(allow_interpreted_subclasses=True)
class Callback:
    """Whoever wants to know that a batch, or a question, is done."""

    def on_done(self, batch_reply: "BatchReply") -> None:
        """All replies are there, or ``answer.problem`` says why not."""
        raise NotImplementedError


@final
class BatchReply:
    """The replies to several requests that belong together, in their order."""

    def __init__(self, callback: Callback, count: int) -> None:
        self.callback = callback
        self.remaining = count
        self.replies: list[bytes] = [b""] * count
        self.problem = ""

    def set_reply(self, index: int, raw: bytes) -> None:
        """The reply at ``at``."""
        self.replies[index] = raw
        self.count_down()

    def set_failure(self, failure: NodeFailure) -> None:
        """One of them failed."""
        self.problem = f"{failure.code} {failure.node} ({failure.cause})"
        self.count_down()

    def count_down(self) -> None:
        """One less is missing."""
        self.remaining -= 1
        if self.remaining == 0:
            self.callback.on_done(self)


@final
class BatchItem(BackgroundHandler):
    """One slot of `BatchReply`. In a transaction it takes the replies to MULTI and +QUEUED, too: EXEC's counts."""

    def __init__(self, batch_reply: BatchReply, index: int, replies: int = 1) -> None:
        super().__init__()
        self.batch_reply = batch_reply
        self.index = index
        self.replies_left = replies
        self.error = b""

    def on_reply(self, raw: bytes) -> None:
        """Fill the place with the last reply, or with the first error before it."""
        self.replies_left -= 1
        if self.replies_left and is_error(raw) and not self.error:
            self.error = raw
        if not self.replies_left:
            self.batch_reply.set_reply(self.index, self.error or raw)

    def on_failure(self, failure: NodeFailure) -> None:
        """Say why not."""
        self.batch_reply.set_failure(failure)


def seconds_for_bytes(size: int) -> float:
    """How long a node may be busy with so many bytes of ours before that is odd."""
    return min(size * SECONDS_PER_BYTE, MAX_EXTRA_SECONDS)


def send_requests(
    connection: NodeConnection,
    batch_reply: BatchReply,
    first_index: int,
    requests: list[list[bytes]],
    db: int,
    now: float,
    size: int = 0,
) -> None:
    """Send ``requests`` past any hold; their replies fill ``answers`` from place ``first`` on.

    ``size``: about so many bytes are concerned; those who wait behind it are given that much more time.
    """
    for index, argv in enumerate(requests):
        send_or_queue(connection, BatchItem(batch_reply, first_index + index), encode_request(argv), db, 1, now, size)


def send_transaction(
    connection: NodeConnection,
    batch_reply: BatchReply,
    index: int,
    requests: list[list[bytes]],
    db: int,
    now: float,
    size: int,
) -> None:
    """Send ``requests`` as one transaction; the list of their replies fills the place ``at``."""
    commands = [[b"MULTI"], *requests, [b"EXEC"]]
    item = BatchItem(batch_reply, index, len(commands))
    send_or_queue(connection, item, b"".join([encode_request(argv) for argv in commands]), db, len(commands), now, size)


def send_or_queue(
    connection: NodeConnection, handler: BackgroundHandler, payload: bytes, db: int, replies: int, now: float, size: int
) -> None:
    """Send one leg; on a link that is not shared it may wait for the connection."""
    handler.expected_by = now + connection.options.timeout + seconds_for_bytes(size)
    due = now + REPLY_SECONDS + seconds_for_bytes(size)
    if connection.is_ready():
        handler.due = due
        connection.send(handler, payload, connection.proto, db, replies)
    elif connection.shared:
        handler.on_failure(connection.node_failure("NODEDOWN", connection.cause, False))
    else:
        connection.submit(handler, payload, connection.base_proto, db, now, replies)
        handler.due = due


# -- what a reply says ------------------------------------------------------------------------------


def first_error(replies: list[bytes]) -> str:
    """The first error among the replies, for a person; empty when there is none."""
    for raw in replies:
        if raw and is_error(raw):
            return sanitize_bytes(error_text(raw))
    return ""


def parse_integer(raw: bytes) -> int | None:
    """The value of an integer reply; None for anything else."""
    if type_byte(raw) != COLON:
        return None
    return parse_int64(string_value(raw))


def parse_array(raw: bytes) -> list[bytes] | None:
    """The raw items of an array; None for anything else, a null array too."""
    return None if type_byte(raw) != STAR or is_null(raw) else items(raw)


def parse_bulk(raw: bytes) -> bytes | None:
    """The bytes of a bulk string; None for anything else, a null too."""
    return None if type_byte(raw) != DOLLAR or is_null(raw) else string_value(raw)


def parse_scan_reply(raw: bytes) -> tuple[bytes, list[bytes]] | None:
    """The cursor and the keys of a reply to SCAN; None for anything else."""
    parts = parse_array(raw)
    if parts is None or len(parts) != 2:
        return None
    cursor = parse_bulk(parts[0])
    key_items = parse_array(parts[1])
    if cursor is None or not cursor.isdigit() or key_items is None:
        return None
    keys: list[bytes] = []
    for item in key_items:
        key = parse_bulk(item)
        if key is None:
            return None
        keys.append(key)
    return cursor, keys


def parse_keyspace(text: bytes) -> dict[int, int]:
    """By database, how many keys INFO says it has; lines that make no sense are passed over."""
    found: dict[int, int] = {}
    for row in text.split(b"\r\n"):
        name, _, value = row.partition(b":keys=")
        db = parse_int64(name[2:]) if name[:2] == b"db" and name[2:3] != b"-" else None
        count = parse_int64(value.partition(b",")[0])
        if db is not None and count is not None and count > 0:
            found[db] = count
    return found
