"""``/status.json``: the state of the proxy as one document, for the status page and for other programs.

Numbers that are counted are those of `kidoproxy.admin.metrics`, over all workers; what is known of connections and
copies is what the first worker knows. All texts of nodes and clients stand in it as JSON strings, which whoever shows
them has to escape. Its size is bounded by the configuration: pools, nodes, and lists of a fixed length.
"""

from typing import Any, Final

from prometheus_client.core import Metric

from kidoproxy.admin.node_polls import NodePolls
from kidoproxy.admin.readiness import unready_reasons
from kidoproxy.admin.traffic_status import big_key_documents, hot_key_documents, slow_documents
from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import Node
from kidoproxy.session.handlers.info import decode_text, node_state, nodes_with_pool_name
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState

#: The version of the document: it grows with a change that takes something away or gives it another meaning.
SCHEMA: Final = 1
PREFIX: Final = "kidoproxy_"

Document = dict[str, Any]
#: Labels and value of each.
Samples = list[tuple[dict[str, str], float]]


class Counts:
    """The samples of all metrics, to be looked up by name and labels."""

    def __init__(self, families: list[Metric]) -> None:
        self.samples: dict[str, Samples] = {}
        #: By name and names of labels, made when it is first asked for, then by their values: there may be a sample
        #: for each node, and each node is asked for.
        self.indexes: dict[tuple[str, ...], dict[tuple[str | None, ...], Samples]] = {}
        for family in families:
            for sample in family.samples:
                self.samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def find(self, name: str, labels: dict[str, str]) -> Samples:
        """The samples with these labels."""
        found = self.indexes.get((name, *labels))
        if found is None:
            found = self.indexes[name, *labels] = {}
            for sample in self.samples.get(PREFIX + name, []):
                found.setdefault(tuple([sample[0].get(label) for label in labels]), []).append(sample)
        return found.get(tuple(labels.values()), [])

    def total(self, name: str, **labels: str) -> int:
        """The sum of the samples with these labels."""
        return int(sum([value for _, value in self.find(name, labels)]))

    def by(self, label: str, name: str, **labels: str) -> dict[str, int]:
        """What is not zero, by the values of one label, the largest first."""
        found: dict[str, int] = {}
        for have, value in self.find(name, labels):
            if value:
                found[have[label]] = found.get(have[label], 0) + int(value)
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def status_document(proxy: ProxyState, families: list[Metric], polls: NodePolls) -> Document:
    """The whole document; ``families``: the metrics of all workers."""
    counts = Counts(families)
    reasons = unready_reasons(proxy)
    pool_names = pool_name_by_node(proxy)
    return {
        "schema": SCHEMA,
        "version": proxy.version,
        "build": proxy.build,
        "time_ms": proxy.wall_ms,
        "started_ms": proxy.started_ms,
        "workers": counts.by("worker", "worker_up"),
        "state": "draining" if proxy.draining else "not ready" if reasons else "ready",
        "reasons": reasons,
        "totals": totals(counts),
        "pools": [pool_document(context, counts) for context in proxy.contexts],
        "nodes": [node_document(pool, node, counts, polls) for node, pool in pool_names.items()],
        "hot_keys": hot_key_documents(pool_names),
        "big_keys": big_key_documents(pool_names),
        "slow_log": slow_documents(proxy),
        "copies": [copy for group in proxy.copy_groups for copy in copy_documents(group)],
    }


def totals(counts: Counts) -> Document:
    """Of the whole proxy."""
    return {
        "clients": counts.total("clients"),
        "commands": counts.total("commands_total"),
        "errors": counts.total("errors_total"),
        "node_errors": counts.total("node_error_replies_total"),
        "bytes_received": counts.total("bytes_received_total"),
        "bytes_sent": counts.total("bytes_sent_total"),
        "connections_accepted": counts.total("connections_accepted_total"),
        "connections_rejected": counts.total("connections_rejected_total"),
        "clients_cut": counts.by("reason", "clients_cut_total"),
    }


def pool_document(context: PoolContext, counts: Counts) -> Document:
    """One listening pool; ``errors`` are the proxy's own, ``node_errors`` those that were passed on, by code word."""
    name = context.name
    return {
        "name": name,
        "mode": context.mode,
        "clients": counts.total("clients", pool=name),
        "blocked_clients": counts.total("blocked_clients", pool=name),
        "client_bytes": counts.total("client_bytes", pool=name),
        "commands": counts.total("commands_total", pool=name),
        "bytes_received": counts.total("pool_bytes_received_total", pool=name),
        "bytes_sent": counts.total("pool_bytes_sent_total", pool=name),
        "commands_by_family": counts.by("family", "commands_total", pool=name),
        "failed_by_family": counts.by("family", "failed_commands_total", pool=name),
        "errors": counts.by("code", "errors_total", pool=name),
        "node_errors": counts.by("code", "node_error_replies_total", pool=name),
        "members": member_documents(context.root),
    }


def member_documents(route: Route) -> list[Document]:
    """Who owns which share of a ring, and by which nodes; copies own everything."""
    if not isinstance(route, Ring):
        return [{"name": route.name, "share": 1.0, "nodes": [node.name for node in route.nodes()]}]
    fractions = route.placement.owned_fractions()
    shares: dict[Route, float] = dict.fromkeys(route.distinct_members, 0.0)
    for member, fraction in zip(route.members, fractions, strict=True):
        shares[member] += fraction
    return [
        {"name": member_name(member), "share": round(share, 6), "nodes": [node.name for node in member.nodes()]}
        for member, share in shares.items()
    ]


def member_name(route: Route) -> str:
    return route.node.name if isinstance(route, NodeRoute) else route.name


def pool_name_by_node(proxy: ProxyState) -> dict[Node, str]:
    """All nodes that clients can reach, in the order of the configuration, with the pool of the file they stand in."""
    pool_names: dict[Node, str] = {}
    for context in proxy.contexts:
        for pool_name, node in nodes_with_pool_name(context.name, context.root):
            pool_names.setdefault(node, pool_name)
    return pool_names


def node_document(pool: str, node: Node, counts: Counts, polls: NodePolls) -> Document:
    """One node: what its connections know, what is counted, and in ``info`` what it says of itself."""
    labels = {"node": node.name, "address": node.address}
    poll = polls.by_node.get(node)
    return {
        "pool": pool,
        "name": node.name,
        "address": node.address,
        "state": node_state(node),
        "cause": node.cause or node.unfenced,
        "version": decode_text(node.version),
        "waiting": counts.total("node_waiting", **labels),
        "dedicated_connections": counts.total("node_dedicated_connections", **labels),
        "held_bytes": counts.total("node_bytes", **labels),
        "replies": counts.total("node_replies_total", **labels),
        "bytes_sent": counts.total("node_bytes_sent_total", **labels),
        "bytes_received": counts.total("node_bytes_received_total", **labels),
        "timeouts": counts.total("node_timeouts_total", **labels),
        "reconnects": counts.total("node_reconnects_total", **labels),
        "failures": counts.by("cause", "node_failures_total", **labels),
        "latency_ms": poll.latency_ms if poll is not None else None,
        "info": poll.fields if poll is not None else {},
    }


def copy_documents(group: CopyGroup) -> list[Document]:
    """The copies of one pool; ``missed_keys`` is -1 where nobody knows which, ``sync`` null while none runs."""
    found: list[Document] = []
    for copy in group.copies:
        progress = copy.sync_progress
        sync = None
        if progress is not None:
            sync = {
                "keys": progress.keys_done,
                "keys_expected": progress.keys_total,
                "keys_per_second": round(progress.rate),
                "seconds_left": progress.seconds_left(),
            }
        found.append(
            {
                "pool": group.name,
                "node": copy.node.name,
                "state": node_state(copy.node),
                "missed_keys": 0 if copy.state == IN_SYNC else copy.missed.count(),
                "sync": sync,
                "syncs_done": copy.syncs_done,
                "syncs_failed": copy.syncs_failed,
            }
        )
    return found
