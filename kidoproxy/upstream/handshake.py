"""How a link and its node come to an understanding: the greeting, and changes of mode on an ordered link."""

from typing import Final, final

from kidoproxy.replies.queue import ReplyHandler
from kidoproxy.resp import limits
from kidoproxy.resp.decode import error_text, is_error, line_text, string_value, type_byte, value_start
from kidoproxy.resp.errors import NodeFailure, sanitize_bytes
from kidoproxy.resp.scan import COLON, string2ll

#: When a leg is due that has no deadline of its own.
NO_DEADLINE: Final = 1e18


#: The first bytes of replies that are texts: bulk, simple and verbatim strings.
STRING_TYPES: Final = b"$+="
#: What a node is to say back.
PING_ECHO: Final = b"kidoproxy"
#: Why a connection is given up on which the replies are not those to our requests.
UNSOLICITED_DATA: Final = b"it sends what nobody asked for"
#: Such a node answers INFO, and next to nothing else.
TEMPORARY_ERRORS: Final = (b"LOADING", b"MASTERDOWN", b"BUSY")


class HandshakeTarget:
    """The link, as the legs of this file see it."""

    def __init__(self) -> None:
        #: The node has refused something, so the connection is of no use: why.
        self.fatal_error = ""
        #: A database is asked for that the node may not have; and its error for the link's own, if it has not.
        self.select_pending = False
        self.db_error = b""

    def on_handshake(self, result: "HandshakeResult") -> None:
        """All replies of the greeting are there."""
        raise NotImplementedError


class BackgroundHandler(ReplyHandler):
    """Traffic of our own, which may take longer than a client would wait.

    ``until`` is when it should be answered: nobody behind it is late before, nor is the node held to be dead.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expected_by: float = 0.0


class PushHandler:
    """Hears what a node says without being asked: pushes, and the lines of MONITOR; and how the link is."""

    def on_push(self, raw: bytes) -> None:
        """One raw frame that is no reply."""
        raise NotImplementedError

    def on_ready(self) -> None:
        """The link has been greeted, for the first time or again."""
        raise NotImplementedError

    def on_disconnect(self, failure: NodeFailure) -> None:
        """The connection is gone, or cannot be had; a link that is no lane tries again by itself."""
        raise NotImplementedError


@final
class ConnectionOptions:
    """How to greet a node: user, password (empty: none), how patient to be, and how much to hold for it."""

    def __init__(
        self,
        user: str = "",
        password: str = "",
        timeout: float = limits.COMMAND_SECONDS,
        max_queue_bytes: int = limits.CONNECTION_QUEUE_BYTES,
    ) -> None:
        self.user = user
        self.password = password
        self.timeout = timeout
        self.max_queue_bytes = max_queue_bytes

    def auth_arguments(self) -> list[bytes]:
        """The AUTH arguments; empty when there is no password."""
        if not self.password:
            return []
        return [self.user.encode() or b"default", self.password.encode()]

    def redacted_error(self, error: bytes) -> str:
        """Why a node has refused the greeting. One that does not know AUTH or HELLO repeats what it was told."""
        shown = error.partition(b", with args beginning with")[0]
        if self.password:
            shown = shown.replace(self.password.encode(), b"***")
        return sanitize_bytes(shown)


@final
class QueuedRequest:
    """A leg placed before its link is ready."""

    def __init__(self, handler: ReplyHandler, payload: bytes, proto: int, db: int, replies: int) -> None:
        self.handler = handler
        self.payload = payload
        self.proto = proto
        self.db = db
        self.reply_count = replies


@final
class Handshake(ReplyHandler):
    """Waits for the replies of the greeting, then tells the link what they come to."""

    def __init__(self, conn: HandshakeTarget, requests: list[list[bytes]]) -> None:
        super().__init__()
        self.connection = conn
        self.requests = requests
        self.replies: list[bytes] = []

    def on_reply(self, raw: bytes) -> None:
        """One more; each has a place, so none is judged before all are there."""
        self.replies.append(raw)
        if len(self.replies) == len(self.requests):
            self.connection.on_handshake(parse_handshake(self.requests, self.replies))

    def first_error(self) -> bytes:
        """Of a node that hangs up in the midst of it: the error that it began with, if any (it has no place for us)."""
        first_reply = self.replies[0] if self.replies else b"+"
        return error_text(first_reply) if is_error(first_reply) and not is_unknown_command(first_reply) else b""

    def on_failure(self, failure: NodeFailure) -> None:
        """The link itself knows."""

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """A link that is greeted by half is of no use."""
        self.connection.fatal_error = failure.cause

    def describe(self) -> str:
        """What it is."""
        return "the greeting"


@final
class ModeSwitch(ReplyHandler):
    """Waits for the reply to a change of protocol or database on an ordered link.

    It is never late: the leg behind it is, and a refusal that comes late must still be noticed.
    """

    def __init__(self, conn: HandshakeTarget) -> None:
        super().__init__()
        self.connection = conn
        self.due = NO_DEADLINE

    def on_reply(self, raw: bytes) -> None:
        """If the node refuses, the legs behind would be answered in the wrong mode: in doubt, close."""
        if is_error(raw):
            self.connection.fatal_error = "refused to switch: " + sanitize_bytes(error_text(raw))

    def on_failure(self, failure: NodeFailure) -> None:
        """The legs behind it fail by themselves."""


@final
class Backoff:
    """A pause that doubles each time, spread so that many proxies do not try together.

    It counts from the last connection that was of use: one that was greeted and then lost is a failure like others.
    """

    def __init__(self) -> None:
        self.delay = limits.BACKOFF_MIN_SECONDS
        self.immediate_retry_used = False
        self.retry_at = 0.0
        self.random_state = 1
        #: Of the connection that is ready: since when, and the replies that had come before it.
        self.ready_since = 0.0
        self.replies_before = 0

    def on_ready(self, now: float, replies: int) -> None:
        """A connection is ready; the link has had so many replies before."""
        self.ready_since = now
        self.replies_before = replies

    def on_closed(self, now: float, replies: int) -> None:
        """It is lost. If it has lasted, or answered its share, the next failure begins anew."""
        if now - self.ready_since >= limits.STABLE_SECONDS or replies - self.replies_before >= limits.STABLE_REPLIES:
            self.reset()

    def take_immediate_retry(self) -> bool:
        """Whether the next attempt may be made at once: the first time after a connection that was of use."""
        if self.immediate_retry_used:
            return False
        self.immediate_retry_used = True
        return True

    def schedule_retry(self, now: float, attempted_at: float) -> None:
        """Another failure, of an attempt that ``began`` then: ``until`` is when to try again."""
        self.random_state = (self.random_state * 1103515245 + 12345) & 0x7FFFFFFF
        delay = min(self.delay * (0.75 + 0.5 * (self.random_state / 0x7FFFFFFF)), limits.BACKOFF_MAX_SECONDS)
        self.retry_at = max(now, attempted_at + delay)
        self.delay = min(self.delay * 2, limits.BACKOFF_MAX_SECONDS)

    def reset(self) -> None:
        """A connection was of use: the next failure begins anew."""
        self.delay = limits.BACKOFF_MIN_SECONDS
        self.immediate_retry_used = False


@final
class HandshakeResult:
    """What a node has said in its greeting: ``refused`` is why it, or we, will not go on; empty when all is well."""

    def __init__(self) -> None:
        self.rejection = b""
        #: The fields of INFO; with ``mute``, why there are none.
        self.info: dict[bytes, bytes] = {}
        self.info_error = b""
        #: How the node calls this connection.
        self.client_id = b""
        #: Whether it knows HELLO; None when it was not asked.
        self.resp3: bool | None = None

    def reject(self, reason: bytes) -> None:
        """The first reason counts."""
        self.rejection = self.rejection or reason


def handshake_requests(login: ConnectionOptions, proto: int, db: int, dedicated: bool) -> list[list[bytes]]:
    """The requests of the greeting: log in, choose protocol and database, ask who is there (a lane: who we are).

    An echo among them shows that each reply is the one to its request: a node may send what nobody asked for.
    """
    requests: list[list[bytes]] = []
    auth = login.auth_arguments()
    if proto == 3:
        requests.append([b"HELLO", b"3", b"AUTH", *auth] if auth else [b"HELLO", b"3"])
    elif auth:
        requests.append([b"AUTH", *auth] if login.user else [b"AUTH", auth[1]])
    if db:
        requests.append([b"SELECT", b"%d" % db])
    if proto == 2 and not db and not dedicated:
        # It changes nothing, and tells whether the node knows RESP3.
        requests.append([b"HELLO", b"2"])
    requests.append([b"PING", PING_ECHO])
    requests.append([b"CLIENT", b"ID"] if dedicated else [b"INFO", b"server"])
    return requests


def parse_handshake(requests: list[list[bytes]], replies: list[bytes]) -> HandshakeResult:
    """What the replies to the greeting come to. Only what is needed must be granted: a login, a mode, the echo."""
    result = HandshakeResult()
    for request, raw in zip(requests, replies, strict=True):
        name = request[0]
        if name == b"PING":
            check_echo(result, raw)
        elif name == b"INFO":
            read_info(result, raw)
        elif name == b"CLIENT":
            # A lane can live without its number, if the node's user may not ask for it.
            client_id = string2ll(line_text(raw, value_start(raw))) if type_byte(raw) == COLON else None
            result.client_id = b"%d" % client_id if client_id is not None else b""
            if client_id is None and not is_error(raw):
                result.reject(UNSOLICITED_DATA)
        elif request == [b"HELLO", b"2"]:
            # Another error (it wants a login, it is loading) tells nothing of what it knows.
            result.resp3 = False if is_unavailable(raw) else None if is_error(raw) else True
        elif is_error(raw):
            result.reject(error_text(raw))
    return result


def check_echo(result: HandshakeResult, raw: bytes) -> None:
    """The echo, or why there is none: a user may lack PING, and a node that loads answers INFO alone."""
    if type_byte(raw) in STRING_TYPES and string_value(raw) == PING_ECHO:
        return
    if not is_error(raw):
        result.reject(UNSOLICITED_DATA)
    elif b"ping" not in raw.lower() and not error_text(raw).startswith(TEMPORARY_ERRORS):
        result.reject(error_text(raw))


def read_info(result: HandshakeResult, raw: bytes) -> None:
    """Who the node is; one whose user may not ask, or that has no INFO, is not asked."""
    if not is_error(raw):
        if type_byte(raw) not in STRING_TYPES:
            result.reject(UNSOLICITED_DATA)
        else:
            result.info = parse_info(string_value(raw))
    elif is_unavailable(raw):
        result.info_error = error_text(raw)
    else:
        result.reject(error_text(raw))


def is_unavailable(raw: bytes) -> bool:
    """Whether an error says that the node will never do this for us: it does not know it, or we may not."""
    return is_error(raw) and (is_unknown_command(raw) or error_text(raw).startswith(b"NOPERM"))


def is_unknown_command(raw: bytes) -> bool:
    """Whether an error says that the node does not know the command."""
    return b"unknown command" in raw.lower()


def explain_cause(cause: str) -> str:
    """What a node says when it hangs up, and what that means for us."""
    return f"it is full, and nothing was sent to it: {cause}" if "max number of clients" in cause else cause


def info_text(raw: bytes) -> bytes:
    """The text of an INFO reply; nothing when a node answers with anything else."""
    return string_value(raw) if type_byte(raw) in STRING_TYPES else b""


def parse_info(text: bytes) -> dict[bytes, bytes]:
    """The fields of an INFO text."""
    fields: dict[bytes, bytes] = {}
    for row in text.split(b"\r\n"):
        name, colon, value = row.partition(b":")
        if colon:
            fields[name] = value
    return fields
