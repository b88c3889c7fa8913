"""How a link and its node come to an understanding: the greeting, and changes of mode on an ordered link."""

from typing import Final, final

from kidoproxy import limits
from kidoproxy.errors import NodeFailure, said
from kidoproxy.ledger import Leg
from kidoproxy.resp.open import bulk, error_text, is_error, kind

#: When a leg is due that has no deadline of its own.
NEVER: Final = 1e18


#: The first bytes of replies that are texts: bulk, simple and verbatim strings.
TEXTS: Final = b"$+="


class Greeted:
    """The link, as the legs of this file see it."""

    def __init__(self) -> None:
        #: The node has refused something, so the connection is of no use: why.
        self.broken = ""
        #: A database is asked for that the node may not have; and its error for the link's own, if it has not.
        self.trying = False
        self.beyond = b""

    def greeted(self, info: bytes, refused: bytes) -> None:
        """All replies of the greeting are there; ``refused`` is the first error among them."""
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
    """Waits for the replies of the greeting; the last one says who the node is, or a lane's number there."""

    def __init__(self, link: Greeted, count: int, lane: bool) -> None:
        super().__init__()
        self.link = link
        self.lane = lane
        self.missing = count
        self.refused = b""

    def take(self, raw: bytes) -> None:
        """Count down; an error in any of them refuses the greeting."""
        self.missing -= 1
        # A lane can live without its number, if the node's user may not ask for it.
        if is_error(raw) and not self.refused and (self.missing or not self.lane):
            self.refused = error_text(raw)
        if self.missing == 0:
            self.link.greeted(raw, self.refused)

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


def text_of(raw: bytes) -> bytes:
    """The text of an INFO reply; nothing when a node answers with anything else."""
    return bulk(raw) if kind(raw) in TEXTS else b""


def greeting(login: Login, proto: int, db: int, lane: bool) -> list[list[bytes]]:
    """The requests of the greeting: log in, choose protocol and database, ask who is there (a lane: who we are)."""
    words: list[list[bytes]] = []
    auth = login.auth()
    if proto == 3:
        words.append([b"HELLO", b"3", b"AUTH", *auth] if auth else [b"HELLO", b"3"])
    elif auth:
        words.append([b"AUTH", *auth] if login.user else [b"AUTH", auth[1]])
    if db:
        words.append([b"SELECT", b"%d" % db])
    words.append([b"CLIENT", b"ID"] if lane else [b"INFO", b"server"])
    return words


def parse_info(text: bytes) -> dict[bytes, bytes]:
    """The fields of an INFO text."""
    fields: dict[bytes, bytes] = {}
    for row in text.split(b"\r\n"):
        name, colon, value = row.partition(b":")
        if colon:
            fields[name] = value
    return fields
