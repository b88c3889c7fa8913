"""Blocking commands: each on a dedicated connection, and nothing is lost, doubled or left behind."""

import pytest

from kidoproxy.replication.group import IN_SYNC
from kidoproxy.resp import limits
from kidoproxy.session import cleanup
from tests.greet import HANDSHAKE, LEASED_HANDSHAKE
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
    leased,
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


def leased_and_idle(play: Story) -> tuple[list[int], list[int]]:
    """How many dedicated connections are leased, and how many are idle, by node."""
    return leased(play), [len(server.idle) for server in play.executor.servers]


def free(*idle: int) -> Event:
    """No dedicated connection is leased, and so many are kept, by node."""
    return then(lambda play: leased_and_idle(play) == ([0] * len(idle), list(idle)))


# -- waiting -------------------------------------------------------------------------------------------------


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


def test_unblock() -> None:
    """CLIENT UNBLOCK is put to the node, which decides: what has just come is not lost. The connection stays clean."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    number = play.client("me").session.id
    (
        play
        >> client(f"CLIENT UNBLOCK {number} error", name="other")
        << to_client(":1", name="other") << to("a", "CLIENT UNBLOCK 101 ERROR")
        >> node("a", ":1") >> node("a", "-UNBLOCKED no", on=LEASED) << to_client("-UNBLOCKED no") << free(1)
        >> client(f"CLIENT UNBLOCK {number}", name="other") << to_client(":0", name="other")
        >> client("CLIENT UNBLOCK 99", name="other") << to_client(":0", name="other")
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> client(f"CLIENT UNBLOCK {number}", name="other")
        << to_client(":1", name="other") << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
        >> node("a", POPPED, on=LEASED) << to_client(POPPED)
        >> node("a", ":0") << free(1) << silence()
    )  # fmt: skip


@pytest.mark.parametrize("bad", [node("a", "-NOPERM no"), lost("a")])
def test_unblock_that_the_node_refuses(bad: Event) -> None:
    """If the node cannot be told, the connection is cut: better an unknown outcome than a client that hangs."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    number = play.client("me").session.id
    play >> client(f"CLIENT UNBLOCK {number}", name="other")
    play << to_client(":1", name="other") << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
    play >> bad
    heard = play.client("me").received
    assert heard.startswith(b"-NODEDOWN a a:6379 (")
    assert heard.endswith(b"its outcome is unknown\r\n")
    play << given(unheard) << free(0)


def test_unblock_after_the_answer_has_come() -> None:
    """The node's refusal comes when nothing waits any more: nothing happens."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    number = play.client("me").session.id
    play >> client(f"CLIENT UNBLOCK {number}", name="other")
    play << to_client(":1", name="other") << to("a", "CLIENT UNBLOCK 101 TIMEOUT")
    (play >> node("a", POPPED, on=LEASED) << to_client(POPPED) >> node("a", "-NOPERM no") << free(1) << silence())


@pytest.mark.parametrize(
    ("asked", "reason", "said"),
    [
        ("BLPOP {a}q 0", "TIMEOUT", "*-1"),
        ("BLPOP {a}q 0", "ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        ("WAIT 1 0", "TIMEOUT", ":0"),
        ("WAITAOF 1 1 0", "TIMEOUT", "*2 :0 :0"),
    ],
)
def test_unblock_before_the_connection_is_ready(asked: str, reason: str, said: str) -> None:
    """Before the handshake nothing was sent: the connection is closed, and the client gets what a node would say."""
    play = story(ring("a"), shy=True) >> client(asked)
    number = play.client("me").session.id
    play >> client(f"CLIENT UNBLOCK {number} {reason}", name="other") << to_client(":1", name="other")
    play << to_client(said) << free(0)


def test_unblock_of_a_connection_without_a_client_id() -> None:
    """A node whose ACL hides our own number from us cannot be told whom to let go: the connection is cut."""
    play = (
        story(ring("a"), shy=True)
        >> client("BLPOP {a}q 0")
        >> accepted("a", on=LEASED)
        << to("a", *LEASED_HANDSHAKE, on=LEASED)
    )
    play >> node("a", "$9 kidoproxy", "-NOPERM no", on=LEASED) << to("a", "BLPOP {a}q 0", on=LEASED)
    number = play.client("me").session.id
    play >> client(f"CLIENT UNBLOCK {number}", name="other") << to_client(":1", name="other")
    assert b"its outcome is unknown" in play.client("me").received
    play << given(unheard) << free(0)


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
    return then(lambda play: leased_and_idle(play) == ([1], [0]) and len(play.executor.unshared_connections) == 1)


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
    """In a copy pool XREAD waits on one copy, and on the next if that one fails; pops that wait are refused."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"XREAD BLOCK 0 STREAMS {key} 1-1") << to("a", f"XREAD BLOCK 0 STREAMS {key} 1-1", on=LEASED)
        >> lost("a", on=LEASED) << to("b", f"XREAD BLOCK 0 STREAMS {key} 1-1", on=LEASED)
        >> node("b", "*-1", on=LEASED) << to_client("*-1") << free(0, 1)
        >> client("BLPOP q 0")
        << to_client(
            "-ERR 'blpop' is not served here: each copy would pop at a moment of its own; "
            "use its twin that does not wait"
        )
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


def test_soft_pool_has_no_false_nothing() -> None:
    """``on_down = "miss"`` makes no empty list of a queue that cannot be asked."""
    (
        story(ring("a", soft=True))
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


# -- scripts that never end ----------------------------------------------------------------------------------

BUSY = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
NOTBUSY = "-NOTBUSY No scripts in execution right now."


UNKNOWN_END = "-NODEDOWN a a:6379 (it closed the connection); the write may have run, its outcome is unknown"
EACH_KILLED = b"*2\r\n" + NOTBUSY.encode() + b"\r\n+OK\r\n"


def no_links_past() -> Event:
    """The connections past all others are closed."""
    return then(
        lambda play: (
            not any(server.out_of_band for server in play.executor.servers) and not play.executor.unshared_connections
        )
    )


@pytest.mark.parametrize("kill", ["SCRIPT KILL", "FUNCTION KILL"])
def test_kill_goes_past_the_script(kill: str) -> None:
    """A KILL does not wait behind the script that it is meant for; one node that obeys is enough."""
    (
        story(ring("a", "b"))
        >> client("EVAL x 1 {a}1") << to("a", "EVAL x 1 {a}1")
        >> client(kill, "PING", name="you") << to("a", kill, on=LEASED) << to("b", kill, on=LEASED)
        >> node("b", NOTBUSY, on=LEASED) << silence()
        >> node("a", "+OK", on=LEASED) << to_client("+OK", "+PONG", name="you")
        >> node("a", "-ERR killed") << to_client("-ERR killed")
        >> tick() << no_links_past()
        >> client(kill, name="you") << to("a", kill, on=LEASED2) << to("b", kill, on=LEASED2)
        >> node("a", NOTBUSY, on=LEASED2) >> node("b", NOTBUSY, on=LEASED2) << to_client(NOTBUSY, name="you")
    )  # fmt: skip


def test_kill_reaches_a_busy_node() -> None:
    """A node that answers BUSY to the handshake of shared connections is down; the KILL is sent to it all the same."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> accepted("a") << to("a", *HANDSHAKE) >> node("a", BUSY, BUSY, BUSY)
        << to_client(f"-NODEDOWN a a:6379 ({BUSY[1:]})")
        >> client("SCRIPT KILL") >> tick() >> accepted("a", on=LEASED) << to("a", *LEASED_HANDSHAKE, on=LEASED)
        >> tick() >> node("a", BUSY, BUSY, on=LEASED) << to("a", "SCRIPT KILL", on=LEASED)
        >> tick() >> node("a", "+OK", on=LEASED) << to_client("+OK") >> tick() << no_links_past()
    )  # fmt: skip


def test_many_kills_share_a_link() -> None:
    """However many clients send KILL, a node has one such connection; when it is lost, the next KILL opens another."""
    (
        story(ring("a"))
        >> client("SCRIPT KILL") << to("a", "SCRIPT KILL", on=LEASED)
        >> client("FUNCTION KILL", name="you") << to("a", "FUNCTION KILL", on=LEASED)
        >> lost("a", on=LEASED)
        << to_client(UNKNOWN_END) << to_client(UNKNOWN_END, name="you")
        >> client("SCRIPT KILL") << to("a", "SCRIPT KILL", on=LEASED2)
        >> node("a", "+OK", on=LEASED2) << to_client("+OK") >> tick() << no_links_past()
    )  # fmt: skip


def test_kill_that_nobody_answers() -> None:
    """It has the deadline of every command, and the silent connection is given up."""
    (
        story(ring("a"))
        >> client("SCRIPT KILL") << to("a", "SCRIPT KILL", on=LEASED)
        >> tick(0.6)
        << to_client("-TIMEOUT a a:6379 (no reply in 500 ms); the write may have run, its outcome is unknown")
        >> tick(1.0) << no_links_past()
    )  # fmt: skip


def test_kill_in_copies() -> None:
    """A script may run on one copy alone: all are asked, and no copy falls behind by what it says."""
    play = story(copies("a", "b"))
    (play >> client("SCRIPT KILL") << to("a", "SCRIPT KILL", on=LEASED) << to("b", "SCRIPT KILL", on=LEASED))
    play >> node("a", NOTBUSY, on=LEASED) >> node("b", "+OK", on=LEASED) << to_client("+OK")
    assert all(copy.state == IN_SYNC for copy in play.pool.groups[0].copies)
    assert play.pool.groups[0].mismatches == 0


def test_kill_of_one_node() -> None:
    """PROXY NODE and PROXY EACH go past all others too; one node's word, and a list of each one's."""
    (
        story(ring("a", "b"))
        >> client("PROXY NODE b SCRIPT KILL") << to("b", "SCRIPT KILL", on=LEASED)
        >> node("b", "+OK", on=LEASED) << to_client("+OK") >> tick() << no_links_past()
        >> client("PROXY EACH SCRIPT KILL") << to("a", "SCRIPT KILL", on=LEASED) << to("b", "SCRIPT KILL", on=LEASED2)
        >> node("a", NOTBUSY, on=LEASED) >> node("b", "+OK", on=LEASED2) << to_client(EACH_KILLED)
    )  # fmt: skip
