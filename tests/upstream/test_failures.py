"""An exception of ours costs the request whose reply was being handled: neither its neighbours nor the connection.

The mistake of these tests is a rule for merging that does not exist, as `MergeReplies` finds out when it has all
replies.
"""

from collections.abc import Callable

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.replication.read_failover import ReadAttempt, ReadFailover
from kidoproxy.replication.write import CopyWrite
from kidoproxy.replies.aggregate import AggregateSlot
from kidoproxy.replies.handler import IgnoreReply, ReplyHandler
from kidoproxy.replies.merge_replies import MergeReplies
from kidoproxy.replies.queue import PendingRequest, ReplyQueue
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.plan import Gather, Send, WriteScope
from kidoproxy.routes.route import RequestContext, WallClock
from kidoproxy.routes.topology import CopyGroup, Node
from kidoproxy.scripts.evalsha import LoadResultHandler, ScriptLoadExecutor
from kidoproxy.scripts.registry import ScriptRegistry
from kidoproxy.session.handlers.info import InfoHandler
from kidoproxy.session.handlers.scripts import RecordOnSuccess
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.pubsub.counts import CountCorrection
from kidoproxy.session.pubsub.listener import Fence, PubSubListener
from kidoproxy.session.pubsub.subscriptions import Subscriptions
from kidoproxy.session.session import ClientSession
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.dedicated import DedicatedExecutor, DedicatedRequest
from kidoproxy.upstream.dedicated_pool import DedicatedPool
from kidoproxy.upstream.disconnect import on_unsolicited_reply
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handlers import PushHandler
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.health import MAX_INTERNAL_ERRORS
from kidoproxy.upstream.identity import Handshake
from kidoproxy.upstream.miss_on_failure import MissOnFailure
from kidoproxy.upstream.server import Server
from kidoproxy.upstream.transaction import NodeBatch, Transaction
from tests.greet import greet
from tests.story import only_default, ring

NO_RULE = 999
GET = COMMANDS[b"get"]


class Rig:
    """An exchange with one node, whose link is ready, and the ledger of one client."""

    def __init__(self) -> None:
        self.node = Node(0, "a", "a:6379", 1)
        self.exchange = Executor([Server(self.node, ConnectionOptions())])
        self.exchange.now = 1.0
        self.ledger = ReplyQueue(self.exchange.pending_writes)
        self.link = self.exchange.connection(self.node, 2, 0)
        self.ready(self.link)

    def ready(self, conn: NodeConnection) -> None:
        """The node answers the greeting."""
        conn.start_connecting()
        conn.on_connected(1.0, 1.0)
        conn.feed(greet(conn, b"run_id:1\r\n"), 1.0)
        conn.take_output()

    def call(self) -> PendingRequest:
        """A place in the ledger."""
        return self.ledger.open_pending(COMMANDS[b"set"])

    def bad(self, parent: ReplyHandler) -> ReplyHandler:
        """A leg whose reply cannot be handled."""
        return AggregateSlot(MergeReplies(parent, 1, NO_RULE, 2, b"dbsize", False), 0)

    def place(self, handler: ReplyHandler) -> None:
        """Send something for it."""
        self.link.submit(handler, b"*1\r\n$4\r\nPING\r\n", 2, 0, self.exchange.now)

    def heard(self) -> list[bytes]:
        """What the client was told, reply by reply."""
        return b"".join(self.ledger.take_output()).split(b"\r\n")[:-1]


def session(rig: Rig) -> ClientSession:
    """A client's conversation over the rig's node."""
    pool = PoolContext("cache", "ring", NodeRoute(rig.node), ring("a").words)
    pool.users = only_default(b"")
    return ClientSession(ProxyState(rig.exchange), pool, "me:1", "proxy:1")


def on_lane(rig: Rig) -> ReplyHandler:
    """A request that waits on a lane."""
    lanes = DedicatedPool(rig.exchange)
    wire = DedicatedExecutor(lanes, 0.0, b"*-1\r\n")
    handler = DedicatedRequest(wire, lanes.acquire(rig.node, 2, 0), rig.bad(rig.call()), 1, b"")
    wire.blocked.append(handler)
    return handler


def batch(rig: Rig, whole: bool) -> ReplyHandler:
    """A transaction of one command."""
    found = NodeBatch(Transaction(rig.exchange, None), rig.node, rig.bad(rig.call()) if whole else None)
    found.replies_left = 1
    if not whole:
        found.handlers = [rig.bad(rig.call())]
    return found


def reask(rig: Rig) -> ReadFailover:
    """A read that no other node can be asked for."""
    return ReadFailover(rig.exchange, rig.bad(rig.call()), b"", rig.node, [], 2, 0)


CHAINS: dict[str, Callable[[Rig], ReplyHandler]] = {
    "merged": lambda rig: rig.bad(rig.call()),
    "merged in merged": lambda rig: rig.bad(rig.bad(rig.call())),
    "soft": lambda rig: MissOnFailure(rig.exchange, rig.bad(rig.call()), b"", GET, 2),
    "reask": reask,
    "again": lambda rig: ReadAttempt(reask(rig)),
    "counted": lambda rig: CountCorrection(
        Subscriptions(rig.exchange, NodeRoute(rig.node)), COMMANDS[b"publish"], [], rig.bad(rig.call())
    ),
    "noted": lambda rig: RecordOnSuccess(ScriptRegistry(), b"", [], rig.bad(rig.call()), None),
    "attendance": lambda rig: LoadResultHandler(ScriptLoadExecutor(rig.exchange), rig.bad(rig.call()), rig.node),
    "info": lambda rig: InfoHandler(session(rig), [b"info"], rig.bad(rig.call())),
    "lane": on_lane,
    "whole transaction": lambda rig: batch(rig, True),
    "transaction": lambda rig: batch(rig, False),
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=list(CHAINS))
def test_neighbours_are_answered_and_the_connection_stays(chain: Callable[[Rig], ReplyHandler]) -> None:
    """Whoever stands between the node and the client: one error for it, in its turn, and the next replies as ever."""
    rig = Rig()
    before, handler, behind = rig.call(), chain(rig), rig.call()
    for one in (before, handler, behind):
        rig.place(one)
    rig.link.feed(b"+1\r\n*1\r\n+2\r\n+3\r\n", 1.0)
    first, error, last = rig.heard()
    assert (first, last) == (b"+1", b"+3")
    assert error.startswith(b"-BADREPLY a a:6379 (its reply to '")
    assert len(error) <= 200
    assert rig.link.is_ready()
    assert rig.node.failure_counts["mishap"] == 1
    assert [name for name, _ in rig.node.internal_errors] in (["dbsize"], ["exec"])


@pytest.mark.parametrize("chain", CHAINS.values(), ids=list(CHAINS))
def test_lost_while_it_waits(chain: Callable[[Rig], ReplyHandler]) -> None:
    """A handler that cannot bear the loss of its connection keeps nobody else from hearing of it."""
    rig = Rig()
    handler, behind = chain(rig), rig.call()
    for one in (handler, behind):
        rig.place(one)
    rig.link.take_output()
    rig.link.on_connection_lost("gone", 2.0, True)
    assert [line[:15] for line in rig.heard()] == [b"-NODEDOWN a a:6"] * 2


def test_a_failure_that_cannot_be_told() -> None:
    """Half of a merged reply fails and its handler raises: its client hears of it, the others too."""
    rig = Rig()
    aggregate = MergeReplies(rig.call(), 2, NO_RULE, 2, b"del", True)
    # The second part has no place, as a wrong plan would have it.
    aggregate.key_positions = [[0]]
    behind = rig.call()
    for handler in (AggregateSlot(aggregate, 0), AggregateSlot(aggregate, 1), behind):
        rig.place(handler)
    rig.link.feed(b":1\r\n", 1.0)
    rig.link.on_connection_lost("gone", 2.0, True)
    assert [line[:15] for line in rig.heard()] == [b"-NODEDOWN a a:6"] * 2
    assert rig.node.failure_counts["mishap"] == 1


def test_a_client_that_is_gone() -> None:
    """A handler that raises, and raises again when it is told so, harms nobody."""
    rig = Rig()
    handler, behind = AggregateSlot(MergeReplies(rig.call(), 1, NO_RULE, 2, b"", False), 0), rig.call()
    rig.place(handler)
    rig.ledger.discard_pending()
    other = ReplyQueue(rig.exchange.pending_writes)
    behind = other.open_pending(None)
    rig.place(behind)
    rig.link.feed(b":1\r\n:2\r\n", 1.0)
    assert other.take_output() == [b":2\r\n"]
    assert rig.node.failure_counts["mishap"] == 2
    assert [name for name, _ in rig.node.internal_errors] == ["set", "set"]


def test_a_write_of_copies_whose_replies_cannot_be_judged() -> None:
    """The copies may differ, and are looked at; a sync does not wait for the judgement for ever."""
    for touched, mended, behind in (([b"k"], 1, []), ([], 0, ["b"])):
        nodes = [Node(at, name, f"{name}:6379", at + 1) for at, name in enumerate("ab")]
        group = CopyGroup("pair", nodes)
        for copy in group.copies:
            group.mark_in_sync(copy.node)
        executor = Executor([Server(node, ConnectionOptions()) for node in nodes])
        replies = ReplyQueue(executor.pending_writes)
        scope = WriteScope(touched, False, None, [], None)
        plan = Gather([Send(node, None) for node in nodes], 0, group=group, write=scope)
        judged = CopyWrite(
            replies.open_pending(COMMANDS[b"set"]),
            plan,
            group,
            RequestContext(0, 2, False, False, WallClock(0), ScriptRegistry()),
        )
        judged.mark_unconfirmed(1)
        failure = NodeFailure("BADREPLY", "a", "a:6379", "a bug", True)
        AggregateSlot(judged, 0).abort(failure, False)
        judged.set_reply(0, b"+OK\r\n")
        judged.set_reply(1, b"+OK\r\n")
        assert len(replies.take_output()) == 1
        assert (len(group.to_repair), group.behind_names()) == (mended, behind)
        assert not group.open_writes
        assert not any(copy.unconfirmed for copy in group.copies)


def test_a_lane_in_doubt_is_closed() -> None:
    """What raises before the lane is given back: nobody gets it any more."""
    rig = Rig()
    handler = on_lane(rig)
    assert isinstance(handler, DedicatedRequest)
    handler.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert handler.lease.ended
    assert handler.plan_executor.blocked == []


def test_a_greeting_that_cannot_be_handled() -> None:
    """A link that is greeted by half is given up; a listener asks for the echo of its batch again."""
    rig = Rig()
    greeting = Handshake(rig.link, [])
    greeting.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert greeting.describe() == "the greeting"
    rig.place(IgnoreReply())
    rig.link.feed(b"+1\r\n", 1.0)
    assert not rig.link.is_ready()
    assert rig.node.cause == "a bug"

    rig = Rig()
    board = Subscriptions(rig.exchange, NodeRoute(rig.node))
    listener = PubSubListener(rig.exchange, rig.node, board.sources[0])
    rig.ready(listener.connection)
    Fence(listener, b"").abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert listener.connection.take_output() == [b"*2\r\n$4\r\nPING\r\n$1\r\n1\r\n"]


def test_pushes_and_listeners() -> None:
    """A listener that raises costs the message; one that raises at the end of its connection costs nothing."""
    rig = Rig()
    rig.link.push_handler = PushHandler()
    behind, lost = rig.call(), rig.call()
    rig.place(behind)
    rig.link.feed(b">1\r\n+x\r\n+1\r\n+line\r\n", 1.0)
    rig.place(lost)
    rig.link.on_connection_lost("gone", 1.0, True)
    assert [line[:4] for line in rig.heard()] == [b"+1", b"-NOD"]
    assert [name for name, _ in rig.node.internal_errors] == ["a push", "a push", "a listener"]


def test_exceptions_are_kept_in_bounds() -> None:
    """All are counted, a few are kept for the log."""
    rig = Rig()
    for _ in range(3 * MAX_INTERNAL_ERRORS):
        rig.place(rig.bad(rig.call()))
    rig.link.feed(b":1\r\n" * 3 * MAX_INTERNAL_ERRORS, 1.0)
    assert len(rig.heard()) == 3 * MAX_INTERNAL_ERRORS
    assert len(rig.node.internal_errors) == MAX_INTERNAL_ERRORS
    assert rig.node.failure_counts == {"mishap": 3 * MAX_INTERNAL_ERRORS}


def test_a_handler_is_described_by_its_command() -> None:
    """By the command's full name, else by what the frame begins with, as far as either is known."""
    rig = Rig()
    assert rig.ledger.open_pending(COMMANDS[b"get"]).describe() == "get"
    pending = rig.ledger.open_pending(None)
    assert pending.describe() == "a request"
    pending.payload = b"*2\r\n$3\r\nGeT\r\n$1\r\nk\r\n"
    assert pending.describe() == "get"
    pending.payload = b"PING\r\n"
    assert pending.describe() == "a request"


def test_told_already() -> None:
    """What could not hear of its failure is not told again."""
    rig = Rig()
    pending = rig.call()
    MissOnFailure(rig.exchange, pending, b"", GET, 2).abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), True)
    told = rig.heard()
    IgnoreReply().abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), True)
    assert rig.heard() == []
    assert [line[:9] for line in told] == [b"-BADREPLY"]


def test_bytes_held_for_what_never_finishes() -> None:
    """They are given back."""
    rig = Rig()
    pending = rig.call()
    aggregate = MergeReplies(pending, 2, NO_RULE, 2, b"dbsize", False)
    pending.add_held_bytes(500)
    aggregate.held_bytes = 500
    aggregate.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert rig.ledger.held_reply_bytes == 0
    ReadFailover(rig.exchange, rig.call(), b"", rig.node, [], 2, 0).add_held_bytes(7)
    assert rig.ledger.held_reply_bytes == 7


def test_given_up_while_its_replies_are_handled() -> None:
    """What comes behind the reply that broke the link is nobody's, not a reply too many."""
    rig = Rig()
    rig.link.on_connection_lost("gone", 1.0, True)
    on_unsolicited_reply(rig.link, 1.0)
    assert rig.node.cause == "gone"
    assert "unasked reply" not in rig.node.failure_counts

    rig = Rig()
    rig.place(rig.bad(rig.call()))
    rig.place(rig.call())
    rig.link.fatal_error = "it was closed"
    rig.link.feed(b"+1\r\n+2\r\n", 1.0)
    assert rig.node.cause == "it was closed"
    assert [line[:11] for line in rig.heard()] == [b"-BADREPLY a", b"-NODEDOWN a"]


def test_a_transaction_in_doubt_closes_its_lane() -> None:
    """Nobody else may run what it has queued there."""
    rig = Rig()
    lease = DedicatedPool(rig.exchange).acquire(rig.node, 2, 0)
    found = NodeBatch(Transaction(rig.exchange, lease), rig.node, None)
    found.handlers = [rig.call()]
    found.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert lease.ended
    assert [line[:9] for line in rig.heard()] == [b"-BADREPLY"]


def test_a_read_that_may_not_be_asked_again() -> None:
    """When no copy is trusted any more the next one is not asked: the group says why."""
    nodes = [Node(at, name, f"{name}:6379", at + 1) for at, name in enumerate("ab")]
    group = CopyGroup("pair", nodes)
    executor = Executor([Server(node, ConnectionOptions()) for node in nodes])
    replies = ReplyQueue(executor.pending_writes)
    group.elected = False
    group.refusal = b"-NODEDOWN nobody is trusted\r\n"
    reask = ReadFailover(executor, replies.open_pending(None), b"", nodes[0], [nodes[1]], 2, 0)
    reask.on_reply(b"-LOADING\r\n")
    assert replies.take_output() == [group.refusal]
    # Nodes that are no copies can be asked in turn, too.
    nodes = [Node(0, "a", "a:6379", 1), Node(1, "b", "b:6379", 2)]
    alone = Executor([Server(node, ConnectionOptions()) for node in nodes])
    replies = ReplyQueue(alone.pending_writes)
    alone.execute(
        Send(nodes[0], b"*1\r\n$4\r\nPING\r\n", [nodes[1]]),
        replies.open_pending(None),
        b"",
        GET,
        RequestContext(0, 2, False, False, WallClock(0)),
    )
    assert alone.connection(nodes[0], 2, 0).pending_count() == 1


def test_a_judged_write_is_aborted_once() -> None:
    """A read of several copies has nothing that waits for its judgement."""
    nodes = [Node(at, name, f"{name}:6379", at + 1) for at, name in enumerate("ab")]
    group = CopyGroup("pair", nodes)
    executor = Executor([Server(node, ConnectionOptions()) for node in nodes])
    replies = ReplyQueue(executor.pending_writes)
    plan = Gather([Send(node, None) for node in nodes], 0, group=group)
    judged = CopyWrite(
        replies.open_pending(COMMANDS[b"set"]),
        plan,
        group,
        RequestContext(0, 2, False, False, WallClock(0), ScriptRegistry()),
    )
    judged.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert not group.to_repair
    assert [raw[:9] for raw in replies.take_output()] == [b"-BADREPLY"]


def test_answered_legs_keep_no_request() -> None:
    """The connection forgets them many at a time: what they might have asked again must not stay."""
    rig = Rig()
    request = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
    soft = MissOnFailure(rig.exchange, rig.call(), request, GET, 2)
    soft.on_reply(b"$1\r\nv\r\n")
    again = ReadFailover(rig.exchange, rig.call(), request, rig.node, [], 2, 0)
    again.on_reply(b"$1\r\nv\r\n")
    assert (soft.request_frame, again.request_frame) == (b"", b"")
    missed = MissOnFailure(rig.exchange, rig.call(), request, GET, 2)
    missed.on_reply(b"-LOADING\r\n")
    assert missed.request_frame == b""
    assert rig.heard() == [b"$1", b"v", b"$1", b"v", b"$-1"]
