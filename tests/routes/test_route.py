"""What the base of all routes does, and leaves to each kind of route."""

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.placement.hashes import FNV1A_64
from kidoproxy.routes.placement.owners import Placement
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import RequestContext, Route, WallClock
from tests.story import copies, ring


def test_the_base_plans_nothing() -> None:
    """Each kind of route has its own plan and explanation; its nodes are those of its children."""
    route = Route("x")
    assert route.nodes() == []
    with pytest.raises(NotImplementedError):
        route.plan(COMMANDS[b"get"], Request([b"GET", b"k"], b""), RequestContext(0, 2, False, False, WallClock(0)))
    with pytest.raises(NotImplementedError):
        route.explain(b"k")


def test_where_channels_live() -> None:
    """A leaf has its own channels and its node for pub/sub; a ring leaves channels to its members."""
    pool = ring(copies("a", "d", name="a"), "b")
    assert pool.route is not None
    leaves = [pool.route.channel_route(name) for name in (b"{a}x", b"{b}x")]
    assert [leaf.name for leaf in leaves] == ["a", "b"]
    assert [leaf.pubsub_node() for leaf in leaves] == [pool.nodes[0], pool.nodes[2]]
    assert Ring("none", [], Placement([1], [0], FNV1A_64), Tags(123, 125, [])).pubsub_node() is None


def test_scripts_have_moments_of_their_own() -> None:
    """Those of one batch follow each other; a clock that was set back counts."""
    clock = WallClock(5)
    assert [clock.next_script_time_us() for _ in range(3)] == [5_000, 5_010, 5_020]
    clock.us = 5_700
    assert clock.next_script_time_us() == 5_700
    clock.ms, clock.us = 2, 2_000
    assert clock.next_script_time_us() == 5_710
    clock.last_us = 2_000_000
    assert clock.next_script_time_us() == 2_000


def test_ids_for_entries() -> None:
    """Milliseconds, and a number that counts within them; also when the clock goes back."""
    clock = WallClock(5)
    assert [clock.next_entry_id(), clock.next_entry_id()] == [b"5-0", b"5-1"]
    clock.ms = 7
    assert [clock.next_entry_id(), clock.next_entry_id()] == [b"7-0", b"7-1"]
    clock.ms = 6
    assert clock.next_entry_id() == b"6-0"
