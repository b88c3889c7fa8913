"""Blocking commands: each on a dedicated connection, and nothing is lost, doubled or left behind."""

from kidoproxy.resp import limits
from kidoproxy.session import cleanup
from tests.session.handlers.leases import free, leased_and_free
from tests.story import (
    LEASED,
    LEASED2,
    Event,
    Story,
    accepted,
    client,
    closed,
    copies,
    given,
    gone,
    greeted,
    led_by,
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
    unheard,
)

POPPED = "*2 $4 {a}q $1 x"


def test_blocking_command_has_a_dedicated_connection() -> None:
    """A blocking command has a dedicated connection, others go on using the shared one; later it is used again."""
    (
        story(ring("a", "b"))
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED) << silence()
        >> client("GET {a}1", name="other") << to("a", "GET {a}1")
        >> node("a", "$1 1") << to_client("$1 1", name="other")
        >> healthy(60)
        >> node("a", POPPED, on=LEASED) << to_client(POPPED) << free(1, 0)
        >> client("BRPOP {a}q 1") << to("a", "BRPOP {a}q 1", on=LEASED)
        >> node("a", "*-1", on=LEASED) << to_client("*-1") << free(1, 0) << silence()
    )  # fmt: skip


def pings(play: Story) -> None:
    """The shared connections send PINGs while time goes by; that does not matter here."""
    for told in play.sent.values():
        assert all(one.raw.endswith(b"PING\r\n") and one.key == (2, 0) for one in told)
        told.clear()


def healthy(seconds: float) -> Event:
    """Time goes by, and the nodes give their signs of life."""

    def event(play: Story) -> None:
        for _ in range(round(seconds)):
            tick(1)(play)
            for name, told in play.sent.items():
                node(name, *["+PONG"] * len(told))(play)
            pings(play)

    return event


def test_what_follows_waits() -> None:
    """A server reads nothing from a client that blocks: requests behind it are sent when it is answered."""
    (
        story(ring("a", "b"))
        >> client("GET {b}1", "BLPOP {a}q 0", "SET {a}1 v", "GET {b}2") << to("b", "GET {b}1") << silence()
        >> node("b", "$1 1") << to_client("$1 1") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> client("GET {a}3") << silence()
        >> node("a", POPPED, on=LEASED) << to_client(POPPED) << to("a", "SET {a}1 v", "GET {a}3") << to("b", "GET {b}2")
        >> node("a", "+OK", "$-1") << to_client("+OK")
        >> node("b", "$-1") << to_client("$-1", "$-1") << silence()
    )  # fmt: skip


def test_two_clients_two_connections() -> None:
    """Each client that waits has a dedicated connection; what one gets is nobody else's."""
    (
        story(ring("a"))
        >> client("BLPOP {a}q 0", name="one") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> client("BLPOP {a}q 0", name="two") << to("a", "BLPOP {a}q 0", on=LEASED2)
        >> node("a", POPPED, on=LEASED2) << to_client(POPPED, name="two")
        >> node("a", POPPED, on=LEASED) << to_client(POPPED, name="one") << free(2)
        >> tick(limits.IDLE_DEDICATED_SECONDS + 1) << pings << free(0)
    )  # fmt: skip


def test_keys_must_meet() -> None:
    """A pop from lists on several nodes would be two pops: it is refused."""
    (
        story(ring("a", "b"))
        >> client("BLPOP {a}q {b}q 0")
        << to_client(
            "-CROSSSLOT Keys in request don't hash to the same node (command='blpop', first-key='{a}q', "
            "violating-key='{b}q')"
        )
        >> client("BLPOP {a}q 0", "PING") << to("a", "BLPOP {a}q 0", on=LEASED)
    )  # fmt: skip


def test_client_goes_while_it_waits() -> None:
    """Its waiting is ended at once: a node must not pop for somebody who is gone. The connection is used again."""
    (
        story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> gone() << to("a", "CLIENT UNBLOCK 101 ERROR")
        >> node("a", ":1") << silence()
        >> node("a", "-UNBLOCKED no", on=LEASED) << free(1) << silence()
    )  # fmt: skip


def test_client_is_killed_while_it_waits() -> None:
    """CLIENT KILL does not wait for what the client waits for."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    number = play.client("me").session.id
    play >> client(f"CLIENT KILL ID {number}", name="other") << to_client(":1", name="other") << closed()
    (play << to("a", "CLIENT UNBLOCK 101 ERROR") >> node("a", "-UNBLOCKED no", on=LEASED) >> node("a", ":1") << free(1))


def test_node_dies_while_a_client_waits() -> None:
    """A blocked client gets an error at once, its outcome unknown; the next attempt has a new connection."""
    (
        story(ring("a"))
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> lost("a", on=LEASED)
        << to_client(
            "-NODEDOWN a a:6379 (it closed the connection); the write may have run, its outcome is unknown"
        )
        << free(0) << open_still()
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED2)
    )  # fmt: skip


def test_node_is_found_down_while_a_client_waits() -> None:
    """A node that is silent is noticed by its shared connection; dedicated connections to it are then given up too."""
    (
        story(ring("a"))
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> client("GET {a}1", name="other") << to("a", "GET {a}1")
        >> refused("a", "no reply") << to_client("-NODEDOWN a a:6379 (no reply)", name="other")
        >> tick()
        << to_client("-NODEDOWN a a:6379 (no reply); the write may have run, its outcome is unknown") << free(0)
        >> client("BLPOP {a}q 0") << to_client("-NODEDOWN a a:6379 (no reply)") << free(0)
    )  # fmt: skip


def test_deadline_counts_from_the_time_out() -> None:
    """A node may take as long as the request says, and the usual deadline more; then the connection is cut."""
    (
        story(ring("a"))
        >> client("BLPOP {a}q 2") << to("a", "BLPOP {a}q 2", on=LEASED)
        >> tick(2.4) << pings << silence()
        >> tick(0.2) << pings
        << to_client("-TIMEOUT a a:6379 (no reply in 500 ms); the write may have run, its outcome is unknown")
        << free(0) << open_still()
    )  # fmt: skip


def test_no_more_dedicated_connections_than_the_bound() -> None:
    """The next client is refused at once and says why; when a dedicated connection is free it is served."""
    play = story(ring("a"))
    play.proxy.dedicated_pool.max_per_node = 1
    (
        play
        >> client("BLPOP {a}q 0", name="one") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> client("BLPOP {a}q 0", name="two")
        << to_client("-OVERLOADED a a:6379 (all of its 1 lanes are in use)", name="two")
        >> node("a", POPPED, on=LEASED) << to_client(POPPED, name="one")
        >> client("BLPOP {a}q 0", name="two") << to("a", "BLPOP {a}q 0", on=LEASED)
    )  # fmt: skip


def test_a_rush_of_connections_is_not_kept() -> None:
    """Of many dedicated connections that come back a few are kept."""
    play = story(ring("a"))
    count = limits.IDLE_DEDICATED_PER_NODE + 3
    for at in range(count):
        play >> client("BLPOP {a}q 0", name=f"c{at}") << to("a", "BLPOP {a}q 0", on=(-1 - at, 0))
    for at in range(count):
        play >> node("a", POPPED, on=(-1 - at, 0)) << to_client(POPPED, name=f"c{at}")
    play << free(count) >> tick() << free(limits.IDLE_DEDICATED_PER_NODE)


def test_a_kept_connection_that_died_is_not_leased() -> None:
    """A node may close what is idle: the next client gets a fresh connection."""
    (
        story(ring("a"))
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> node("a", POPPED, on=LEASED) << to_client(POPPED)
        >> lost("a", on=LEASED)
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED2) << free_of_dead()
    )  # fmt: skip


def free_of_dead() -> Event:
    """One dedicated connection is leased, none is kept, and no other is known."""
    return then(lambda play: leased_and_free(play) == ([1], [0]) and len(play.executor.unshared_connections) == 1)


def test_dedicated_connections_change_protocol_and_database() -> None:
    """A dedicated connection is leased to any client: it changes its mode on the way."""
    (
        story(ring("a"))
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> node("a", POPPED, on=LEASED) << to_client(POPPED)
        >> client("SELECT 3", name="two") << to_client("+OK", name="two")
        >> client("BLPOP {a}q 0", name="two") << to("a", "SELECT 3", on=LEASED)
        >> node("a", "+OK", on=LEASED) << to("a", "BLPOP {a}q 0", on=LEASED)
        >> node("a", POPPED, on=LEASED) << to_client(POPPED, name="two")
    )  # fmt: skip


def test_xread_with_and_without_block() -> None:
    """Without BLOCK it is an ordinary read on the shared connection."""
    (
        story(ring("a", "b"))
        >> client("XREAD STREAMS {a}s 0", "GET {b}1") << to("a", "XREAD STREAMS {a}s 0") << to("b", "GET {b}1")
        >> node("a", "*-1") << to_client("*-1") >> node("b", "$-1") << to_client("$-1")
        >> client("XREAD BLOCK 10 STREAMS {a}s $") << to("a", "XREAD BLOCK 10 STREAMS {a}s $", on=LEASED)
        >> node("a", "*-1", on=LEASED) << to_client("*-1")
    )  # fmt: skip


def test_wait_is_asked_of_all() -> None:
    """WAIT: the fewest replicas of any node; a mark before it makes the connection wait for all earlier writes."""
    mark = b"*3\r\n$7\r\nPUBLISH\r\n$16\r\n__kidoproxy:mark\r\n$0\r\n\r\n"
    (
        story(ring("a", "b"))
        >> client("SET {a}1 v", "WAIT 1 100") << to("a", "SET {a}1 v")
        >> node("a", "+OK") << to_client("+OK")
        << to("a", mark, "WAIT 1 100", on=LEASED) << to("b", mark, "WAIT 1 100", on=LEASED)
        >> node("a", ":0", ":2", on=LEASED) << silence()
        >> node("b", ":0", ":1", on=LEASED) << to_client(":1") << free(1, 1)
    )  # fmt: skip


def test_wait_without_its_mark() -> None:
    """A node that refuses the mark would count replicas that do not have this client's writes: it is an error."""
    play = story(ring("a", "b")) >> client("WAIT 1 100") << given(lambda play: play.sent["a"].clear())
    (play << given(unheard) >> node("b", ":0", ":1", on=LEASED) >> node("a", "-NOPERM no", ":1", on=LEASED))
    play << to_client("-NOPERM no") << free(1, 1)


def test_in_a_transaction_nothing_waits() -> None:
    """Inside MULTI a pop does not wait, so it goes the way of all others; in a copy pool it is repeated by all."""
    (
        story(ring("a"))
        >> client("MULTI", "BLPOP {a}q 0", "EXEC") << to_client("+OK", "+QUEUED")
        << to("a", "MULTI", "BLPOP {a}q 0", "EXEC")
        >> node("a", "+OK", "+QUEUED", "*1 *-1") << to_client("*1 *-1")
    )  # fmt: skip
    (
        story(copies("a", "b"))
        >> client("MULTI", "BLPOP q 0", "EXEC") << to_client("+OK", "+QUEUED")
        << to("a", "MULTI", "BLPOP q 0", "EXEC") << to("b", "MULTI", "BLPOP q 0", "EXEC")
    )  # fmt: skip


def test_copies() -> None:
    """In a copy pool XREAD waits on one copy, and on the next if that one fails."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"XREAD BLOCK 0 STREAMS {key} 1-1") << to("a", f"XREAD BLOCK 0 STREAMS {key} 1-1", on=LEASED)
        >> lost("a", on=LEASED) << to("b", f"XREAD BLOCK 0 STREAMS {key} 1-1", on=LEASED)
        >> node("b", "*-1", on=LEASED) << to_client("*-1") << free(0, 1)
    )  # fmt: skip


def test_copies_count_as_replicas() -> None:
    """WAIT in a copy pool: as many as are in sync beside the one; every write that was answered is there."""
    (
        story(copies("a", "b", "c", behind="c"))
        >> client("WAIT 5 0") << to_client(":1")
        >> client("WAIT x 0") << to_client("-ERR value is not an integer or out of range")
        >> client("WAIT 1 x") << to_client("-ERR value is not an integer or out of range")
    )  # fmt: skip


def test_large_reply_on_a_dedicated_connection_is_cut_through() -> None:
    """What is large leaves piece by piece, as on any connection."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    size = limits.MIN_CUT_THROUGH_BYTES
    head = b"*2\r\n$4\r\n{a}q\r\n$%d\r\n" % (2 * size)
    play >> node("a", head + b"x" * size, on=LEASED) << to_client(head + b"x" * size)
    play >> node("a", b"x" * size + b"\r\n", on=LEASED) << to_client(b"x" * size + b"\r\n") << free(1)


def everybody_leaves(play: Story) -> None:
    """The process is about to end."""
    for me in play.clients.values():
        cleanup.drain(me.session)


def all_down(play: Story) -> None:
    """Every node has been found to be gone."""
    for one in play.pool.nodes:
        one.live = False
        one.cause = "gone"


def test_leave() -> None:
    """When the process ends, clients that wait are let go as if their time were over; others are left alone."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    (
        play
        >> client("PING", name="other") << to_client("+PONG", name="other")
        >> everybody_leaves
        << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
        >> node("a", "*-1", on=LEASED) << to_client("*-1")
    )  # fmt: skip


def test_quiet_client_blocks_too() -> None:
    """CLIENT REPLY OFF hides the answer, not the waiting."""
    (
        story(ring("a"))
        >> client("CLIENT REPLY OFF", "BLPOP {a}q 0", "GET {a}1") << to("a", "BLPOP {a}q 0", on=LEASED) << silence()
        >> node("a", POPPED, on=LEASED) << to("a", "GET {a}1")
    )  # fmt: skip


def test_pool_with_miss_on_down_has_no_false_nothing() -> None:
    """``on_down = "miss"`` makes no empty list of a queue that cannot be asked."""
    (
        story(ring("a", miss_on_down=True))
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> lost("a", on=LEASED)
        << then(lambda play: play.client("me").received.startswith(b"-NODEDOWN")) << given(unheard)
        >> all_down
        >> client("XREAD BLOCK 0 STREAMS {a}s 0")
        << then(lambda play: play.client("me").received.startswith(b"-NODEDOWN")) << given(unheard)
    )  # fmt: skip


def test_client_list_shows_it() -> None:
    """Flags, and the number of blocked clients in INFO."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    play >> client("CLIENT LIST", name="other")
    assert b" flags=b " in play.client("other").received
    play << given(unheard)


def test_who_waits_is_known_to_the_node() -> None:
    """A client counts as blocked once its node has the command: who looks first, and then pushes, comes after it."""
    play = story(ring("a", "b"), shy=True)
    play >> client("XREAD BLOCK 0 STREAMS {a}s {b}s $ $")
    seen = []
    for step in (
        accepted("a", on=LEASED),
        node("a", "$9 kidoproxy", ":101", on=LEASED),
        greeted("b", on=LEASED),
    ):
        seen.append(play.proxy.blocked_clients(play.context))
        play >> step << given(unheard)
    assert seen == [0, 0, 0]
    assert play.proxy.blocked_clients(play.context) == 1
    play >> node("a", "*0", on=LEASED) >> node("b", "*0", on=LEASED)
    assert play.proxy.blocked_clients(play.context) == 0
    play << given(unheard)
