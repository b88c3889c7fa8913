"""A ring: each key lives on one child, chosen by a consistent hash of its tag.

One key, or several on one child: the child's plan. Split commands get one part per child. Several keys on
several children, where the command cannot be split: CROSSSLOT.
"""

from typing import Final, final

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.request_traits import external_key_patterns
from kidoproxy.commands.spec import (
    ALL_NODES,
    CHANNEL_NODE,
    DEDICATED,
    NO_MANDATORY_KEYS,
    PASS_THROUGH,
    SCAN_NODES,
    SPLIT_BY_NODE,
    STREAM_KEYS,
    WEIGHTED_CHOICE,
    CommandSpec,
)
from kidoproxy.resp import errors
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes import streams
from kidoproxy.routes.placement.owners import Placement
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.plan import DirectReply, Gather, Plan
from kidoproxy.routes.ring_scripts import (
    declares_no_keys,
    family_arguments,
    keys_elsewhere_refusal,
    owner_of_prefix,
    undeclared_keys_refusal,
)
from kidoproxy.routes.route import FinishedPlanBuilder, PlanBuilder, RequestContext, Route
from kidoproxy.routes.scan import scan_plan
from kidoproxy.routes.split import ALL_KEYS, RequestSplitter, SplitPlanBuilder

DBSIZE: Final = COMMANDS[b"dbsize"]
DBSIZE_REQUEST: Final = Request([b"DBSIZE"], encode_request([b"DBSIZE"]))


@final
class Ring(Route):
    """Children on a ring; ``placement`` gives a child's index in ``members``.

    A child that is there more than once has several shares and is asked once: its first index stands for all.
    """

    def __init__(self, name: str, members: list[Route], placement: Placement, tags: Tags) -> None:
        super().__init__(name)
        self.members = members
        self.distinct_members: list[Route] = []
        first_index: list[int] = []
        for member in members:
            if member not in self.distinct_members:
                self.distinct_members.append(member)
            first_index.append(members.index(member))
        self.placement = (
            placement if len(self.distinct_members) == len(members) else placement.with_merged_owners(first_index)
        )
        self.tags = tags

    def plan(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """By the command's reach; the hot path is one key and one child."""
        if spec.single_key:
            return self.members[self.owner_of(request.argv[1])].plan(spec, request, request_context)
        if spec.reach == SPLIT_BY_NODE:
            return self.plan_split(spec, request, request_context)
        if spec.reach == ALL_NODES:
            return self.plan_every(spec, request, request_context)
        if spec.reach == SCAN_NODES:
            return self.plan_scan(spec, request, request_context)
        if spec.reach == CHANNEL_NODE:
            return self.members[self.owner_of(request.argv[1])].plan(spec, request, request_context)
        return self.plan_by_keys(spec, request, request_context)

    def plan_builder(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> PlanBuilder:
        """In slices, if the command looks at each key."""
        if spec.reach == SPLIT_BY_NODE:
            splitter = RequestSplitter(spec, request, self.placement, self.tags)
            return SplitPlanBuilder(self.members, splitter, spec, request, request_context)
        if spec.single_key or spec.reach in (ALL_NODES, SCAN_NODES, CHANNEL_NODE):
            return FinishedPlanBuilder(self.plan(spec, request, request_context))
        positions = key_positions(spec, request.argv)
        return (
            SameOwnerPlanBuilder(self, spec, request, request_context, positions)
            if positions
            else FinishedPlanBuilder(self.plan_keyless(spec, request, request_context))
        )

    def owner_of(self, key: bytes) -> int:
        """The index of the child that owns ``key``."""
        return self.placement.owner(self.tags.hashed_part(key))

    def plan_by_keys(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """Commands with any number of keys, none included, that meet on one child."""
        argv = request.argv
        positions = key_positions(spec, argv)
        if not positions:
            return self.plan_keyless(spec, request, request_context)
        first_owner = self.owner_of(argv[positions[0]])
        return self.plan_same_owner(
            spec,
            request,
            request_context,
            positions,
            self.first_key_elsewhere(argv, positions, 0, len(positions), first_owner),
            first_owner,
        )

    def first_key_elsewhere(self, argv: list[bytes], positions: list[int], start: int, stop: int, owner: int) -> int:
        """The first key that lives elsewhere, as an index of ``positions``; -1 if there is none from start to stop."""
        for at in range(start, min(stop, len(positions))):
            if self.owner_of(argv[positions[at]]) != owner:
                return at
        return -1

    def plan_same_owner(
        self,
        spec: CommandSpec,
        request: Request,
        request_context: RequestContext,
        positions: list[int],
        foreign: int,
        first_owner: int,
    ) -> Plan:
        """All keys live on ``first_owner``, or the key at ``positions[foreign]`` does not."""
        argv = request.argv
        if foreign >= 0:
            if spec.key_finder == STREAM_KEYS:
                return self.plan_streams(spec, argv, positions, request_context)
            return DirectReply(errors.cross_slot(spec.name, argv[positions[0]], argv[positions[foreign]]))
        if len(self.distinct_members) > 1:
            for pattern in external_key_patterns(spec, argv):
                if owner_of_prefix(self.placement, self.tags, pattern.partition(b"*")[0]) != first_owner:
                    return DirectReply(errors.external_key_pattern(spec.name, pattern))
            refusal = self.script_refusal(spec, argv, first_owner, request_context) if spec.is_scripting else None
            if refusal is not None:
                return DirectReply(refusal)
        return self.members[first_owner].plan(spec, request, request_context)

    def script_refusal(
        self, spec: CommandSpec, argv: list[bytes], child: int, request_context: RequestContext
    ) -> bytes | None:
        """Why a script cannot run on this child; None when it can, or is not known."""
        return keys_elsewhere_refusal(self.placement, self.tags, request_context.registry, spec, argv, child)

    def plan_streams(
        self, spec: CommandSpec, argv: list[bytes], positions: list[int], request_context: RequestContext
    ) -> Plan:
        """XREAD and XREADGROUP may read streams of several nodes at a time."""
        parts = streams.split_by_child(argv, positions, [self.owner_of(argv[at]) for at in positions])
        plans: list[Plan] = []
        for child, request in parts:
            plan = self.members[child].plan(spec, request, request_context)
            if isinstance(plan, DirectReply):
                # Nothing is sent: another part would deliver its entries to a group, and nobody would get them.
                return plan
            plans.append(plan)
        return streams.gather_streams(argv, positions, parts, plans)

    def plan_keyless(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """Any node will do, but what needs a dedicated connection and has no key (WAIT, MONITOR) is for all of them."""
        if spec.reach == DEDICATED and spec.response_policy != PASS_THROUGH:
            return self.plan_every(spec, request, request_context)
        if spec.flags & NO_MANDATORY_KEYS and len(self.distinct_members) > 1:
            return self.plan_by_arguments(spec, request, request_context)
        return self.members[self.any_live_member()].plan(spec, request, request_context)

    def plan_by_arguments(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """A script that declares no keys may be given them as arguments, as channels_redis gives its own.

        Those that belong to a family of ``together`` say where it must run. Without any, a script that is seen to
        need a key is refused: it would find what happens to be on the node that runs it.
        """
        argv = request.argv
        positions = family_arguments(self.tags, argv)
        if positions:
            child = self.owner_of(argv[positions[0]])
            foreign = self.first_key_elsewhere(argv, positions, 1, len(positions), child)
            if foreign >= 0:
                return DirectReply(errors.cross_slot(spec.name, argv[positions[0]], argv[positions[foreign]]))
            refusal = self.script_refusal(spec, argv, child, request_context)
        else:
            child = self.any_live_member()
            refusal = undeclared_keys_refusal(request_context.registry, spec, argv) if declares_no_keys(argv) else None
        return self.members[child].plan(spec, request, request_context) if refusal is None else DirectReply(refusal)

    def plan_split(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """One request per child concerned, not one per key; the request itself if there is only one."""
        splitter = RequestSplitter(spec, request, self.placement, self.tags)
        splitter.step(ALL_KEYS)
        children = splitter.children()
        if len(children) == 1:
            return self.members[children[0]].plan(spec, request, request_context)
        parts = splitter.requests()
        plans: list[Plan] = []
        for at, child in enumerate(children):
            plans.append(self.members[child].plan(spec, parts[at], request_context))
        return splitter.gather(plans, parts)

    def plan_every(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """All children, merged by the command's response policy."""
        if spec.response_policy == WEIGHTED_CHOICE and not request_context.per_node:
            return self.plan_weighted_choice(spec, request, request_context)
        return Gather(
            [member.plan(spec, request, request_context) for member in self.distinct_members], spec.response_policy
        )

    def plan_weighted_choice(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """Each child offers one key and says how many it has; a child without keys is never chosen."""
        plans: list[Plan] = []
        for member in self.distinct_members:
            plans += [member.plan(spec, request, request_context), member.plan(DBSIZE, DBSIZE_REQUEST, request_context)]
        return Gather(plans, WEIGHTED_CHOICE, [request.raw, DBSIZE_REQUEST.raw] * len(self.distinct_members))

    def any_live_member(self) -> int:
        """The index of the child for requests that any one can serve: the first with a live node, else the first."""
        for index, member in enumerate(self.members):
            for node in member.nodes():
                if node.live:
                    return index
        return 0

    def plan_scan(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """The node that the cursor names, or the first; the reply's cursor names the next."""
        return scan_plan(self.scan_routes(), request)

    def scan_routes(self) -> list[Route]:
        """The steps of all children, one child after another."""
        return [leaf for member in self.distinct_members for leaf in member.scan_routes()]

    def channel_route(self, channel: bytes) -> Route:
        """The route on which a key of this name would live."""
        return self.members[self.owner_of(channel)].channel_route(channel)

    def children(self) -> list[Route]:
        """The members, each once."""
        return self.distinct_members

    def explain(self, key: bytes) -> str:
        """Hashed part, hash, point and owner, then the child's own explanation."""
        hashed_part = self.tags.hashed_part(key)
        child = self.members[self.placement.owner(hashed_part)]
        return f"{self.placement.explain(hashed_part)} -> {child.explain(key)}"


@final
class SameOwnerPlanBuilder(PlanBuilder):
    """Finds out in slices whether very many keys live on one child."""

    def __init__(
        self, ring: Ring, spec: CommandSpec, request: Request, request_context: RequestContext, positions: list[int]
    ) -> None:
        super().__init__()
        self.ring = ring
        self.spec = spec
        self.request = request
        self.request_context = request_context
        self.positions = positions
        self.owner = ring.owner_of(request.argv[positions[0]])
        self.next_position = 0

    def step(self, max_keys: int) -> bool:
        """Look at up to ``max_keys`` more."""
        start = self.next_position
        self.next_position = start + max_keys
        foreign = self.ring.first_key_elsewhere(
            self.request.argv, self.positions, start, self.next_position, self.owner
        )
        if foreign < 0 and self.next_position < len(self.positions):
            return True
        self.plan = self.ring.plan_same_owner(
            self.spec, self.request, self.request_context, self.positions, foreign, self.owner
        )
        return False
