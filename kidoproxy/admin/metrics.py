"""The counters of the proxy as Prometheus text, made at each scrape: the hot path keeps plain integers."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from kidoproxy.admin.connection_metrics import connection_families
from kidoproxy.admin.node_metrics import node_families
from kidoproxy.admin.process_metrics import process_families
from kidoproxy.admin.readiness import unready_reasons
from kidoproxy.admin.sentinel_metrics import sentinel_families
from kidoproxy.admin.traffic_metrics import traffic_families
from kidoproxy.admin.worker_totals import Snapshot, WorkerTotals
from kidoproxy.commands.families import FAMILIES
from kidoproxy.replication.group import IN_SYNC
from kidoproxy.replies.durations import Durations
from kidoproxy.session import accounting
from kidoproxy.session.incidents import CERTIFICATE_REFUSED, HTTP_REQUEST, LOGIN_FAILED, TLS_FAILED, TLS_TO_PLAIN
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.pubsub.topics import KINDS

#: Between so many clients others may have their turn.
SESSIONS_PER_PORTION: Final = 500


def counter(name: str, documentation: str, value: float) -> Metric:
    """A counter without labels."""
    return CounterMetricFamily(f"kidoproxy_{name}", documentation, value=value)


def gauge(name: str, documentation: str, value: float) -> Metric:
    """A gauge without labels."""
    return GaugeMetricFamily(f"kidoproxy_{name}", documentation, value=value)


def loop_turn_histogram(turn_durations: Durations) -> Metric:
    """The histogram of the loop's turns."""
    documentation = "How long the event loop was busy at one go, to the millisecond."
    return HistogramMetricFamily(
        "kidoproxy_loop_turn_seconds",
        documentation,
        buckets=turn_durations.cumulative(),
        sum_value=turn_durations.total_seconds,
    )


class ProxyCollector(Collector):
    """Reads the proxy's state at each scrape.

    What is long comes in portions: a metric of many samples comes several times, each time with some of them.
    """

    def __init__(self, proxy: ProxyState) -> None:
        self.proxy = proxy

    def collect(self) -> Iterator[Metric]:
        yield from self.process_metrics()
        yield from self.pool_metrics()
        yield from node_families(self.proxy)
        yield from self.copy_metrics()
        yield from connection_families(self.proxy)
        yield from sentinel_families(self.proxy)
        yield from traffic_families(self.proxy)

    def process_metrics(self) -> Iterator[Metric]:
        """What the process has one of."""
        proxy = self.proxy
        info = GaugeMetricFamily("kidoproxy_build_info", "Always 1.", labels=["version", "build"])
        info.add_metric([proxy.version, proxy.build], 1)
        yield info
        yield gauge("uptime_seconds", "Since the process serves.", (proxy.wall_ms - proxy.started_ms) / 1000)
        yield from self.reload_metrics()
        yield counter("connections_accepted", "Clients that have connected.", proxy.connections_received)
        yield counter("connections_rejected", "Clients turned away: there were too many.", proxy.connections_rejected)
        documentation = "Connections to the admin pages that gave way to new ones."
        yield counter("admin_connections_dropped", documentation, proxy.admin_connections_dropped)
        disconnects = CounterMetricFamily("kidoproxy_clients_cut", "Clients cut, by the reason.", labels=["reason"])
        for reason, count in proxy.forced_disconnects.items():
            disconnects.add_metric([reason], count)
        yield disconnects
        yield counter("transactions_split", "Transactions that spanned several nodes.", proxy.split_transactions)
        yield counter("auth_failures", "Logins refused: a wrong user or password.", proxy.auth_failures)
        yield from self.incident_metrics()
        yield counter("soft_misses", "Reads answered as a miss for a node that is down.", proxy.executor.misses_on_down)
        yield counter("dropped_writes", "Writes taken as done for a node that is down.", proxy.executor.dropped_writes)
        yield counter("messages_delivered", "Messages of channels sent to subscribers.", proxy.messages_delivered())
        yield counter("noscript_retries", "NOSCRIPT replies that no client saw.", proxy.executor.noscript_retries)
        yield counter("script_preloads", "Script texts sent ahead of their EVALSHA.", proxy.executor.script_preloads)
        warmups = sum(connection_set.node.warmup.warmup_count for connection_set in proxy.executor.connection_sets)
        yield counter("node_warmups", "Times that a node got again what was loaded.", warmups)
        missed = proxy.peers.missed_answers if proxy.peers is not None else 0
        yield counter("worker_answers_missed", "Answers for clients that another worker did not give in time.", missed)
        yield counter("bytes_received", "Bytes from clients.", proxy.bytes_received())
        yield counter("bytes_sent", "Bytes to clients.", proxy.bytes_sent())
        yield loop_turn_histogram(proxy.turn_durations)

    def reload_metrics(self) -> Iterator[Metric]:
        """What came of each reload of the configuration."""
        reloads = CounterMetricFamily("kidoproxy_reloads", "Reloads of the configuration.", labels=["result"])
        for result, count in self.proxy.reloads.items():
            reloads.add_metric([result], count)
        yield reloads
        documentation = "Upgrades that failed: the new process did not take over."
        yield counter("upgrade_failures", documentation, self.proxy.upgrade_failures)
        documentation = "When the configuration in use was taken over, at the start or by a reload."
        yield gauge("configuration_timestamp_seconds", documentation, self.proxy.configured_ms / 1000)

    def incident_metrics(self) -> Iterator[Metric]:
        """Logins that failed and requests of web pages, by pool."""
        labels = ["pool"]
        login_failures = CounterMetricFamily("kidoproxy_pool_auth_failures", "Logins refused.", labels=labels)
        http_requests = CounterMetricFamily(
            "kidoproxy_http_requests", "Clients cut because they spoke HTTP.", labels=labels
        )
        tls_failures = CounterMetricFamily(
            "kidoproxy_tls_handshake_failures", "Clients that did not get through the TLS handshake.", labels=labels
        )
        certificates = CounterMetricFamily(
            "kidoproxy_tls_certificates_without_user", "Clients whose certificate names no user.", labels=labels
        )
        tls_to_plain = CounterMetricFamily(
            "kidoproxy_tls_to_plain_listener", "Clients cut because they spoke TLS to a plain listener.", labels=labels
        )
        expiry = GaugeMetricFamily(
            "kidoproxy_tls_certificate_expiry_timestamp_seconds",
            "When a certificate ends that clients are shown.",
            labels=["pool", "file"],
        )
        for context in self.proxy.contexts:
            certificates.add_metric([context.name], self.proxy.incidents.total(CERTIFICATE_REFUSED, context.name))
            tls_to_plain.add_metric([context.name], self.proxy.incidents.total(TLS_TO_PLAIN, context.name))
            for file, not_after in context.certificate_expiries.items():
                expiry.add_metric([context.name, file], not_after)
            tls_failures.add_metric([context.name], self.proxy.incidents.total(TLS_FAILED, context.name))
            login_failures.add_metric([context.name], self.proxy.incidents.total(LOGIN_FAILED, context.name))
            http_requests.add_metric([context.name], self.proxy.incidents.total(HTTP_REQUEST, context.name))
        yield from (login_failures, http_requests, tls_failures, certificates, tls_to_plain, expiry)

    def command_metrics(self) -> Metric:
        """The requests of each pool, by the family of their command."""
        family = CounterMetricFamily(
            "kidoproxy_commands", "Requests that were run, queued or refused.", labels=["pool", "family"]
        )
        for context in self.proxy.contexts:
            for name, found in zip(FAMILIES, context.family_counters, strict=True):
                family.add_metric([context.name, name], int(found.count))
        return family

    def error_metrics(self) -> Iterator[Metric]:
        """The error replies that the clients of each pool got, by who made them."""
        labels = ["pool", "code"]
        own = CounterMetricFamily("kidoproxy_errors", "Error replies of the proxy itself.", labels=labels)
        of_nodes = CounterMetricFamily(
            "kidoproxy_node_error_replies", "Error replies of nodes that were passed on.", labels=labels
        )
        for context in self.proxy.contexts:
            for code, count in context.error_counts.by_proxy.items():
                own.add_metric([context.name, code], count)
            for code, count in context.error_counts.by_nodes.items():
                of_nodes.add_metric([context.name, code], count)
        yield from (own, of_nodes, self.outcome_metric())

    def outcome_metric(self) -> Metric:
        """The same by family, to be compared with `command_metrics`."""
        failed = CounterMetricFamily(
            "kidoproxy_failed_commands", "Error replies, by who made them.", labels=["pool", "family", "outcome"]
        )
        for context in self.proxy.contexts:
            counts = context.error_counts
            for family, by_proxy, by_nodes in zip(
                FAMILIES, counts.proxy_errors_by_family, counts.node_errors_by_family, strict=True
            ):
                failed.add_metric([context.name, family, "proxy_error"], by_proxy)
                failed.add_metric([context.name, family, "node_error"], by_nodes)
        return failed

    def pool_metrics(self) -> Iterator[Metric]:
        """What each listening pool has."""
        yield self.command_metrics()
        yield from self.error_metrics()
        clients = GaugeMetricFamily("kidoproxy_clients", "Connected clients.", labels=["pool"])
        for context in self.proxy.contexts:
            clients.add_metric([context.name], context.client_count)
        yield clients
        held_bytes = GaugeMetricFamily(
            "kidoproxy_client_bytes", "Bytes held for clients: asked, remembered, owed, unread.", labels=["pool"]
        )
        totals = {context.name: 0 for context in self.proxy.contexts}
        for number, session in enumerate(list(self.proxy.sessions.values())):
            totals[session.context.name] = totals.get(session.context.name, 0) + accounting.total_bytes(session)
            if number % SESSIONS_PER_PORTION == 0:
                yield held_bytes
        for name, total in totals.items():
            held_bytes.add_metric([name], total)
        yield held_bytes
        blocked = GaugeMetricFamily(
            "kidoproxy_blocked_clients", "Clients that wait in a command, or for the end of a pause.", labels=["pool"]
        )
        for context in self.proxy.contexts:
            blocked.add_metric([context.name], self.proxy.blocked_clients(context))
        yield blocked
        names = GaugeMetricFamily("kidoproxy_subscriptions", "Names that clients subscribe to.", labels=["pool"])
        for name, subscriptions in self.proxy.subscriptions_by_pool.items():
            names.add_metric([name], sum(subscriptions.subscribed_count(kind) for kind in KINDS))
        yield names

    def copy_metrics(self) -> Iterator[Metric]:
        """What copy pools know of their copies."""
        in_sync = GaugeMetricFamily("kidoproxy_copy_in_sync", "1 while the copy is read.", labels=["pool", "node"])
        mismatches = CounterMetricFamily(
            "kidoproxy_copy_mismatches", "Writes answered differently by copies.", labels=["pool"]
        )
        to_repair = GaugeMetricFamily("kidoproxy_copy_keys_to_repair", "Keys whose copies may differ.", labels=["pool"])
        failures = CounterMetricFamily(
            "kidoproxy_copy_record_failures", "Records of the copies that could not be put on disk.", labels=["pool"]
        )
        others = CounterMetricFamily(
            "kidoproxy_copy_other_owners", "Times that another proxy was found at a node of the pool.", labels=["pool"]
        )
        hedges = CounterMetricFamily(
            "kidoproxy_copy_hedges", "Reads asked of a second copy, and what came of it.", labels=["pool", "event"]
        )
        for group in self.proxy.copy_groups:
            for event, count in group.hedges.counts.items():
                hedges.add_metric([group.name, event.replace(" ", "_")], count)
            others.add_metric([group.name], group.ownership.sightings if group.ownership is not None else 0)
            failures.add_metric([group.name], group.durability.failures)
            mismatches.add_metric([group.name], group.mismatches)
            to_repair.add_metric([group.name], len(group.to_repair))
            for copy in group.copies:
                in_sync.add_metric([group.name, copy.node.name], int(copy.state == IN_SYNC and group.elected))
        yield from (in_sync, mismatches, to_repair, failures, others, hedges)
        yield from (*self.sync_metrics(), *self.scrub_metrics())

    def sync_metrics(self) -> list[Metric]:
        """What each copy has missed, and its syncs."""
        labels = ["pool", "node"]
        missed = GaugeMetricFamily(
            "kidoproxy_copy_missed_keys", "Keys in which the copy may differ; -1: nobody knows which.", labels=labels
        )
        done = CounterMetricFamily("kidoproxy_copy_syncs", "Syncs that have let the copy in.", labels=labels)
        failed = CounterMetricFamily("kidoproxy_copy_sync_failures", "Syncs that failed, or were ended.", labels=labels)
        keys = GaugeMetricFamily("kidoproxy_copy_sync_keys", "Keys of the pass that its sync has seen.", labels=labels)
        total = GaugeMetricFamily("kidoproxy_copy_sync_keys_expected", "Keys that the pass will see.", labels=labels)
        for group in self.proxy.copy_groups:
            for copy in group.copies:
                where = [group.name, copy.node.name]
                progress = copy.sync_progress
                missed.add_metric(where, 0 if copy.state == IN_SYNC else copy.missed.count())
                done.add_metric(where, copy.syncs_done)
                failed.add_metric(where, copy.syncs_failed)
                keys.add_metric(where, progress.keys_done if progress is not None else 0)
                total.add_metric(where, progress.keys_total if progress is not None else 0)
        return [missed, done, failed, keys, total]

    def scrub_metrics(self) -> list[Metric]:
        """What scrubs of each pool have found."""
        labels = ["pool"]
        keys = CounterMetricFamily("kidoproxy_copy_scrubbed_keys", "Keys compared by scrubs.", labels=labels)
        found = CounterMetricFamily(
            "kidoproxy_copy_scrub_differences", "Keys that scrubs have found to differ.", labels=labels
        )
        repaired = CounterMetricFamily("kidoproxy_copy_scrub_repairs", "Of these, keys repaired.", labels=labels)
        ended = GaugeMetricFamily(
            "kidoproxy_copy_scrub_last_end_seconds",
            "Unix time at which the last whole scrub ended; 0: there was none.",
            labels=labels,
        )
        for group in self.proxy.copy_groups:
            record = group.scrub
            keys.add_metric([group.name], record.total_keys)
            found.add_metric([group.name], record.total_differences)
            repaired.add_metric([group.name], record.total_repaired)
            ended.add_metric([group.name], record.done_ms / 1000)
        return [keys, found, repaired, ended]


def new_snapshot(proxy: ProxyState) -> Snapshot:
    """Of this process, with nothing in it yet."""
    return Snapshot(f"{proxy.pid} {proxy.started_ms}", {}, unready_reasons(proxy))


def own_snapshot(proxy: ProxyState) -> Snapshot:
    """All that this process counts, at one go; see `kidoproxy.admin.portions`."""
    snapshot = new_snapshot(proxy)
    for family in (*ProxyCollector(proxy).collect(), *process_families()):
        snapshot.add(family)
    return snapshot


class FamilyList(Collector):
    """Metrics that have been collected already."""

    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> list[Metric]:
        return self.families


def expose(families: list[Metric]) -> bytes:
    """The exposition text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FamilyList(families))
    return generate_latest(registry)


def render(proxy: ProxyState, totals: WorkerTotals) -> bytes:
    """The exposition text of this process, and of the workers that ``totals`` knows of, at one go."""
    return expose(totals.families(own_snapshot(proxy)))
