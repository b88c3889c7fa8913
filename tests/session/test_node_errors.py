"""``node_errors``: what a client gets when a node gives no reply. "retry" says it behind LOADING, and nothing else."""

from collections.abc import Callable

import pytest

from kidoproxy.resp import limits
from tests.session.pubsub.pubsub_story import pubsub
from tests.story import (
    LEASED,
    Event,
    Pool,
    Story,
    client,
    copies,
    down,
    given,
    led_by,
    lost,
    node,
    refused,
    ring,
    story,
    tick,
    to_client,
    unheard,
)

KEY = led_by(copies("a", "b"), "a")


def two() -> Pool:
    """A ring of two nodes."""
    return ring("a", "b")


def softened() -> Pool:
    """The same, where a read of a node that is down finds nothing."""
    return ring("a", "b", miss_on_down=True)


def nested() -> Pool:
    """A ring over two copies, both of which a write wants, and a node."""
    return ring(copies("a", "d", name="a", min_in_sync=2), "b")


def pair() -> Pool:
    """Two copies, both of which a write wants."""
    return copies("a", "b", min_in_sync=2)


def one_copy_less(play: Story) -> None:
    """A copy has missed a write."""
    group = play.pool.groups[0]
    group.mark_behind([group.copies[1].node])


def crowded(play: Story) -> None:
    """As much waits for a node as may."""
    conn = play.connection("a")
    conn.reply_handlers += [conn.reply_handlers[0]] * limits.CONNECTION_QUEUE_REPLIES


def says(*texts: str, name: str = "me") -> Event:
    """The client says this, and what the nodes are asked does not matter."""

    def event(play: Story) -> None:
        client(*texts, name=name)(play)
        play.settle()
        for told in play.sent.values():
            told.clear()

    return event


def sized(name: str) -> Event:
    """The node says how much it has; what it is asked then does not matter."""

    def event(play: Story) -> None:
        node(name, "$0 ")(play)
        play.settle()
        play.sent[name].clear()

    return event


#: A pool, what happens, and (in the words of "fast") what the client gets last.
Case = tuple[Callable[[], Pool], list[Event], str]
DOWN = "-NODEDOWN a a:6379 (connection refused)\r\n"
LOST = "-NODEDOWN a a:6379 (it closed the connection)"
UNKNOWN = "; the write may have run, its outcome is unknown\r\n"
LATE = "-TIMEOUT a a:6379 (no reply in 500 ms)"
TOLD: list[Case] = [
    (two, [down("a"), says("GET {a}1")], DOWN),
    (two, [down("a"), says("INCR {a}1")], DOWN),
    (two, [down("a"), says("SUNION {a}1 {a}2")], DOWN),
    (two, [down("a"), says("EVAL x 1 {a}1")], DOWN),
    (two, [down("a"), says("EVALSHA 1234567890123456789012345678901234567890 1 {a}1")], DOWN),
    (two, [down("a"), says("BLPOP {a}1 0")], DOWN),
    (two, [down("a"), says("WATCH {a}1")], DOWN),
    (two, [down("a"), says("PUBLISH {a}1 x")], DOWN),
    (two, [down("a"), says("XREAD STREAMS {a}1 {b}1 0 0"), node("b", "$-1")], DOWN),
    (two, [down("a"), says("MGET {a}1 {b}1"), node("b", "*1 $-1")], DOWN),
    (two, [down("a", "b"), says("DBSIZE")], DOWN),
    (two, [down("a"), says("SCAN 0")], DOWN),
    (two, [says("NOPE"), lost("a")], LOST + "\r\n"),
    (two, [down("a"), says("PROXY NODE a GET {a}1")], DOWN),
    (two, [says("INCR {a}1"), lost("a")], LOST + UNKNOWN),
    (two, [says("RPUSH {a}1 x"), tick(1.0)], LATE + UNKNOWN),
    (two, [says("GET {a}1"), tick(1.0)], LATE + "\r\n"),
    (two, [says("BLPOP {a}1 0"), lost("a", on=LEASED)], LOST + UNKNOWN),
    (
        two,
        [says("GET {a}1", name="other"), given(crowded), says("GET {a}2")],
        "-OVERLOADED a a:6379 (its queue is full)\r\n",
    ),
    (
        two,
        [down("a"), says("MSET {a}1 x {b}1 y"), node("b", "+OK")],
        "-PARTIAL 'mset' failed for 1 of 2 keys on a (connection refused); 1 applied\r\n",
    ),
    (
        two,
        [down("a"), says("FLUSHDB"), sized("b"), node("b", "+OK")],
        "-PARTIAL 'flushdb' failed for 1 of 2 nodes on a (connection refused); 1 applied\r\n",
    ),
    (two, [down("a"), says("MULTI", "INCR {a}1", "GET {a}2", "EXEC")], "+OK\r\n+QUEUED\r\n+QUEUED\r\n" + DOWN),
    (
        two,
        [says("MULTI", "INCR {a}1", "EXEC"), lost("a")],
        LOST + UNKNOWN,
    ),
    (
        two,
        [down("a", "b"), says("MULTI", "INCR {a}1", "PING", "INCR {b}1", "EXEC")],
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n" + DOWN,
    ),
    (
        softened,
        [down("a"), says("MULTI", "INCR {a}1", "GET {a}2", "EXEC")],
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + DOWN,
    ),
    (softened, [down("a"), says("INCR {a}1")], DOWN),
    (pair, [refused("b"), says(f"SET {KEY} x"), node("a", "+OK"), given(unheard), says(f"SET {KEY} x")], "-NOREPLICAS"),
]
#: What is no node's fault, or stands where a client looks at each reply by itself, or must not be sent again.
PLAIN: list[Case] = [
    (two, [says("RENAME {a}1 {b}1")], "-CROSSSLOT"),
    (two, [says("NOPE"), node("a", "*1 *-1")], "-ERR unknown command"),
    (two, [says("GET {a}1"), node("a", "-WRONGTYPE no")], "-WRONGTYPE no\r\n"),
    (two, [says("GET {a}1"), node("a", "-LOADING soon")], "-LOADING soon\r\n"),
    (two, [says("SET {a}1 x"), node("a", "-OOM no")], "-OOM no\r\n"),
    (two, [down("a"), says("PROXY EACH GET {a}1")], "*1\r\n" + DOWN),
    (
        two,
        [down("a"), says("MULTI", "INCR {a}1", "INCR {b}1", "EXEC"), node("b", "+OK", "+QUEUED", "*1 :1")],
        f"*2\r\n{DOWN}:1\r\n",
    ),
    (
        two,
        [says("DEL {a}1 {b}1"), node("a", "-READONLY no"), node("b", ":1")],
        "-PARTIAL 'del' failed for 1 of 2 keys on a node (READONLY no); 1 applied\r\n",
    ),
    (
        nested,
        [
            says("MULTI", "SET {a}1 x", "INCR {b}1"),
            given(one_copy_less),
            says("EXEC"),
            node("b", "+OK", "+QUEUED", "*1 :1"),
        ],
        "*2\r\n-NOREPLICAS Not enough good replicas to write.\r\n:1\r\n",
    ),
    (softened, [down("a"), says("GET {a}1")], "$-1\r\n"),
    (pair, [says(f"SET {KEY} x"), refused("b"), node("a", "+OK")], "-NOREPLICAS the write was applied on a only"),
]


def heard(case: Case, as_loading: bool) -> str:
    """What the client gets last."""
    make, events, _ = case
    pool = make()
    pool.as_loading = as_loading
    play = story(pool)
    for event in events:
        play.client("me").received = b""
        play >> event
    found = play.client("me").received.decode()
    unheard(play)
    return found


def words(case: Case) -> str:
    """The name of a case: what is said last."""
    return f"{case[0].__name__}: {case[2][:40]!r}"


@pytest.mark.parametrize("case", TOLD, ids=words)
def test_retry(case: Case) -> None:
    """A node that gives no reply is a lost connection to client libraries: the same words behind LOADING.

    Of a transaction of which no node has run anything the words are the whole reply.
    """
    fast = heard(case, False)
    assert case[2] in fast
    before, _, rest = fast.partition("-")
    line = rest.partition("\r\n")[0]
    assert heard(case, True) == f"{before.partition('*')[0]}-LOADING {line}\r\n"


@pytest.mark.parametrize("case", PLAIN, ids=words)
def test_nothing_else(case: Case) -> None:
    """A wrong request, a node's own error, a node's place in a list, and what was done in part stay as they are."""
    assert case[2] in heard(case, False)
    assert heard(case, True) == heard(case, False)


def test_channels() -> None:
    """So is a subscription that its node does not confirm, or cannot."""
    pool = two()
    pool.as_loading = True
    (
        pubsub(pool)
        >> down("a")
        >> client("SUBSCRIBE {a}x")
        << to_client("-LOADING NODEDOWN a a:6379 (connection refused)")
    )
