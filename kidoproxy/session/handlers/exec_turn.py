"""EXEC in copy pools: a transaction waits for its turn at its keys, and runs on the leader if a command of it must.

A transaction waits as a whole: at all of its keys in each copy pool that it reaches, before anything of it is sent.
One with a command that copies cannot repeat (SPOP, a script that depends on chance) is decided by the leader from
MULTI to EXEC; then the other copies are sent the values of all keys that it may have written to. What changes
servers and no key, at whatever point of their order (SCRIPT LOAD), they are sent as it is.
"""

from collections.abc import Callable
from typing import final

from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.request_traits import external_key_patterns
from kidoproxy.commands.spec import COPY_PUBSUB_NODE, EFFECT_STATE, SCRIPT_FUNCTION, TOUCHES_LIBRARIES
from kidoproxy.replication.group import CopyGroup, group_of
from kidoproxy.replication.held_plan import turn_failure
from kidoproxy.replication.key_turns import DbKey, Turn
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import TIMEOUT, NodeFailure
from kidoproxy.resp.replication_errors import KEYS_BUSY
from kidoproxy.routes.plan import DirectReply, Gather, LeaderFirst, Plan, Send
from kidoproxy.routes.scripts import decide_leader_script, script_keys
from kidoproxy.scripts.registry import ScriptRegistry
from kidoproxy.session.multi_state import QueuedCommand


@final
class ExecTurn(Turn):
    """A transaction's turn in one group."""

    def __init__(self, gate: "TurnGate", group: CopyGroup, keys: list[DbKey], due: float) -> None:
        super().__init__(keys, due)
        self.gate = gate
        self.group = group

    def take(self) -> None:
        self.gate.on_turn_taken(self)

    def on_timeout(self) -> None:
        self.gate.on_timeout(self)


@final
class TurnGate:
    """Calls ``begin`` when it is a transaction's turn in all groups, or ``give_up`` when that takes too long."""

    def __init__(self, begin: Callable[[], None], give_up: Callable[[NodeFailure], None]) -> None:
        self.begin = begin
        self.give_up = give_up
        self.missing_count = 0
        self.taken: list[ExecTurn] = []
        self.given_up = False

    def ask(self, keys_by_group: dict[CopyGroup, list[DbKey]], due: float) -> None:
        """Ask for a turn in each group, in all of them at once."""
        self.missing_count = len(keys_by_group)
        for group, keys in keys_by_group.items():
            group.key_turns.ask(ExecTurn(self, group, keys, due))

    def on_turn_taken(self, turn: ExecTurn) -> None:
        """It is its turn in one group; in the last one all of it is sent, and the others may go on."""
        self.taken.append(turn)
        self.missing_count -= 1
        if self.given_up:
            self.leave()
        elif not self.missing_count:
            try:
                self.begin()
            finally:
                self.leave()

    def on_timeout(self, turn: ExecTurn) -> None:
        """Nothing was sent, in no group."""
        if not self.given_up:
            self.given_up = True
            self.leave()
            self.give_up(turn_failure(TIMEOUT, turn.group.copies[0].node, KEYS_BUSY))

    def leave(self) -> None:
        taken = self.taken
        self.taken = []
        for turn in taken:
            turn.group.key_turns.leave(turn)


def copy_groups_of(plan: Plan | None) -> list[CopyGroup]:
    """The copy groups that a plan reaches."""
    if isinstance(plan, Send):
        group = group_of(plan.node)
        return [group] if group is not None else []
    if isinstance(plan, LeaderFirst):
        return [plan.group]
    return [group for part in plan.plans for group in copy_groups_of(part)] if isinstance(plan, Gather) else []


def needs_key_turn(plan: Plan | None) -> bool:
    """Whether the leader has to decide it, or somebody has a turn in a group that it reaches."""
    if isinstance(plan, Gather):
        group = plan.group
        return any(needs_key_turn(part) for part in plan.plans) if group is None else group.key_turns.busy
    return isinstance(plan, LeaderFirst) or any(group.key_turns.busy for group in copy_groups_of(plan))


def used_key_names(queued: QueuedCommand, plan: Plan | None, registry: ScriptRegistry) -> list[bytes] | None:
    """The keys that a command reads or writes to; None: any, or it must keep its order to changes of libraries."""
    spec, argv = queued.spec, queued.request.argv
    if spec.script_source:
        keys = script_keys(registry, spec, argv)
        return keys if keys or spec.script_source != SCRIPT_FUNCTION else None
    if spec.covers_keyspace or spec.touches == TOUCHES_LIBRARIES or external_key_patterns(spec, argv):
        return None
    if isinstance(plan, Gather) and needs_whole_keyspace(plan):
        return None
    return [argv[at] for at in key_positions(spec, argv)]


def turn_keys_by_group(
    queue: list[QueuedCommand], plans: list[Plan | None], db: int, registry: ScriptRegistry
) -> dict[CopyGroup, list[DbKey]]:
    """At which keys a transaction needs a turn, in each group; none at all: the whole keyspace."""
    found: dict[CopyGroup, list[DbKey]] = {}
    whole: dict[CopyGroup, bool] = {}
    for queued, plan in zip(queue, plans, strict=True):
        groups = copy_groups_of(plan)
        keys = used_key_names(queued, plan, registry) if groups else []
        for group in groups:
            found.setdefault(group, []).extend([(db, key) for key in keys or []])
            if keys is None:
                whole[group] = True
    return {group: [] if group in whole else keys for group, keys in found.items() if keys or group in whole}


def needs_whole_keyspace(plan: Gather) -> bool:
    """Whether it may write to keys, or to a database, that the request's own keys do not say."""
    write = plan.write
    if write is None:
        return any(isinstance(part, Gather) and needs_whole_keyspace(part) for part in plan.plans)
    return write.may_write_other_keys or write.other_db is not None


# -- a transaction that the leader decides ------------------------------------------------------------------


def leader_command(queue: list[QueuedCommand], plans: list[Plan | None]) -> QueuedCommand | None:
    """The first command that the leader must decide; None if copies repeat them all."""
    for queued, plan in zip(queue, plans, strict=True):
        if isinstance(plan, LeaderFirst) or (
            isinstance(plan, Gather) and any(isinstance(part, LeaderFirst) for part in plan.plans)
        ):
            return queued
    return None


def leader_transaction(
    queue: list[QueuedCommand], plans: list[Plan | None], registry: ScriptRegistry
) -> LeaderFirst | QueuedCommand:
    """The whole transaction as one write that the leader decides; or the command that cannot be part of it."""
    group = next(group for plan in plans for group in copy_groups_of(plan))
    frames: list[bytes] = []
    keys: dict[bytes, bool] = {}
    written_keys: dict[bytes, bool] = {}
    repeated: list[int] = []
    asks_pubsub_node = may_read_other_keys = False
    for queued, planned in zip(queue, plans, strict=True):
        if planned is None or isinstance(planned, DirectReply):
            continue
        groups = copy_groups_of(planned)
        plan = plan_on_leader(planned, queued, group, registry)
        frame = leader_frame(plan, queued.request.raw)
        written = [] if queued.spec.commutes else written_keys_of(plan)
        if frame is None or written is None or not groups or any(each is not group for each in groups):
            return queued
        if queued.spec.commutes:
            repeated.append(len(frames))
        frames.append(frame)
        used = used_key_names(queued, planned, registry)
        may_read_other_keys = may_read_other_keys or used is None
        keys.update(dict.fromkeys(used or [], True))
        for key in written:
            keys[key] = written_keys[key] = True
        if queued.spec.replication == COPY_PUBSUB_NODE or (isinstance(plan, LeaderFirst) and plan.asks_pubsub_node):
            asks_pubsub_node = True
    return LeaderFirst(
        group,
        [b"EXEC"],
        list(keys),
        list(written_keys),
        EFFECT_STATE,
        asks_pubsub_node,
        frames,
        may_read_other_keys,
        repeated,
    )


def plan_on_leader(plan: Plan, queued: QueuedCommand, group: CopyGroup, registry: ScriptRegistry) -> Plan:
    """Of a script that each copy would have run: what the leader runs for all, without a prologue, if it can."""
    if not isinstance(plan, Gather) or plan.write is None or not queued.spec.script_source:
        return plan
    script = decide_leader_script(registry, queued.spec, queued.request.argv)
    if script is None:
        return plan
    return LeaderFirst(group, script.argv, script.written_keys, script.written_keys, EFFECT_STATE, script.publishes)


def leader_frame(plan: Plan, raw: bytes) -> bytes | None:
    """What the leader is asked for one command; None for one that was split."""
    if isinstance(plan, LeaderFirst):
        return encode_request(plan.argv)
    if isinstance(plan, Send):
        return plan.payload or raw
    if isinstance(plan, Gather) and plan.group is not None and isinstance(plan.plans[0], Send):
        return plan.plans[0].payload or raw
    return None


def written_keys_of(plan: Plan) -> list[bytes] | None:
    """The keys that one command may write to; None when they are not known, so that nobody could be told."""
    if isinstance(plan, LeaderFirst):
        return plan.written_keys
    write = plan.write if isinstance(plan, Gather) else None
    if write is None:
        return []
    if write.may_write_other_keys or write.other_db is not None or not write.written_keys:
        return None
    return write.written_keys
