"""What a worker counts, by name, for INFO and PROXY: the numbers of several workers are sums.

``node:<id>:<name>`` is of one node of the pool; ids are the same in each worker.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy.commands.spec import CHANNEL, PATTERN, SHARD
from kidoproxy.replies.accounting import OUTPUT_LIMIT, QUERY_LIMIT
from kidoproxy.resp import encode
from kidoproxy.resp.decode import integer_value, items, string_value
from kidoproxy.routes.topology import Node
from kidoproxy.session.base import Session
from kidoproxy.session.peers import Answers
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.upstream.connection_set import connection_set_of
from kidoproxy.upstream.health import INTERNAL_ERROR
from kidoproxy.upstream.states import READY

#: The word that asks for them.
NUMBERS: Final = b"numbers"
#: Before the code of an error.
ERROR_PREFIX: Final = "error:"


@final
class Totals:
    """The sums over ``answered`` of ``workers``."""

    def __init__(self, workers: int, answered: int, numbers: dict[str, int]) -> None:
        self.workers = workers
        self.answered = answered
        self.numbers = numbers

    def get(self, name: str) -> int:
        """What this comes to; 0 if nobody counts it."""
        return self.numbers.get(name, 0)

    def of_node(self, node: Node, name: str) -> int:
        """The same, of one node."""
        return self.get(node_number(node, name))

    def add(self, part: bytes) -> None:
        """One worker more has answered."""
        self.answered += 1
        flat_list = items(part)
        for at in range(0, len(flat_list), 2):
            name = string_value(flat_list[at]).decode()
            self.numbers[name] = self.get(name) + integer_value(flat_list[at + 1])


def node_number(node: Node, name: str) -> str:
    return f"node:{node.node_id}:{name}"


def process_numbers(proxy: ProxyState) -> dict[str, int]:
    """Those of the whole process."""
    numbers = {
        "connected_clients_of_all_pools": len(proxy.sessions),
        "total_connections_received": proxy.connections_received,
        "rejected_connections": proxy.connections_rejected,
        "cut_clients": sum(proxy.forced_disconnects.values()),
        "total_commands_processed": proxy.commands_processed,
        "refused_commands": proxy.commands_rejected,
        "split_transactions": proxy.split_transactions,
        "auth_failures": proxy.auth_failures,
        "delivered_messages": proxy.messages_delivered(),
        "mishandled_replies": sum(
            [
                connection_set.node.failure_counts.get(INTERNAL_ERROR, 0)
                for connection_set in proxy.executor.connection_sets
            ]
        ),
        "healed_scripts": proxy.executor.noscript_retries,
        "total_net_input_bytes": proxy.bytes_received(),
        "total_net_output_bytes": proxy.bytes_sent(),
        "total_error_replies": sum([context.error_counts.total() for context in proxy.contexts]),
        QUERY_LIMIT: proxy.forced_disconnects[QUERY_LIMIT],
        OUTPUT_LIMIT: proxy.forced_disconnects[OUTPUT_LIMIT],
    }
    for context in proxy.contexts:
        for code, count in context.error_counts.by_code().items():
            name = ERROR_PREFIX + code
            numbers[name] = numbers.get(name, 0) + count
    return numbers


def pool_numbers(proxy: ProxyState, context: PoolContext) -> dict[str, int]:
    """Those of one pool."""
    subscriptions = proxy.subscriptions_by_pool.get(context.name)
    numbers = {
        "connected_clients": context.client_count,
        "blocked_clients": 0,
        "pubsub_clients": 0,
    }
    for session in proxy.sessions.values():
        if session.context is context and not session.closing:
            numbers["blocked_clients"] += session.is_blocked()
            numbers["pubsub_clients"] += session.is_subscriber()
    for field, kind in (("pubsub_channels", CHANNEL), ("pubsub_patterns", PATTERN), ("pubsubshard_channels", SHARD)):
        numbers[field] = subscriptions.subscribed_count(kind) if subscriptions is not None else 0
    for node in context.root.nodes():
        connection_set = connection_set_of(node)
        connections = connection_set.shared_connections()
        numbers[node_number(node, "links")] = len([conn for conn in connections if conn.state == READY])
        numbers[node_number(node, "lanes")] = connection_set.leased_count
        numbers[node_number(node, "waiting")] = sum([conn.pending_count() for conn in connections])
        numbers[node_number(node, "reconnects")] = sum([conn.reconnects for conn in connections])
        numbers[node_number(node, "down")] = int(not node.live)
        numbers[node_number(node, "suspect")] = int(node.live and node.suspect)
    return numbers


def own_numbers(proxy: ProxyState, context: PoolContext | None) -> dict[str, int]:
    """Of the process and, if it serves it, of the pool."""
    numbers = process_numbers(proxy)
    if context is not None:
        numbers.update(pool_numbers(proxy, context))
    return numbers


def numbers_part(proxy: ProxyState, context: PoolContext | None) -> bytes:
    """For another worker: name, number, name, number, …"""
    pairs: list[bytes] = []
    for name, number in own_numbers(proxy, context).items():
        pairs += [encode.bulk(name.encode()), encode.integer(number)]
    return encode.array(pairs)


def gather_totals(session: Session, take: Callable[[Totals], None]) -> None:
    """Call ``take`` with the sums over all workers that answer: at once if there are no others."""
    proxy, context, peers = session.proxy, session.context, session.proxy.peers
    if peers is None:
        take(Totals(1, 1, own_numbers(proxy, context)))
        return
    totals = Totals(len(peers.others) + 1, 1, own_numbers(proxy, context))

    def take_answers(answers: Answers) -> None:
        for part in answers.values():
            if part is not None:
                totals.add(part)
        take(totals)

    peers.ask(peers.others, context.name, [NUMBERS], take_answers)
