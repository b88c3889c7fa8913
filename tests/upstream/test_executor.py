"""What becomes of plans whose parts are lists, nested or large. Stories."""

from kidoproxy.commands.find import COMMANDS
from kidoproxy.replies.handler import IgnoreReply
from kidoproxy.resp.encode import encode_request
from kidoproxy.routes.plan import Plan
from kidoproxy.routes.route import RequestContext, WallClock
from kidoproxy.upstream.executor import PlanExecutor
from tests.story import (
    client,
    copies,
    greeted,
    led_by,
    lost,
    node,
    received,
    refused,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
)

# -- lists -------------------------------------------------------------------------------------------------------


def test_each_copy() -> None:
    """PROXY EACH: each copy's own reply in the order of the configuration, an error for those that gave none."""
    pool = copies("a", "b", "c", behind="b")
    rows = b"*3\r\n%b-BEHIND b is not in sync; it gets writes and is not read\r\n%b"
    unknown = b"; the write may have run, its outcome is unknown"
    gone = b"-NODEDOWN c c:6379 (it closed the connection)"
    (
        story(pool)
        >> client("PROXY EACH GET k") << to("a", "GET k") << to("c", "GET k")
        >> node("c", "$1 y") >> node("a", "$1 x") << to_client(rows % (b"$1\r\nx\r\n", b"$1\r\ny\r\n"))
        >> client("PROXY EACH GET k") << to("a", "GET k") << to("c", "GET k")
        >> node("a", "$1 x") >> lost("c") << to_client(rows % (b"$1\r\nx\r\n", gone + b"\r\n"))
        << then(lambda play: pool.groups[0].behind_names() == ["b"])
        >> client("PROXY EACH DEL k") << to("a", "DEL k") << to("b", "DEL k") << to("c", "DEL k")
        >> node("a", ":1") >> node("b", ":0") >> lost("c") << to_client(rows % (b":1\r\n", gone + unknown + b"\r\n"))
        << then(lambda play: pool.groups[0].behind_names() == ["b", "c"]) << silence()
    )  # fmt: skip


def test_each_copy_failed() -> None:
    """A list of failures is a list, and reads that fail put nobody behind."""
    pool = copies("a", "b")
    gone = "-TIMEOUT {0} {0}:6379 (no reply in 500 ms)\r\n"
    (
        story(pool)
        >> client("PROXY EACH GET k") << to("a", "GET k") << to("b", "GET k")
        >> tick(0.6) << to_client(f"*2\r\n{gone.format('a')}{gone.format('b')}".encode())
        << then(lambda play: pool.groups[0].behind_names() == [] and not pool.groups[0].to_repair) << silence()
    )  # fmt: skip


# -- nested --------------------------------------------------------------------------------------------------------


def test_ring_of_copies() -> None:
    """A ring whose members are copy pools: a write reaches all copies of its member, a split write both members'."""
    left, right = copies("a", "b", name="left"), copies("c", "d", name="right")
    (
        story(ring(left, right))
        >> client("SET {left}1 x") << to("a", "SET {left}1 x") << to("b", "SET {left}1 x")
        >> node("a", "+OK") >> node("b", "+OK") << to_client("+OK")
        >> client("MSET {left}1 x {right}1 y") << to("a", "MSET {left}1 x") << to("b", "MSET {left}1 x")
        << to("c", "MSET {right}1 y") << to("d", "MSET {right}1 y")
        >> node("a", "+OK") >> node("b", "+OK") >> node("c", "+OK") >> refused("d") << to_client("+OK")
        << then(lambda play: right.groups[0].behind_names() == ["d"])
        >> client("SCAN 0") << to("a", "SCAN 0") >> node("a", "*2 $1 0 *0") << to_client("*2 $1 3 *0")
        >> client("SCAN 3") << to("c", "SCAN 0") >> node("c", "*2 $1 5 *0")
        << to_client(f"*2 $8 {5 << 24 | 3} *0")
        >> client("SCAN 4") << to_client("-ERR invalid cursor") << silence()
    )  # fmt: skip


def test_ring_of_copies_that_starts() -> None:
    """A scan does not end because the next member is not ready."""
    left, right = copies("a", name="left"), copies("b", name="right", elected=False)
    (
        story(ring(left, right))
        >> client("SCAN 0") << to_client("-NOREPLICAS No copy is in sync to be read.")
        >> client("SCAN 2") << to_client("-ERR invalid cursor")
        >> client("MSET {left}1 x {right}1 y") << to("a", "MSET {left}1 x") >> node("a", "+OK")
        << to_client("-PARTIAL 'mset' failed for 1 of 2 keys on a node "
                     "(LOADING kidoproxy is looking at its copies); 1 applied") << silence()
    )  # fmt: skip
    right, left = copies("a", name="left", elected=False), copies("b", name="right")
    (
        story(ring(right, left))
        >> client("SCAN 0") << to_client("-NOREPLICAS No copy is in sync to be read.") << silence()
    )  # fmt: skip


def test_scan_fails() -> None:
    """A step of a scan whose node dies is that node's failure; an error stays what it is."""
    (
        story(ring("a"))
        >> client("SCAN 0") << to("a", "SCAN 0") >> lost("a")
        << to_client("-NODEDOWN a a:6379 (it closed the connection)")
        >> client("SCAN 0 X") << to("a", "SCAN 0 X") >> node("a", "-ERR syntax error")
        << to_client("-ERR syntax error") << silence()
    )  # fmt: skip


def test_large_request_is_whole_in_a_pool_that_misses() -> None:
    """A pool that misses looks at all of a request: a large one reaches its node whole."""
    large = b"*3\r\n$3\r\nSET\r\n$4\r\n{a}1\r\n$300000\r\n" + b"x" * 300_000 + b"\r\n"
    (
        story(ring("a", miss_on_down=True))
        >> client(large[:100_000]) >> client(large[100_000:200_000]) >> client(large[200_000:]) << to("a", large)
        >> node("a", "+OK") << to_client("+OK")
    )  # fmt: skip
    (
        story(ring("a"))
        >> client(large[:100_000]) >> client(large[100_000:200_000]) >> client(large[200_000:]) << to("a", large)
        >> node("a", "+OK") << to_client("+OK")
    )  # fmt: skip


def test_large_request_that_waits() -> None:
    """A large request whose connection is not there yet waits whole, and is sent in its place."""
    large = b"*3\r\n$3\r\nSET\r\n$4\r\n{a}1\r\n$300000\r\n" + b"x" * 300_000 + b"\r\n"
    play = story(ring("a"), shy=True)
    for at in range(0, len(large), 100_000):
        assert play >> client(large[at : at + 100_000])
    assert play >> client("GET {a}1") >> greeted("a") << to("a", large, "GET {a}1") << silence()


def test_large_request_in_pieces() -> None:
    """A large write passes on piece by piece; what looks at all of it gets it whole."""
    large = b"*3\r\n$3\r\nSET\r\n$4\r\n{a}1\r\n$300000\r\n" + b"x" * 300_000 + b"\r\n"
    unknown = large.replace(b"SET", b"XYZ", 1)
    play = story(ring("a")) >> client("GET {a}1") << to("a", "GET {a}1") >> node("a", "$-1") << to_client("$-1")
    for raw in (large, unknown):
        for at in range(0, len(raw), 100_000):
            assert play >> client(raw[at : at + 100_000])
        assert play << (to("a", large) if raw is large else to("a", "COMMAND INFO XYZ"))
    assert play >> node("a", "+OK", "*1 *-1") << then(lambda play: b"-ERR unknown command 'XYZ'" in received(play))


def test_a_plan_of_no_known_shape_asks_nobody() -> None:
    """Only the known shapes of plans are sent; where to is for each kind of executor to say."""
    PlanExecutor().execute(
        Plan(9), IgnoreReply(), b"", COMMANDS[b"get"], RequestContext(0, 2, False, False, WallClock(0))
    )


# -- turns at keys -----------------------------------------------------------------------------------------------


def test_leader_of_a_pool_that_misses() -> None:
    """A write that the leader decides fails there as elsewhere, and is no miss."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    play = story(ring(pool, miss_on_down=True)) >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
    play >> refused("b") >> lost("a")
    play << to_client("-NODEDOWN a a:6379 (it closed the connection); the write may have run, its outcome is unknown")
    assert (play.executor.misses_on_down, play.executor.dropped_writes) == (0, 0)


def test_wait_while_a_key_has_its_turn() -> None:
    """WAIT names no key, so it waits for nobody's turn; a write of the key does."""
    pool = copies("a", "b", "c")
    pool.groups[0].acks_needed = 1
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> client("WAIT 2 0", name="you") << to("a", "PING") << to("b", "PING") << to("c", "PING")
        >> client(f"SADD {key} x", name="she") << silence()
    )  # fmt: skip


def test_evalsha_that_the_leader_decides() -> None:
    """An executor for one request asks the leader on the shared connections, by the same clock."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    play = story(pool)
    text = b"return redis.call('spop', KEYS[1])"
    digest = play.context.script_registry.remember(text).decode()
    run = encode_request([b"EVAL", text, b"1", key.encode()])
    state = f"DUMP {key}", f"PEXPIRETIME {key}"
    (
        play
        >> tick() >> client(f"EVALSHA {digest} 1 {key}") << to("a", f"MEMORY USAGE {key}")
        >> node("a", ":50") << to("a", "MULTI", run, *state, "EXEC")
        >> node("a", "+OK", *["+QUEUED"] * 3, "*3 $1 x $-1 :-2") << to("b", f"UNLINK {key}")
        >> node("b", ":1") << to_client("$1 x") << silence()
    )  # fmt: skip


# -- questions about expiry --------------------------------------------------------------------------------------


def test_questions_around_an_evalsha() -> None:
    """An executor for one request asks when keys expire on the connections on which the write is sent."""
    pool = copies("a", "b")
    pool.groups[0].checks_expiry = True
    key = led_by(pool, "a")
    play = story(pool)
    text = b"return redis.call('incr', KEYS[1])"
    digest = play.context.script_registry.remember(text).decode()
    asked = f"PTTL {key}", encode_request([b"EVAL", text, b"1", key.encode()]), f"PTTL {key}"
    (
        play
        >> client(f"EVALSHA {digest} 1 {key}") << to("a", *asked) << to("b", *asked)
        >> node("a", ":-1", ":1", ":-1") >> node("b", ":-1", ":1", ":-1") << to_client(":1") << silence()
        << then(lambda play: not pool.groups[0].to_repair)
    )  # fmt: skip


# -- connections -------------------------------------------------------------------------------------------------


def test_connections() -> None:
    """One shared connection for each (protocol, database) of a node, made when it is needed."""
    play = story(ring("a"))
    third = play.connection("a", (3, 2))
    first = play.connection("a")
    assert play.connection("a", (3, 2)) is third is not first
    assert play.executor.connections_to(play.node("a")) == play.executor.all_connections() == [first, third]
