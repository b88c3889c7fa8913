"""A reply in part: it has as much time as its bytes need on a slow network, and no more; and a bound in bytes."""

from collections.abc import Iterator

import pytest

from kidoproxy.replies.handler import ONE_RETRY
from kidoproxy.resp import limits
from kidoproxy.upstream.handshake import ConnectionOptions
from tests.story import (
    Story,
    client,
    closed,
    copies,
    given,
    lost,
    node,
    open_still,
    refused,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
)
from tests.upstream.rig import LATE, PING, Rig


class PartialRig:
    """A ready connection with one open request, whose client's turn it is, or is not."""

    def __init__(self, turn: bool) -> None:
        rig = Rig()
        self.replies = rig.replies
        self.conn = rig.conn
        if not turn:
            self.replies.open_pending(None)
        self.request = self.replies.open_pending(None)
        self.request.retries_left = ONE_RETRY
        self.request.payload = PING
        self.conn.submit(self.request, PING, 2, 0, 0.0)
        self.forwarded_bytes = 0

    def lifetime(self, pieces: Iterator[bytes], pause: float) -> float:
        """How long the connection is kept while these come, one every ``pause`` seconds."""
        now = 0.0
        for piece in pieces:
            self.conn.feed(piece, now)
            self.forwarded_bytes += sum(map(len, self.replies.take_output()))
            for _ in range(round(pause / 0.05)):
                now += 0.05
                self.conn.tick(now)
            if not self.conn.is_ready():
                return now
        raise AssertionError("it is kept for ever")


def endless(head: bytes, piece: bytes) -> Iterator[bytes]:
    """A reply whose end never comes."""
    yield head
    for _ in range(100_000):
        yield piece


HEADS = [b"$500000000\r\n", b"*100000000\r\n", b"+", b"%7000000\r\n", b"*2\r\n" * 1000, b"|100000\r\n"]


@pytest.mark.parametrize("turn", [True, False])
@pytest.mark.parametrize("head", HEADS)
def test_dribbling(head: bytes, turn: bool) -> None:
    """A byte now and then, for ever: whatever it is of, the connection is given up within seconds."""
    piece = {b"*": b":1\r\n", b"%": b":1\r\n", b"|": b":1\r\n"}.get(head[:1], b"x")
    rig = PartialRig(turn)
    assert rig.lifetime(endless(head, piece), 0.1) < 5.0
    assert rig.conn.node.failure_counts["reply never ended"] == 1


@pytest.mark.parametrize("turn", [True, False])
def test_a_slow_network(turn: bool) -> None:
    """A large reply that comes as fast as a slow network brings it is waited for: held, or passed on."""
    rig = PartialRig(turn)
    piece = b"x" * 100_000
    now = 0.0
    rig.conn.feed(b"$5000000\r\n", now)
    for _ in range(50):
        rig.conn.feed(piece, now)
        for _ in range(8):
            now += 0.05
            rig.conn.tick(now)
    rig.conn.feed(b"\r\n", now)
    assert rig.conn.is_ready()
    assert (rig.request.reply is not None, rig.request.partly_sent) == (True, turn)


@pytest.mark.parametrize("late", [True, False])
def test_what_is_held_ends_in_time(late: bool) -> None:
    """However fast it comes, nobody waits for ever for a reply that cannot be passed on, or that nobody wants now."""
    rig = PartialRig(late)
    rig.request.is_answered = late
    assert rig.lifetime(endless(b"$400000000000\r\n", b"x" * 10_000), 0.05) < limits.HELD_REPLY_SECONDS + 3


#: One piece, held many times over, costs nothing.
MUCH = b"x" * (64 << 20)


def test_what_is_held_has_a_bound_in_bytes() -> None:
    """Out of turn, or a part: its client gets an error, what is left is discarded, and its neighbours are answered."""
    rig = PartialRig(False)
    behind = rig.replies.open_pending(None)
    rig.conn.submit(behind, PING, 2, 0, 0.0)
    rig.conn.feed(b"$%d\r\n" % (20 * len(MUCH)), 0.0)
    for _ in range(20):
        rig.conn.feed(MUCH, 0.0)
        assert rig.conn.reader.held_bytes() <= ConnectionOptions().max_queue_bytes + len(MUCH)
    rig.conn.feed(b"\r\n+OK\r\n", 0.0)
    assert rig.request.reply == b"-OVERLOADED a a:6379 (its reply is larger than 1024 MiB)\r\n"
    assert behind.reply == b"+OK\r\n"
    assert rig.conn.node.failure_counts == {"reply too long": 1}


@pytest.mark.parametrize("turn", [True, False])
def test_what_passes_has_a_bound_in_bytes(turn: bool) -> None:
    """To a client or to nobody: it does not go on for ever, and it is not asked for again."""
    rig = PartialRig(turn)
    rig.lifetime(endless(b"$400000000000\r\n", MUCH), 0.0)
    assert rig.forwarded_bytes <= limits.MAX_CUT_THROUGH_BYTES + len(MUCH)
    assert rig.conn.queue == []
    assert bool(rig.replies.disconnect_reason) is turn


def test_pushes_have_bounds_too() -> None:
    """An endless message is nobody's reply, and is held no longer than one."""
    rig = PartialRig(True)
    rig.conn.feed(b"+OK\r\n", 0.0)
    rig.lifetime(endless(b">3\r\n$7\r\nmessage\r\n$400000000000\r\n", MUCH), 0.0)
    assert rig.conn.node.failure_counts["reply too long"] == 1


def test_each_reply_has_time_of_its_own() -> None:
    """A stream of messages that never pauses between two reads is no reply without an end."""
    rig = PartialRig(True)
    rig.conn.feed(b"+OK\r\n", 0.0)
    message = b">2\r\n$1\r\nx\r\n$1\r\ny\r\n"
    now = 0.0
    rig.conn.feed(message[:9], now)
    for _ in range(400):
        now += 0.05
        rig.conn.feed(message[9:] + message[:9], now)
        rig.conn.tick(now)
    assert rig.conn.is_ready()


# -- large replies that leave piece by piece --------------------------------------------------------


BODY = b"x" * 100_000


HEAD = b"$100000\r\n"


def test_cut_through() -> None:
    """A large reply leaves piece by piece when it is its client's turn, and its deadline moves along."""
    (
        story(ring("a"))
        >> client("GET {a}1", "PING") << to("a", "GET {a}1")
        >> node("a", HEAD + BODY[:50_000]) << to_client(HEAD + BODY[:50_000])
        >> tick(0.4) >> node("a", BODY[50_000:90_000]) << to_client(BODY[50_000:90_000])
        >> tick(0.4) >> node("a", BODY[90_000:] + b"\r\n") << to_client(BODY[90_000:] + b"\r\n+PONG\r\n") << silence()
    )  # fmt: skip


def test_no_cut_through_out_of_turn() -> None:
    """A large reply whose turn it is not waits; so does one that is part of another."""
    (
        story(ring("a", "b"))
        >> client("GET {b}1", "GET {a}1") << to("b", "GET {b}1") << to("a", "GET {a}1")
        >> node("a", HEAD + BODY[:50_000]) << silence()
        >> node("b", "$-1") << to_client("$-1")
        >> node("a", BODY[50_000:] + b"\r\n") << to_client(HEAD + BODY + b"\r\n")
        >> client("MGET {a}1 {b}1") << to("a", "MGET {a}1") << to("b", "MGET {b}1")
        >> node("a", b"*1\r\n" + HEAD + BODY[:50_000]) << silence()
        >> node("b", "*1 $-1") >> node("a", BODY[50_000:] + b"\r\n")
        << to_client(b"*2\r\n" + HEAD + BODY + b"\r\n$-1\r\n") << silence()
    )  # fmt: skip


def test_node_dies_in_a_reply() -> None:
    """Half a reply has left and its rest will never come: that client is cut, and the read is not asked again."""
    (
        story(ring("a"))
        >> client("GET {a}1") << to("a", "GET {a}1")
        >> client("GET {a}2", name="you") << to("a", "GET {a}2")
        >> node("a", HEAD + BODY[:50_000]) << to_client(HEAD + BODY[:50_000]) << open_still()
        >> lost("a") << closed() << to("a", "GET {a}2") >> node("a", "$-1") << to_client("$-1", name="you")
        << silence()
    )  # fmt: skip


def test_node_dies_in_a_reply_of_a_pool_with_miss_on_down() -> None:
    """Nor is a miss put behind half a reply."""
    (
        story(ring("a", miss_on_down=True))
        >> client("GET {a}1") << to("a", "GET {a}1")
        >> node("a", HEAD + BODY[:50_000]) << to_client(HEAD + BODY[:50_000])
        >> refused("a") << closed() << silence()
    )  # fmt: skip


def test_node_dies_in_a_reply_of_a_copy() -> None:
    """Nor is another copy asked for the rest."""
    (
        story(copies("a", "b"))
        >> client("GET k") << given(lambda play: to(leader(play), "GET k")(play))
        >> given(lambda play: node(leader(play), HEAD + BODY[:50_000])(play)) << to_client(HEAD + BODY[:50_000])
        >> given(lambda play: lost(leader(play))(play)) << closed() << silence()
    )  # fmt: skip


def leader(play: Story) -> str:
    """Who is read for the key ``k``."""
    return play.pool.groups[0].ranked_copies(b"k")[0].node.name


def test_late_large_reply() -> None:
    """A large reply that nobody waits for any more is not collected."""
    (
        story(ring("a"))
        >> client("GET {a}1") << to("a", "GET {a}1") >> tick(0.6) << to_client(LATE)
        >> node("a", HEAD + BODY[:50_000]) << then(lambda play: play.connection("a").reader.held_bytes() == 0)
        >> client("GET {a}2") << to("a", "GET {a}2")
        >> node("a", BODY[50_000:] + b"\r\n", "$1 x") << to_client("$1 x") << silence()
    )  # fmt: skip
