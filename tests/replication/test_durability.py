"""A write is acknowledged when the record of who missed it is on disk; nothing else waits for the disk."""

import pytest

from kidoproxy.replication.group import CopyGroup
from kidoproxy.resp import limits
from tests.story import (
    Event,
    Pool,
    Story,
    client,
    copies,
    given,
    led_by,
    lost,
    node,
    ring,
    silence,
    story,
    then,
    to_client,
    unheard,
)

KEY = "SET k x"


def slow_disk(pool: Pool) -> Story:
    """Every group's record is being written for as long as the story wants."""

    def journal(group: CopyGroup) -> None:
        """Taken, and not on disk."""

    for group in pool.groups:
        group.journal = journal
    return story(pool)


def on_disk(version: int | None = None) -> Event:
    """The disk has taken the record."""

    def event(play: Story) -> None:
        group = play.pool.groups[0]
        group.durability.on_recorded(group.durability.latest_version if version is None else version)

    return given(event)


def at(seconds: float) -> Event:
    """The clock, after the write was decided."""
    return given(lambda play: play.pool.groups[0].durability.tick(200.0 + seconds))


def missed(play: Story) -> None:
    """One copy takes a write and the other one does not."""
    play.pool.groups[0].copies[1].node.live = True
    assert play >> client(KEY) << unheard >> node("a", "+OK") >> lost("b") << unheard


@pytest.mark.parametrize(
    ("request_text", "reply"), [(KEY, "+OK"), ("PROXY EACH SET k x", None), ("INCR k", ":1"), ("SET k x", "-ERR no")]
)
def test_waits(request_text: str, reply: str | None) -> None:
    """Whatever the client asked for, and whatever the copies said, the reply waits for the record."""
    pool = copies("a", "b")
    play = slow_disk(pool) >> client(request_text) << unheard
    assert play >> node("a", reply or "+OK") >> lost("b") << silence()
    assert play << then(lambda _: pool.groups[0].behind_names() == ["b"])
    wanted = "*2 +OK -NODEDOWN" if reply is None else reply
    on_disk()(play)
    play.settle()
    assert play.client("me").received.startswith(wanted.split(" ")[0].encode())


def test_reads_and_other_pools_do_not_wait() -> None:
    """A read of the same copies, and a write to another shard, are answered while the disk is busy."""
    pool = ring(copies("a", "b", name="s"), copies("c", "d", name="t"))
    play = slow_disk(pool) >> client("SET {s}1 x") << unheard >> node("a", "+OK") >> lost("b") << unheard
    assert play >> client("SET {t}1 x", name="other") << given(lambda one: one.sent["c"].clear())
    play.sent["d"].clear()
    assert play >> node("c", "+OK") >> node("d", "+OK") << to_client("+OK", name="other")
    key = led_by(copies("a", "b"), "a")
    assert play >> client("GET {s}1", name="other") << unheard >> node("a", "$1 x") << to_client("$1 x", name="other")
    assert key


def test_later_writes_wait_too() -> None:
    """A write that is decided while the record is being written has the same takers: it waits as well."""
    play = slow_disk(copies("a", "b"))
    missed(play)
    assert play >> client("SET l y", name="other") << unheard >> node("a", "+OK") << silence()
    assert play >> on_disk() << to_client("+OK") << to_client("+OK", name="other") << silence()


def test_each_version_releases_its_own() -> None:
    """A record that is older than the last change releases only the replies that it covers."""
    pool = copies("a", "b", "c")
    play = slow_disk(pool)
    assert play >> client(KEY) << unheard >> node("a", "+OK") >> node("c", "+OK") >> lost("b") << unheard
    assert play >> client("SET l y", name="other") << unheard
    for told in play.sent.values():
        told.clear()
    assert play >> node("a", "+OK") >> lost("c") << unheard
    assert pool.groups[0].durability.latest_version == 2
    assert play >> on_disk(version=1) << to_client("+OK") << silence()
    assert play >> on_disk(version=2) << to_client("+OK", name="other") << silence()
    assert pool.groups[0].durability.is_current()


def test_a_disk_that_hangs() -> None:
    """After a while the client gets an unknown outcome; the next write waits anew."""
    play = slow_disk(copies("a", "b"))
    missed(play)
    unknown = "-TIMEOUT a a:6379 (the record of pair's copies is not on disk yet); the write may have run"
    assert play >> at(0.0) >> at(limits.RECORD_DURABLE_SECONDS - 0.1) << silence()
    assert play >> at(limits.RECORD_DURABLE_SECONDS) << to_client(f"{unknown}, its outcome is unknown")
    assert play >> on_disk() << silence()


def test_a_client_that_has_gone() -> None:
    """Nobody waits for its reply any more."""
    play = slow_disk(copies("a", "b"))
    missed(play)
    play.client("me").session.on_disconnect()
    assert play >> on_disk() << silence()


def test_a_record_that_cannot_be_written() -> None:
    """The write under way hears that its outcome is unknown; later ones are refused unsent, until the disk is back."""
    play = slow_disk(copies("a", "b"))
    missed(play)
    durability = play.pool.groups[0].durability
    durability.on_record_failed("disk full")
    assert play >> at(0.0) >> at(limits.RECORD_DURABLE_SECONDS)
    heard, play.client("me").received = play.client("me").received, b""
    assert heard.startswith(b"-TIMEOUT a ")
    refusal = "-MISCONF nothing was written: the record of pair's copies cannot be put on disk (disk full)"
    assert play >> client("SET l y") << to_client(refusal) << silence()
    key = led_by(play.pool, "a")
    assert play >> client(f"GET {key}") << unheard >> node("a", "$1 x") << to_client("$1 x")
    assert durability.failures == 1
    assert play >> on_disk() >> client("SET l y") << unheard >> node("a", "+OK") << to_client("+OK")
