"""What a kind of route has to say for itself."""

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.resp.requests import Request
from kidoproxy.routes.route import Ask, Route


def test_a_route_alone_knows_nothing() -> None:
    """Who is asked and why is for each kind of route to say; its nodes are those of its children."""
    route = Route("x")
    assert route.nodes() == []
    with pytest.raises(NotImplementedError):
        route.plan(COMMANDS[b"get"], Request([b"GET", b"k"], b""), Ask(0, 2, False, False, 0))
    with pytest.raises(NotImplementedError):
        route.why(b"k")
