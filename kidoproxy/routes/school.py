"""What a node has to be taught before it serves: the books of its pools, after it was restarted or missed a load.

One link of the node is taught, the others wait for it: nothing runs on the node before it knows what was
loaded, and nothing that was loaded since can be overwritten by a lesson that is late.
"""

from typing import final

from kidoproxy.routes.book import Book


class Pupil:
    """A link of the node, as its school sees it."""

    def present(self) -> bool:
        """Whether the connection that came to school still stands."""
        raise NotImplementedError

    def teach(self, payload: bytes, count: int) -> None:
        """Send these ``count`` requests, then tell `School.over`."""
        raise NotImplementedError

    def go_on(self) -> None:
        """The node knows what it has to know: serve."""
        raise NotImplementedError


class Librarian:
    """Knows where to ask what a node should know."""

    def fetch(self, school: "School", pupil: Pupil) -> None:
        """Ask a neighbour for its libraries, and tell `School.fetched`; this one knows no neighbours."""
        school.fetched(pupil, None)


@final
class School:
    """Of one node. ``behind``: it may lack something that was loaded."""

    def __init__(self) -> None:
        self.books: list[Book] = []
        self.librarian = Librarian()
        self.behind = False
        self.taught: Pupil | None = None
        self.waiting: list[Pupil] = []
        self.version = 0
        #: How often the node was taught.
        self.lessons = 0

    def attend(self, pupil: Pupil) -> bool:
        """Whether ``pupil`` has to wait before it serves; it is told when."""
        if not self.behind:
            return False
        if self.taught is not None:
            self.waiting.append(pupil)
            return True
        self.taught = pupil
        self.version = self.versions()
        self.librarian.fetch(self, pupil)
        return True

    def shares_a_pool(self, other: "School") -> bool:
        """Whether the nodes of both belong to one pool that listens."""
        return any(book in other.books for book in self.books)

    def fetched(self, pupil: Pupil, libraries: list[bytes] | None) -> None:
        """What loads the libraries that a neighbour has; None: there is none to ask."""
        if not pupil.present():
            self.over(pupil, False)
            return
        lessons = libraries if libraries is not None else [frame for book in self.books for frame in book.libraries()]
        lessons = lessons + [frame for book in self.books for frame in book.texts()]
        if lessons:
            self.lessons += 1
            pupil.teach(b"".join(lessons), len(lessons))
        else:
            self.over(pupil, True)

    def versions(self) -> int:
        """Grows with each of the books."""
        return sum([book.version for book in self.books])

    def over(self, pupil: Pupil, learned: bool) -> None:
        """The lesson has ended: the node has taken everything, or it has not and is taught again another time."""
        self.taught = None
        waiting = self.waiting
        self.waiting = []
        if learned and self.version == self.versions():
            self.behind = False
        if not learned:
            pupil.go_on()
        else:
            waiting.insert(0, pupil)
        for other in waiting:
            if other.present() and not self.attend(other):
                other.go_on()
