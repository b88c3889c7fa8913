"""What becomes of a plan's parts: copies are judged, reads are asked elsewhere, lists are listed. Stories."""

from kidoproxy.commands.find import COMMANDS
from kidoproxy.replies.handler import IgnoreReply
from kidoproxy.routes.plan import Plan
from kidoproxy.routes.route import RequestContext, WallClock
from kidoproxy.upstream.executor import PlanExecutor
from tests.story import (
    Pool,
    Story,
    client,
    copies,
    given,
    greeted,
    led_by,
    lost,
    node,
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

ALL = ("a", "b", "c")


def three(behind: str = "", min_in_sync: int = 1) -> tuple[Pool, str]:
    """A copy pool of three, and a key that ``a`` decides for."""
    pool = copies(*ALL, behind=behind, min_in_sync=min_in_sync)
    return pool, led_by(pool, "a")


# -- writes ------------------------------------------------------------------------------------------------


def test_write() -> None:
    """Every copy gets the write; the client hears the leader when all have answered."""
    pool, key = three()
    (
        story(pool)
        >> client(f"INCR {key}") << to("a", f"INCR {key}") << to("b", f"INCR {key}") << to("c", f"INCR {key}")
        >> node("c", ":1") >> node("a", ":1") << silence()
        >> node("b", ":1") << to_client(":1") << silence()
    )  # fmt: skip


def test_missed_write() -> None:
    """A copy that missed a write which another one took is behind; the journal knows before the client hears."""
    pool, key = three()
    journal: list[list[str]] = []
    pool.groups[0].journal = lambda group: journal.append(group.behind_names())
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x") << to("c", f"SET {key} x")
        >> node("a", "+OK") >> node("c", "+OK") << silence() << then(lambda play: not journal)
        >> lost("b") << then(lambda play: journal == [["b"]]) << silence()
        >> given(lambda play: play.pool.groups[0].durability.on_recorded(1)) << to_client("+OK")
        >> client(f"SET {key} y") << to("a", f"SET {key} y") << to("b", f"SET {key} y") << to("c", f"SET {key} y")
        >> node("a", "+OK") >> node("c", "+OK") << to_client("+OK")
        >> node("b", "-OOM no") << then(lambda play: journal == [["b"]]) << silence()
    )  # fmt: skip


def test_leader_dies() -> None:
    """If the leader missed the write, the next copy's reply stands; the leader is behind."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x") << to("c", f"SET {key} x")
        >> node("b", "+OK") >> node("c", "+OK") >> tick(0.6) << to_client("+OK")
        << then(lambda play: play.pool.groups[0].behind_names() == ["a"])
        >> client(f"GET {key}") << then(lambda play: not play.told["a"] and len(play.told["b"] + play.told["c"]) == 1)
    )  # fmt: skip


def test_copy_in_trouble() -> None:
    """A copy that could not run the write, by its own word, missed it."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x") << to("c", f"SET {key} x")
        >> node("a", "-OOM no memory") >> node("b", "+OK") >> node("c", "+OK") << to_client("+OK")
        << then(lambda play: play.pool.groups[0].behind_names() == ["a"]) << silence()
    )  # fmt: skip


def test_last_copy_stays() -> None:
    """The last copy in sync stays so whatever happens: there is nothing better."""
    pool, key = three(behind="bc")
    unknown = "-NODEDOWN a a:6379 (connection refused); the write may have run, its outcome is unknown"
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x") << to("c", f"SET {key} x")
        >> node("b", "+OK") >> node("c", "+OK") << silence()
        >> refused("a") << to_client(unknown) << then(lambda play: play.pool.groups[0].behind_names() == ["b", "c"])
        << then(lambda play: play.pool.groups[0].to_repair == {(0, key.encode()): True})
        >> client(f"SET {key} x") << to_client("-NOREPLICAS Not enough good replicas to write.") << silence()
    )  # fmt: skip


def test_write_nobody_took() -> None:
    """All copies failed: they may differ now in these keys; without keys only one of them is still trusted."""
    unknown = "; the write may have run, its outcome is unknown"
    pool, key = three()
    play = story(pool) >> client(f"SET {key} x", "SLOWLOG RESET")
    for name in ALL:
        assert play << to(name, f"SET {key} x", "SLOWLOG RESET")
    assert play >> tick(0.6) << to_client(*[f"-TIMEOUT a a:6379 (no reply in 500 ms){unknown}"] * 2)
    group = pool.groups[0]
    assert group.to_repair == {(0, key.encode()): True}
    assert group.behind_names() == ["b", "c"]


def test_write_all_refused() -> None:
    """All copies in trouble: the leader's own word is the reply, and nothing differs."""
    pool, key = three()
    play = story(pool) >> client(f"SET {key} x")
    for name in ALL:
        assert play << to(name, f"SET {key} x")
    for name in ALL:
        assert play >> node(name, f"-OOM {name}")
    assert play << to_client("-OOM a") << silence()
    assert pool.groups[0].behind_names() == []
    assert not pool.groups[0].to_repair


def test_mismatch() -> None:
    """Replies that should be equal and are not: the client hears the leader, the key is to be mended."""
    pool, key = three()
    play = story(pool) >> client(f"INCR {key}")
    for name in ALL:
        assert play << to(name, f"INCR {key}")
    for at, name in enumerate(ALL):
        assert play >> node(name, f":{at // 2}")
    assert play << to_client(":0") << silence()
    assert (pool.groups[0].mismatches, pool.groups[0].to_repair) == (1, {(0, key.encode()): True})


def test_min_in_sync() -> None:
    """Too few copies: nothing is sent; too few of them took it: the client hears where it stands."""
    pool, key = three(min_in_sync=2)
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x") << to("c", f"SET {key} x")
        >> node("a", "+OK") >> refused("b") >> refused("c")
        << to_client("-NOREPLICAS write stands on a only, 2 copies are wanted")
        >> client(f"SET {key} x") << to_client("-NOREPLICAS Not enough good replicas to write.")
        >> client(f"GET {key}") << to("a", f"GET {key}") >> node("a", "$1 x") << to_client("$1 x") << silence()
    )  # fmt: skip


def test_strays() -> None:
    """A copy that is behind gets every write and is not waited for; one that is down is not even told."""
    pool, key = three(behind="bc")
    (
        story(pool)
        >> client(f"SET {key} x EX 10") << to("a", f"SET {key} x PXAT 1700000010000")
        << to("b", f"SET {key} x PXAT 1700000010000") << to("c", f"SET {key} x PXAT 1700000010000")
        >> node("a", "+OK") << to_client("+OK")
        >> node("b", "+OK") >> refused("c")
        << then(lambda play: [copy.missed_write for copy in pool.groups[0].copies] == [False, False, True])
        >> client(f"DEL {key}") << to("a", f"DEL {key}") << to("b", f"DEL {key}")
        >> node("b", "-LOADING soon") << then(lambda play: pool.groups[0].copies[1].missed_write) << silence()
    )  # fmt: skip


def test_starting() -> None:
    """Before one copy is trusted nothing is answered from any."""
    loading = "-LOADING kidoproxy is looking at its copies"
    (
        story(copies("a", "b", elected=False))
        >> client("GET k", "SET k x", "SCAN 0", "PING") << to_client(loading, loading, loading, "+PONG") << silence()
    )  # fmt: skip


def test_only_one_that_fell_behind_took_it() -> None:
    """A write that only a copy took which has missed another one meanwhile is not acknowledged."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    play = story(pool) >> client(f"SET {key} x", f"SET {key} y")
    assert play << to("a", f"SET {key} x", f"SET {key} y") << to("b", f"SET {key} x", f"SET {key} y")
    assert play >> node("a", "-OOM a", "+OK") >> node("b", "+OK", "-OOM b") << to_client("+OK", "-OOM b")
    assert pool.groups[0].behind_names() == ["a"]


def test_all_that_were_asked_fell_behind() -> None:
    """Another copy has been let in meanwhile, and those that were asked have left: their OK acknowledges nothing."""
    pool = copies("a", "b", behind="b")
    group = pool.groups[0]
    (
        story(pool)
        >> client("SET k x") << to("a", "SET k x") << to("b", "SET k x") >> node("b", "+OK")
        >> given(lambda play: group.mark_in_sync(play.node("b")))
        >> given(lambda play: group.mark_behind([play.node("a")]))
        >> node("a", "+OK")
        << to_client("-BEHIND a a:6379 (it fell behind meanwhile); the write may have run, its outcome is unknown")
        << silence()
    )  # fmt: skip


def test_outcome_is_open() -> None:
    """If one copy surely did not run it and another one may have, the client hears that the outcome is unknown."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool, shy=True) >> client("PROXY NODE b PING") >> greeted("b") << to("b", "PING")
        >> node("b", "+PONG") << to_client("+PONG")
        >> client(f"SET {key} x") << to("b", f"SET {key} x") >> tick(0.6)
        << to_client("-TIMEOUT b b:6379 (no reply in 500 ms); the write may have run, its outcome is unknown")
        << then(lambda play: play.pool.groups[0].to_repair == {(0, key.encode()): True})
    )  # fmt: skip


def test_read_of_one_that_refused() -> None:
    """A copy that refused a write which is not judged yet, or that has left: its reply to a read is not given."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"SET {key} x", f"GET {key}") << to("a", f"SET {key} x", f"GET {key}") << to("b", f"SET {key} x")
        >> node("a", "-OOM no", "$3 old") << to("b", f"GET {key}")
        >> node("b", "+OK", "$1 x") << to_client("+OK", "$1 x")
        << then(lambda play: [copy.unconfirmed for copy in pool.groups[0].copies] == [0, 0]) << silence()
    )  # fmt: skip
    pool = copies("a", "b")
    (
        story(pool)
        >> client(f"SET {key} x") << to("a", f"SET {key} x") << to("b", f"SET {key} x")
        >> node("b", "+OK")
        >> client(f"GET {key}", name="you") << to("a", f"GET {key}")
        >> node("a", "-OOM no", "$3 old") << to_client("+OK") << to("b", f"GET {key}")
        >> node("b", "$1 x") << to_client("$1 x", name="you") << silence()
    )  # fmt: skip


# -- reads -----------------------------------------------------------------------------------------------------


def test_read_asks_the_leader() -> None:
    """A read asks the leader of its key alone, so reads are spread."""
    pool, key = three()
    other = led_by(pool, "b")
    (
        story(pool)
        >> client(f"GET {key}", f"GET {other}") << to("a", f"GET {key}") << to("b", f"GET {other}")
        >> node("b", "$1 y") >> node("a", "$1 x") << to_client("$1 x", "$1 y") << silence()
    )  # fmt: skip


def test_read_fails_over() -> None:
    """A copy that dies, is late or in trouble: the next one is asked; the last one's answer is the answer."""
    pool = copies("a", "b", "c")
    group = pool.groups[0]
    first, second, third = [copy.node.name for copy in group.ranked_copies(b"k")]
    (
        story(pool)
        >> client("GET k") << to(first, "GET k")
        >> lost(first) << to(second, "GET k")
        >> tick(0.6) << to(third, "GET k")
        >> node(third, "$1 x") << to_client("$1 x")
        >> node(second, "$1 y") << silence()
        >> client("GET k") << to(first, "GET k")
        >> node(first, "-LOADING soon") << to(second, "GET k")
        >> node(second, "-LOADING too") << to(third, "GET k")
        >> node(third, "-LOADING as well") << to_client("-LOADING as well")
        >> client("GET k") << to(first, "GET k")
        >> refused(first) << to(second, "GET k")
        >> refused(second) << to(third, "GET k")
        >> refused(third) << to_client(f"-NODEDOWN {third} {third}:6379 (connection refused)")
        << then(lambda play: group.behind_names() == []) << silence()
    )  # fmt: skip


def test_only_copy() -> None:
    """The only copy is asked once more itself."""
    (
        story(copies("a"))
        >> client("GET k") << to("a", "GET k")
        >> lost("a") << to("a", "GET k") >> node("a", "$1 x") << to_client("$1 x") << silence()
    )  # fmt: skip


def test_large_reply_of_the_second() -> None:
    """A copy that is asked second may answer largely, too."""
    pool, key = three()
    body = b"x" * 50_000
    (
        story(pool)
        >> client(f"GET {key}") << to("a", f"GET {key}")
        >> refused("a") << given(unheard)
        >> node(second(pool, key), b"$50000\r\n" + body) << to_client(b"$50000\r\n" + body)
        >> node(second(pool, key), b"\r\n") << to_client(b"\r\n") << silence()
    )  # fmt: skip


def second(pool: Pool, key: str) -> str:
    """Who is asked second for a key."""
    return pool.groups[0].ranked_copies(key.encode())[1].node.name


def test_info_of_copies() -> None:
    """INFO is the leader's, completed here."""
    (
        story(copies("a", "b"))
        >> client("INFO keyspace") << to("a", "INFO keyspace") >> refused("a") << to("b", "INFO keyspace")
    )  # fmt: skip


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
    """A large request of a soft pool reaches its node whole."""
    large = b"*3\r\n$3\r\nSET\r\n$4\r\n{a}1\r\n$300000\r\n" + b"x" * 300_000 + b"\r\n"
    (
        story(ring("a", soft=True))
        >> client(large[:100_000]) >> client(large[100_000:200_000]) >> client(large[200_000:]) << to("a", large)
        >> node("a", "+OK") << to_client("+OK")
    )  # fmt: skip
    (
        story(ring("a"))
        >> client(large[:100_000]) >> client(large[100_000:200_000]) >> client(large[200_000:]) << to("a", large)
        >> node("a", "+OK") << to_client("+OK")
    )  # fmt: skip


def test_large_request_that_waits() -> None:
    """A large request whose link is not there yet waits whole, and is sent in its place."""
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
    assert play >> node("a", "+OK", "*1 *-1") << then(lambda play: b"-ERR unknown command 'XYZ'" in heard(play))


def heard(play: Story) -> bytes:
    """What the client was told, whatever it is; it counts as said."""
    guest = play.guest("me")
    raw, guest.heard = guest.heard, b""
    return raw


def test_a_plan_of_no_known_shape_asks_nobody() -> None:
    """Only the known shapes of plans are sent; where to is for each kind of executor to say."""
    PlanExecutor().execute(
        Plan(9), IgnoreReply(), b"", COMMANDS[b"get"], RequestContext(0, 2, False, False, WallClock(0))
    )


def test_links() -> None:
    """One link for each (protocol, database) of a node, made when it is needed."""
    play = story(ring("a"))
    third = play.link("a", (3, 2))
    first = play.link("a")
    assert play.link("a", (3, 2)) is third is not first
    assert play.exchange.connections_to(play.node("a")) == play.exchange.all_connections() == [first, third]
