"""A ring: each key lives on one child, chosen by a consistent hash of its tag.

One key, or several that meet: the child's plan. Splittable commands are cut by child. Several keys on
several children, not splittable: CROSSSLOT, never guessed, never mis-sent.
"""

from typing import Final, final

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.request_traits import external_key_patterns
from kidoproxy.commands.spec import (
    ALL_NODES,
    CHANNEL_NODE,
    DEDICATED,
    MERGE_INFO,
    NO_MANDATORY_KEYS,
    PASS_THROUGH,
    SCAN_NODES,
    SPLIT_BY_NODE,
    STREAM_KEYS,
    WEIGHTED_CHOICE,
    CommandSpec,
)
from kidoproxy.replies import cursor
from kidoproxy.resp import errors
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.requests import Request
from kidoproxy.routes import streams
from kidoproxy.routes.placement.owners import Placement
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.plan import DirectReply, Gather, Plan, ScanStep, Send
from kidoproxy.routes.route import PlanBuilder, ReadyPlan, RequestContext, Route
from kidoproxy.routes.scripts import declares_no_keys, find_analysis, undeclared_keys_refusal
from kidoproxy.routes.split import ALL_KEYS, RequestSplitter, SplitPlanBuilder
from kidoproxy.scripts.analysis import KEYSPACE_COMMANDS, Analysis, UndeclaredKey
from kidoproxy.scripts.request import ScriptInputs, find_keyspace_command, resolve_all_keys
from kidoproxy.scripts.values import KEYS_ANY, KEYS_ITEM, LITERAL

DBSIZE: Final = COMMANDS[b"dbsize"]
TOO_MANY_NAMES: Final = "it uses more names of keys than are followed"
DBSIZE_REQUEST: Final = Request([b"DBSIZE"], encode_request([b"DBSIZE"]))


@final
class Ring(Route):
    """Children on a ring; ``placement`` answers with a child's place in the list.

    A child that stands there more than once has several shares and is asked once: the first place stands for all.
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
        """By reach: the hot path is one key and one child."""
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
        """In slices, where each key is looked at."""
        if spec.reach == SPLIT_BY_NODE:
            splitter = RequestSplitter(spec, request.argv, self.placement, self.tags)
            return SplitPlanBuilder(self.members, splitter, spec, request, request_context)
        if spec.single_key or spec.reach in (ALL_NODES, SCAN_NODES, CHANNEL_NODE):
            return ReadyPlan(self.plan(spec, request, request_context))
        positions = key_positions(spec, request.argv)
        return (
            SameOwnerPlanBuilder(self, spec, request, request_context, positions)
            if positions
            else ReadyPlan(self.plan_keyless(spec, request, request_context))
        )

    def owner_of(self, key: bytes) -> int:
        """The child that owns ``key``."""
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
            self.first_foreign_key(argv, positions, 0, len(positions), first_owner),
            first_owner,
        )

    def first_foreign_key(self, argv: list[bytes], positions: list[int], start: int, stop: int, owner: int) -> int:
        """Of these keys the first one that lives elsewhere, by its place in ``positions``; -1 when none does."""
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
        """All keys live on the child ``first``, or ``stray`` is one that does not."""
        argv = request.argv
        if foreign >= 0:
            if spec.key_finder == STREAM_KEYS:
                return self.plan_streams(spec, argv, positions, request_context)
            return DirectReply(errors.cross_slot(spec.name, argv[positions[0]], argv[positions[foreign]]))
        if len(self.distinct_members) > 1:
            for pattern in external_key_patterns(spec, argv):
                if self.owner_of_name(pattern.partition(b"*")[0], True) != first_owner:
                    return DirectReply(errors.external_key_pattern(spec.name, pattern))
            refusal = self.script_refusal(spec, argv, first_owner, request_context) if spec.is_scripting else None
            if refusal is not None:
                return DirectReply(refusal)
        return self.members[first_owner].plan(spec, request, request_context)

    def owner_of_name(self, name: bytes, is_prefix: bool) -> int | None:
        """The child that owns this key, or all keys that begin so; None when that depends on how they go on."""
        if not is_prefix:
            return self.owner_of(name)
        hashed_part = self.tags.hashed_part_of_prefix(name)
        return None if hashed_part is None else self.placement.owner(hashed_part)

    def script_refusal(
        self, spec: CommandSpec, argv: list[bytes], child: int, request_context: RequestContext
    ) -> bytes | None:
        """Why a script cannot run on this child: it is seen to use what lives elsewhere, or to hide what it uses."""
        analysis = find_analysis(request_context.registry, spec, argv)
        if analysis is None:
            return None
        if analysis.parse_error or analysis.hidden_reason:
            return errors.script_not_analysable(spec.name, analysis.parse_error or analysis.hidden_reason)
        if not (analysis.keyspace_command or analysis.undeclared_keys or analysis.dynamic_calls):
            return None
        inputs = ScriptInputs(argv)
        called = find_keyspace_command(analysis, inputs, False)
        if called:
            return errors.script_calls_whole_node(spec.name, called)
        found = resolve_all_keys(self.unresolved_names(analysis, inputs, child), analysis.dynamic_calls, inputs)
        if found is None:
            return errors.script_not_analysable(spec.name, TOO_MANY_NAMES)
        for access in found:
            owner = self.owner_of_name(access.text, access.is_prefix)
            if owner == child or (owner is None and not access.text and not access.must_locate):
                continue
            if access.command in KEYSPACE_COMMANDS:
                return errors.script_calls_whole_node(spec.name, access.command)
            return errors.script_key_elsewhere(
                spec.name, access.command, access.text + (b"..." if access.is_prefix else b"")
            )
        return None

    def unresolved_names(self, analysis: Analysis, inputs: ScriptInputs, child: int) -> list[UndeclaredKey]:
        """The names in a script that have to be computed: not those whose beginning says that they live on ``child``.

        The KEYS live there. Held by a tag or a family, so does all that begins as they do, however much there is of it.
        """
        found: list[UndeclaredKey] = []
        keys_pinned = -1
        for name in analysis.undeclared_keys:
            kind, _, _, text = name.form[0]
            if kind == LITERAL and not name.pattern_chars and self.owner_of_name(text, True) == child:
                continue
            if kind in (KEYS_ITEM, KEYS_ANY) and not name.pattern_chars:
                if keys_pinned < 0:
                    keys_pinned = int(all(self.tags.hashed_part_of_prefix(key) is not None for key in inputs.keys))
                if keys_pinned:
                    continue
            found.append(name)
        return found

    def plan_streams(
        self, spec: CommandSpec, argv: list[bytes], positions: list[int], request_context: RequestContext
    ) -> Plan:
        """Streams may be read on several nodes at a time: nothing is taken away that cannot be told."""
        parts = streams.split_by_child(argv, positions, [self.owner_of(argv[at]) for at in positions])
        plans: list[Plan] = []
        for child, request in parts:
            plan = self.members[child].plan(spec, request, request_context)
            if isinstance(plan, DirectReply):
                # Before another part is asked, which would give its entries to a group.
                return plan
            plans.append(plan)
        return streams.gather_streams(argv, positions, parts, plans)

    def plan_keyless(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """Any node will do, but what needs a lane and names no key (WAIT, MONITOR) is for all of them."""
        if spec.reach == DEDICATED and spec.response_policy != PASS_THROUGH:
            return self.plan_every(spec, request, request_context)
        if spec.flags & NO_MANDATORY_KEYS and len(self.distinct_members) > 1:
            return self.plan_by_arguments(spec, request, request_context)
        return self.any_live_member().plan(spec, request, request_context)

    def plan_by_arguments(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """A script may be told its keys as arguments, as channels_redis tells its own.

        Those that belong to a family of ``together`` say where it must run. Without any, a script that plainly calls
        for a key is refused: it would find what happens to be on the node that runs it.
        """
        argv = request.argv
        first_owner = 0
        for at in range(3, len(argv)):
            if not self.tags.has_prefixes or self.tags.hash_key(argv[at]) is None:
                continue
            if first_owner and self.owner_of(argv[at]) != self.owner_of(argv[first_owner]):
                return DirectReply(errors.cross_slot(spec.name, argv[first_owner], argv[at]))
            first_owner = first_owner or at
        refusal: bytes | None = None
        if first_owner:
            child = self.owner_of(argv[first_owner])
            refusal = self.script_refusal(spec, argv, child, request_context)
            return (
                DirectReply(refusal)
                if refusal is not None
                else self.members[child].plan(spec, request, request_context)
            )
        if declares_no_keys(argv):
            refusal = undeclared_keys_refusal(request_context.registry, spec, argv)
        return (
            DirectReply(refusal) if refusal is not None else self.any_live_member().plan(spec, request, request_context)
        )

    def plan_split(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """One request per child concerned, not one per key; the request itself if there is only one."""
        splitter = RequestSplitter(spec, request.argv, self.placement, self.tags)
        splitter.step(ALL_KEYS)
        children = splitter.children()
        if len(children) == 1:
            return self.members[children[0]].plan(spec, request, request_context)
        parts = [splitter.request_of(child) for child in children]
        plans: list[Plan] = []
        for at, child in enumerate(children):
            plans.append(self.members[child].plan(spec, parts[at], request_context))
        return splitter.gather(plans, parts)

    def plan_every(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """All children, merged by the command's rule."""
        if spec.response_policy == WEIGHTED_CHOICE and not request_context.per_node:
            return self.plan_weighted_choice(spec, request, request_context)
        return Gather(
            [member.plan(spec, request, request_context) for member in self.distinct_members], spec.response_policy
        )

    def plan_weighted_choice(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """Each child offers one and says how many keys it has; a child without keys is never chosen."""
        plans: list[Plan] = []
        for member in self.distinct_members:
            plans += [member.plan(spec, request, request_context), member.plan(DBSIZE, DBSIZE_REQUEST, request_context)]
        return Gather(plans, WEIGHTED_CHOICE, [request.raw, DBSIZE_REQUEST.raw] * len(self.distinct_members))

    def any_live_member(self) -> Route:
        """A child for requests that any one can serve: the first one that is alive."""
        for member in self.distinct_members:
            for node in member.nodes():
                if node.live:
                    return member
        return self.members[0]

    def plan_scan(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """The node that the cursor names, or the first; its reply names the next."""
        return scan_plan(self.scan_routes(), request)

    def scan_routes(self) -> list[Route]:
        """The children's, one after another."""
        return [leaf for member in self.distinct_members for leaf in member.scan_routes()]

    def channel_route(self, channel: bytes) -> Route:
        """Where a key of this name would live."""
        return self.members[self.owner_of(channel)].channel_route(channel)

    def children(self) -> list[Route]:
        """The members, each once."""
        return self.distinct_members

    def explain(self, key: bytes) -> str:
        """Hashed part, hash, point and owner, then what the child says."""
        hashed_part = self.tags.hashed_part(key)
        child = self.members[self.placement.owner(hashed_part)]
        return f"{self.placement.explain(hashed_part)} -> {child.explain(key)}"


@final
class SameOwnerPlanBuilder(PlanBuilder):
    """Whether very many keys meet on one child."""

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
        """So many keys more."""
        start = self.next_position
        self.next_position = start + max_keys
        foreign = self.ring.first_foreign_key(self.request.argv, self.positions, start, self.next_position, self.owner)
        if foreign < 0 and self.next_position < len(self.positions):
            return True
        self.plan = self.ring.plan_same_owner(
            self.spec, self.request, self.request_context, self.positions, foreign, self.owner
        )
        return False


def scan_plan(scan_routes: list[Route], request: Request) -> Plan:
    """SCAN over ``steps``, one after another; the cursor says which one, and its own cursor there."""
    argv = request.argv
    found = cursor.unpack(argv[1])
    if found is None:
        return DirectReply(errors.INVALID_CURSOR)
    node_cursor, cursor_id = found
    at = 0
    node = scan_routes[0].scan_node(cursor_id)
    if cursor_id:
        while node is None:
            at += 1
            if at == len(scan_routes):
                return DirectReply(errors.INVALID_CURSOR)
            node = scan_routes[at].scan_node(cursor_id)
    if node is None:
        return DirectReply(errors.NO_COPY_IN_SYNC)
    next_cursor_id = 0
    if at + 1 < len(scan_routes):
        next_node = scan_routes[at + 1].scan_node(0)
        if next_node is None:
            return DirectReply(errors.NO_COPY_IN_SYNC)
        next_cursor_id = next_node.cursor_id
    send = Send(node, encode_request([argv[0], b"%d" % node_cursor, *argv[2:]]))
    return Gather([send], MERGE_INFO, scan_step=ScanStep(node.cursor_id, next_cursor_id))
