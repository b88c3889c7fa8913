"""The base of all routes: a tree that turns a request into a plan, and can be shown to people.

`RequestContext` is what a plan may depend on beside the request. `PlanBuilder` makes a plan in slices, for requests of
so many keys that making it at once would hold up other clients.
"""

from typing import Final, final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp.errors import InternalError
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import Plan
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.registry import ScriptRegistry

#: How far apart two scripts are, of which each may ask for the time several times.
US_PER_SCRIPT: Final = 10


@final
class WallClock:
    """The wall clock, set by whoever has a clock once per batch of events."""

    def __init__(self, ms: int) -> None:
        self.ms = ms
        #: The same moment in microseconds, where it is known so finely; and the latest that was given to a script.
        self.us = 0
        self.last_us = 0
        #: The millisecond in which the last id for a stream was made, and how many were made in it before.
        self.entry_ms = -1
        self.entry_count = 0

    def next_script_time_us(self) -> int:
        """A moment in microseconds for one script, later than those of the scripts before it in the same batch.

        When the clock was set back by more than a second, it counts and not the order.
        """
        now = max(self.us, self.ms * 1000)
        if self.last_us - now > 1_000_000:
            self.last_us = 0
        self.last_us = max(now, self.last_us + US_PER_SCRIPT)
        return self.last_us

    def next_entry_id(self) -> bytes:
        """An id for an entry of a stream, another one each time: milliseconds, then a number within them."""
        if self.entry_ms != self.ms:
            self.entry_ms = self.ms
            self.entry_count = -1
        self.entry_count += 1
        return b"%d-%d" % (self.ms, self.entry_count)


@final
class RequestContext:
    """What a route knows about the client beside its request. A value: variants are copies.

    ``in_multi``: the request is part of a transaction, whose reads must meet on one copy.
    ``per_node``: the client wants every node's own reply as a list. ``clock``: for relative expiries.
    ``may_write``: the transaction also writes, or may.
    ``miss_on_down``: a read whose node fails is answered as a miss.
    ``node_errors_as_loading``: a node's failure reaches the client as a LOADING error.
    ``registry``: the scripts that were loaded through the client's pool.
    """

    def __init__(
        self,
        db: int,
        proto: int,
        in_multi: bool,
        per_node: bool,
        clock: WallClock,
        registry: ScriptRegistry | None = None,
        miss_on_down: bool = False,
        node_errors_as_loading: bool = False,
        may_write: bool = False,
    ) -> None:
        self.db: Final = db
        self.proto: Final = proto
        self.in_multi: Final = in_multi
        self.per_node: Final = per_node
        self.clock: Final = clock
        self.miss_on_down: Final = miss_on_down
        self.node_errors_as_loading: Final = node_errors_as_loading
        self.may_write: Final = may_write
        self.registry: Final = registry if registry is not None else ScriptRegistry()

    def copy(
        self, in_multi: bool, per_node: bool, miss_on_down: bool, node_errors_as_loading: bool, may_write: bool
    ) -> "RequestContext":
        """The same client, asking in another way."""
        return RequestContext(
            self.db,
            self.proto,
            in_multi,
            per_node,
            self.clock,
            self.registry,
            miss_on_down,
            node_errors_as_loading,
            may_write,
        )

    def in_transaction(self, may_write: bool) -> "RequestContext":
        """For a command between MULTI and EXEC."""
        return self.copy(True, self.per_node, self.miss_on_down, self.node_errors_as_loading, may_write)

    def with_per_node(self, per_node: bool) -> "RequestContext":
        """With the reply of each node, or with one reply."""
        return self.copy(self.in_multi, per_node, self.miss_on_down, self.node_errors_as_loading, self.may_write)

    def with_failures_shown(self) -> "RequestContext":
        """For parts whose failures must be seen as such."""
        return self.copy(self.in_multi, self.per_node, False, self.node_errors_as_loading, self.may_write)

    def with_plain_node_errors(self) -> "RequestContext":
        """For parts whose failures must not read as LOADING."""
        return self.copy(self.in_multi, self.per_node, self.miss_on_down, False, self.may_write)


class PlanBuilder:
    """Makes a plan in slices; nothing is sent before it is whole."""

    def __init__(self) -> None:
        self.plan: Plan | None = None

    def step(self, max_keys: int) -> bool:
        """Go on by about ``max_keys`` keys. Whether there is more to do; if not, ``plan`` is set."""
        raise NotImplementedError

    def built_plan(self) -> Plan:
        """The plan; a `InternalError` while `step` would still return True."""
        plan = self.plan
        if plan is None:
            raise InternalError("this plan is not made yet")
        return plan


@final
class FinishedPlanBuilder(PlanBuilder):
    """A plan that was made at one go."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def step(self, max_keys: int) -> bool:
        """Nothing is left to do."""
        return False


class Route:
    """A node of the route tree."""

    def __init__(self, name: str) -> None:
        self.name = name

    def plan(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """Who is asked for ``request``; a `DirectReply` with the reason if it cannot be served."""
        raise NotImplementedError

    def plan_builder(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> PlanBuilder:
        """`plan` in slices, for a request of many keys."""
        return FinishedPlanBuilder(self.plan(spec, request, request_context))

    def nodes(self) -> list[Node]:
        """All nodes below, in the order of the configuration."""
        return [node for child in self.children() for node in child.nodes()]

    def children(self) -> list["Route"]:
        """The routes directly below; a node has none."""
        return []

    def needs_arguments(self) -> bool:
        """Whether a plan for a command of the fast path looks at more of the request than its first key."""
        return any(child.needs_arguments() for child in self.children())

    def scan_routes(self) -> list["Route"]:
        """The steps of a SCAN: itself, unless it has several."""
        return [self]

    def scan_node(self, cursor_id: int) -> Node | None:
        """The node with this number, or (0) the one to begin with; None if there is none below."""
        for node in self.nodes():
            if cursor_id in (0, node.cursor_id):
                return node
        return None

    def channel_route(self, channel: bytes) -> "Route":
        """The route on which ``channel`` lives: itself, unless it has several."""
        return self

    def pubsub_node(self) -> Node | None:
        """The node that gets what is published here, and that the proxy is subscribed to; None while there is none."""
        for node in self.nodes():
            return node
        return None

    def explain(self, key: bytes) -> str:
        """One line for a person: where ``key`` goes from here, and why."""
        raise NotImplementedError
