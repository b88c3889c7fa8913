"""MONITOR: the lines of all nodes come to the client, and it ends with it."""

from kidoproxy.replication.group import IN_SYNC
from tests.session.handlers.leases import free
from tests.session.handlers.test_blocking import all_down
from tests.story import (
    LEASED,
    LEASED2,
    client,
    copies,
    given,
    gone,
    lost,
    node,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)

LINE = '+1.5 [0 1.2.3.4:5] "GET" "k"'


def test_monitor() -> None:
    """Lines of all nodes come to the client; keys cannot be asked meanwhile, a second MONITOR is not answered."""
    (
        story(ring("a", "b"))
        >> client("MONITOR") << to("a", "MONITOR", on=LEASED) << to("b", "MONITOR", on=LEASED)
        >> node("a", "+OK", on=LEASED) << silence()
        >> node("b", "+OK", on=LEASED) << to_client("+OK")
        >> node("a", LINE, on=LEASED) << to_client(LINE)
        >> node("b", LINE, LINE, on=LEASED) << to_client(LINE, LINE)
        >> client("MONITOR") << silence()
        >> client("GET {a}1") << to_client("-ERR Replica can't interact with the keyspace")
        >> client("PING") << to_client("+PONG")
        >> client("CLIENT INFO") << then(lambda play: b" flags=O " in play.client("me").received) << given(unheard)
        >> client("RESET") << to_client("+RESET") << free(0, 0) << then(lambda play: not play.proxy.monitors)
        >> client("GET {a}1") << to("a", "GET {a}1")
    )  # fmt: skip


def test_monitor_ends_with_its_client() -> None:
    """Nothing is left behind."""
    play = story(ring("a")) >> client("MONITOR") << to("a", "MONITOR", on=LEASED) >> node("a", "+OK", on=LEASED)
    play << to_client("+OK") >> gone() << free(0)
    assert not play.proxy.monitors


def test_monitor_survives_a_node() -> None:
    """A node that is lost is listened to again when it is back; the client keeps the others' lines."""
    (
        story(ring("a", "b"))
        >> client("MONITOR") << to("a", "MONITOR", on=LEASED) << to("b", "MONITOR", on=LEASED)
        >> node("a", "+OK", on=LEASED) >> node("b", "+OK", on=LEASED) << to_client("+OK")
        >> lost("a", on=LEASED)
        >> node("b", LINE, on=LEASED) << to_client(LINE)
        >> tick() << to("a", "MONITOR", on=LEASED2)
        >> node("a", "+OK", LINE, on=LEASED2) << to_client(LINE)
    )  # fmt: skip


def test_monitor_without_a_node() -> None:
    """With no node there is nothing to tell: the reason is given, and the client is as it was."""
    (
        story(ring("a", "b"))
        >> all_down
        >> client("MONITOR") << to_client("-NODEDOWN b b:6379 (gone)") << then(lambda play: not play.proxy.monitors)
        >> client("PING") << to_client("+PONG")
    )  # fmt: skip


def test_monitor_that_nodes_refuse() -> None:
    """One node that takes part is enough; if none does, the last one's own error is the answer."""
    (
        story(ring("a", "b"))
        >> client("MONITOR") << to("a", "MONITOR", on=LEASED) << to("b", "MONITOR", on=LEASED)
        >> node("a", "-NOPERM no", on=LEASED) << silence()
        >> node("b", "-NOPERM no", on=LEASED) << to_client("-NOPERM no") << free(0, 0)
        >> client("MONITOR") << to("a", "MONITOR", on=LEASED2) << to("b", "MONITOR", on=LEASED2)
        >> lost("a", on=LEASED2) << silence()
        >> lost("b", on=LEASED2)
        << to_client("-NODEDOWN b b:6379 (it closed the connection)") << free(0, 0)
    )  # fmt: skip


def test_pool_without_nodes_in_sync_still_monitors() -> None:
    """A copy pool's stream comes from all its copies."""
    pool = copies("a", "b", behind="b")
    play = story(pool) >> client("MONITOR") << to("a", "MONITOR", on=LEASED) << to("b", "MONITOR", on=LEASED)
    assert pool.groups[0].copies[0].state == IN_SYNC
    play << given(unheard)
