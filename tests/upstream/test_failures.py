"""An exception of ours costs the request whose reply was being handled: neither its neighbours nor the connection.

The mistake of these tests is a rule for merging that does not exist, as `MergeReplies` finds out when it has all
replies.
"""

from collections.abc import Callable

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.handler_ids import NO_HANDLER
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.read_failover import ReadFailover
from kidoproxy.replication.write import CopyWrite
from kidoproxy.replies.aggregate import AggregateSlot
from kidoproxy.replies.callbacks import transform_reply
from kidoproxy.replies.handler import DelegatingHandler, IgnoreReply, ReplyHandler
from kidoproxy.replies.merge_replies import MergeReplies
from kidoproxy.replies.queue import PendingRequest, ReplyQueue
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.plan import Gather, Send, WriteScope
from kidoproxy.routes.route import RequestContext, WallClock
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.evalsha import ScriptLoadExecutor
from kidoproxy.scripts.registry import ScriptRegistry
from kidoproxy.session.handlers.info import info_handler
from kidoproxy.session.handlers.scripts import record_on_success
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.pubsub.subscriptions import Subscriptions
from kidoproxy.session.pubsub.upstream_subscriber import UpstreamSubscriber
from kidoproxy.session.session import ClientSession
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.connection_set import ConnectionSet
from kidoproxy.upstream.dedicated import DedicatedExecutor, DedicatedRequest
from kidoproxy.upstream.dedicated_pool import DedicatedPool
from kidoproxy.upstream.disconnect import on_unsolicited_reply
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handlers import PushHandler
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.health import MAX_INTERNAL_ERRORS
from kidoproxy.upstream.identity import Handshake
from kidoproxy.upstream.miss_on_down import MissOnDown
from kidoproxy.upstream.transaction import NodeBatch, Transaction
from tests.greet import greet
from tests.story import only_default, ring

NO_RULE = 999
GET = COMMANDS[b"get"]


class Rig:
    """An executor with one node, whose connection is ready, and the reply queue of one client."""

    def __init__(self) -> None:
        self.node = Node(0, "a", "a:6379", 1)
        self.executor = Executor([ConnectionSet(self.node, ConnectionOptions())])
        self.executor.now = 1.0
        self.replies = ReplyQueue(self.executor.turn_work)
        self.conn = self.executor.connection(self.node, 2, 0)
        self.ready(self.conn)

    def ready(self, conn: NodeConnection) -> None:
        """The node accepts the connection and answers the handshake."""
        conn.start_connecting()
        conn.on_connected(1.0, 1.0)
        conn.feed(greet(conn, b"run_id:1\r\n"), 1.0)
        conn.take_output()

    def pending(self) -> PendingRequest:
        """One more open request of the client."""
        return self.replies.open_pending(COMMANDS[b"set"])

    def failing(self, parent: ReplyHandler) -> ReplyHandler:
        """A handler whose reply cannot be handled."""
        return AggregateSlot(MergeReplies(parent, 1, NO_RULE, 2, b"dbsize", False), 0)

    def submit(self, handler: ReplyHandler) -> None:
        """Send a request for ``handler``."""
        self.conn.submit(handler, b"*1\r\n$4\r\nPING\r\n", 2, 0, self.executor.now)

    def received(self) -> list[bytes]:
        """The replies that have left to the client since the last time, line by line."""
        return b"".join(self.replies.take_output()).split(b"\r\n")[:-1]


def session(rig: Rig) -> ClientSession:
    """A client's session over the rig's node."""
    pool = PoolContext("cache", "ring", NodeRoute(rig.node), ring("a").words)
    pool.users = only_default(b"")
    return ClientSession(ProxyState(rig.executor), pool, "me:1", "proxy:1")


def on_dedicated(rig: Rig) -> ReplyHandler:
    """A request that waits on a dedicated connection."""
    pool = DedicatedPool(rig.executor)
    executor = DedicatedExecutor(pool, 0.0, b"*-1\r\n")
    handler = DedicatedRequest(executor, pool.acquire(rig.node, 2, 0), rig.failing(rig.pending()), 1, b"")
    executor.blocked.append(handler)
    return handler


def batch(rig: Rig, whole: bool) -> ReplyHandler:
    """A transaction of one command."""
    found = NodeBatch(Transaction(rig.executor, None), rig.node, rig.failing(rig.pending()) if whole else None)
    found.replies_left = 1
    if not whole:
        found.handlers = [rig.failing(rig.pending())]
    return found


def read_failover(rig: Rig) -> ReadFailover:
    """A read that no other node can be asked for."""
    return ReadFailover(rig.executor, rig.failing(rig.pending()), b"", rig.node, [], 2, 0)


CHAINS: dict[str, Callable[[Rig], ReplyHandler]] = {
    "merged": lambda rig: rig.failing(rig.pending()),
    "merged in merged": lambda rig: rig.failing(rig.failing(rig.pending())),
    "miss on failure": lambda rig: MissOnDown(rig.executor, rig.failing(rig.pending()), b"", GET, 2),
    "read failover": read_failover,
    "read attempt": lambda rig: DelegatingHandler(read_failover(rig)),
    "transformed": lambda rig: transform_reply(rig.failing(rig.pending()), bytes.upper),
    "record on success": lambda rig: record_on_success(
        ScriptRegistry(), NO_HANDLER, [], rig.failing(rig.pending()), None
    ),
    "load result": lambda rig: ScriptLoadExecutor(rig.executor).load_result_handler(
        rig.failing(rig.pending()), rig.node
    ),
    "info": lambda rig: info_handler(session(rig), [b"info"], rig.failing(rig.pending())),
    "dedicated": on_dedicated,
    "whole transaction": lambda rig: batch(rig, True),
    "transaction": lambda rig: batch(rig, False),
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=list(CHAINS))
def test_neighbours_are_answered_and_the_connection_stays(chain: Callable[[Rig], ReplyHandler]) -> None:
    """Whoever stands between the node and the client: one error for it, in its turn, and the next replies as ever."""
    rig = Rig()
    before, handler, behind = rig.pending(), chain(rig), rig.pending()
    for one in (before, handler, behind):
        rig.submit(one)
    rig.conn.feed(b"+1\r\n*1\r\n+2\r\n+3\r\n", 1.0)
    first, error, last = rig.received()
    assert (first, last) == (b"+1", b"+3")
    assert error.startswith(b"-BADREPLY a a:6379 (its reply to '")
    assert len(error) <= 200
    assert rig.conn.is_ready()
    assert rig.node.failure_counts["internal error"] == 1
    assert [name for name, _ in rig.node.internal_errors] in (["dbsize"], ["exec"])


@pytest.mark.parametrize("chain", CHAINS.values(), ids=list(CHAINS))
def test_lost_while_it_waits(chain: Callable[[Rig], ReplyHandler]) -> None:
    """A handler that cannot bear the loss of its connection keeps nobody else from getting the failure."""
    rig = Rig()
    handler, behind = chain(rig), rig.pending()
    for one in (handler, behind):
        rig.submit(one)
    rig.conn.take_output()
    rig.conn.on_connection_lost("gone", 2.0, True)
    assert [line[:15] for line in rig.received()] == [b"-NODEDOWN a a:6"] * 2


def test_a_failure_that_raises() -> None:
    """Half of a merged reply fails and its handler raises: its client gets the failure, the others too."""
    rig = Rig()
    aggregate = MergeReplies(rig.pending(), 2, NO_RULE, 2, b"del", True)
    # The second part has no position, as in a wrong plan.
    aggregate.key_positions = [[0]]
    behind = rig.pending()
    for handler in (AggregateSlot(aggregate, 0), AggregateSlot(aggregate, 1), behind):
        rig.submit(handler)
    rig.conn.feed(b":1\r\n", 1.0)
    rig.conn.on_connection_lost("gone", 2.0, True)
    assert [line[:15] for line in rig.received()] == [b"-NODEDOWN a a:6"] * 2
    assert rig.node.failure_counts["internal error"] == 1


def test_a_client_that_is_gone() -> None:
    """A handler that raises, and raises again when it is aborted, harms nobody."""
    rig = Rig()
    handler, behind = AggregateSlot(MergeReplies(rig.pending(), 1, NO_RULE, 2, b"", False), 0), rig.pending()
    rig.submit(handler)
    rig.replies.discard_pending()
    other = ReplyQueue(rig.executor.turn_work)
    behind = other.open_pending(None)
    rig.submit(behind)
    rig.conn.feed(b":1\r\n:2\r\n", 1.0)
    assert other.take_output() == [b":2\r\n"]
    assert rig.node.failure_counts["internal error"] == 2
    assert [name for name, _ in rig.node.internal_errors] == ["set", "set"]


def test_a_write_of_copies_whose_replies_cannot_be_compared() -> None:
    """The copies may differ, and are repaired; a sync does not wait for the comparison for ever."""
    for touched, repairs, behind in (([b"k"], 1, []), ([], 0, ["b"])):
        nodes = [Node(at, name, f"{name}:6379", at + 1) for at, name in enumerate("ab")]
        group = CopyGroup("pair", nodes)
        for copy in group.copies:
            group.mark_in_sync(copy.node)
        executor = Executor([ConnectionSet(node, ConnectionOptions()) for node in nodes])
        replies = ReplyQueue(executor.turn_work)
        scope = WriteScope(touched, False, None, [], None)
        plan = Gather([Send(node, None) for node in nodes], 0, group=group, write=scope)
        write = CopyWrite(
            replies.open_pending(COMMANDS[b"set"]),
            plan,
            group,
            RequestContext(0, 2, False, False, WallClock(0), ScriptRegistry()),
        )
        write.mark_unconfirmed(1)
        failure = NodeFailure("BADREPLY", "a", "a:6379", "a bug", True)
        AggregateSlot(write, 0).abort(failure, False)
        write.set_reply(0, b"+OK\r\n")
        write.set_reply(1, b"+OK\r\n")
        assert len(replies.take_output()) == 1
        assert (len(group.to_repair), group.behind_names()) == (repairs, behind)
        assert not group.open_writes
        assert not any(copy.unconfirmed for copy in group.copies)


def test_a_dedicated_connection_in_doubt_is_closed() -> None:
    """If handling raises before it is given back, nobody gets it any more."""
    rig = Rig()
    handler = on_dedicated(rig)
    assert isinstance(handler, DedicatedRequest)
    handler.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert handler.lease.ended
    assert handler.plan_executor.blocked == []


def test_a_handshake_that_cannot_be_handled() -> None:
    """A connection with half a handshake is given up; an upstream subscriber asks for the echo of its batch again."""
    rig = Rig()
    handshake = Handshake(rig.conn, [])
    handshake.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert handshake.describe() == "the greeting"
    rig.submit(IgnoreReply())
    rig.conn.feed(b"+1\r\n", 1.0)
    assert not rig.conn.is_ready()
    assert rig.node.cause == "a bug"

    rig = Rig()
    subscriptions = Subscriptions(rig.executor, NodeRoute(rig.node))
    listener = UpstreamSubscriber(rig.executor, rig.node, subscriptions.sources[0])
    rig.ready(listener.connection)
    listener.submit(b"")
    echo = listener.connection.reply_handlers[-1]
    echo.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert b"".join(listener.connection.take_output()) == b"*2\r\n$4\r\nPING\r\n$1\r\n1\r\n"


def test_pushes_and_listeners() -> None:
    """A listener that raises costs the message; one that raises at the end of its connection costs nothing."""
    rig = Rig()
    rig.conn.push_handler = PushHandler()
    behind, lost = rig.pending(), rig.pending()
    rig.submit(behind)
    rig.conn.feed(b">1\r\n+x\r\n+1\r\n+line\r\n", 1.0)
    rig.submit(lost)
    rig.conn.on_connection_lost("gone", 1.0, True)
    assert [line[:4] for line in rig.received()] == [b"+1", b"-NOD"]
    assert [name for name, _ in rig.node.internal_errors] == ["a push", "a push", "a push handler"]


def test_exceptions_are_kept_in_bounds() -> None:
    """All are counted, a few are kept for the log."""
    rig = Rig()
    for _ in range(3 * MAX_INTERNAL_ERRORS):
        rig.submit(rig.failing(rig.pending()))
    rig.conn.feed(b":1\r\n" * 3 * MAX_INTERNAL_ERRORS, 1.0)
    assert len(rig.received()) == 3 * MAX_INTERNAL_ERRORS
    assert len(rig.node.internal_errors) == MAX_INTERNAL_ERRORS
    assert rig.node.failure_counts == {"internal error": 3 * MAX_INTERNAL_ERRORS}


def test_a_handler_is_described_by_its_command() -> None:
    """By the command's full name, else by what the frame begins with, as far as either is known."""
    rig = Rig()
    assert rig.replies.open_pending(COMMANDS[b"get"]).describe() == "get"
    pending = rig.replies.open_pending(None)
    assert pending.describe() == "a request"
    pending.payload = b"*2\r\n$3\r\nGeT\r\n$1\r\nk\r\n"
    assert pending.describe() == "get"
    pending.payload = b"PING\r\n"
    assert pending.describe() == "a request"


def test_no_second_failure() -> None:
    """A handler that raised while it was given its failure is not given another."""
    rig = Rig()
    pending = rig.pending()
    MissOnDown(rig.executor, pending, b"", GET, 2).abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), True)
    lines = rig.received()
    IgnoreReply().abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), True)
    assert rig.received() == []
    assert [line[:9] for line in lines] == [b"-BADREPLY"]


def test_bytes_held_for_what_never_finishes() -> None:
    """They are given back."""
    rig = Rig()
    pending = rig.pending()
    aggregate = MergeReplies(pending, 2, NO_RULE, 2, b"dbsize", False)
    pending.add_held_bytes(500)
    aggregate.held_bytes = 500
    aggregate.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert rig.replies.held_reply_bytes == 0
    ReadFailover(rig.executor, rig.pending(), b"", rig.node, [], 2, 0).add_held_bytes(7)
    assert rig.replies.held_reply_bytes == 7


def test_given_up_while_its_replies_are_handled() -> None:
    """What comes behind the reply that broke the connection is nobody's, not a reply too many."""
    rig = Rig()
    rig.conn.on_connection_lost("gone", 1.0, True)
    on_unsolicited_reply(rig.conn, 1.0)
    assert rig.node.cause == "gone"
    assert "unasked reply" not in rig.node.failure_counts

    rig = Rig()
    rig.submit(rig.failing(rig.pending()))
    rig.submit(rig.pending())
    rig.conn.fatal_error = "it was closed"
    rig.conn.feed(b"+1\r\n+2\r\n", 1.0)
    assert rig.node.cause == "it was closed"
    assert [line[:11] for line in rig.received()] == [b"-BADREPLY a", b"-NODEDOWN a"]


def test_a_transaction_in_doubt_closes_its_connection() -> None:
    """Nobody else may run what it has queued there."""
    rig = Rig()
    lease = DedicatedPool(rig.executor).acquire(rig.node, 2, 0)
    found = NodeBatch(Transaction(rig.executor, lease), rig.node, None)
    found.handlers = [rig.pending()]
    found.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert lease.ended
    assert [line[:9] for line in rig.received()] == [b"-BADREPLY"]


def test_a_read_that_may_not_be_asked_again() -> None:
    """When no copy is trusted any more the next one is not asked: the group says why."""
    nodes = [Node(at, name, f"{name}:6379", at + 1) for at, name in enumerate("ab")]
    group = CopyGroup("pair", nodes)
    executor = Executor([ConnectionSet(node, ConnectionOptions()) for node in nodes])
    replies = ReplyQueue(executor.turn_work)
    group.elected = False
    group.refusal = b"-NODEDOWN nobody is trusted\r\n"
    failover = ReadFailover(executor, replies.open_pending(None), b"", nodes[0], [nodes[1]], 2, 0)
    failover.on_reply(b"-LOADING\r\n")
    assert replies.take_output() == [group.refusal]
    # Nodes that are no copies can be asked in turn, too.
    nodes = [Node(0, "a", "a:6379", 1), Node(1, "b", "b:6379", 2)]
    alone = Executor([ConnectionSet(node, ConnectionOptions()) for node in nodes])
    replies = ReplyQueue(alone.turn_work)
    alone.execute(
        Send(nodes[0], b"*1\r\n$4\r\nPING\r\n", [nodes[1]]),
        replies.open_pending(None),
        b"",
        GET,
        RequestContext(0, 2, False, False, WallClock(0)),
    )
    assert alone.connection(nodes[0], 2, 0).pending_count() == 1


def test_a_copy_write_is_aborted_once() -> None:
    """A read of several copies has nothing to repair."""
    nodes = [Node(at, name, f"{name}:6379", at + 1) for at, name in enumerate("ab")]
    group = CopyGroup("pair", nodes)
    executor = Executor([ConnectionSet(node, ConnectionOptions()) for node in nodes])
    replies = ReplyQueue(executor.turn_work)
    plan = Gather([Send(node, None) for node in nodes], 0, group=group)
    write = CopyWrite(
        replies.open_pending(COMMANDS[b"set"]),
        plan,
        group,
        RequestContext(0, 2, False, False, WallClock(0), ScriptRegistry()),
    )
    write.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert not group.to_repair
    assert [raw[:9] for raw in replies.take_output()] == [b"-BADREPLY"]


def test_answered_handlers_keep_no_request() -> None:
    """The connection forgets them many at a time: what they might have asked again must not stay."""
    rig = Rig()
    request = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
    miss = MissOnDown(rig.executor, rig.pending(), request, GET, 2)
    miss.on_reply(b"$1\r\nv\r\n")
    again = ReadFailover(rig.executor, rig.pending(), request, rig.node, [], 2, 0)
    again.on_reply(b"$1\r\nv\r\n")
    assert (miss.request_frame, again.request_frame) == (b"", b"")
    missed = MissOnDown(rig.executor, rig.pending(), request, GET, 2)
    missed.on_reply(b"-LOADING\r\n")
    assert missed.request_frame == b""
    assert rig.received() == [b"$1", b"v", b"$1", b"v", b"$-1"]
