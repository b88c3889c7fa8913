"""A write to all copies of a group: who is sent it, and when it is refused."""

from kidoproxy.commands.expiry_effect import SET, ExpiryEffect
from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.resp import errors
from kidoproxy.resp.replication_errors import record_unwritable
from kidoproxy.routes.plan import DirectReply, Gather, Interposed, Plan, Send, WriteScope
from kidoproxy.routes.topology import Node


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
    group: CopyGroup,
    ranking_key: bytes | None,
    payload: bytes | None,
    response_policy: int,
    written_keys: list[bytes],
    may_write_other_keys: bool,
    other_db: int | None,
    expiry_effect: ExpiryEffect = SET,
    interposed: Interposed | None = None,
) -> Plan:
    """Send it to every copy in sync, in the order of ``ranking_key``, and to live ones that are not waited for.

    See `WriteScope`. Of a script that publishes the copy is chosen that the proxy listens to now. `write_refusal`
    says when it is refused.
    """
    nodes = group.ranked(ranking_key)
    refusal = write_refusal(group, nodes)
    if refusal:
        return DirectReply(refusal)
    unawaited_nodes = [copy.node for copy in group.copies if copy.state != IN_SYNC and copy.node.live]
    write = WriteScope(written_keys, may_write_other_keys, other_db, unawaited_nodes, payload, expiry_effect)
    if interposed is None:
        return Gather([Send(node, payload) for node in nodes], response_policy, group=group, write=write)
    publisher_payload = interposed.publisher_payload
    publisher = group.active_pubsub_node() if publisher_payload is not None else None
    interposed = Interposed(interposed.shown, publisher_payload, publisher, interposed.by_digest)
    sends: list[Plan] = [Send(node, interposed.payload_for(node, payload)) for node in nodes]
    return Gather(sends, response_policy, group=group, write=write, interposed=interposed)


def renew(plan: Gather, group: CopyGroup, write: WriteScope, payload: bytes | None) -> Plan:
    """The same write, to the copies as they are now; they are sent ``payload``."""
    ranking_key = write.written_keys[0] if write.written_keys else None
    return plan_copy_write(
        group,
        ranking_key,
        payload,
        plan.response_policy,
        write.written_keys,
        write.may_write_other_keys,
        write.other_db,
        write.expiry_effect,
        plan.interposed,
    )
