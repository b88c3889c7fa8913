"""What sessions share: ids that are never used again, pools with Redis's own limits."""

from kidoproxy.session.pool_context import PoolContext
from tests.story import client, copies, gone, ring, story


def test_ids() -> None:
    """Client ids grow; one that is gone is not given again, and is not in the list of sessions any more."""
    play = (
        story(ring("a"))
        >> client(b"", name="one")
        >> client(b"", name="two")
        >> gone("one")
        >> client(b"", name="three")
    )

    assert [play.client(name).session.id for name in ("one", "two", "three")] == [1, 2, 3]
    assert list(play.proxy.sessions) == [2, 3]


def test_pool() -> None:
    """Redis's defaults; whether plans look at all arguments of a large write is the route's to say."""
    context = story(ring("a")).context
    assert (context.databases, context.max_bulk_bytes, context.max_clients, context.idle_seconds) == (
        16,
        512 << 20,
        10_000,
        0,
    )
    assert (
        context.strict_transactions,
        context.miss_on_down,
        context.needs_arguments,
        context.node_errors_as_loading,
    ) == (
        False,
        False,
        False,
        False,
    )
    assert story(copies("a")).context.needs_arguments


def test_a_change_of_one_pool() -> None:
    """Sessions of another pool of the same process are left alone."""
    play = story(ring("a")) >> client(b"", name="one") >> client(b"", name="two")
    other = PoolContext("other", "ring", play.context.root, play.context.commands)
    session = play.client("two").session
    session.context = other
    play.context.paused_until_ms = 1
    play.proxy.update_sessions(play.context)
    assert (play.client("one").session.fast_path, session.fast_path) == (False, True)


def test_reloads_are_counted() -> None:
    """A rejected one leaves the time of the last good one."""
    play = story(ring("a"))
    play.proxy.count_reload(True)
    taken_over = play.proxy.wall_ms
    play.proxy.clock.ms += 1
    play.proxy.count_reload(False)
    assert (play.proxy.reloads, play.proxy.configured_ms) == ({"ok": 1, "rejected": 1}, taken_over)


def test_subscriptions_of_each_pool() -> None:
    """It is made when it is first asked for."""
    play = story(ring("a"))
    assert play.proxy.subscriptions_by_pool == {}
    assert play.proxy.subscriptions_of(play.context) is play.proxy.subscriptions_of(play.context)
    assert list(play.proxy.subscriptions_by_pool) == [play.context.name]
