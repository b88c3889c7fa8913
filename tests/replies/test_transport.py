"""`kidoproxy.replies.transport`: what holds for a socket that says nothing about itself."""

import pytest

from kidoproxy.replies.transport import Transport


def test_transports_say_how_they_write() -> None:
    """The base class cannot write, and knows of no bytes."""
    transport = Transport()
    for act in (transport.flush, transport.resume):
        with pytest.raises(NotImplementedError):
            act()
    assert (transport.unsent_bytes(), transport.sent_bytes()) == (0, 0)
