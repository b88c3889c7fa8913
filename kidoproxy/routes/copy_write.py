"""A write to all copies of a group: who is sent it, and when it is refused.

Most writes of a pool are sent to the same nodes in one of few orders. These are kept (`FanOuts`) until the state of a
copy changes.
"""

from typing import Final, final

from kidoproxy.commands.expiry_effect import SET, ExpiryEffect
from kidoproxy.commands.spec import TOUCHES_KEYS, Touches
from kidoproxy.replication.copy import order_number
from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.resp import errors
from kidoproxy.resp.replication_errors import record_unwritable
from kidoproxy.routes.plan import DirectReply, Gather, Interposed, Plan, Send, WriteScope
from kidoproxy.routes.topology import Node

#: So many orders are kept: those of five copies.
MAX_ORDERS: Final = 120


@final
class FanOut:
    """The copies in sync in one order, the leader first, and the live ones that are not waited for."""

    def __init__(self, nodes: list[Node], unawaited_nodes: list[Node]) -> None:
        self.nodes: Final = nodes
        self.unawaited_nodes: Final = unawaited_nodes
        #: What sends the request itself to the nodes.
        self.sends: Final[list[Plan]] = [Send(node) for node in nodes]


@final
class FanOuts:
    """The orders in which the copies of a group are sent writes, as long as none of them changes its state."""

    def __init__(self, group: CopyGroup) -> None:
        self.group: Final = group
        self.by_order: dict[int, FanOut] = {}
        #: The states of the copies for which they were made.
        self.states = -1

    def find(self, ranking_key: bytes | None) -> FanOut:
        """The one for a write that is ranked by this key."""
        group = self.group
        states = 2 if group.trust_lost else 3
        for copy in group.copies:
            node = copy.node
            states = states * 2 + (1 if copy.state == IN_SYNC else 0)
            states = states * 4 + (2 if node.live else 0) + (1 if node.suspect else 0)
        if states != self.states or len(self.by_order) > MAX_ORDERS:
            self.by_order.clear()
            self.states = states
        number = order_number(group.copies, ranking_key) if ranking_key is not None else 0
        fan_out = self.by_order.get(number)
        if fan_out is None:
            unawaited_nodes = [copy.node for copy in group.copies if copy.state != IN_SYNC and copy.node.live]
            fan_out = FanOut(group.ranked(ranking_key), unawaited_nodes)
            self.by_order[number] = fan_out
        return fan_out


def write_refusal(group: CopyGroup, nodes: list[Node]) -> bytes:
    """Why a write to these copies in sync is not sent: an error; empty when it may be."""
    live_count = 0
    for node in nodes:
        live_count += node.live
    if live_count < group.min_in_sync:
        return errors.NOREPLICAS
    cause = group.durability.write_refusal()
    return record_unwritable(group.name, cause) if cause else b""


def plan_copy_write(
    fan_outs: FanOuts,
    ranking_key: bytes | None,
    payload: bytes | None,
    response_policy: int,
    written_keys: list[bytes],
    may_write_other_keys: bool,
    other_db: int | None,
    expiry_effect: ExpiryEffect = SET,
    interposed: Interposed | None = None,
    touches: Touches = TOUCHES_KEYS,
) -> Plan:
    """Send it to every copy in sync, in the order of ``ranking_key``, and to live ones that are not waited for.

    See `WriteScope`. Of a script that publishes the copy is chosen that the proxy listens to now. `write_refusal`
    says when it is refused.
    """
    group = fan_outs.group
    fan_out = fan_outs.find(ranking_key)
    nodes = fan_out.nodes
    refusal = write_refusal(group, nodes)
    if refusal:
        return DirectReply(refusal)
    write = WriteScope(
        written_keys, may_write_other_keys, other_db, fan_out.unawaited_nodes, payload, expiry_effect, nodes, touches
    )
    if interposed is None:
        sends: list[Plan] = fan_out.sends
        if payload is not None:
            sends = [Send(node, payload) for node in nodes]
        return Gather(sends, response_policy, group=group, write=write)
    publisher_payload = interposed.publisher_payload
    publisher = group.active_pubsub_node() if publisher_payload is not None else None
    interposed = Interposed(interposed.shown, publisher_payload, publisher, interposed.by_digest)
    sends = [Send(node, interposed.payload_for(node, payload)) for node in nodes]
    return Gather(sends, response_policy, group=group, write=write, interposed=interposed)


def renew(plan: Gather, group: CopyGroup, write: WriteScope, payload: bytes | None) -> Plan:
    """The same write, to the copies as they are now; they are sent ``payload``."""
    ranking_key = write.written_keys[0] if write.written_keys else None
    return plan_copy_write(
        FanOuts(group),
        ranking_key,
        payload,
        plan.response_policy,
        write.written_keys,
        write.may_write_other_keys,
        write.other_db,
        write.expiry_effect,
        plan.interposed,
        write.touches,
    )
