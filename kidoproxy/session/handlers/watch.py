"""WATCH: a transaction runs only if none of these keys has changed since.

On a ring the node itself watches, for one connection: the session leases a dedicated connection to that node and sends
WATCH, later MULTI … EXEC on it. All watched keys, and all keys of the transaction, must live on that node.

In a copy pool no node can decide for the others. But all writes of the pool pass through this process, in one order
for all copies, so the proxy itself sees whether a watched key was written to; EXEC is sent only if none was, in the
same step as the check. A key's expiry is queried when it is watched. What cannot be excluded (a script, a command for
the whole keyspace) counts as a change: EXEC is answered with null, and the client retries as after any lost race.
"""

from typing import final

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replication.group import CopyGroup, WatchedKeys, group_of
from kidoproxy.replies.aggregate import Aggregate, AggregateSlot
from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.merge import mismatch_error
from kidoproxy.resp import encode, errors, limits
from kidoproxy.resp.decode import integer_value, is_error, type_byte
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.request_reader import Request
from kidoproxy.resp.scan import COLON
from kidoproxy.routes.plan import DirectReply, Send
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.session import accounting
from kidoproxy.session.base import Session
from kidoproxy.session.watches import CopyWatch, DedicatedWatch


def start_watch(session: Session, spec: CommandSpec, request: Request) -> None:
    """WATCH; no reply of the client is open."""
    if accounting.enforce_query_limit(session, request.frame_bytes() + len(request.argv) * limits.NAME_OVERHEAD_BYTES):
        return
    # A miss in place of a failure would hide when a key expires.
    request_context = session.request_context.with_per_node(False).with_failures_shown()
    watch_on_planned_nodes(session, spec, request, request_context)
    session.suspend_until_drained()


def watch_on_planned_nodes(
    session: Session, spec: CommandSpec, request: Request, request_context: RequestContext
) -> None:
    """Watch these keys where the plan places them."""
    plan = session.context.root.plan(spec, request, request_context)
    if not isinstance(plan, Send):
        session.reply_error(plan.frame if isinstance(plan, DirectReply) else errors.SYNTAX)
        return
    first_key = request.argv[1]
    node = plan.node
    watch = session.watch
    is_elsewhere = watch is not None and watch.placement_id != node.shard_id()
    if watch is not None and is_elsewhere and not watch.must_abort_exec(session.proxy.wall_ms):
        session.reply_error(errors.cross_slot(spec.name, watch.first_key, first_key))
    else:
        group = group_of(node)
        if group is not None:
            watch_copies(session, group, spec, request, request_context)
        else:
            watch_node(session, node, request)


def watch_node(session: Session, node: Node, request: Request) -> None:
    """Send WATCH on the session's dedicated connection to ``node``.

    A connection that is lost is replaced, for clients do not send UNWATCH after an error: the next EXEC is answered
    with null, and later ones run again.
    """
    watch = session.watch
    if not isinstance(watch, DedicatedWatch) or watch.placement_id != node.shard_id() or watch.push_handler.lost:
        failure = session.proxy.dedicated_pool.find_refusal(node)
        if failure is not None:
            session.open_pending(None).on_failure(failure)
            return
        was_watching = watch is not None
        session.unwatch()
        lease = session.proxy.dedicated_pool.acquire(node, session.proto, session.db)
        watch = DedicatedWatch(request.argv[1], lease)
        watch.cas_dirty = was_watching
        session.watch = watch
    watch.key_count += len(request.argv) - 1
    push_handler = watch.push_handler
    pending = session.open_pending(None)

    def on_failure(failure: NodeFailure) -> None:
        """Nobody knows whether the node watches: the connection is of no use any more."""
        push_handler.lost = True
        pending.on_failure(failure)

    handler = CallbackHandler(pending.on_reply, on_failure)
    watch.lease.connection.submit(handler, request.raw, session.proto, session.db, session.executor.now)


def watch_copies(
    session: Session, group: CopyGroup, spec: CommandSpec, request: Request, request_context: RequestContext
) -> None:
    """Remember the keys, and query when they expire."""
    watch = session.watch
    if not isinstance(watch, CopyWatch) or watch.group is not group:
        was_watching = watch is not None
        session.unwatch()
        watch = CopyWatch(group, request.argv[1])
        watch.watched_keys.cas_dirty = was_watching
        session.watch = watch
    new_keys = [request.argv[index] for index in key_positions(spec, request.argv)]
    watch.key_count += len(new_keys)
    for key in new_keys:
        watch.watched_keys.keys[(session.db, key)] = True
    watch.memory_bytes += sum(map(len, new_keys)) + len(new_keys) * limits.NAME_OVERHEAD_BYTES
    aggregate = CollectExpiries(session.open_pending(None), len(new_keys), watch.watched_keys, session.proxy.wall_ms)
    spec = COMMANDS[b"pttl"]
    for index, key in enumerate(new_keys):
        argv = [b"PTTL", key]
        pttl_request = Request(argv, encode.encode_request(argv))
        plan = session.context.root.plan(spec, pttl_request, request_context)
        session.executor.execute(plan, AggregateSlot(aggregate, index), pttl_request.raw, spec, request_context)


@final
class CollectExpiries(Aggregate):
    """Collects the expiries of the watched keys; WATCH is answered +OK when all are known."""

    def __init__(self, parent: ReplyHandler, count: int, watched_keys: WatchedKeys, now_ms: int) -> None:
        super().__init__(parent, count)
        self.watched_keys = watched_keys
        self.now_ms = now_ms

    def answer_parent(self) -> None:
        """Keep the earliest expiry. A reply that cannot be used makes EXEC abort."""
        failure = self.first_failure()
        if failure is not None:
            self.watched_keys.cas_dirty = True
            self.parent.on_failure(failure)
            return
        for raw in self.replies:
            if type_byte(raw) != COLON:
                self.watched_keys.cas_dirty = True
                self.parent.on_reply(raw if is_error(raw) else mismatch_error(self.replies))
                return
            ttl_ms = integer_value(raw)
            if ttl_ms >= 0 and (
                not self.watched_keys.first_expiry_ms or self.now_ms + ttl_ms < self.watched_keys.first_expiry_ms
            ):
                self.watched_keys.first_expiry_ms = self.now_ms + ttl_ms
        self.parent.on_reply(encode.OK)
