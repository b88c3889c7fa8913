"""Each error reply counts once: as one of the proxy, by its word, or as one that a node gave."""

from collections.abc import Callable
from typing import Final

import pytest

from kidoproxy.commands.acl import Acl
from kidoproxy.commands.families import FAMILIES
from kidoproxy.replies.aggregate import AggregateSlot, ListReplies
from kidoproxy.replies.callbacks import BatchHandler, CallbackHandler, ignore_failure, transform_reply
from kidoproxy.replies.error_counts import ErrorCounts
from kidoproxy.replies.handler import DelegatingHandler, IgnoreReply, ReplyHandler
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp import errors, limits
from kidoproxy.resp.error_codes import OTHER, PROXY_CODES
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.node_errors import NodeErrorReply, as_node_reply
from kidoproxy.session.users import User, Users
from kidoproxy.upstream.failures import on_handler_exception
from tests.session.pubsub.pubsub_story import pubsub
from tests.story import (
    LEASED,
    Event,
    Pool,
    Story,
    client,
    copies,
    down,
    led_by,
    lost,
    node,
    refused,
    ring,
    story,
    tick,
    unheard,
)

KEY: Final = led_by(copies("a", "b"), "a")


def two() -> Pool:
    return ring("a", "b")


def soft() -> Pool:
    return ring("a", "b", miss_on_down=True)


def guarded() -> Pool:
    return ring("a", "b", password=b"secret")


def pair() -> Pool:
    return copies("a", "b", min_in_sync=2)


def limited() -> Pool:
    pool = ring("a", "b")
    pool.users = Users([User(b"default", Acl("+@all -get"), True, True, [])])
    return pool


def full(play: Story) -> None:
    """As much waits for node ``a`` as may."""
    client("GET {a}0", name="scout")(play)
    play.settle()
    conn = play.connection("a")
    conn.reply_handlers += [conn.reply_handlers[0]] * limits.CONNECTION_QUEUE_REPLIES


def one_copy_less(play: Story) -> None:
    group = play.pool.groups[0]
    group.mark_behind([group.copies[1].node])


def misread(play: Story) -> None:
    """A reply that nobody can handle."""
    handler = play.connection("a").reply_handlers[-1]
    on_handler_exception(play.connection("a"), handler, RuntimeError("a bug"))


def unwritable(play: Story) -> None:
    """The record of the copies cannot be put on disk."""
    durability = play.pool.groups[0].durability
    durability.begin_version(False, True)
    durability.on_record_failed("disk full")


def spoilt(play: Story) -> None:
    """Something was refused while the transaction was queued."""
    client("MULTI", "GET")(play)


def waits(play: Story) -> None:
    """A client waits for an element of a list that is empty."""
    client(f"BLPOP {KEY} 0")(play)
    play.settle()
    for name in ("a", "b"):
        node(name, "+OK", "+QUEUED", "*1 *-1")(play)


def unblock(play: Story) -> None:
    client(f"CLIENT UNBLOCK {play.client('me').session.id} ERROR", name="admin")(play)


def answer_pop(play: Story) -> None:
    """Both copies say that it is no list."""
    for name in ("a", "b"):
        node(name, "+OK", "+QUEUED", b"*1\r\n-WRONGTYPE no\r\n")(play)


def drop_counts(play: Story) -> None:
    """What came before does not count."""
    play.context.error_counts.by_proxy = dict.fromkeys(play.context.error_counts.by_proxy, 0)
    play.context.error_counts.by_nodes = dict.fromkeys(play.context.error_counts.by_nodes, 0)
    play.context.error_counts.proxy_errors_by_family = [0] * len(FAMILIES)
    play.context.error_counts.node_errors_by_family = [0] * len(FAMILIES)
    play.executor.misses_on_down = 0
    for member in play.pool.nodes:
        member.failure_counts = {}


def counted(pool: Pool, *events: Event, harm: Event = unheard) -> Story:
    """The story of these events, after some harm that does not count itself."""
    play = story(pool)
    for event in (harm, drop_counts, *events):
        happen(play, event)
    return play


def happen(play: Story, event: Event) -> None:
    """Something happens, and what is said because of it does not matter."""
    event(play)
    play.settle()
    unheard(play)


def own(play: Story) -> dict[str, int]:
    return {code: count for code, count in play.context.error_counts.by_proxy.items() if count}


def families(play: Story) -> tuple[list[str], list[str]]:
    """The families of the errors, of the proxy and of nodes, each as often as it was counted."""
    counts = play.context.error_counts
    return (
        [name for name, count in zip(FAMILIES, counts.proxy_errors_by_family, strict=True) for _ in range(count)],
        [name for name, count in zip(FAMILIES, counts.node_errors_by_family, strict=True) for _ in range(count)],
    )


def of_nodes(play: Story) -> dict[str, int]:
    return {code: count for code, count in play.context.error_counts.by_nodes.items() if count}


#: By word: the pool, what has happened to it, and what happens then, which is one error of that word.
STORIES: Final[dict[str, tuple[Callable[[], Pool], Event, list[Event]]]] = {
    "ERR": (two, unheard, [client("SUBSTR {a}1")]),
    "NODEDOWN": (two, down("a"), [client("GET {a}1")]),
    "TIMEOUT": (two, unheard, [client("GET {a}1"), tick(0.6)]),
    "OVERLOADED": (two, full, [client("GET {a}1")]),
    "BADREPLY": (two, unheard, [client("GET {a}1"), misread]),
    "PARTIAL": (two, down("a"), [client("DEL {a}1 {b}1"), node("b", ":1")]),
    "CROSSSLOT": (two, unheard, [client("RENAME {a}1 {b}1")]),
    "NOREPLICAS": (pair, one_copy_less, [client(f"SET {KEY} v")]),
    "BEHIND": (
        lambda: copies("a", "b"),
        one_copy_less,
        [client("PROXY EACH DBSIZE"), node("a", ":1"), node("b", ":1")],
    ),
    "MISCONF": (pair, unwritable, [client(f"SET {KEY} v")]),
    "LOADING": (lambda: copies("a", "b", elected=False), unheard, [client(f"GET {KEY}")]),
    "NOAUTH": (guarded, unheard, [client("GET {a}1")]),
    "WRONGPASS": (guarded, unheard, [client("AUTH guess")]),
    "NOPERM": (limited, unheard, [client("GET {a}1")]),
    "NOPROTO": (two, unheard, [client("HELLO 9")]),
    "NOSCRIPT": (two, unheard, [client("EVALSHA " + "0" * 40 + " 0")]),
    "EXECABORT": (two, spoilt, [client("EXEC")]),
    "UNBLOCKED": (pair, waits, [unblock]),
}
#: The family of the command that is refused, where it is no command of strings.
FAMILY: Final = {
    "PARTIAL": "keyspace",
    "CROSSSLOT": "keyspace",
    "BEHIND": "server",
    "NOAUTH": "string",
    "WRONGPASS": "connection",
    "NOPROTO": "connection",
    "NOSCRIPT": "scripting",
    "EXECABORT": "transactions",
    "UNBLOCKED": "list",
}
#: Where a node is the cause, what its own counter says of it.
CAUSES: Final = {
    "NODEDOWN": {"down": 1},
    "TIMEOUT": {"timeout": 1},
    "OVERLOADED": {"queue full": 1},
    "PARTIAL": {"down": 1},
    "BADREPLY": {"internal error": 1},
}


@pytest.mark.parametrize("code", [code for code in PROXY_CODES if code != OTHER])
def test_each_word(code: str) -> None:
    """One error of the proxy is one more of its word, of no other, and none of a node; whose fault it is says so."""
    make, harm, events = STORIES[code]
    play = counted(make(), *events, harm=harm)
    assert (own(play), of_nodes(play)) == ({code: 1}, {})
    assert families(play) == ([FAMILY.get(code, "string")], [])
    assert play.node("a").failure_counts == CAUSES.get(code, {})


@pytest.mark.parametrize("code", ["NODEDOWN", "TIMEOUT", "OVERLOADED", "NOREPLICAS"])
def test_behind_loading(code: str) -> None:
    """With ``node_errors = "retry"`` clients read LOADING first: what is counted is the word behind it."""
    make, harm, events = STORIES[code]
    pool = make()
    pool.as_loading = True
    assert own(counted(pool, *events, harm=harm)) == {code: 1}


#: What a node says, and how it gets to the client.
OF_NODES: Final[list[tuple[Callable[[], Pool], list[Event], str]]] = [
    (two, [client("GET {a}1"), node("a", "-WRONGTYPE no")], "WRONGTYPE"),
    (two, [client("SET {a}1 x"), node("a", "-OOM no")], "OOM"),
    (two, [client("MGET {a}1 {b}1"), node("a", "-READONLY no"), node("b", "*1 $-1")], "READONLY"),
    (two, [client("GET {a}1", "GET {b}1"), node("b", "-MYMODULE says no"), node("a", "$-1")], OTHER),
    (two, [client("MULTI", "GET {a}1", "EXEC"), node("a", "+OK", "+QUEUED", "-EXECABORT why")], "EXECABORT"),
    (soft, [client("INCR {a}1"), node("a", "-LOADING soon")], "LOADING"),
    (two, [client("BLPOP {a}1 0"), node("a", "-WRONGTYPE no", on=LEASED)], "WRONGTYPE"),
    (pair, [client(f"LPUSH {KEY} x"), node("a", "-WRONGTYPE no"), node("b", "-WRONGTYPE no")], "WRONGTYPE"),
    (pair, [client(f"GET {KEY}"), node("a", "-WRONGTYPE no")], "WRONGTYPE"),
    (pair, [client(f"BLPOP {KEY} 0"), answer_pop], "WRONGTYPE"),
]


@pytest.mark.parametrize("case", OF_NODES, ids=lambda case: case[2])
def test_errors_of_nodes(case: tuple[Callable[[], Pool], list[Event], str]) -> None:
    """What a node has said counts by the node's word, however it has come to the client, and not as the proxy's."""
    make, events, code = case
    play = counted(make(), *events)
    assert (own(play), of_nodes(play)) == ({}, {code: 1})
    assert [len(found) for found in families(play)] == [0, 1]


def test_errors_of_no_command() -> None:
    """What is no request at all is of the family `unknown`, whatever came before it."""
    play = counted(two(), client("HELLO 9"))
    play.client("me").session.feed(b"*1\r\n!bad\r\n")
    unheard(play)
    assert families(play) == (["connection", "unknown"], [])


def test_misses_are_no_errors() -> None:
    """With ``on_down = "miss"`` an answered miss is counted as that alone, and what cannot be one is an error."""
    play = counted(soft(), client("GET {a}1", "SET {a}1 x", "DEL {a}1"), harm=down("a"))
    assert (own(play), play.executor.misses_on_down, play.executor.dropped_writes) == ({}, 1, 2)
    happen(play, client("INCR {a}1"))
    assert own(play) == {"NODEDOWN": 1}


def test_each_of_many() -> None:
    """Fifty requests to a node that is down are fifty errors, and fifty of the node's."""
    play = counted(two(), client(*["GET {a}1"] * 50), harm=down("a"))
    assert (own(play), play.node("a").failure_counts) == ({"NODEDOWN": 50}, {"down": 50})


def test_requests_under_way() -> None:
    """A connection that is lost under writes: each is an error of its own; what could be asked again is none yet."""
    play = counted(two(), client("INCR {a}1", "INCR {a}2", "GET {a}3"), lost("a"))
    assert (own(play), play.node("a").failure_counts) == ({"NODEDOWN": 2}, {"connection lost": 2})


def test_subscriptions() -> None:
    """A channel whose node is down, or silent, is an error, and one of the node's; without any node it is nobody's."""
    play = counted(two(), client("SUBSCRIBE {a}x"), harm=down("a"))
    assert (own(play), play.node("a").failure_counts) == ({"NODEDOWN": 1}, {"down": 1})
    listening = pubsub(two()) >> client("SUBSCRIBE {a}x")
    for _ in range(20):
        happen(listening, tick())
    assert (own(listening), listening.node("a").failure_counts["timeout"]) == ({"TIMEOUT": 1}, 1)
    play = counted(copies("a", "b", elected=False), client("SUBSCRIBE x"))
    assert (own(play), play.node("a").failure_counts, play.node("b").failure_counts) == ({"LOADING": 1}, {}, {})


def test_only_requests_of_clients_count() -> None:
    """What the proxy asks for itself is none of the failures that an operator reads as those of requests."""
    play = counted(two(), client("INCR {a}1"))
    conn = play.connection("a")
    own_handlers: list[ReplyHandler] = [
        IgnoreReply(),
        CallbackHandler(print, ignore_failure),
        BatchHandler(1, print, ignore_failure),
        transform_reply(IgnoreReply(), bytes),
    ]
    for harm in (lost("a"), refused("a")):
        for handler in own_handlers:
            conn.submit(handler, b"*1\r\n$4\r\nPING\r\n", 2, 0, play.executor.now)
        happen(play, harm)
    assert play.node("a").failure_counts == {"connection lost": 1}


def test_errors_in_lists_within_lists() -> None:
    """However deep the list is, its client is told of the error, and it counts as the client's."""
    replies = ReplyQueue(TurnWork())
    outer = ListReplies(DelegatingHandler(replies.open_pending(None)), 1, False)
    inner = ListReplies(AggregateSlot(outer, 0), 2, False)
    AggregateSlot(inner, 0).on_failure(NodeFailure(errors.NODEDOWN, "a", "a:1", "gone", False))
    slot = AggregateSlot(inner, 1)
    assert slot.serves_client()
    slot.on_reply(NodeErrorReply(b"-OOM no\r\n"))
    assert replies.error_counts.by_code() == {"NODEDOWN": 1}
    ReplyHandler().count_error(b"-ERR nobody hears it\r\n")


def test_places_of_a_transaction() -> None:
    """Of EXEC over several nodes each place counts that the proxy has filled; what nodes say there does not."""
    queued = client("MULTI", "INCR {a}1", "INCR {a}2", "LPUSH {b}1 x", "EXEC")
    play = counted(two(), queued, node("b", "+OK", "+QUEUED", b"*1\r\n-WRONGTYPE no\r\n"), harm=down("a"))
    assert (own(play), of_nodes(play)) == ({"NODEDOWN": 2}, {})


def test_each_node_of_a_list() -> None:
    """So it is with PROXY EACH."""
    play = counted(two(), client("PROXY EACH DBSIZE"), node("b", "-LOADING soon"), harm=down("a"))
    assert (own(play), of_nodes(play)) == ({"NODEDOWN": 1}, {})


def test_a_large_reply_is_none() -> None:
    """The last piece of a reply that goes on in pieces may begin with anything."""
    play = counted(two(), client("GET {a}1"))
    conn = play.connection("a")
    conn.feed(b"$100000\r\n" + b"x" * 90_000, play.executor.now)
    conn.feed(b"-ERR " + b"x" * 9995 + b"\r\n", play.executor.now)
    play.settle()
    assert (own(play), of_nodes(play)) == ({}, {})
    unheard(play)


def test_totals() -> None:
    """Both together, as INFO tells them; a code that never came is left out there."""
    counts = ErrorCounts()
    counts.count(errors.SYNTAX, 0)
    counts.count(NodeErrorReply(errors.SYNTAX), 0)
    counts.count(as_node_reply(b"-OOM no\r\n"), 0)
    assert counts.total() == 3
    assert counts.by_code() == {"ERR": 2, "OOM": 1}
    assert type(as_node_reply(b"+OK\r\n")) is bytes
