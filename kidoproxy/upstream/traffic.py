"""What goes to a node and comes back: bytes, times and keys, the latter two by a sample.

Nothing here is done for each command. Bytes are added up once for each read and each write of a socket. Times and keys
are looked at for one request of a write, at most every `limits.SAMPLE_SECONDS` on each connection.
"""

from typing import final

from kidoproxy.commands.find import find
from kidoproxy.commands.spec import BEGIN_INDEX, SINGLE_NODE, SPLIT_BY_NODE, CommandSpec
from kidoproxy.replies.durations import MILLISECOND_BUCKETS, REQUEST_BUCKETS, Durations
from kidoproxy.resp import limits
from kidoproxy.resp.decode import leading_bulks
from kidoproxy.upstream.key_samples import BigKeys, HotKeys


@final
class NodeTraffic:
    """Of one node, over all connections."""

    def __init__(self) -> None:
        self.bytes_sent = 0
        self.bytes_received = 0
        #: From the write of a request until its reply is read.
        self.reply_durations = Durations(REQUEST_BUCKETS)
        #: From the moment a request is planned until it is written.
        self.queue_durations = Durations(MILLISECOND_BUCKETS)
        self.hot_keys = HotKeys()
        self.big_keys = BigKeys()
        self.random_state = 1

    def sample_key(self, payloads: list[bytes]) -> None:
        """Look at any one of these requests, which are about to be written."""
        self.random_state = (self.random_state * 1103515245 + 12345) % (1 << 31)
        key = key_of(payloads[(self.random_state >> 8) % len(payloads)])
        if key is not None:
            self.hot_keys.add(key)

    def note_big_request(self, payload: bytes, size: int) -> None:
        """A request, or the reply to it, that has so many bytes; ``payload`` is the request, or begins it."""
        key = key_of(payload)
        if key is not None:
            self.big_keys.note(key, size)


def key_of(payload: bytes) -> bytes | None:
    """The first key of a request, if its command has that as its first argument; None for other bytes."""
    argv = leading_bulks(payload, 2)
    if len(argv) < 2 or len(argv[1]) > limits.MAX_SAMPLED_KEY_BYTES:
        return None
    spec = find(argv)
    return argv[1] if spec is not None and has_key_first(spec) else None


def has_key_first(spec: CommandSpec) -> bool:
    if spec.reach not in (SINGLE_NODE, SPLIT_BY_NODE) or not spec.key_specs:
        return False
    first = spec.key_specs[0]
    return first.is_key and first.begin_kind == BEGIN_INDEX and first.begin_position == 1
