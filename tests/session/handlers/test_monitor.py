"""MONITOR: the lines of all nodes come to the client, and it ends with it."""

from kidoproxy.replication.group import IN_SYNC
from tests.session.handlers.test_blocking import all_down, free
from tests.story import (
    LANE,
    LANE2,
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
        >> client("MONITOR") << to("a", "MONITOR", on=LANE) << to("b", "MONITOR", on=LANE)
        >> node("a", "+OK", on=LANE) << silence()
        >> node("b", "+OK", on=LANE) << to_client("+OK")
        >> node("a", LINE, on=LANE) << to_client(LINE)
        >> node("b", LINE, LINE, on=LANE) << to_client(LINE, LINE)
        >> client("MONITOR") << silence()
        >> client("GET {a}1") << to_client("-ERR Replica can't interact with the keyspace")
        >> client("PING") << to_client("+PONG")
        >> client("CLIENT INFO") << then(lambda play: b" flags=O " in play.guest("me").heard) << given(unheard)
        >> client("RESET") << to_client("+RESET") << free(0, 0) << then(lambda play: not play.house.monitors)
        >> client("GET {a}1") << to("a", "GET {a}1")
    )  # fmt: skip


def test_monitor_ends_with_its_client() -> None:
    """Nothing is left behind."""
    play = story(ring("a")) >> client("MONITOR") << to("a", "MONITOR", on=LANE) >> node("a", "+OK", on=LANE)
    play << to_client("+OK") >> gone() << free(0)
    assert not play.house.monitors


def test_monitor_survives_a_node() -> None:
    """A node that is lost is listened to again when it is back; the client keeps the others' lines."""
    (
        story(ring("a", "b"))
        >> client("MONITOR") << to("a", "MONITOR", on=LANE) << to("b", "MONITOR", on=LANE)
        >> node("a", "+OK", on=LANE) >> node("b", "+OK", on=LANE) << to_client("+OK")
        >> lost("a", on=LANE)
        >> node("b", LINE, on=LANE) << to_client(LINE)
        >> tick() << to("a", "MONITOR", on=LANE2)
        >> node("a", "+OK", LINE, on=LANE2) << to_client(LINE)
    )  # fmt: skip


def test_monitor_without_a_node() -> None:
    """With no node there is nothing to tell: the reason is given, and the client is as it was."""
    (
        story(ring("a", "b"))
        >> all_down
        >> client("MONITOR") << to_client("-NODEDOWN b b:6379 (gone)") << then(lambda play: not play.house.monitors)
        >> client("PING") << to_client("+PONG")
    )  # fmt: skip


def test_monitor_that_nodes_refuse() -> None:
    """One node that takes part is enough; if none does, the last one's own error is the answer."""
    (
        story(ring("a", "b"))
        >> client("MONITOR") << to("a", "MONITOR", on=LANE) << to("b", "MONITOR", on=LANE)
        >> node("a", "-NOPERM no", on=LANE) << silence()
        >> node("b", "-NOPERM no", on=LANE) << to_client("-NOPERM no") << free(0, 0)
        >> client("MONITOR") << to("a", "MONITOR", on=LANE2) << to("b", "MONITOR", on=LANE2)
        >> lost("a", on=LANE2) << silence()
        >> lost("b", on=LANE2)
        << to_client("-NODEDOWN b b:6379 (it closed the connection)") << free(0, 0)
    )  # fmt: skip


def test_pool_without_nodes_in_sync_still_monitors() -> None:
    """A copy pool's stream comes from all its copies."""
    pool = copies("a", "b", behind="b")
    play = story(pool) >> client("MONITOR") << to("a", "MONITOR", on=LANE) << to("b", "MONITOR", on=LANE)
    assert pool.groups[0].copies[0].state == IN_SYNC
    play << given(unheard)
