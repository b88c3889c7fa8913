"""A node that may lack what was loaded is taught through one link, while its other links wait."""

from typing import final

import pytest

from kidoproxy.routes.book import Book
from kidoproxy.routes.school import Librarian, Pupil, School


def test_a_pupil_alone_does_nothing() -> None:
    """What a link does is for the link to say, and where to ask for whoever knows the links."""
    pupil = Pupil()
    with pytest.raises(NotImplementedError):
        pupil.present()
    with pytest.raises(NotImplementedError):
        pupil.teach(b"", 0)
    with pytest.raises(NotImplementedError):
        pupil.go_on()
    with pytest.raises(NotImplementedError):
        Librarian().fetch(School(), 1)


@final
class Link(Pupil):
    """Notes what becomes of it."""

    def __init__(self) -> None:
        self.is_here = True
        self.lessons: list[bytes] = []
        self.gone_on = 0

    def present(self) -> bool:
        """As the test says."""
        return self.is_here

    def teach(self, payload: bytes, count: int) -> None:
        """Note it."""
        self.lessons.append(payload)

    def go_on(self) -> None:
        """Note it."""
        self.gone_on += 1


def behind() -> School:
    """Of a node that was restarted; one library was loaded."""
    school = School()
    school.behind = True
    school.books.append(Book())
    school.books[0].load_library(b"#!lua name=x")
    return school


def test_nothing_to_teach() -> None:
    """A node that knows everything is not kept waiting, nor one that was restarted while nothing was loaded."""
    school = School()
    link = Link()
    school.books.append(Book())
    assert not school.attend(link)
    school.behind = True
    assert school.attend(link)
    assert (link.gone_on, school.behind, school.lessons) == (1, False, 0)


def test_neighbours_know_better() -> None:
    """What a neighbour has is taught, not what the book has; without neighbours it is the book."""
    school = behind()
    link = Link()
    assert school.attend(link)
    assert b"name=x" in link.lessons[0]
    school.over(link, True)
    school.behind = True
    school.librarian = Silent()
    assert school.attend(link)
    school.fetched(school.ticket, [b"library"])
    assert link.lessons[1:] == [b"library"]


def test_answer_comes_too_late() -> None:
    """The answer to a question of a connection that is gone teaches nobody; one that waits asks anew."""
    school = behind()
    school.librarian = Silent()
    first, second, third = Link(), Link(), Link()
    assert [school.attend(link) for link in (first, second, third)] == [True] * 3
    ticket = school.ticket
    first.is_here = second.is_here = False
    school.fetched(ticket, [b"library"])
    assert school.taught is third
    school.fetched(ticket, [b"late"])
    assert third.lessons == []
    school.fetched(school.ticket, [b"library"])
    assert third.lessons == [b"library"]
    school.over(third, True)
    school.fetched(school.ticket, [b"late"])
    assert (third.gone_on, third.lessons, first.lessons, second.lessons) == (1, [b"library"], [], [])


@final
class Silent(Librarian):
    """Gets no answer by itself."""

    def fetch(self, school: School, ticket: int) -> None:
        """Wait."""
