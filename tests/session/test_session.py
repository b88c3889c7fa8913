"""What one client is told, in which order, and what the nodes are asked for it: stories over the whole core."""

import pytest

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.resp import limits
from kidoproxy.resp.encode import array, bulk, encode_request, integer
from kidoproxy.session.mode import READY
from tests.story import (
    Pool,
    Story,
    client,
    closed,
    copies,
    given,
    gone,
    lost,
    node,
    open_still,
    refused,
    ring,
    silence,
    story,
    then,
    to,
    to_client,
    unheard,
)


def command_set(deny: tuple[bytes, ...] = (), **rename: str) -> CommandSet:
    """A vocabulary that denies and renames."""
    renamed = {old.encode(): new.encode() for old, new in rename.items()}
    return CommandSet(frozenset(deny), frozenset(), renamed)


# -- order ---------------------------------------------------------------------------------------------------


def test_order() -> None:
    """Replies leave in the order of the requests, whoever answers first."""
    (
        story(ring("a", "b"))
        >> client("GET {a}1", "GET {b}2", "GET {a}3") << to("a", "GET {a}1", "GET {a}3") << to("b", "GET {b}2")
        >> node("b", "$1 x") << silence()
        >> node("a", "$-1") << to_client("$-1", "$1 x")
        >> node("a", "$1 z") << to_client("$1 z") << silence()
    )  # fmt: skip


def test_two_clients() -> None:
    """Two clients share a connection; each gets its own replies."""
    (
        story(ring("a"))
        >> client("GET {a}1", name="me") << to("a", "GET {a}1")
        >> client("SET {a}1 2", name="you") << to("a", "SET {a}1 2")
        >> client("PING", name="you") << silence()
        >> node("a", "$1 x", "+OK") << to_client("$1 x", name="me") << to_client("+OK", "+PONG", name="you")
        << silence()
    )  # fmt: skip


def test_client_gone() -> None:
    """What comes for a client that has hung up is dropped; the connection goes on."""
    (
        story(ring("a"))
        >> client("GET {a}1") << to("a", "GET {a}1")
        >> client("GET {a}2", name="you") << to("a", "GET {a}2")
        >> gone() << then(lambda play: len(play.proxy.sessions) == 1)
        >> node("a", "$1 x", "$1 y") << to_client("$1 y", name="you") << silence()
    )  # fmt: skip


def test_resp3() -> None:
    """A client of RESP3 has connections of its own, and its replies are relayed as they are."""
    (
        story(ring("a"))
        >> client("HELLO 3") << then(lambda play: play.client("me").received.startswith(b"%7\r\n"))
        << given(unheard)
        >> client("HGETALL {a}1") << to("a", "HGETALL {a}1", on=(3, 0))
        >> node("a", "%1 $1 f $1 v", on=(3, 0)) << to_client("%1 $1 f $1 v")
        >> client("PING") << to_client("+PONG") << silence()
    )  # fmt: skip


# -- splits ----------------------------------------------------------------------------------------------------


def test_mget() -> None:
    """One request per node, not per key; the values come back in the order of the keys."""
    (
        story(ring("a", "b"))
        >> client("MGET {a}1 {b}2 {a}3") << to("a", "MGET {a}1 {a}3") << to("b", "MGET {b}2")
        >> node("b", "*1 $1 2") << silence()
        >> node("a", "*2 $1 1 $-1") << to_client("*3 $1 1 $1 2 $-1")
        >> client("MGET {a}1 {a}3") << to("a", "MGET {a}1 {a}3")
        >> node("a", "*2 $-1 $-1") << to_client("*2 $-1 $-1") << silence()
    )  # fmt: skip


def test_mset() -> None:
    """All parts done: done."""
    (
        story(ring("a", "b"))
        >> client("MSET {a}1 x {b}2 y {b}3 z") << to("a", "MSET {a}1 x") << to("b", "MSET {b}2 y {b}3 z")
        >> node("a", "+OK") >> node("b", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


@pytest.mark.parametrize("name", ["DEL", "UNLINK", "EXISTS", "TOUCH"])
def test_sums(name: str) -> None:
    """What counts keys is summed up."""
    (
        story(ring("a", "b"))
        >> client(f"{name} {{a}}1 {{b}}2 {{b}}3") << to("a", f"{name} {{a}}1") << to("b", f"{name} {{b}}2 {{b}}3")
        >> node("a", ":1") >> node("b", ":2") << to_client(":3") << silence()
    )  # fmt: skip


def test_split_read_fails() -> None:
    """A read of which a part fails is an error, never a nil that looks like a miss."""
    (
        story(ring("a", "b"))
        >> client("MGET {a}1 {b}2") << to("a", "MGET {a}1") << to("b", "MGET {b}2")
        >> node("a", "*1 $1 1") >> refused("b", "connection refused")
        << to_client("-NODEDOWN b b:6379 (connection refused)")
        >> client("EXISTS {a}1 {b}2") << to("a", "EXISTS {a}1")
        >> node("a", ":1") << to_client("-NODEDOWN b b:6379 (connection refused)")
        << silence()
    )  # fmt: skip


def test_split_read_errors() -> None:
    """So is one of which a node says no."""
    (
        story(ring("a", "b"))
        >> client("MGET {a}1 {b}2") << to("a", "MGET {a}1") << to("b", "MGET {b}2")
        >> node("a", "*1 $1 1") >> node("b", "-LOADING soon") << to_client("-LOADING soon") << silence()
    )  # fmt: skip


def test_split_write_fails() -> None:
    """A write that is done in part says for how many keys it is not, where, why, and that the others have it."""
    (
        story(ring("a", "b"))
        >> client("MSET {a}1 x {b}2 y {b}3 z") << to("a", "MSET {a}1 x") << to("b", "MSET {b}2 y {b}3 z")
        >> node("a", "+OK") >> lost("b")
        << to_client("-PARTIAL 'mset' failed for 2 of 3 keys on b (it closed the connection); "
                     "1 applied, 2 may have been applied")
        >> client("DEL {a}1 {b}2") << to("a", "DEL {a}1") << to("b", "DEL {b}2")
        >> node("a", "-READONLY no") >> node("b", ":1")
        << to_client("-PARTIAL 'del' failed for 1 of 2 keys on a node (READONLY no); 1 applied")
        << silence()
    )  # fmt: skip


def test_crossslot() -> None:
    """Several keys on several nodes that cannot be split: refused with Redis's code word, nothing is sent."""
    (
        story(ring("a", "b"))
        >> client("RENAME {a}1 {b}2")
        << to_client(
            "-CROSSSLOT Keys in request don't hash to the same node "
            "(command='rename', first-key='{a}1', violating-key='{b}2')"
        )
        >> client("RENAME {a}1 {a}2") << to("a", "RENAME {a}1 {a}2")
        >> node("a", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_every_node() -> None:
    """Commands about the whole are asked of every node and summed up or joined; one failure fails a read."""
    (
        story(ring("a", "b"))
        >> client("DBSIZE") << to("a", "DBSIZE") << to("b", "DBSIZE")
        >> node("a", ":3") >> node("b", ":4") << to_client(":7")
        >> client("KEYS *") << to("a", "INFO memory") << to("b", "INFO memory") >> node("a", "$0 ") >> node("b", "$0 ")
        << to("a", "KEYS *") << to("b", "KEYS *")
        >> node("b", "*1 $1 y") >> node("a", "*1 $1 x") << to_client("*2 $1 x $1 y")
        >> client("FLUSHALL") << to("a", "INFO memory") << to("b", "INFO memory")
        >> node("a", "$0 ") >> node("b", "$0 ") << to("a", "FLUSHALL") << to("b", "FLUSHALL")
        >> node("a", "+OK") >> refused("b")
        << to_client("-PARTIAL 'flushall' failed for 1 of 2 nodes on b (connection refused); "
                     "1 applied, 1 may have been applied")
        << silence()
    )  # fmt: skip


def test_scan() -> None:
    """SCAN visits the nodes one after another; its cursor carries the node, and ends as it began."""
    (
        story(ring("a", "b"))
        >> client("SCAN 0 COUNT 5") << to("a", "SCAN 0 COUNT 5")
        >> node("a", "*2 $1 7 *1 $1 x") << to_client(f"*2 $9 {7 << 24 | 1} *1 $1 x")
        >> client(f"SCAN {7 << 24 | 1}") << to("a", "SCAN 7")
        >> node("a", "*2 $1 0 *0") << to_client("*2 $1 2 *0")
        >> client("SCAN 2") << to("b", "SCAN 0")
        >> node("b", "*2 $1 0 *1 $1 y") << to_client("*2 $1 0 *1 $1 y")
        >> client("SCAN 77", "SCAN x") << to_client("-ERR invalid cursor", "-ERR invalid cursor") << silence()
    )  # fmt: skip


def test_info() -> None:
    """INFO is asked of the nodes and completed here; what is only ours needs no node."""
    (
        story(ring("a"))
        >> client("INFO kidoproxy") << then(lambda play: b"# Kidoproxy" in play.client("me").received)
        << given(unheard)
        >> client("INFO server") << to("a", "INFO server")
        >> node("a", bulk(b"# Server\r\nredis_version:7.2.4\r\n"))
        << then(lambda play: b"redis_version:7.2.4" in play.client("me").received)
    )  # fmt: skip


# -- what is not tried -----------------------------------------------------------------------------------------


def test_unknown() -> None:
    """A command that the table does not know is asked of a node once; what no node knows is refused as Redis does."""
    refusal = "-ERR unknown command 'NOPE', with args beginning with: '1' "
    (
        story(ring("a"))
        >> client("NOPE 1", "GET {a}1") << to("a", "COMMAND INFO NOPE")
        >> node("a", "*1 *-1") << to_client(refusal) << to("a", "GET {a}1")
        >> node("a", "$-1") << to_client("$-1")
        >> client("NOPE 1") << to_client(refusal) << silence()
    )  # fmt: skip


def test_learned() -> None:
    """A command of a module is served from then on, for all clients of the pool."""
    row = array([array([bulk(b"x.get"), integer(2), b"*1\r\n+readonly\r\n", integer(1), integer(1), integer(1)])])
    (
        story(ring("a", "b"))
        >> client("PING", "X.GET {b}1", "PING") << to_client("+PONG") << to("a", "COMMAND INFO X.GET")
        >> node("a", row) << to("b", "X.GET {b}1")
        >> node("b", "$1 x") << to_client("$1 x", "+PONG")
        >> client("x.get {a}1", name="you") << to("a", "x.get {a}1")
        >> node("a", "$-1") << to_client("$-1", name="you") << silence()
    )  # fmt: skip


def test_nobody_to_ask() -> None:
    """With no node alive an unknown command is unknown; one that dies under the question is the answer."""
    (
        story(ring("a"))
        >> client("X.GET {a}1") << to("a", "COMMAND INFO X.GET")
        >> lost("a") << to_client("-NODEDOWN a a:6379 (it closed the connection)")
        >> refused("a") << silence()
        >> client("X.GET {a}1") << to_client("-ERR unknown command 'X.GET', with args beginning with: '{a}1' ")
        << silence()
    )  # fmt: skip


def test_lookup_fails_in_multi() -> None:
    """A command that could not be looked up makes EXEC abort like any error while queueing."""
    (
        story(ring("a"))
        >> client("MULTI", "X.GET {a}1", "EXEC") << to_client("+OK") << to("a", "COMMAND INFO X.GET")
        >> lost("a")
        << to_client(
            "-NODEDOWN a a:6379 (it closed the connection)",
            "-EXECABORT Transaction discarded because of previous errors.",
        )
        << silence()
    )  # fmt: skip


def test_order_of_checks() -> None:
    """As in Redis: unknown, then the number of arguments, then NOAUTH, then what the pool denies."""
    arity = "-ERR wrong number of arguments for 'get' command"
    (
        story(ring("a", password=b"secret", words=command_set((b"get",))))
        >> client("NOPE") << to_client("-ERR unknown command 'NOPE', with args beginning with: ")
        >> client("GET") << to_client(arity)
        >> client("GET {a}1") << to_client("-NOAUTH Authentication required.")
        >> client("CONFIG NOPE") << to_client("-ERR unknown subcommand 'NOPE'. Try CONFIG HELP.")
        >> client("AUTH wrong") << to_client("-WRONGPASS invalid username-password pair or user is disabled.")
        >> client("AUTH secret") << to_client("+OK")
        >> client("GET") << to_client(arity)
        >> client("GET {a}1") << to_client("-ERR 'get' is not served here: this pool's configuration denies it")
        >> client("SHUTDOWN") << then(lambda play: b"-ERR 'shutdown' is not served here: " in heard(play))
        >> client("XREAD STREAMS {a}1 0") << to("a", "XREAD STREAMS {a}1 0")
        >> node("a", "*-1") << to_client("*-1") << silence()
    )  # fmt: skip


def heard(play: Story) -> bytes:
    """What the client was told, whatever it is; it counts as said."""
    me = play.client("me")
    raw, me.received = me.received, b""
    return raw


def test_unauthenticated_claims_little() -> None:
    """Before AUTH a client may claim ten arguments, as in Redis; afterwards any number."""
    many = encode_request([b"MGET", *([b"{a}1"] * 10)])
    (
        story(ring("a", password=b"secret"))
        >> client("AUTH secret") << to_client("+OK")
        >> client(many) << to("a", many)
        >> client(many, name="you")
        << to_client("-ERR Protocol error: unauthenticated multibulk length", name="you") << closed("you")
        << silence()
    )  # fmt: skip


def test_rename() -> None:
    """A renamed command goes by its new name alone; the node gets the old one. One renamed to nothing is off."""
    (
        story(ring("a", words=command_set(get="fetch", set="")))
        >> client("FETCH {a}1") << to("a", "get {a}1")
        >> node("a", "$1 x") << to_client("$1 x")
        >> client("GET {a}1") << to_client("-ERR unknown command 'GET', with args beginning with: '{a}1' ")
        >> client("SET {a}1 x") << to_client("-ERR unknown command 'SET', with args beginning with: '{a}1' 'x' ")
        >> client("DEL {a}1") << to("a", "DEL {a}1")
        >> node("a", ":1") << to_client(":1") << silence()
    )  # fmt: skip


# -- transactions ------------------------------------------------------------------------------------------------


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
        << then(lambda play: heard(play).startswith(b"+OK\r\n-CROSSSLOT")) << silence()
    )  # fmt: skip


# -- the session itself -----------------------------------------------------------------------------------


def test_select_is_a_barrier() -> None:
    """What changes the meaning of later requests waits until nothing is under way; then it all goes on."""
    (
        story(ring("a"))
        >> client("SET {a}1 x", "SELECT 1", "GET {a}1") << to("a", "SET {a}1 x")
        >> node("a", "+OK") << to_client("+OK", "+OK") << to("a", "GET {a}1", on=(2, 1))
        >> node("a", "$-1", on=(2, 1)) << to_client("$-1") << silence()
    )  # fmt: skip


def test_hello_is_a_barrier() -> None:
    """A reply in the old protocol leaves before the new one begins."""
    (
        story(ring("a"))
        >> client("GET {a}1", "HELLO 3", "GET {a}1") << to("a", "GET {a}1")
        >> client("PING") << silence()
        >> node("a", "$-1") << then(lambda play: heard(play).startswith(b"$-1\r\n%7\r\n"))
        << to("a", "GET {a}1", on=(3, 0))
        >> node("a", "_", on=(3, 0)) << to_client("_", "+PONG") << silence()
    )  # fmt: skip


def test_client_reply() -> None:
    """OFF: nothing is answered until ON, which is; SKIP: one reply is left out."""
    (
        story(ring("a"))
        >> client("CLIENT REPLY SKIP", "GET {a}1", "GET {a}2") << to("a", "GET {a}1", "GET {a}2")
        >> node("a", "$1 x", "$1 y") << to_client("$1 y")
        >> client("CLIENT REPLY OFF", "CLIENT REPLY SKIP", "GET {a}1", "NOTHING", "GET") << to("a", "GET {a}1")
        << to("a", "COMMAND INFO NOTHING") >> node("a", "$1 x", "*1 *-1") << silence()
        >> client("CLIENT REPLY ON") << to_client("+OK")
        >> client("CLIENT REPLY MAYBE") << to_client("-ERR syntax error") << silence()
    )  # fmt: skip


def test_quit() -> None:
    """QUIT is answered, then the socket is closed; what follows it is not read."""
    (
        story(ring("a"))
        >> client("GET {a}1", "QUIT", "GET {a}2") << to("a", "GET {a}1") << open_still()
        >> client("GET {a}3") << silence()
        >> node("a", "$-1") << to_client("$-1", "+OK") << closed() << silence()
    )  # fmt: skip


def test_protocol_error() -> None:
    """A malformed frame gets Redis's own sentence in its turn, and only then the socket is closed."""
    (
        story(ring("a"))
        >> client("GET {a}1", b"*1\r\n+GET\r\n") << to("a", "GET {a}1") << open_still()
        >> node("a", "$-1") << to_client("$-1", "-ERR Protocol error: expected '$', got '+'") << closed() << silence()
    )  # fmt: skip


def test_pieces() -> None:
    """A request may come byte by byte, or typed by hand."""
    play = story(ring("a"))
    raw = encode_request([b"GET", b"{a}1"])
    for at in range(len(raw)):
        assert play >> client(raw[at : at + 1])
        assert play << (to("a", "GET {a}1") if at + 1 == len(raw) else silence())
    assert play >> node("a", "$-1") << to_client("$-1") >> client(b"GET {a}2\r\n") << to("a", "GET {a}2")


def test_closing_while_it_waits() -> None:
    """A client that is killed while it waits for a barrier is owed what it had asked for before."""
    (
        story(ring("a"))
        >> client("GET {a}1", "SELECT 1", "GET {a}2") << to("a", "GET {a}1")
        >> client("CLIENT KILL ID 1", name="you") << to_client(":1", name="you")
        >> node("a", "$-1") << to_client("$-1") << closed() << silence()
    )  # fmt: skip


def test_stall() -> None:
    """A client with very many open calls is not read from until half of them are answered."""
    count = limits.CLIENT_PAUSE_REQUESTS
    half = count // 2
    ping = encode_request([b"GET", b"{a}1"])

    def forget(play: Story) -> None:
        play.sent["a"].clear()

    play = story(ring("a")) >> client(ping * (count + 5))
    assert len(play.sent["a"]) == count
    assert play << given(forget) << then(lambda play: play.client("me").session.mode != READY)
    assert play >> node("a", b"$-1\r\n" * (count - half - 1)) << to_client(b"$-1\r\n" * (count - half - 1)) << silence()
    assert play >> node("a", "$-1") << to_client("$-1") << then(lambda play: len(play.sent["a"]) == 5)


def test_repr() -> None:
    """A session says how it stands."""
    play = story(ring("a", password=b"secret")) >> client(b"")
    session = play.client("me").session
    assert repr(session) == "<session 1 me:1 needs AUTH ready <replies 0 open, 0 bytes ready>>"
    assert play >> client("AUTH secret", "MULTI") << to_client("+OK", "+OK")
    assert repr(session) == "<session 1 me:1 multi ready <replies 0 open, 0 bytes ready>>"
    assert play >> client("EXEC") << to_client("*0")
    assert repr(session).startswith("<session 1 me:1 open ready ")
    assert play >> client("QUIT") << to_client("+OK")
    assert repr(session).startswith("<session 1 me:1 open closing ")


# -- lists -------------------------------------------------------------------------------------------------------


def test_proxy_each() -> None:
    """Each node's own reply, in a list; an error stands in its place."""
    (
        story(ring("a", "b"))
        >> client("PROXY EACH DBSIZE") << to("a", "DBSIZE") << to("b", "DBSIZE")
        >> node("b", ":2") >> lost("a")
        << to_client(b"*2\r\n-NODEDOWN a a:6379 (it closed the connection)\r\n:2\r\n")
        >> client("PROXY EACH GET {b}1") << to("b", "GET {b}1") >> node("b", "$1 x") << to_client("*1 $1 x")
        << silence()
    )  # fmt: skip


def test_replies_list() -> None:
    """PROXY REPLIES LIST: from now on every reply of nodes is a list; transactions too."""
    (
        story(ring("a", "b"))
        >> client("PROXY REPLIES LIST") << to_client("+OK")
        >> client("GET {a}1", "PING") << to("a", "GET {a}1")
        >> node("a", "$1 x") << to_client("*1 $1 x", "*1 +PONG")
        >> client("MULTI", "GET {a}1", "EXEC") << to_client("+OK", "+QUEUED") << to("a", "MULTI", "GET {a}1", "EXEC")
        >> node("a", "+OK", "+QUEUED", "*1 $1 x") << to_client("*1 *1 $1 x")
        >> client("RENAME {a}1 {b}1") << then(lambda play: heard(play).startswith(b"-CROSSSLOT"))
        >> client("PROXY REPLIES MERGED") << to_client("+OK") << silence()
    )  # fmt: skip


# -- a soft pool ---------------------------------------------------------------------------------------------------


def test_soft_pool() -> None:
    """Where a pool wants misses, a read of a dead node finds nothing, a blind write is dropped, both are counted."""
    (
        story(ring("a", "b", soft=True))
        >> client("GET {a}1") << to("a", "GET {a}1") >> node("a", "$1 x") << to_client("$1 x")
        >> refused("b") << silence()
        >> client("GET {b}1", "SET {b}1 x", "INCR {b}1", "MGET {a}1 {b}1") << to("a", "MGET {a}1")
        << to_client("$-1", "+OK", "-NODEDOWN b b:6379 (connection refused)")
        >> node("a", "*1 $1 x") << to_client("*2 $1 x $-1")
        >> client("MULTI", "GET {b}1", "SET {b}1 x", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED", "*2 $-1 +OK")
        << then(lambda play: (play.executor.soft_misses, play.executor.dropped_writes) == (3, 2)) << silence()
    )  # fmt: skip


# -- copies ----------------------------------------------------------------------------------------------------------


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
        << to_client(f"-NOREPLICAS write stands on {names} only, 3 copies are wanted")
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
        << then(lambda play: heard(play).endswith(b"-ERR EXEC without MULTI\r\n")) << silence()
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
    assert play >> client("GET k", "DISCARD") << then(lambda play: heard(play).endswith(b"+OK\r\n")) << silence()
