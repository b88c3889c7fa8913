"""A batch: one command that is under way at a node, for names that are all subscribed, or all unsubscribed.

Confirmations are pushes, one for each name. Behind the command goes a PING with the batch's number; when a number comes
back the node has executed every batch up to it, and what is unconfirmed by then was refused.
"""

from typing import Final, final

from kidoproxy.resp.decode import string_value
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session.pubsub.topics import SUBSCRIBE_COMMANDS, UNSUBSCRIBE_COMMANDS

MAX_BATCH_NAMES: Final = 512


@final
class SubscriptionBatch:
    """``number`` is that of its PING, 0 while it waits to be sent; ``error`` is the node's reply, if it refused."""

    def __init__(self, kind: int, subscribes: bool, names: list[bytes]) -> None:
        self.kind = kind
        self.subscribes = subscribes
        self.unconfirmed: dict[bytes, bool] = dict.fromkeys(names, True)
        self.number = 0
        self.error = b""

    def request(self) -> bytes:
        """The command, and the PING behind it."""
        word = SUBSCRIBE_COMMANDS[self.kind] if self.subscribes else UNSUBSCRIBE_COMMANDS[self.kind]
        return encode_request([word, *self.unconfirmed]) + ping(self.number)

    def halves(self) -> "list[SubscriptionBatch]":
        """What is unconfirmed of it, as two batches: one bad name must cost the others nothing."""
        names = list(self.unconfirmed)
        middle = (len(names) + 1) // 2
        return [SubscriptionBatch(self.kind, self.subscribes, part) for part in (names[:middle], names[middle:])]

    def __repr__(self) -> str:
        word = SUBSCRIBE_COMMANDS[self.kind] if self.subscribes else UNSUBSCRIBE_COMMANDS[self.kind]
        return f"<batch {self.number}: {word.decode()}, {len(self.unconfirmed)} unconfirmed>"


def ping(number: int) -> bytes:
    """What comes back shows that the node has executed all that was sent before."""
    return encode_request([b"PING", b"%d" % number])


def echoed_number(raw: bytes) -> int:
    """The number of the PING that this frame answers; 0 if it is no such answer."""
    return parse_int64(string_value(raw)) or 0 if raw[:1] == b"$" else 0
