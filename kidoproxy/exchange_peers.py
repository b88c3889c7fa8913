"""What a node should know is what its neighbours know: they are asked for their libraries before it is taught.

This process need not have seen the last change: another worker may have, or another proxy. So the book is
only the last resort, for when no neighbour can be asked.
"""

from typing import TYPE_CHECKING, Final, final

from kidoproxy.errors import NodeFailure
from kidoproxy.ledger import Leg
from kidoproxy.link import NodeLink
from kidoproxy.resp.build import command
from kidoproxy.resp.open import bulk, items
from kidoproxy.routes.school import Librarian, Pupil, School

if TYPE_CHECKING:
    from kidoproxy.exchange import Exchange

LIST: Final = command([b"FUNCTION", b"LIST", b"WITHCODE"])


@final
class Peers(Librarian):
    """Asks the neighbours: the nodes of the same pools that are not to be taught themselves."""

    def __init__(self, exchange: "Exchange") -> None:
        self.exchange = exchange

    def fetch(self, school: School, pupil: Pupil) -> None:
        """Ask the first neighbour that there is an open link to."""
        links: list[NodeLink] = []
        for node in self.exchange.nodes:
            if node.school is not school and not node.school.behind and school.shares_a_pool(node.school):
                links += [link for link in self.exchange.links_of(node) if link.open][:1]
        Fetch(school, pupil, links, self.exchange).next()


@final
class Fetch(Leg):
    """Waits for the libraries of one neighbour, then asks the next if there was no answer."""

    def __init__(self, school: School, pupil: Pupil, links: list[NodeLink], exchange: "Exchange") -> None:
        super().__init__()
        self.school = school
        self.pupil = pupil
        self.links = links
        self.exchange = exchange

    def next(self) -> None:
        """Ask the next one; when there is none, the book has to do."""
        if not self.links:
            self.school.fetched(self.pupil, None)
            return
        link = self.links[0]
        again = Fetch(self.school, self.pupil, self.links[1:], self.exchange)
        link.place(again, LIST, link.proto, link.db, self.exchange.now)

    def take(self, raw: bytes) -> None:
        """The libraries; an old server has none, and says that it does not know the command."""
        if raw[:1] != b"*":
            self.next()
        else:
            self.school.fetched(self.pupil, [lesson(items(library)) for library in items(raw)])

    def fail(self, failure: NodeFailure) -> None:
        """This one cannot say."""
        self.next()


def lesson(library: list[bytes]) -> bytes:
    """The request that loads this library, of which the fields and their values are given."""
    fields = {bulk(library[at]): library[at + 1] for at in range(0, len(library) - 1, 2)}
    return command([b"FUNCTION", b"LOAD", b"REPLACE", bulk(fields[b"library_code"])])
