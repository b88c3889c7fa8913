"""A copy pool: each key lives on every node; writes go to all of them in one order, a read asks one.

The leader of a key is the first in-sync node in rendezvous order of the key: reads ask it, and its reply
to a write is the reply. A node that is not in sync gets every write and is not read.
"""

from typing import Final, final

from kidoproxy.commands.expiry import with_absolute_expiry
from kidoproxy.commands.expiry_effect import SET, ExpiryEffect, expiry_effect
from kidoproxy.commands.key_access import WRITES, key_accesses
from kidoproxy.commands.keys import key_positions, stream_option
from kidoproxy.commands.request_traits import (
    external_key_patterns,
    may_block,
    replication_class,
    replication_refusal,
    target_database,
    waits_for_new_entries,
)
from kidoproxy.commands.spec import (
    COPY_ABSOLUTE_EXPIRY,
    COPY_ACK_COUNT,
    COPY_BROADCAST,
    COPY_LEADER,
    COPY_READ,
    COPY_REFUSED,
    COPY_STREAM_WRITE,
    COPY_WAIT,
    COUNT_COPIES,
    EFFECT_STATE,
    MERGE_INFO,
    ONE_SUCCEEDED,
    SCAN_NODES,
    SCRIPT_FUNCTION,
    SINGLE_NODE,
    SPLIT_BY_NODE,
    STREAM_KEYS,
    CommandSpec,
)
from kidoproxy.commands.stream_writes import with_repeatable_effect
from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.replies import cursor
from kidoproxy.resp import errors, script_errors
from kidoproxy.resp.encode import encode_request, integer
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.copy_write import FanOuts, plan_copy_write
from kidoproxy.routes.plan import (
    AttemptPlanner,
    AwaitTurn,
    DirectReply,
    Gather,
    LeaderFirst,
    Plan,
    ScanStep,
    Send,
    Wait,
)
from kidoproxy.routes.read_order import READ_LEADER, in_read_order
from kidoproxy.routes.route import RequestContext, Route
from kidoproxy.routes.scan import scan_plan
from kidoproxy.routes.scripts import decide_copy_script, script_expiry_effect
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.ways import WAY_READ

PING: Final = encode_request([b"PING"])


@final
class CopyPool(Route):
    """A copy pool: a route over the nodes of one `CopyGroup`, which knows their states and each key's leader."""

    def __init__(self, name: str, group: CopyGroup, read_order: int = READ_LEADER) -> None:
        super().__init__(name)
        self.read_order = read_order
        self.group = group
        self.fan_outs = FanOuts(group)

    def plan(self, spec: CommandSpec, request: Request, request_context: RequestContext) -> Plan:
        """By what the command does to the copies; before the election nothing is served."""
        if not self.group.elected:
            return DirectReply(self.group.refusal)
        if spec.single_key:
            return self.plan_replicated(spec, request, [request.argv[1]], request_context)
        if spec.reach == SCAN_NODES:
            return scan_plan(self.scan_routes(), request)
        if spec.response_policy == ONE_SUCCEEDED:
            # SCRIPT KILL and FUNCTION KILL: any copy may be the one that is busy.
            return Gather([Send(node) for node in self.nodes()], ONE_SUCCEEDED)
        return self.plan_replicated(spec, request, request_keys(spec, request.argv), request_context)

    def plan_replicated(
        self, spec: CommandSpec, request: Request, routed_keys: list[bytes], request_context: RequestContext
    ) -> Plan:
        """By the replication class of this request."""
        replication = replication_class(spec, request.argv)
        if replication == COPY_READ:
            if len(request.argv) > 2 and spec.is_key_scan and not request_context.per_node:
                plan = self.plan_key_scan(request)
            else:
                plan = self.plan_read(spec, request, routed_keys, request_context)
            if self.group.key_turns.busy:
                return self.in_turn(plan, spec, request.argv, routed_keys, request_context)
            return plan
        if replication == COPY_BROADCAST:
            effect = expiry_effect(spec, request.argv)
            return self.plan_write(spec, request, routed_keys, None, request_context, effect)
        if replication == COPY_ABSOLUTE_EXPIRY:
            rewritten = with_absolute_expiry(request.argv, request_context.clock.ms)
            payload = encode_request(rewritten) if rewritten is not None else None
            effect = expiry_effect(spec, rewritten or request.argv)
            return self.plan_write(spec, request, routed_keys, payload, request_context, effect)
        if replication == COPY_STREAM_WRITE:
            rewritten = with_repeatable_effect(request.argv, request_context.clock.next_entry_id())
            payload = encode_request(rewritten) if rewritten is not None else None
            effect = expiry_effect(spec, request.argv)
            return self.plan_write(spec, request, routed_keys, payload, request_context, effect)
        if replication == COPY_WAIT:
            return self.plan_wait(spec, request, routed_keys, request_context)
        if replication == COPY_LEADER:
            return self.plan_leader_first(spec, request, routed_keys, request_context)
        if replication == COPY_REFUSED:
            return DirectReply(errors.not_served(spec.name, replication_refusal(spec, request.argv)))
        if replication == COPY_ACK_COUNT:
            return self.plan_ack_count(request.argv, request_context)
        pubsub_node = self.pubsub_node()
        return Send(pubsub_node) if pubsub_node is not None else DirectReply(errors.NO_COPY_IN_SYNC)

    def plan_leader_first(
        self, spec: CommandSpec, request: Request, routed_keys: list[bytes], request_context: RequestContext
    ) -> Plan:
        """The leader decides, but for scripts that it need not."""
        if spec.script_source:
            return self.plan_script(spec, request, routed_keys, request_context)
        written_keys = written_key_names(spec, request.argv)
        reads_others = bool(external_key_patterns(spec, request.argv))
        effect = spec.leader_effect
        return self.plan_decision(
            LeaderFirst(self.group, request.argv, routed_keys, written_keys, effect, may_read_other_keys=reads_others)
        )

    def plan_decision(self, plan: LeaderFirst) -> Plan:
        """The plan, if enough copies are there."""
        live_count = len([copy for copy in self.group.in_sync() if copy.node.live])
        return plan if live_count >= self.group.min_in_sync else DirectReply(errors.NOREPLICAS)

    def plan_script(
        self, spec: CommandSpec, request: Request, routed_keys: list[bytes], request_context: RequestContext
    ) -> Plan:
        """A script that only reads is a read; one that copies can repeat is a write to all of them."""
        decision = decide_copy_script(request_context.registry, spec, request.argv, request_context.clock)
        if decision is None:
            if spec.script_source != SCRIPT_FUNCTION:
                return DirectReply(errors.NOSCRIPT)
            unknown = errors.not_served(spec.name, "what it does is not known here")
            is_missing = request_context.registry.knows_all_functions
            return DirectReply(script_errors.FUNCTION_NOT_FOUND if is_missing else unknown)
        if decision.reason:
            return DirectReply(errors.not_served(spec.name, f"copies could diverge: {decision.reason}"))
        if decision.way == WAY_READ:
            plan = self.plan_read(spec, request, routed_keys, request_context)
            return self.script_in_turn(plan, spec, decision.keys, request_context)
        leader = decision.leader
        if leader is not None:
            keys = list(dict.fromkeys([*routed_keys, *leader.written_keys, *(decision.keys or [])]))
            decided = LeaderFirst(
                self.group,
                leader.argv,
                keys,
                leader.written_keys,
                EFFECT_STATE,
                leader.publishes,
                may_read_other_keys=decision.keys is None,
            )
            return self.plan_decision(decided)
        effect = script_expiry_effect(request_context.registry, spec, request.argv)
        return plan_copy_write(
            self.fan_outs,
            routed_keys[0] if routed_keys and not request_context.in_multi else None,
            decision.payload,
            spec.response_policy,
            decision.keys or routed_keys,
            not decision.keys,
            None,
            effect,
            decision.interposed,
        )

    def script_in_turn(
        self, plan: Plan, spec: CommandSpec, keys: list[bytes] | None, request_context: RequestContext
    ) -> Plan:
        """As `in_turn`; a script that may read keys which nobody knows waits until none is being decided.

        So does a function without keys: its library may be what waits.
        """
        if request_context.in_multi or (keys is not None and not keys and spec.script_source != SCRIPT_FUNCTION):
            return plan
        db_keys = [(request_context.db, key) for key in keys or []]
        return AwaitTurn(self.group, keys or [], plan) if self.group.key_turns.is_taken(db_keys) else plan

    def in_turn(
        self,
        plan: Plan,
        spec: CommandSpec,
        argv: list[bytes],
        routed_keys: list[bytes],
        request_context: RequestContext,
    ) -> Plan:
        """A read of keys that are being decided waits, so that it has its place behind what was sent before it.

        Not inside a transaction, which waits as a whole, and not what has a connection of its own.
        """
        is_of_keys = spec.reach in (SINGLE_NODE, SPLIT_BY_NODE) and routed_keys
        if request_context.in_multi or not (is_of_keys or spec.covers_keyspace):
            return plan
        if external_key_patterns(spec, argv):
            return AwaitTurn(self.group, [], plan)
        if not self.group.key_turns.is_taken([(request_context.db, key) for key in routed_keys]):
            return plan
        return AwaitTurn(self.group, routed_keys, plan)

    def plan_read(
        self, spec: CommandSpec, request: Request, routed_keys: list[bytes], request_context: RequestContext
    ) -> Plan:
        """The leader of the first key, then the next one if it gives no reply.

        Inside a transaction all reads ask one node, so that they see one state; if it also writes, all nodes
        are asked, and the reply of the one that decides for the writes counts. With ``per_node`` all in-sync nodes
        are asked.
        """
        nodes = self.nodes_to_read(routed_keys[0] if routed_keys and not request_context.in_multi else None)
        if request_context.per_node or (request_context.in_multi and request_context.may_write):
            return self.gather_copies([Send(node) for node in nodes], spec)
        if request_context.in_multi:
            return Send(nodes[0])
        if spec.key_finder == STREAM_KEYS and waits_for_new_entries(spec, request.argv):
            # Asked again later, ``$`` would be another entry: what came in between would be lost in silence.
            return self.gather_copies([Send(nodes[0])], spec)
        fallbacks = nodes[1:] if len(nodes) > 1 else nodes
        if spec.response_policy == MERGE_INFO:
            return Gather([Send(nodes[0], None, fallbacks)], MERGE_INFO)
        return Send(nodes[0], None, fallbacks)

    def plan_ack_count(self, argv: list[bytes], request_context: RequestContext) -> Plan:
        """WAIT: an answered write is on every copy in sync. Where ``ack`` answers earlier they are asked behind it.

        The time-out of WAIT is not looked at: copies that do not answer in time are behind. A transaction never waits.
        """
        if not argv[1].isdigit() or not argv[2].isdigit():
            return DirectReply(errors.NOT_INTEGER)
        group = self.group
        count = len(group.in_sync())
        if group.acks_needed and not request_context.in_multi:
            return Gather([Send(node, PING) for node in group.ranked(None)], COUNT_COPIES, group=group)
        return DirectReply(integer(min(count, group.acks_needed or count) - 1))

    def plan_key_scan(self, request: Request) -> Plan:
        """HSCAN, SSCAN, ZSCAN: begun on the key's leader, continued where it was begun, or not at all."""
        argv = request.argv
        found = cursor.unpack(argv[2])
        if found is None:
            return DirectReply(errors.INVALID_CURSOR)
        node_cursor, cursor_id = found
        node = self.scan_node(cursor_id) if cursor_id else self.group.leader(argv[1])
        if node is None:
            return DirectReply(errors.INVALID_CURSOR)
        send = Send(node, encode_request([argv[0], argv[1], b"%d" % node_cursor, *argv[3:]]))
        return Gather([send], MERGE_INFO, scan_step=ScanStep(node.cursor_id, 0))

    def plan_wait(
        self, spec: CommandSpec, request: Request, routed_keys: list[bytes], request_context: RequestContext
    ) -> Plan:
        """A command that waits does so in the proxy; in a transaction none does."""
        if request_context.in_multi or not may_block(spec, request.argv):
            effect = expiry_effect(spec, request.argv)
            return self.plan_write(spec, request, routed_keys, None, request_context, effect)
        attempts = CopyAttempts(self, spec, request, routed_keys, request_context)
        refusal = attempts.plan_attempt()
        if isinstance(refusal, DirectReply):
            return refusal
        takes_from = routed_keys[:1] if spec.moves_element else routed_keys
        group_at = stream_option(request.argv, b"group") + 1 if spec.key_finder == STREAM_KEYS else 0
        consumer_group = request.argv[group_at] if group_at else b""
        return Wait(self.group, takes_from, consumer_group, attempts)

    def nodes_to_read(self, key: bytes | None) -> list[Node]:
        """The in-sync nodes in the order in which a read asks them."""
        if self.read_order == READ_LEADER or key is None:
            return self.group.ranked(key)
        return in_read_order(self.read_order, self.group.ranked(None), self.group.read_count)

    def plan_write(
        self,
        spec: CommandSpec,
        request: Request,
        routed_keys: list[bytes],
        payload: bytes | None,
        request_context: RequestContext,
        effect: ExpiryEffect = SET,
    ) -> Plan:
        """Send it to every node; the in-sync ones are waited for, the others are not.

        What SORT reads by pattern decides what it stores: as if it might write to keys that it does not name.
        """
        return plan_copy_write(
            self.fan_outs,
            routed_keys[0] if routed_keys and not request_context.in_multi else None,
            payload,
            spec.response_policy,
            routed_keys,
            bool(external_key_patterns(spec, request.argv)),
            target_database(spec, request.argv),
            effect,
            touches=spec.touches,
        )

    def gather_copies(self, plans: list[Plan], spec: CommandSpec) -> Gather:
        """The copies of one command; the group decides between their replies."""
        return Gather(plans, spec.response_policy, group=self.group)

    def needs_arguments(self) -> bool:
        """Yes: options decide what copies do, and expiry is rewritten."""
        return True

    def scan_routes(self) -> list[Route]:
        """Itself alone: a scan stays on one copy."""
        return [self]

    def scan_node(self, cursor_id: int) -> Node | None:
        """The copy that the cursor names if it is in sync; for a new scan the leader."""
        if not self.group.elected:
            return None
        if not cursor_id:
            return self.group.leader(None)
        for copy in self.group.copies:
            if copy.node.cursor_id == cursor_id and copy.state == IN_SYNC:
                return copy.node
        return None

    def pubsub_node(self) -> Node | None:
        """The copy that the proxy is subscribed to."""
        return self.group.active_pubsub_node() if self.group.elected else None

    def nodes(self) -> list[Node]:
        """The copies, in the order of the configuration."""
        return [copy.node for copy in self.group.copies]

    def explain(self, key: bytes) -> str:
        """The copies in the key's order, the leader first, with their states."""
        ranked = self.group.ranked_copies(key)
        names = ", ".join(f"{copy.node.name} ({copy.state})" for copy in ranked)
        return f"copies, in the key's order: {names}"


def request_keys(spec: CommandSpec, argv: list[bytes]) -> list[bytes]:
    """The keys that a request names."""
    if spec.reach == SPLIT_BY_NODE:
        return argv[1 :: spec.key_step]
    return [argv[at] for at in key_positions(spec, argv)]


@final
class CopyAttempts(AttemptPlanner):
    """The attempts of one request that waits, each a write to the copies."""

    def __init__(
        self,
        pool: CopyPool,
        spec: CommandSpec,
        request: Request,
        routed_keys: list[bytes],
        request_context: RequestContext,
    ) -> None:
        self.pool = pool
        self.spec = spec
        self.request = request
        self.routed_keys = routed_keys
        self.request_context = request_context

    def plan_attempt(self) -> Plan:
        """As any write; refused while no copy may be asked."""
        if not self.pool.group.elected:
            return DirectReply(self.pool.group.refusal)
        effect = expiry_effect(self.spec, self.request.argv)
        return self.pool.plan_write(self.spec, self.request, self.routed_keys, None, self.request_context, effect)


def written_key_names(spec: CommandSpec, argv: list[bytes]) -> list[bytes]:
    """The keys that a request may write to, each once."""
    found: list[bytes] = []
    for positions, access in key_accesses(spec, argv):
        if access & WRITES:
            found += [argv[at] for at in positions]
    return list(dict.fromkeys(found))
