"""What one client is told, in which order, and what the nodes are asked for it: stories over the whole core."""

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.resp import limits
from kidoproxy.resp.encode import array, bulk, encode_request, integer
from kidoproxy.session.mode import READY
from tests.story import (
    Story,
    client,
    closed,
    given,
    gone,
    lost,
    node,
    open_still,
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


def command_set(deny: tuple[bytes, ...] = (), **rename: str) -> CommandSet:
    """A command set that denies and renames."""
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
        >> client("SHUTDOWN") << then(lambda play: b"-ERR 'shutdown' is not served here: " in received(play))
        >> client("XREAD STREAMS {a}1 0") << to("a", "XREAD STREAMS {a}1 0")
        >> node("a", "*-1") << to_client("*-1") << silence()
    )  # fmt: skip


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
        >> node("a", "$-1") << then(lambda play: received(play).startswith(b"$-1\r\n%7\r\n"))
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
    count = limits.MAX_OPEN_REQUESTS
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
