"""Rings to plan requests on."""

from kidoproxy.commands.find import COMMANDS, find
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.plan import Plan
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import RequestContext, WallClock
from tests.story import Pool, ring


def planned(pool: Pool, text: str) -> Plan:
    """The plan of a request written as words."""
    argv = [word.encode() for word in text.split(" ")]
    spec = find(argv)
    assert spec is not None
    assert pool.route is not None
    return pool.route.plan(spec, Request(argv, encode_request(argv)), RequestContext(0, 2, False, False, WallClock(0)))


def ring_with_families(*names: str, together: tuple[bytes, ...] = (b"a", b"ab:")) -> Ring:
    """A ring whose keys that begin with ``a`` live on the node ``a``, but for those that begin with ``ab:``."""
    route = ring(*names).route
    assert isinstance(route, Ring)
    return Ring("cache", route.members, route.placement, Tags(123, 125, list(together)))


def scripted(route: Ring, text: str, *words: str) -> Plan:
    """The plan of an EVAL."""
    argv = [b"EVAL", text.encode(), *[word.encode() for word in words]]
    return route.plan(COMMANDS[b"eval"], Request(argv, b""), RequestContext(0, 2, False, False, WallClock(0)))
