"""Clients that wait in the proxy for keys of a copy pool: their attempts, their time-outs, how their waiting ends.

A node that blocked for a client would pop at a moment of its own, so no copy ever blocks. What is sent is the request
in a transaction, which does not wait: a write to all copies like any other. Whose turn it is `replication.waiters`
says. An attempt that was sent is waited for whatever happens meanwhile, since what it pops is popped.

What surely has not run (no copy is in sync, too few are) ends no waiting, except at the first attempt, where the client
hears of it as of any command's failure.
"""

from math import inf
from typing import Final, final

from kidoproxy.commands.spec import STREAM_KEYS, CommandSpec
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.waiters import ATTEMPTING, Waiter, Waiters
from kidoproxy.replies.callbacks import BatchHandler
from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.resp.decode import is_null
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.loading import node_error_as_loading
from kidoproxy.routes.plan import DirectReply, Wait
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.nonblocking import NonblockingExecutor, WaitOutcome

#: Seconds between two looks for elements that came past the proxy.
LOOK_SECONDS: Final = 1.0
#: So many keys are asked for at a time.
LOOK_KEYS: Final = 256
NOT_THERE: Final = b":0\r\n"
WRONG_TYPE: Final = b"-WRONGTYPE"


@final
class WaitingRequest(DelegatingHandler):
    """One request that waits in the proxy. ``siblings``: the list that has it while it does."""

    def __init__(
        self,
        registry: "WaitingRequests",
        plan: Wait,
        parent: ReplyHandler,
        raw: bytes,
        spec: CommandSpec,
        request_context: RequestContext,
        outcome: WaitOutcome,
        siblings: "list[WaitingRequest]",
    ) -> None:
        super().__init__(parent)
        self.registry = registry
        self.plan = plan
        self.raw = raw
        self.spec = spec
        self.request_context = request_context
        self.outcome = outcome
        self.siblings = siblings
        self.waiter = Waiter(self.send_attempt)
        self.waiters: Waiters = plan.group.waiters
        #: The reply, unless an open attempt finds something; empty while it waits on.
        self.final_reply = b""

    def start(self, deadline: float, timeout_reply: bytes) -> None:
        """Stand in line until ``deadline``, which may be infinite."""
        self.siblings.append(self)
        self.registry.add(self, deadline, timeout_reply)
        self.waiters.join(self.waiter, self.request_context.db, self.plan.keys, self.plan.consumer_group)

    def send_attempt(self) -> None:
        """Send the twin that does not wait to the copies as they are now."""
        plan = self.plan.attempts.plan_attempt()
        if isinstance(plan, DirectReply):
            self.on_not_run(plan.frame)
        else:
            attempt = NonblockingExecutor(self.registry.executor, WaitOutcome())
            attempt.execute(plan, self, self.raw, self.spec, self.request_context)

    def on_reply(self, raw: bytes) -> None:
        """An attempt has its reply: null if there was nothing."""
        if is_null(raw) or (self.ignores_other_types() and raw.startswith(WRONG_TYPE)):
            self.on_empty_reply()
        else:
            self.outcome.note_reply(raw)
            self.leave(raw[:1] != b"-")
            self.parent.on_reply(raw)

    def ignores_other_types(self) -> bool:
        """Whether its key may become one of another type while it waits, which to a pop is one that is not there.

        With several keys, or another one to move to, nobody knows which is of the wrong type: that is an error.
        """
        is_single = len(self.plan.keys) == 1 and not self.spec.moves_element
        return self.waiter.tried and is_single and self.spec.key_finder != STREAM_KEYS

    def on_failure(self, failure: NodeFailure) -> None:
        """What may have popped something ends the waiting; for what has not run there will be another attempt."""
        if self.waiter.tried and not failure.may_have_run:
            self.on_empty_reply()
        else:
            self.outcome.must_answer = True
            self.leave(False)
            self.parent.on_failure(failure)

    def on_not_run(self, refusal: bytes) -> None:
        """No copy could be asked."""
        if self.waiter.tried:
            self.on_empty_reply()
        else:
            self.outcome.must_answer = True
            self.leave(False)
            self.parent.on_reply(
                node_error_as_loading(refusal) if self.request_context.node_errors_as_loading else refusal
            )

    def on_empty_reply(self) -> None:
        """Wait on, or give the reply that was due."""
        if self.final_reply:
            self.leave(False)
            self.parent.on_reply(self.final_reply)
        else:
            self.waiters.found_nothing(self.waiter)

    def end(self, reply: bytes) -> None:
        """Its time is over, or it is unblocked: ``reply`` is the answer unless an open attempt has a better one."""
        self.final_reply = reply
        if self.waiter.state != ATTEMPTING:
            self.leave(False)
            self.parent.on_reply(reply)

    def leave(self, was_served: bool) -> None:
        """It waits no more."""
        self.siblings.remove(self)
        self.registry.remove(self)
        self.waiters.leave(self.waiter, was_served)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """A bug of ours has ended its attempt."""
        if self in self.siblings:
            self.leave(False)
        self.parent.abort(failure, failed)


@final
class WaitingRequests:
    """All requests of the process that wait in it, with their time-outs; looks for what came past the proxy."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        #: By the moment at which its time is over: the request, and its reply then.
        self.deadlines: dict[WaitingRequest, tuple[float, bytes]] = {}
        self.next_deadline = inf
        self.looks: dict[CopyGroup, KeyLook] = {}

    def add(self, request: WaitingRequest, deadline: float, timeout_reply: bytes) -> None:
        """At ``deadline`` it is answered with ``timeout_reply``, unless it is removed before."""
        group = request.plan.group
        if group not in self.looks:
            self.looks[group] = KeyLook(self.executor, group)
        self.deadlines[request] = (deadline, timeout_reply)
        self.next_deadline = min(self.next_deadline, deadline)

    def remove(self, request: WaitingRequest) -> None:
        """It was answered."""
        self.deadlines.pop(request, None)

    def tick(self, now: float) -> None:
        """A few times a second: time-outs, looks."""
        if now >= self.next_deadline:
            self.time_out_waiting(now)
        for look in list(self.looks.values()):
            look.tick(now)

    def time_out_waiting(self, now: float) -> None:
        """Answer those whose time is over."""
        late: list[tuple[WaitingRequest, bytes]] = []
        self.next_deadline = inf
        for request, (deadline, timeout_reply) in self.deadlines.items():
            if now >= deadline:
                late.append((request, timeout_reply))
            elif deadline < self.next_deadline:
                self.next_deadline = deadline
        for request, timeout_reply in late:
            # The first of several parts to end may have ended the others, and an open attempt ends it later.
            if self.deadlines.pop(request, None) is not None:
                request.end(timeout_reply)


@final
class KeyLook:
    """Asks one copy which of the keys exist that clients of a group wait for, and wakes those.

    Once a second, for writes that went past the proxy, and behind a write that may change any key. A stream exists
    whether there is anything new in it or not: there the first in line attempts.
    """

    def __init__(self, executor: Executor, group: CopyGroup) -> None:
        self.executor = executor
        self.group = group
        self.next_look = executor.now + LOOK_SECONDS
        self.is_wanted = False
        #: So many questions have not been answered.
        self.open_checks = 0
        group.waiters.on_unknown_write = self.on_unknown_write

    def on_unknown_write(self) -> None:
        """Look at once if that is cheap, else at the next tick."""
        if not self.open_checks and len(self.group.waiters.lines) <= LOOK_KEYS:
            self.look()
        else:
            self.is_wanted = True

    def tick(self, now: float) -> None:
        """Look if it is time."""
        if not self.group.waiters.count:
            self.next_look = now + LOOK_SECONDS
        elif (self.is_wanted or now >= self.next_look) and not self.open_checks:
            self.look()

    def look(self) -> None:
        self.is_wanted = False
        self.next_look = self.executor.now + LOOK_SECONDS
        keys_by_db, streams = self.group.waiters.waited_for()
        for db, key in streams:
            self.group.waiters.wake_key(db, key)
        node = self.group.leader(None) if self.group.elected else None
        if node is None:
            return
        for db, keys in keys_by_db.items():
            for at in range(0, len(keys), LOOK_KEYS):
                self.ask(node, db, keys[at : at + LOOK_KEYS])

    def ask(self, node: Node, db: int, keys: list[bytes]) -> None:
        """Ask for each of some keys whether it exists. A node that refuses to say may have it."""
        executor = self.executor
        self.open_checks += 1

        def take_replies(replies: list[bytes]) -> None:
            self.open_checks -= 1
            for key, raw in zip(keys, replies, strict=True):
                if raw != NOT_THERE:
                    self.group.waiters.wake_key(db, key)

        def take_failure(failure: NodeFailure) -> None:
            self.open_checks -= 1

        payload = b"".join([encode_request([b"EXISTS", key]) for key in keys])
        handler = BatchHandler(len(keys), take_replies, take_failure)
        executor.connection(node, 2, db).submit(handler, payload, 2, db, executor.now, len(keys))
