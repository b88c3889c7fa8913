"""Executors for scripts: EVALSHA finds its text, and what is loaded reaches absent nodes later.

An EVALSHA that a node answers with NOSCRIPT did not run. It is sent once more behind the script's text, but only if its
client has sent nothing since: what was sent since may have run, and would then have run first. So that a client which
pipelines need not care, the text goes ahead of an EVALSHA that is not the last of its batch, once per connection and
batch.

A request that loads (SCRIPT LOAD, FUNCTION LOAD) goes to all nodes. Nodes that are down are warmed up when they come
back, so they spoil nothing as long as another node has taken it.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replication.group import IN_SYNC
from kidoproxy.replies.aggregate import Aggregate
from kidoproxy.replies.callbacks import InterceptingHandler
from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.replies.merge_replies import MergeReplies
from kidoproxy.replies.queue import ReplyQueue
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.errors import NODEDOWN, NodeFailure
from kidoproxy.routes.plan import Gather, Interposed
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.registry import ScriptRegistry
from kidoproxy.scripts.warmup_connection import WarmupAdapter, preload_script
from kidoproxy.upstream.executor import DelegatingExecutor, Executor

NOSCRIPT_PREFIX: Final = b"-NOSCRIPT"


# -- EVALSHA ---------------------------------------------------------------------------------------------


@final
class EvalshaExecutor(DelegatingExecutor):
    """Executes one EVALSHA, whose frame is ``raw``.

    ``pending`` is its place in the client's reply queue; ``has_followers``: more of the client's requests came with it.
    """

    def __init__(
        self,
        executor: Executor,
        registry: ScriptRegistry,
        digest: bytes,
        raw: bytes,
        replies: ReplyQueue,
        pending: ReplyHandler,
        has_followers: bool,
    ) -> None:
        super().__init__(executor)
        self.registry = registry
        self.digest = digest
        self.raw = raw
        self.replies = replies
        self.pending = pending
        self.has_followers = has_followers
        #: Has the registry learn a script of this digest from other workers, then calls back; None: there are none.
        self.ask_peers: Callable[[bytes, Callable[[], None]], None] | None = None

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """Send the text ahead if need be. A payload that is not the client's own is an EVAL, which carries its text."""
        if payload is self.raw:
            self.preload(node, proto, db, self.has_followers)
            handler = NoScriptRetry(self, handler, node, proto, db)
        self.executor.send(node, handler, payload, proto, db)

    def send_digest(self, node: Node, handler: ReplyHandler, interposed: Interposed, proto: int, db: int) -> bool:
        return self.executor.send_digest(node, handler, interposed, proto, db)

    def preload(self, node: Node, proto: int, db: int, renew: bool) -> bool:
        """Send the text if it is known, else return False.

        Without ``renew`` it is not sent again to a connection that has carried it.
        """
        script = self.registry.find_script(self.digest)
        if script is None:
            return False
        executor = self.executor
        conn = executor.connection(node, proto, db)
        executor.script_preloads += preload_script(conn, self.digest, script.text, proto, db, executor.now, renew)
        return True

    def is_last_request(self) -> bool:
        """Whether its client has sent nothing since."""
        open_requests = self.replies.open_requests
        return bool(open_requests) and open_requests[-1] is self.pending


@final
class NoScriptRetry(DelegatingHandler):
    """Around the handler of an EVALSHA: NOSCRIPT is answered with the text and the request once more, once."""

    def __init__(self, plan_executor: EvalshaExecutor, parent: ReplyHandler, node: Node, proto: int, db: int) -> None:
        super().__init__(parent)
        self.plan_executor = plan_executor
        self.node = node
        self.proto = proto
        self.db = db
        #: NOSCRIPT has come once; the request was sent once more.
        self.retried = self.resent = False
        self.partly_sent = False

    def on_reply(self, raw: bytes) -> None:
        """Send again, by the old deadline, if the node does not know the script; else the reply is the reply."""
        plan_executor = self.plan_executor
        script_missing = raw.startswith(NOSCRIPT_PREFIX) and not self.partly_sent
        if script_missing and not self.retried:
            self.retried = True
            ask_peers = plan_executor.ask_peers
            if ask_peers is not None and not self.is_known() and plan_executor.is_last_request():
                ask_peers(plan_executor.digest, lambda: self.retry_or_reply(raw))
            else:
                self.retry_or_reply(raw)
            return
        if self.resent and not script_missing:
            plan_executor.executor.noscript_retries += 1
        self.parent.on_reply(raw)

    def is_known(self) -> bool:
        return self.plan_executor.registry.find_script(self.plan_executor.digest) is not None

    def retry_or_reply(self, raw: bytes) -> None:
        """Send the text and the request once more, by the old deadline, if that is possible; else it is ``raw``."""
        plan_executor = self.plan_executor
        if plan_executor.is_last_request() and self.resend_script():
            self.resent = True
            due = self.due
            plan_executor.executor.send(self.node, self, plan_executor.raw, self.proto, self.db)
            self.due = due
        else:
            self.parent.on_reply(raw)

    def resend_script(self) -> bool:
        """Send the text again, whatever this connection has carried."""
        conn = self.plan_executor.executor.connection(self.node, self.proto, self.db)
        conn.loaded_scripts.pop(self.plan_executor.digest, None)
        return self.plan_executor.preload(self.node, self.proto, self.db, True)

    def cut_through(self, piece: bytes) -> None:
        """What follows is a part of this reply, whatever it begins with."""
        self.partly_sent = True
        self.parent.cut_through(piece)


# -- SCRIPT LOAD and FUNCTION LOAD -----------------------------------------------------------------------


@final
class ScriptLoadExecutor(DelegatingExecutor):
    """Executes a request that loads, and notes which nodes do not have it then."""

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor)
        #: Nodes that do not have it, and the failures of those of them that were not reached at all.
        self.nodes_without: list[Node] = []
        self.unreached: list[NodeFailure] = []

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        self.executor.send(node, self.load_result_handler(handler, node), payload, proto, db)

    def load_result_handler(self, parent: ReplyHandler, node: Node) -> ReplyHandler:
        """Around the handler of one node: notes whether it has taken what is loaded."""

        def on_reply(raw: bytes) -> None:
            if is_error(raw):
                self.note_missing(node, None)
            parent.on_reply(raw)

        def on_failure(failure: NodeFailure) -> None:
            self.note_missing(node, failure)
            parent.on_failure(failure)

        return InterceptingHandler(parent, on_reply, on_failure)

    def new_aggregate(
        self, plan: Gather, handler: ReplyHandler, spec: CommandSpec, request_context: RequestContext
    ) -> Aggregate:
        """Replies of a ring's nodes are merged without those that are down."""
        if plan.group is not None:
            # A copy that is down and behind is not even asked.
            self.nodes_without += [
                copy.node for copy in plan.group.copies if copy.state != IN_SYNC and not copy.node.live
            ]
        elif not request_context.per_node:
            return MergeReachable(self, handler, len(plan.plans), spec, request_context.proto)
        return super().new_aggregate(plan, handler, spec, request_context)

    def note_missing(self, node: Node, failure: NodeFailure | None) -> None:
        """``node`` does not have it: it refused (no ``failure``), or failed."""
        self.nodes_without.append(node)
        if failure is None or failure.code != NODEDOWN or failure.may_have_run:
            return
        if not any(conn.is_ready() for conn in self.executor.connections_to(node)):
            self.unreached.append(failure)

    def warm_up_missing(self) -> None:
        """It was loaded: nodes that do not have it are warmed up before they serve, at once if they are ready."""
        for node in self.nodes_without:
            node.warmup.needs_warmup = True
            for conn in self.executor.connections_to(node):
                if conn.is_ready():
                    node.warmup.join(WarmupAdapter(conn))


@final
class MergeReachable(Aggregate):
    """Merges as `MergeReplies` does, without the nodes that were not reached, as long as there are others."""

    def __init__(
        self, plan_executor: ScriptLoadExecutor, parent: ReplyHandler, count: int, spec: CommandSpec, proto: int
    ) -> None:
        super().__init__(parent, count)
        self.plan_executor = plan_executor
        self.spec = spec
        self.proto = proto

    def answer_parent(self) -> None:
        failures = self.failures or [None] * len(self.replies)
        counted_indexes = [
            original_index
            for original_index, failure in enumerate(failures)
            if failure is None or failure not in self.plan_executor.unreached
        ]
        if not counted_indexes:
            counted_indexes = list(range(len(failures)))
        merged = MergeReplies(
            self.parent,
            len(counted_indexes),
            self.spec.response_policy,
            self.proto,
            self.spec.name,
            self.spec.may_write,
        )
        for index, original_index in enumerate(counted_indexes):
            failure = failures[original_index]
            if failure is None:
                merged.set_reply(index, self.replies[original_index])
            else:
                merged.set_failure(index, failure)
