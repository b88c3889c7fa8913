"""How a link and its node come to an understanding: the greeting, and changes of mode on an ordered link."""

from typing import Final, final

from kidoproxy import limits
from kidoproxy.errors import NodeFailure, said
from kidoproxy.ledger import Leg
from kidoproxy.resp.open import bulk, error_text, is_error, kind, line, value_at
from kidoproxy.resp.scan import COLON, string2ll

#: When a leg is due that has no deadline of its own.
NEVER: Final = 1e18


#: The first bytes of replies that are texts: bulk, simple and verbatim strings.
TEXTS: Final = b"$+="
#: What a node is to say back.
ECHO: Final = b"kidoproxy"
#: Why a connection is given up on which the replies are not those to our requests.
OUT_OF_STEP: Final = b"it sends what nobody asked for"
#: Such a node answers INFO, and next to nothing else.
NOT_NOW: Final = (b"LOADING", b"MASTERDOWN", b"BUSY")


class Greeted:
    """The link, as the legs of this file see it."""

    def __init__(self) -> None:
        #: The node has refused something, so the connection is of no use: why.
        self.broken = ""
        #: A database is asked for that the node may not have; and its error for the link's own, if it has not.
        self.trying = False
        self.beyond = b""

    def greeted(self, introduction: "Introduction") -> None:
        """All replies of the greeting are there."""
        raise NotImplementedError


class Unhurried(Leg):
    """Traffic of our own, which may take longer than a client would wait.

    ``until`` is when it should be answered: nobody behind it is late before, nor is the node held to be dead.
    """

    def __init__(self) -> None:
        super().__init__()
        self.until: float = 0.0


class Ear:
    """Hears what a node says without being asked: pushes, and the lines of MONITOR; and how the link is."""

    def hear(self, raw: bytes) -> None:
        """One raw frame that is no reply."""
        raise NotImplementedError

    def ready(self) -> None:
        """The link has been greeted, for the first time or again."""
        raise NotImplementedError

    def deaf(self, failure: NodeFailure) -> None:
        """The connection is gone, or cannot be had; a link that is no lane tries again by itself."""
        raise NotImplementedError


@final
class Login:
    """How to greet a node: user, password (empty: none), how patient to be, and how much to hold for it."""

    def __init__(
        self,
        user: str = "",
        password: str = "",
        timeout: float = limits.COMMAND_SECONDS,
        queue_bytes: int = limits.LINK_QUEUE_BYTES,
    ) -> None:
        self.user = user
        self.password = password
        self.timeout = timeout
        self.queue_bytes = queue_bytes

    def auth(self) -> list[bytes]:
        """The AUTH arguments; empty when there is no password."""
        if not self.password:
            return []
        return [self.user.encode() or b"default", self.password.encode()]

    def without_secrets(self, refused: bytes) -> str:
        """Why a node has refused the greeting. One that does not know AUTH or HELLO repeats what it was told."""
        shown = refused.partition(b", with args beginning with")[0]
        if self.password:
            shown = shown.replace(self.password.encode(), b"***")
        return said(shown)


@final
class Waiting:
    """A leg placed before its link is ready."""

    def __init__(self, leg: Leg, payload: bytes, proto: int, db: int, replies: int) -> None:
        self.leg = leg
        self.payload = payload
        self.proto = proto
        self.db = db
        self.replies = replies


@final
class Greeting(Leg):
    """Waits for the replies of the greeting, then tells the link what they come to."""

    def __init__(self, link: Greeted, words: list[list[bytes]]) -> None:
        super().__init__()
        self.link = link
        self.words = words
        self.replies: list[bytes] = []

    def take(self, raw: bytes) -> None:
        """One more; each has a place, so none is judged before all are there."""
        self.replies.append(raw)
        if len(self.replies) == len(self.words):
            self.link.greeted(understood(self.words, self.replies))

    def last_words(self) -> bytes:
        """Of a node that hangs up in the midst of it: the error that it began with, if any (it has no place for us)."""
        first = self.replies[0] if self.replies else b"+"
        return error_text(first) if is_error(first) and not lacks_command(first) else b""

    def fail(self, failure: NodeFailure) -> None:
        """The link itself knows."""

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """A link that is greeted by half is of no use."""
        self.link.broken = failure.cause

    def title(self) -> str:
        """What it is."""
        return "the greeting"


@final
class Switched(Leg):
    """Waits for the reply to a change of protocol or database on an ordered link.

    It is never late: the leg behind it is, and a refusal that comes late must still be noticed.
    """

    def __init__(self, link: Greeted) -> None:
        super().__init__()
        self.link = link
        self.due = NEVER

    def take(self, raw: bytes) -> None:
        """If the node refuses, the legs behind would be answered in the wrong mode: in doubt, close."""
        if is_error(raw):
            self.link.broken = "refused to switch: " + said(error_text(raw))

    def fail(self, failure: NodeFailure) -> None:
        """The legs behind it fail by themselves."""


@final
class Backoff:
    """A pause that doubles each time, spread so that many proxies do not try together.

    It counts from the last connection that was of use: one that was greeted and then lost is a failure like others.
    """

    def __init__(self) -> None:
        self.pause = limits.BACKOFF_FIRST_SECONDS
        self.excused = False
        self.until = 0.0
        self.seed = 1
        #: Of the connection that is ready: since when, and the replies that had come before it.
        self.since = 0.0
        self.replies = 0

    def opened(self, now: float, replies: int) -> None:
        """A connection is ready; the link has had so many replies before."""
        self.since = now
        self.replies = replies

    def closed(self, now: float, replies: int) -> None:
        """It is lost. If it has lasted, or answered its share, the next failure begins anew."""
        if now - self.since >= limits.USEFUL_SECONDS or replies - self.replies >= limits.USEFUL_REPLIES:
            self.reset()

    def excuse(self) -> bool:
        """Whether the next attempt may be made at once: the first time after a connection that was of use."""
        if self.excused:
            return False
        self.excused = True
        return True

    def wait(self, now: float, began: float) -> None:
        """Another failure, of an attempt that ``began`` then: ``until`` is when to try again."""
        self.seed = (self.seed * 1103515245 + 12345) & 0x7FFFFFFF
        pause = min(self.pause * (0.75 + 0.5 * (self.seed / 0x7FFFFFFF)), limits.BACKOFF_LAST_SECONDS)
        self.until = max(now, began + pause)
        self.pause = min(self.pause * 2, limits.BACKOFF_LAST_SECONDS)

    def reset(self) -> None:
        """A connection was of use: the next failure begins anew."""
        self.pause = limits.BACKOFF_FIRST_SECONDS
        self.excused = False


@final
class Introduction:
    """What a node has said in its greeting: ``refused`` is why it, or we, will not go on; empty when all is well."""

    def __init__(self) -> None:
        self.refused = b""
        #: The fields of INFO; with ``mute``, why there are none.
        self.facts: dict[bytes, bytes] = {}
        self.mute = b""
        #: How the node calls this connection.
        self.client_id = b""
        #: Whether it knows HELLO; None when it was not asked.
        self.resp3: bool | None = None

    def refuse(self, why: bytes) -> None:
        """The first reason counts."""
        self.refused = self.refused or why


def greeting(login: Login, proto: int, db: int, lane: bool) -> list[list[bytes]]:
    """The requests of the greeting: log in, choose protocol and database, ask who is there (a lane: who we are).

    An echo among them shows that each reply is the one to its request: a node may send what nobody asked for.
    """
    words: list[list[bytes]] = []
    auth = login.auth()
    if proto == 3:
        words.append([b"HELLO", b"3", b"AUTH", *auth] if auth else [b"HELLO", b"3"])
    elif auth:
        words.append([b"AUTH", *auth] if login.user else [b"AUTH", auth[1]])
    if db:
        words.append([b"SELECT", b"%d" % db])
    if proto == 2 and not db and not lane:
        # It changes nothing, and tells whether the node knows RESP3.
        words.append([b"HELLO", b"2"])
    words.append([b"PING", ECHO])
    words.append([b"CLIENT", b"ID"] if lane else [b"INFO", b"server"])
    return words


def understood(words: list[list[bytes]], replies: list[bytes]) -> Introduction:
    """What the replies to the greeting come to. Only what is needed must be granted: a login, a mode, the echo."""
    found = Introduction()
    for request, raw in zip(words, replies, strict=True):
        name = request[0]
        if name == b"PING":
            listen_to_echo(found, raw)
        elif name == b"INFO":
            listen_to_info(found, raw)
        elif name == b"CLIENT":
            # A lane can live without its number, if the node's user may not ask for it.
            number = string2ll(line(raw, value_at(raw))) if kind(raw) == COLON else None
            found.client_id = b"%d" % number if number is not None else b""
            if number is None and not is_error(raw):
                found.refuse(OUT_OF_STEP)
        elif request == [b"HELLO", b"2"]:
            # Another error (it wants a login, it is loading) tells nothing of what it knows.
            found.resp3 = False if lacks(raw) else None if is_error(raw) else True
        elif is_error(raw):
            found.refuse(error_text(raw))
    return found


def listen_to_echo(found: Introduction, raw: bytes) -> None:
    """The echo, or why there is none: a user may lack PING, and a node that loads answers INFO alone."""
    if kind(raw) in TEXTS and bulk(raw) == ECHO:
        return
    if not is_error(raw):
        found.refuse(OUT_OF_STEP)
    elif b"ping" not in raw.lower() and not error_text(raw).startswith(NOT_NOW):
        found.refuse(error_text(raw))


def listen_to_info(found: Introduction, raw: bytes) -> None:
    """Who the node is; one whose user may not ask, or that has no INFO, is not asked."""
    if not is_error(raw):
        if kind(raw) not in TEXTS:
            found.refuse(OUT_OF_STEP)
        else:
            found.facts = parse_info(bulk(raw))
    elif lacks(raw):
        found.mute = error_text(raw)
    else:
        found.refuse(error_text(raw))


def lacks(raw: bytes) -> bool:
    """Whether an error says that the node will never do this for us: it does not know it, or we may not."""
    return is_error(raw) and (lacks_command(raw) or error_text(raw).startswith(b"NOPERM"))


def lacks_command(raw: bytes) -> bool:
    """Whether an error says that the node does not know the command."""
    return b"unknown command" in raw.lower()


def explained(cause: str) -> str:
    """What a node says when it hangs up, and what that means for us."""
    return f"it is full, and nothing was sent to it: {cause}" if "max number of clients" in cause else cause


def text_of(raw: bytes) -> bytes:
    """The text of an INFO reply; nothing when a node answers with anything else."""
    return bulk(raw) if kind(raw) in TEXTS else b""


def parse_info(text: bytes) -> dict[bytes, bytes]:
    """The fields of an INFO text."""
    fields: dict[bytes, bytes] = {}
    for row in text.split(b"\r\n"):
        name, colon, value = row.partition(b":")
        if colon:
            fields[name] = value
    return fields
