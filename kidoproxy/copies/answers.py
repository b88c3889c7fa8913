"""Questions to nodes, and what to make of the answers: whatever shape they have, it is read or said to be wrong.

A node may be any server, or lie. So the readers here are total: a reply of another type than the question
wants is None (or empty), never an exception.
"""

from typing import Final, final

from mypy_extensions import mypyc_attr

from kidoproxy.errors import NodeFailure, said
from kidoproxy.link import NodeLink
from kidoproxy.link_greeting import Unhurried
from kidoproxy.resp.build import command
from kidoproxy.resp.open import bulk, error_text, is_error, is_null, items, kind
from kidoproxy.resp.scan import COLON, DOLLAR, STAR, string2ll

#: Seconds for the answer to a question of ours, and more for each byte that it concerns (10 MB/s).
PATIENCE: Final = 5.0
SECONDS_PER_BYTE: Final = 1 / 10_000_000
#: A single value may take so long, however large it is.
LONGEST: Final = 60.0
#: How INFO begins to say which databases have keys; an empty server says that much, too.
KEYSPACE: Final = b"# Keyspace"


@mypyc_attr(allow_interpreted_subclasses=True)
class Boss:
    """Whoever wants to know that a batch, or a question, is done."""

    def done(self, answer: "Answers") -> None:
        """All replies are there, or ``answer.problem`` says why not."""
        raise NotImplementedError


@final
class Answers:
    """The replies to several requests that belong together, in their order."""

    def __init__(self, boss: Boss, count: int) -> None:
        self.boss = boss
        self.missing = count
        self.replies: list[bytes] = [b""] * count
        self.problem = ""

    def fill(self, at: int, raw: bytes) -> None:
        """The reply at ``at``."""
        self.replies[at] = raw
        self.count()

    def fault(self, failure: NodeFailure) -> None:
        """One of them failed."""
        self.problem = f"{failure.code} {failure.node} ({failure.cause})"
        self.count()

    def count(self) -> None:
        """One less is missing."""
        self.missing -= 1
        if self.missing == 0:
            self.boss.done(self)


@final
class Question(Unhurried):
    """One place in `Answers`. In a transaction it takes the replies to MULTI and what is queued, too: EXEC's counts."""

    def __init__(self, answers: Answers, at: int, replies: int = 1) -> None:
        super().__init__()
        self.answers = answers
        self.at = at
        self.left = replies
        self.refused = b""

    def take(self, raw: bytes) -> None:
        """Fill the place with the last reply, or with the first error before it."""
        self.left -= 1
        if self.left and is_error(raw) and not self.refused:
            self.refused = raw
        if not self.left:
            self.answers.fill(self.at, self.refused or raw)

    def fail(self, failure: NodeFailure) -> None:
        """Say why not."""
        self.answers.fault(failure)


def seconds_for(size: int) -> float:
    """How long a node may be busy with so many bytes of ours before that is odd."""
    return min(size * SECONDS_PER_BYTE, LONGEST)


def ask(
    link: NodeLink, answers: Answers, first: int, requests: list[list[bytes]], db: int, now: float, size: int = 0
) -> None:
    """Send ``requests`` past any hold; their replies fill ``answers`` from place ``first`` on.

    ``size``: about so many bytes are concerned; those who wait behind it are given that much more time.
    """
    for at, argv in enumerate(requests):
        put(link, Question(answers, first + at), command(argv), db, 1, now, size)


def ask_at_once(
    link: NodeLink, answers: Answers, at: int, requests: list[list[bytes]], db: int, now: float, size: int
) -> None:
    """Send ``requests`` as one transaction; the list of their replies fills the place ``at``."""
    words = [[b"MULTI"], *requests, [b"EXEC"]]
    question = Question(answers, at, len(words))
    put(link, question, b"".join([command(argv) for argv in words]), db, len(words), now, size)


def put(link: NodeLink, leg: Unhurried, payload: bytes, db: int, replies: int, now: float, size: int) -> None:
    """Send one leg; on a link that is not shared it may wait for the connection."""
    leg.until = now + link.login.timeout + seconds_for(size)
    due = now + PATIENCE + seconds_for(size)
    if link.ready():
        leg.due = due
        link.send(leg, payload, link.proto, db, replies)
    elif link.shared:
        leg.fail(link.failure("NODEDOWN", link.cause, False))
    else:
        link.place(leg, payload, link.home_proto, db, now, replies)
        leg.due = due


# -- what a reply says ------------------------------------------------------------------------------


def first_error(replies: list[bytes]) -> str:
    """The first error among the replies, for a person; empty when there is none."""
    for raw in replies:
        if raw and is_error(raw):
            return said(error_text(raw))
    return ""


def number(raw: bytes) -> int | None:
    """The value of an integer reply; None for anything else."""
    if kind(raw) != COLON:
        return None
    return string2ll(bulk(raw))


def rows(raw: bytes) -> list[bytes] | None:
    """The raw items of an array; None for anything else, a null array too."""
    return None if kind(raw) != STAR or is_null(raw) else items(raw)


def payload(raw: bytes) -> bytes | None:
    """The bytes of a bulk string; None for anything else, a null too."""
    return None if kind(raw) != DOLLAR or is_null(raw) else bulk(raw)


def scan_step(raw: bytes) -> tuple[bytes, list[bytes]] | None:
    """The cursor and the keys of a reply to SCAN; None for anything else."""
    parts = rows(raw)
    if parts is None or len(parts) != 2:
        return None
    cursor = payload(parts[0])
    listed = rows(parts[1])
    if cursor is None or not cursor.isdigit() or listed is None:
        return None
    keys: list[bytes] = []
    for item in listed:
        key = payload(item)
        if key is None:
            return None
        keys.append(key)
    return cursor, keys


def keyspace(text: bytes) -> dict[int, int]:
    """By database, how many keys INFO says it has; lines that make no sense are passed over."""
    found: dict[int, int] = {}
    for row in text.split(b"\r\n"):
        name, _, value = row.partition(b":keys=")
        db = string2ll(name[2:]) if name[:2] == b"db" and name[2:3] != b"-" else None
        count = string2ll(value.partition(b",")[0])
        if db is not None and count is not None and count > 0:
            found[db] = count
    return found
