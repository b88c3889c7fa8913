"""How a node is taught scripts and libraries through a link: ahead of everything else, or ahead of one EVALSHA."""

from typing import TYPE_CHECKING, Final, final

from kidoproxy import limits
from kidoproxy.errors import NodeFailure, said
from kidoproxy.ledger import Leg
from kidoproxy.link_greeting import NEVER
from kidoproxy.link_states import GREETING, READY
from kidoproxy.resp.open import error_text, is_error
from kidoproxy.routes.book import SCRIPTS, lesson
from kidoproxy.routes.school import Pupil
from kidoproxy.routes.topology import IN_SYNC

if TYPE_CHECKING:
    from kidoproxy.link import NodeLink

#: 50 MB/s is slow for a datacentre.
SECONDS_PER_BYTE: Final = 1 / 50_000_000
#: A node that does not have a library has nothing to forget.
NOT_THERE: Final = b"-ERR Library not found"


@final
class Desk(Pupil):
    """A link that comes to its node's school: one that greets is not open before the node knows everything."""

    def __init__(self, link: "NodeLink") -> None:
        self.link = link
        #: Every connection has a reader of its own.
        self.reader = link.reader

    def present(self) -> bool:
        """Whether it is the same connection, and lives."""
        link = self.link
        return link.reader is self.reader and link.state in (GREETING, READY)

    def teach(self, payload: bytes, count: int) -> None:
        """As part of the greeting, or behind what a ready link has sent."""
        link = self.link
        lessons = Lessons(self, count)
        lessons.due = link.heard + limits.TEACH_SECONDS + len(payload) * SECONDS_PER_BYTE
        link.due = lessons.due
        link.send(lessons, payload, link.proto, link.db, count)

    def go_on(self) -> None:
        """Open the link, if it is not open already."""
        link = self.link
        if self.present() and link.state == GREETING:
            link.open_up()
            link.release_queue(link.heard)


def go_to_school(link: "NodeLink") -> None:
    """A link has been greeted: it is opened when its node knows what it has to know."""
    node = link.node
    group = node.group
    if group is not None and (not group.elected or group.copy_of(node).state != IN_SYNC):
        # Nobody reads this copy before its sync is over, and a sync does not wait.
        link.open_up()
    if not node.school.attend(Desk(link)) and link.state == GREETING:
        link.open_up()


@final
class Lessons(Leg):
    """Waits for the replies to everything that a node is taught."""

    def __init__(self, desk: Desk, count: int) -> None:
        super().__init__()
        self.desk = desk
        self.missing = count
        self.refused = b""

    def take(self, raw: bytes) -> None:
        """Count down. What the node refuses, a person can see; its other commands are served."""
        self.missing -= 1
        if is_error(raw) and not raw.startswith(NOT_THERE):
            self.refused = error_text(raw)
        if self.missing == 0:
            node = self.desk.link.node
            node.school.over(self.desk, not self.refused)
            if self.refused:
                node.cause = "it refused what was loaded: " + said(self.refused)

    def fail(self, failure: NodeFailure) -> None:
        """The connection is lost, or the node is too slow: another time."""
        self.desk.link.node.school.over(self.desk, False)


@final
class Reminder(Leg):
    """Waits for the reply to SCRIPT LOAD; unless it is good, the connection counts as not having carried it.

    On the wire it is never late: the EVALSHA behind it is.
    """

    def __init__(self, taught: dict[bytes, float], digest: bytes) -> None:
        super().__init__()
        self.taught = taught
        self.digest = digest

    def take(self, raw: bytes) -> None:
        """The digest, or an error."""
        if is_error(raw):
            self.taught.pop(self.digest, None)

    def fail(self, failure: NodeFailure) -> None:
        """It may not have arrived."""
        self.taught.pop(self.digest, None)


def remind(link: "NodeLink", digest: bytes, text: bytes, proto: int, db: int, now: float, renew: bool) -> bool:
    """Send SCRIPT LOAD ahead of an EVALSHA, unless this connection has carried it; whether it was sent.

    ``renew``: unless it has carried it in this very turn, for what was sent then cannot be sent again later.
    """
    carried = link.taught.get(digest)
    if link.open and carried is not None and (carried == now or not renew):
        return False
    if len(link.taught) >= SCRIPTS:
        link.taught.clear()
    reminder = Reminder(link.taught, digest)
    is_open = link.open
    if is_open:
        # A text that waits for the link may be late and never leave.
        link.taught[digest] = now
    link.place(reminder, lesson(text), proto, db, now)
    if is_open:
        reminder.due = NEVER
    return True
