"""MULTI to EXEC: on one node, on several, on copies, and whatever refuses a transaction."""

from kidoproxy.commands.command_set import CommandSet
from tests.story import (
    Pool,
    client,
    copies,
    given,
    lost,
    node,
    received,
    refused,
    ring,
    silence,
    story,
    then,
    to,
    to_client,
    unheard,
)


def test_multi_one_node() -> None:
    """All for one node: one contiguous MULTI … EXEC on the shared connection, its reply relayed raw."""
    (
        story(ring("a", "b"))
        >> client("MULTI", "SET {a}1 x", "GET {a}1") << to_client("+OK", "+QUEUED", "+QUEUED")
        >> client("GET {a}9", name="you") << to("a", "GET {a}9")
        >> client("EXEC") << to("a", "MULTI", "SET {a}1 x", "GET {a}1", "EXEC")
        >> node("a", "$-1") << to_client("$-1", name="you")
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "*2 +OK $1 x") << to_client("*2 +OK $1 x") << silence()
    )  # fmt: skip


def test_multi_several_nodes() -> None:
    """One transaction per node; what can be split is, and the replies stand where they belong."""
    (
        story(ring("a", "b"))
        >> client("MULTI", "MSET {a}1 x {b}2 y", "PING", "GET {b}2", "CLIENT GETNAME", "EXEC")
        << to_client("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "MSET {a}1 x", "EXEC") << to("b", "MULTI", "MSET {b}2 y", "GET {b}2", "EXEC")
        >> node("b", "+OK", "+QUEUED", "+QUEUED", "*2 +OK $1 y") << silence()
        >> node("a", "+OK", "+QUEUED", "*1 +OK") << to_client("*4 +OK +PONG $1 y $-1")
        << then(lambda play: play.proxy.split_transactions == 1) << silence()
    )  # fmt: skip


def test_multi_aborts() -> None:
    """Errors while queueing discard it all; so do they on DISCARD and RESET."""
    abort = "-EXECABORT Transaction discarded because of previous errors."
    (
        story(ring("a", "b"))
        >> client("MULTI", "GET", "EXEC")
        << to_client("+OK", "-ERR wrong number of arguments for 'get' command", abort)
        >> client("MULTI", "RENAME {a}1 {b}1", "EXEC")
        << to_client(
            "+OK",
            "-CROSSSLOT Keys in request don't hash to the same node "
            "(command='rename', first-key='{a}1', violating-key='{b}1')",
            abort,
        )
        >> client("MULTI", "SELECT 1", "EXEC")
        << to_client("+OK", "-ERR 'select' is not served here: it cannot be part of a transaction here", abort)
        >> client("MULTI", "MULTI") << to_client("+OK", "-ERR MULTI calls can not be nested")
        >> client("GET {a}1", "DISCARD") << to_client("+QUEUED", "+OK")
        >> client("EXEC", "DISCARD") << to_client("-ERR EXEC without MULTI", "-ERR DISCARD without MULTI")
        >> client("MULTI", "EXEC") << to_client("+OK", "*0")
        >> client("MULTI", "GET {a}1", "RESET", "EXEC")
        << to_client("+OK", "+QUEUED", "+RESET", "-ERR EXEC without MULTI") << silence()
    )  # fmt: skip


def test_exec_refused_by_node() -> None:
    """A node that refuses its EXEC answers for its own commands; alone it answers for the whole."""
    abort = "-EXECABORT Transaction discarded because of previous errors."
    why = "-EXECABORT Transaction discarded because of: OOM no"
    (
        story(ring("a", "b"))
        >> client("MULTI", "SET {a}1 x", "SET {b}1 y", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "SET {a}1 x", "EXEC") << to("b", "MULTI", "SET {b}1 y", "EXEC")
        >> node("a", "+OK", "-OOM no", abort) >> node("b", "+OK", "+QUEUED", "*1 +OK")
        << to_client(b"*2\r\n" + why.encode() + b"\r\n+OK\r\n")
        >> client("MULTI", "SET {a}1 x", "EXEC") << to_client("+OK", "+QUEUED")
        << to("a", "MULTI", "SET {a}1 x", "EXEC")
        >> node("a", "+OK", "-OOM no", abort) << to_client(why) << silence()
    )  # fmt: skip


def test_exec_without_array() -> None:
    """A node that answers EXEC with something else has run nothing that we know of."""
    (
        story(ring("a", "b"))
        >> client("MULTI", "SET {a}1 x", "SET {b}1 y", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "SET {a}1 x", "EXEC") << to("b", "MULTI", "SET {b}1 y", "EXEC")
        >> node("a", "+OK", "+QUEUED", "*-1") >> node("b", "+OK", "+QUEUED", "*1 +OK")
        << to_client(b"*2\r\n-ERR the transaction was not run on its node: b'*-1\\r\\n'\r\n+OK\r\n") << silence()
    )  # fmt: skip


def test_node_dies_at_exec() -> None:
    """A transaction that may have run is not repeated; the other nodes' parts stand."""
    unknown = b"-NODEDOWN b b:6379 (it closed the connection); the write may have run, its outcome is unknown\r\n"
    (
        story(ring("a", "b"))
        >> client("MULTI", "SET {a}1 x", "SET {b}1 y", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "SET {a}1 x", "EXEC") << to("b", "MULTI", "SET {b}1 y", "EXEC")
        >> lost("b") >> node("a", "+OK", "+QUEUED", "*1 +OK") << to_client(b"*2\r\n+OK\r\n" + unknown)
        >> client("MULTI", "SET {b}1 y", "EXEC") << to_client("+OK", "+QUEUED")
        << to("b", "MULTI", "SET {b}1 y", "EXEC")
        >> node("b", "+OK") >> lost("b") << to_client(unknown) << silence()
    )  # fmt: skip


def test_strict() -> None:
    """In a strict pool a transaction that reaches a second node is refused when the command is queued."""
    slot = "-CROSSSLOT Keys in request don't hash to the same node (command='{}', first-key='{}', violating-key='{}')"
    abort = "-EXECABORT Transaction discarded because of previous errors."
    (
        story(ring("a", "b", strict=True))
        >> client("MULTI", "PING", "GET {a}1", "GET {a}2", "SET {b}1 x", "EXEC")
        << to_client("+OK", "+QUEUED", "+QUEUED", "+QUEUED", slot.format("set", "{a}1", "{b}1"), abort)
        >> client("MULTI", "MGET {a}1 {b}1", "EXEC") << to_client("+OK", slot.format("mget", "{a}1", "{b}1"), abort)
        >> client("MULTI", "GET {a}1", "DBSIZE", "EXEC")
        << to_client("+OK", "+QUEUED", slot.format("dbsize", "{a}1", ""), abort)
        >> client("MULTI", "DBSIZE", "DISCARD") << to_client("+OK", slot.format("dbsize", "", "DBSIZE"), "+OK")
        >> client("MULTI", "PING", "GET {b}1", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("b", "MULTI", "GET {b}1", "EXEC")
        >> node("b", "+OK", "+QUEUED", "*1 $-1") << to_client("*2 +PONG $-1") << silence()
    )  # fmt: skip
    (
        story(ring("a", strict=True))
        >> client("MULTI", "DBSIZE", "GET {a}1", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "DBSIZE", "GET {a}1", "EXEC")
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "*2 :1 $-1") << to_client("*2 :1 $-1") << silence()
    )  # fmt: skip


def test_strict_first_command_without_words() -> None:
    """The words of an error are those that there are: the first command may have no key."""
    (
        story(ring("a", "b", strict=True))
        >> client("MULTI", "RANDOMKEY", "DISCARD")
        << then(lambda play: received(play).startswith(b"+OK\r\n-CROSSSLOT")) << silence()
    )  # fmt: skip


def three(behind: str = "", min_in_sync: int = 1) -> Pool:
    """A copy pool of three."""
    return copies("a", "b", "c", behind=behind, min_in_sync=min_in_sync)


def test_copy_transaction() -> None:
    """Every copy gets the whole transaction, its reads included; the leader's replies stand."""
    (
        story(three())
        >> client("MULTI", "SET k x", "GET k", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "SET k x", "GET k", "EXEC") << to("b", "MULTI", "SET k x", "GET k", "EXEC")
        << to("c", "MULTI", "SET k x", "GET k", "EXEC")
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "*2 +OK $1 x")
        >> node("b", "+OK", "+QUEUED", "+QUEUED", "*2 +OK $1 x")
        >> node("c", "+OK", "+QUEUED", "+QUEUED", "*2 +OK $1 x") << to_client("*2 +OK $1 x") << silence()
    )  # fmt: skip


def test_copy_transaction_of_a_copy_in_trouble() -> None:
    """A copy that refuses the transaction is behind, and what it read does not count, although it is the leader."""
    no = "-EXECABORT Transaction discarded because of: OOM command not allowed"
    (
        story(three())
        >> client("MULTI", "SET k x", "GET k", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "SET k x", "GET k", "EXEC") << to("b", "MULTI", "SET k x", "GET k", "EXEC")
        << to("c", "MULTI", "SET k x", "GET k", "EXEC")
        >> node("a", "+OK", "-OOM no", "+QUEUED", no)
        >> node("b", "+OK", "+QUEUED", "+QUEUED", "*2 +OK $1 x")
        >> node("c", "+OK", "+QUEUED", "+QUEUED", "*2 +OK $1 x") << to_client("*2 +OK $1 x")
        << then(lambda play: play.pool.groups[0].behind_names() == ["a"]) << silence()
    )  # fmt: skip


def test_copy_transaction_of_reads() -> None:
    """A transaction that only reads is one node's, raw."""
    (
        story(three())
        >> client("MULTI", "GET x", "GET y", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "GET x", "GET y", "EXEC")
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "*2 $-1 $-1") << to_client("*2 $-1 $-1") << silence()
    )  # fmt: skip


def test_refused_at_queue_time() -> None:
    """What a copy pool cannot serve is refused when it is queued."""
    pool = three(min_in_sync=3)
    names = ", ".join([copy.node.name for copy in pool.groups[0].ranked_copies(b"k") if copy.node.name != "b"])
    (
        story(pool)
        >> client("SET k x") << to("a", "SET k x") << to("b", "SET k x") << to("c", "SET k x")
        >> refused("b") >> node("a", "+OK") >> node("c", "+OK")
        << to_client(f"-NOREPLICAS the write was applied on {names} only, 3 copies are wanted")
        >> client("MULTI", "SET k x", "EXEC")
        << to_client("+OK", "-NOREPLICAS Not enough good replicas to write.",
                     "-EXECABORT Transaction discarded because of previous errors.") << silence()
    )  # fmt: skip


OOM = "-OOM command not allowed when used memory > 'maxmemory'."


BECAUSE = f"-EXECABORT Transaction discarded because of: {OOM[1:]}"


ABORTED = "-EXECABORT Transaction discarded because of previous errors."


def test_a_node_refuses_a_queued_command() -> None:
    """The client has heard QUEUED, so EXEC tells what its node had against it, the first thing if there are more."""
    (
        story(ring("a", "b"))
        >> client("MULTI", "SET {a}1 x", "GET {a}1", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", "SET {a}1 x", "GET {a}1", "EXEC")
        >> node("a", "+OK", OOM, "-BUSY no", ABORTED) << to_client(BECAUSE)
        >> client("MULTI", "SET {a}1 x", "EXEC") << to("a", "MULTI", "SET {a}1 x", "EXEC") << given(unheard)
        >> node("a", "+OK", "+QUEUED", BECAUSE) << to_client(BECAUSE)
    )  # fmt: skip


def test_a_node_refuses_multi() -> None:
    """Then what follows is no transaction there, and the client is told that it may have run."""
    (
        story(ring("a"))
        >> client("MULTI", "SET {a}1 x", "EXEC") << to("a", "MULTI", "SET {a}1 x", "EXEC") << given(unheard)
        >> node("a", "-NOPERM no multi", "+OK", "-ERR EXEC without MULTI")
        << to_client("-ERR the node refused MULTI (NOPERM no multi); the commands may have run one by one") << silence()
    )  # fmt: skip


def test_what_redis_allows_in_no_transaction() -> None:
    """Redis's own words, and EXEC aborts."""
    pool = ring("a", words=CommandSet(frozenset(), frozenset([b"save"]), {}))
    (
        story(pool)
        >> client("MULTI", "SAVE", "EXEC")
        << to_client("+OK", "-ERR Command not allowed inside a transaction", ABORTED) << silence()
    )  # fmt: skip


def test_misspelt_exec() -> None:
    """EXEC with arguments is an error, and it ends the transaction, as in Redis."""
    (
        story(ring("a"))
        >> client("MULTI", "EXEC now", "EXEC")
        << then(lambda play: received(play).endswith(b"-ERR EXEC without MULTI\r\n")) << silence()
    )  # fmt: skip


def test_strict_with_answers() -> None:
    """In a strict pool, too, what the routes refuse is refused, and commands about no node at all are no strays."""
    pool = copies("a", elected=False)
    pool.strict = True
    loading = "-LOADING kidoproxy is looking at its copies"
    (
        story(pool)
        >> client("MULTI", "GET k", "EXEC")
        << to_client("+OK", loading, "-EXECABORT Transaction discarded because of previous errors.") << silence()
    )  # fmt: skip


def test_copies_are_taken_away_while_queueing() -> None:
    """What was fit when it was queued and is not at EXEC has its error in its place."""
    pool = copies("a", "b")
    pool.strict = True
    play = story(pool) >> client("MULTI", "SET k x") << to_client("+OK", "+QUEUED")
    for each in pool.nodes:
        each.live = False
    assert play >> client("GET k", "DISCARD") << then(lambda play: received(play).endswith(b"+OK\r\n")) << silence()
