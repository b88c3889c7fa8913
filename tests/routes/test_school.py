"""A node that may lack what was loaded is taught through one link, while its other links wait."""

import pytest

from kidoproxy.routes.book import Book
from kidoproxy.routes.school import Pupil, School


def test_a_pupil_alone_does_nothing() -> None:
    """What a link does is for the link to say."""
    pupil = Pupil()
    with pytest.raises(NotImplementedError):
        pupil.present()
    with pytest.raises(NotImplementedError):
        pupil.teach(b"", 0)
    with pytest.raises(NotImplementedError):
        pupil.go_on()


def test_nothing_is_missed() -> None:
    """A link of a node that was not restarted and has missed nothing need not wait."""
    school = School()
    school.books.append(Book())
    school.books[0].load_library(b"#!lua name=x")
    assert not school.attend(Pupil())
    assert school.lessons == 0


def test_pools_in_common() -> None:
    """Neighbours stand in one pool that listens."""
    one, two, three = School(), School(), School()
    book, other = Book(), Book()
    one.books += [book, other]
    two.books += [other]
    three.books += [Book()]
    assert one.shares_a_pool(two)
    assert two.shares_a_pool(one)
    assert not one.shares_a_pool(three)
