"""What is said on one connection to a sentinel: who is the master, and tell me when it moves.

    proxy     [AUTH] · SENTINEL GET-MASTER-ADDR-BY-NAME name · SUBSCRIBE +switch-master
    sentinel  host and port, or null · … · a message per failover
    proxy     UNSUBSCRIBE · SENTINEL GET-MASTER-ADDR-BY-NAME name · SUBSCRIBE +switch-master

RESP2 alone, as every version speaks it; there a connection that has subscribed may ask nothing else, so it unsubscribes
for each question, in one write. Whatever a sentinel says that is none of this ends the connection.
"""

from typing import Final, final

from kidoproxy.resp.decode import error_text, is_error, is_null, items, string_value
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.reply_reader import ReplyReader
from kidoproxy.upstream.handshake import Login
from kidoproxy.upstream.master_view import Master, parse_master

CHANNEL: Final = b"+switch-master"
SUBSCRIBE: Final = encode_request([b"SUBSCRIBE", CHANNEL])
UNSUBSCRIBE: Final = encode_request([b"UNSUBSCRIBE", CHANNEL])
#: No answer of a sentinel is that long.
MAX_REPLY_BYTES: Final = 4096
#: Words of a message of +switch-master: name, old host and port, new ones.
SWITCH_WORDS: Final = 5
NOT_A_SENTINEL: Final = "what answers there is not Sentinel"

#: What is waited for, in this order.
LOGIN: Final = 0
ADDRESS: Final = 1
SUBSCRIBED: Final = 2
UNSUBSCRIBED: Final = 3
WORDS: Final = {SUBSCRIBED: b"subscribe", UNSUBSCRIBED: b"unsubscribe"}


@final
class SentinelWord:
    """What a sentinel has said of the master; ``is_news``: nobody asked, it has just switched. None: it knows none."""

    def __init__(self, master: Master | None, is_news: bool) -> None:
        self.master: Final = master
        self.is_news: Final = is_news


@final
class SentinelDialogue:
    """One connection; see the module. After a `ProtocolError` it is of no use."""

    def __init__(self, service: bytes, login: Login) -> None:
        self.service = service
        self.login = login
        self.reader = ReplyReader()
        self.expected: list[int] = []
        self.address_request = encode_request([b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service])

    def greeting(self) -> bytes:
        """What is sent first."""
        auth = self.login.auth_arguments()
        if auth:
            self.expected.append(LOGIN)
        self.expected += [ADDRESS, SUBSCRIBED]
        request = [b"AUTH", *auth] if self.login.user else [b"AUTH", *auth[1:]]
        return (encode_request(request) if auth else b"") + self.address_request + SUBSCRIBE

    def question(self) -> bytes:
        """What is sent to ask again; nothing while an answer is still to come."""
        if self.expected:
            return b""
        self.expected = [UNSUBSCRIBED, ADDRESS, SUBSCRIBED]
        return UNSUBSCRIBE + self.address_request + SUBSCRIBE

    def is_answered(self) -> bool:
        """Whether nothing is waited for but news."""
        return not self.expected

    def feed(self, data: bytes) -> list[SentinelWord]:
        """Bytes of the sentinel; what they say of the master. `ProtocolError` says why it is of no use."""
        self.reader.feed(data)
        found: list[SentinelWord] = []
        while True:
            raw = self.reader.next()
            if raw is None:
                break
            word = self.on_frame(raw)
            if word is not None:
                found.append(word)
        if self.reader.held_bytes() > MAX_REPLY_BYTES:
            raise ProtocolError(NOT_A_SENTINEL)
        return found

    def on_frame(self, raw: bytes) -> SentinelWord | None:
        if is_error(raw):
            raise ProtocolError(self.login.redacted_error(error_text(raw)))
        words = self.words_of(raw)
        if len(words) == 3 and words[0] == b"message":
            return self.on_message(words[1], words[2])
        expected = self.expected.pop(0) if self.expected else -1
        if expected == ADDRESS:
            return SentinelWord(self.read_address(raw, words), False)
        if expected == LOGIN and raw == b"+OK\r\n":
            return None
        if words[:2] == [WORDS.get(expected, b""), CHANNEL]:
            return None
        raise ProtocolError(NOT_A_SENTINEL)

    def words_of(self, raw: bytes) -> list[bytes]:
        """The strings of an array; nothing of anything else."""
        if raw[:1] != b"*" or is_null(raw) or len(raw) > MAX_REPLY_BYTES:
            return []
        return [string_value(item) for item in items(raw) if item[:1] in (b"$", b"+") and not is_null(item)]

    def read_address(self, raw: bytes, words: list[bytes]) -> Master | None:
        if is_null(raw):
            return None
        master = parse_master(words[0], words[1]) if len(words) == 2 else None
        if master is None:
            raise ProtocolError(NOT_A_SENTINEL)
        return master

    def on_message(self, channel: bytes, text: bytes) -> SentinelWord | None:
        """A failover, of this master or of another one that the same sentinels watch."""
        words = text.split(b" ")
        if channel != CHANNEL or len(words) != SWITCH_WORDS:
            raise ProtocolError(NOT_A_SENTINEL)
        if words[0] != self.service:
            return None
        master = parse_master(words[3], words[4])
        if master is None:
            raise ProtocolError(NOT_A_SENTINEL)
        return SentinelWord(master, True)
