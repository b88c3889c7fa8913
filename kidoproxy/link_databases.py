"""The databases of a node: that it has one is known when the node has said so, and before that nothing is sent there.

A SELECT that is refused leaves the connection where it was, and what was sent behind it would be done in the wrong
database. So an ordered link, which goes from one database to another, tries one that is new to it by itself first; what
comes meanwhile waits. A link of a ring has its database from its greeting. Either way whoever has asked for a
database that there is not hears what the node says, and nobody else hears anything.
"""

from typing import TYPE_CHECKING, Final, final

from kidoproxy.errors import NODEDOWN, NodeFailure
from kidoproxy.ledger import Leg
from kidoproxy.link_greeting import Switched, Waiting
from kidoproxy.link_states import READY
from kidoproxy.resp.build import command
from kidoproxy.resp.open import is_error

if TYPE_CHECKING:
    from kidoproxy.link import NodeLink

#: What servers say when SELECT asks for too much, now and formerly.
BEYOND: Final = (b"DB index is out of range", b"invalid DB index")


def switch(link: "NodeLink", proto: int, db: int) -> None:
    """Change the connection's mode for the legs that follow."""
    if proto != link.proto:
        link.fifo.append(Switched(link))
        link.out.append(command([b"HELLO", b"%d" % proto]))
    if db != link.db:
        link.fifo.append(Switched(link))
        link.out.append(select(db))
    link.proto = proto
    link.db = db


def select(db: int) -> bytes:
    """The request."""
    return command([b"SELECT", b"%d" % db])


def is_new(link: "NodeLink", db: int) -> bool:
    """Whether this database has to be tried before anything is sent to it. A sync that holds the link has done so."""
    return db != link.db and db > link.node.last_db and not link.holding


def try_out(link: "NodeLink", waiting: Waiting) -> None:
    """Ask for its database; it waits for the answer, and with it what comes behind it."""
    link.fifo.append(Trial(link, link.db, waiting.db))
    link.out.append(select(waiting.db))
    link.db = waiting.db
    link.trying = True
    link.set_open()
    link.add_to_queue(waiting)
    link.mark()


@final
class Trial(Leg):
    """Waits for the reply to a SELECT that may be refused."""

    def __init__(self, link: "NodeLink", before: int, db: int) -> None:
        super().__init__()
        self.link = link
        self.before = before
        self.db = db
        self.due = link.heard + 2 * link.login.timeout

    def take(self, raw: bytes) -> None:
        """The node has it, or those that wait for it hear that it has not."""
        link = self.link
        link.trying = False
        if is_error(raw):
            link.db = self.before
            refuse(link, raw, self.db)
        else:
            link.node.last_db = max(link.node.last_db, self.db)
        link.set_open()

    def fail(self, failure: NodeFailure) -> None:
        """Too late: nobody knows any more which database the connection is in."""
        if self.link.state == READY:
            self.link.broken = failure.cause


def refuse(link: "NodeLink", raw: bytes, db: int) -> None:
    """What waits for this database is answered with what the node says; the rest goes on waiting."""
    kept: list[Waiting] = []
    for waiting in link.take_queue():
        if waiting.db == db:
            answer(waiting.leg, raw, waiting.replies)
        else:
            kept.append(waiting)
    link.put_queue(kept + link.queue)


def answer(leg: Leg, raw: bytes, replies: int) -> None:
    """The same for each reply that is waited for."""
    leg.done = True
    for _ in range(replies):
        leg.take(raw)


def refuse_if_beyond(link: "NodeLink", refused: bytes) -> None:
    """A greeting has been refused; if for its database alone, the node is well, and those who wait hear so."""
    if link.home_db and any(words in refused for words in BEYOND):
        link.beyond = b"-%b\r\n" % refused
        refuse(link, link.beyond, link.home_db)


def fail_at_once(link: "NodeLink", leg: Leg, replies: int) -> None:
    """The link is down, or there is no such database."""
    if link.beyond and link.node.live:
        answer(leg, link.beyond, replies)
    else:
        link.node.trouble("failed at once")
        leg.fail(link.failure(NODEDOWN, link.cause, False))
