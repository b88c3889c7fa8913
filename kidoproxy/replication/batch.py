"""Requests of the supervisor's own to a node, sent in batches: one `Callback` hears of all the replies together.

Order of events: make a `BatchReply` for a number of replies, send requests that fill its places (`send_requests`,
`send_transaction`), and `Callback.on_done` is called once, when the last of them has a reply or has failed. If a
connection is down that may be before the sending function returns, so whatever ``on_done`` needs is set before.
Every request has a deadline of its own, whatever else the node is doing.
"""

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import mypyc_attr

from kidoproxy.resp.decode import is_error
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handlers import BackgroundHandler

#: Seconds that a node has for a reply, and how much more for each byte that is concerned (10 MB/s).
REPLY_SECONDS: Final = 5.0
SECONDS_PER_BYTE: Final = 1 / 10_000_000
#: However large a value is, it has no more time than this.
MAX_EXTRA_SECONDS: Final = 60.0
#: A connection of a copy speaks RESP2 and RESP3 by turns.
ANY_PROTO: Final = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class Callback:
    """Whoever wants to know that a batch is done."""

    def on_done(self, batch_reply: "BatchReply") -> None:
        """All replies are there, or ``batch_reply.problem`` says why not."""
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
        self.replies[index] = raw
        self.count_down()

    def set_failure(self, failure: NodeFailure) -> None:
        self.problem = f"{failure.code} {failure.node} ({failure.cause})"
        self.count_down()

    def count_down(self) -> None:
        self.remaining -= 1
        if self.remaining == 0:
            self.callback.on_done(self)


def batch_item(batch_reply: BatchReply, index: int, count: int = 1) -> BackgroundHandler:
    """What fills one place of a `BatchReply`. Of a transaction it takes all ``count`` replies, and keeps EXEC's."""

    def on_replies(replies: list[bytes]) -> None:
        """The last reply fills the place, or the first error before it (a command that was refused at MULTI)."""
        errors = [raw for raw in replies if is_error(raw)]
        batch_reply.set_reply(index, errors[0] if errors else replies[-1])

    return BackgroundHandler(count, on_replies, batch_reply.set_failure)


def seconds_for_bytes(size: int) -> float:
    """How much longer a node may take for so many bytes before it counts as slow."""
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
    """Send ``requests`` ahead of writes that are held back; their replies fill ``batch_reply`` from ``first_index`` on.

    ``size``: about so many bytes are concerned; requests behind these are given as much more time.
    """
    for index, argv in enumerate(requests):
        send_or_queue(connection, batch_item(batch_reply, first_index + index), encode_request(argv), db, 1, now, size)


def send_piecewise(
    connection: NodeConnection,
    batch_reply: BatchReply,
    index: int,
    argv: list[bytes],
    take_piece: Callable[[bytes], None],
    now: float,
) -> None:
    """Send a request whose reply may be very large: ``take_piece`` gets its pieces, and the last one fills a place."""
    item = batch_item(batch_reply, index)
    item.take_piece = take_piece
    send_or_queue(connection, item, encode_request(argv), 0, 1, now, 0)


def send_transaction(
    connection: NodeConnection,
    batch_reply: BatchReply,
    index: int,
    requests: list[list[bytes]],
    db: int,
    now: float,
    size: int,
    proto: int = ANY_PROTO,
) -> None:
    """Send ``requests`` as one transaction; the array of their replies fills the place ``index``.

    ``proto``: the protocol of the replies; by default what the connection happens to speak, to spare a HELLO.
    """
    commands = [[b"MULTI"], *requests, [b"EXEC"]]
    item = batch_item(batch_reply, index, len(commands))
    payload = b"".join([encode_request(argv) for argv in commands])
    send_or_queue(connection, item, payload, db, len(commands), now, size, proto)


def send_or_queue(
    connection: NodeConnection,
    handler: BackgroundHandler,
    payload: bytes,
    db: int,
    replies: int,
    now: float,
    size: int,
    proto: int = ANY_PROTO,
) -> None:
    """Send one handler's requests; a connection of the sync's own may still be opening, then they wait for it."""
    handler.expected_by = now + connection.options.timeout + seconds_for_bytes(size)
    due = now + REPLY_SECONDS + seconds_for_bytes(size)
    if connection.is_ready():
        handler.due = due
        connection.send(handler, payload, proto or connection.proto, db, replies)
    elif connection.shared:
        handler.on_failure(connection.node_failure("NODEDOWN", connection.cause, False))
    else:
        connection.submit(handler, payload, connection.base_proto, db, now, replies)
        handler.due = due
