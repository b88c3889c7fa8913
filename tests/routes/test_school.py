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


def test_nothing_to_teach() -> None:
    """A node that knows everything is not kept waiting, nor one that was restarted while nothing was loaded."""
    school = School()
    school.books.append(Book())
    assert not school.attend(Pupil())
    school.behind = True
    assert not school.attend(Pupil())
    assert not school.behind
    assert school.lessons == 0
