"""The counters of the house as Prometheus text, made when somebody asks: the hot path keeps plain integers."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from kidoproxy.channels.topics import KINDS
from kidoproxy.ledger_jobs import TURN_BUCKETS, Turns
from kidoproxy.link import NodeLink
from kidoproxy.routes.topology import IN_SYNC, Node
from kidoproxy.session import account
from kidoproxy.session.house import House
from kidoproxy.session.incidents import HTTP, LOGIN


def counter(name: str, text: str, value: float) -> Metric:
    """A counter without labels."""
    return CounterMetricFamily(f"kidoproxy_{name}", text, value=value)


def gauge(name: str, text: str, value: float) -> Metric:
    """A gauge without labels."""
    return GaugeMetricFamily(f"kidoproxy_{name}", text, value=value)


def loop_turns(turns: Turns) -> Metric:
    """The histogram of the loop's turns."""
    buckets: list[tuple[str, float]] = []
    so_far = 0
    for bound, count in zip([*map(str, TURN_BUCKETS), "+Inf"], turns.counts, strict=True):
        so_far += count
        buckets.append((bound, so_far))
    text = "How long the event loop was busy at one go, to the millisecond."
    return HistogramMetricFamily("kidoproxy_loop_turn_seconds", text, buckets=buckets, sum_value=turns.seconds)


class HouseCollector(Collector):
    """Reads the house at each scrape."""

    def __init__(self, house: House) -> None:
        self.house = house

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self.of_the_process()
        yield from self.of_pools()
        yield from self.of_nodes()
        yield from self.of_copies()

    def of_the_process(self) -> Iterator[Metric]:
        """What there is one of."""
        house = self.house
        info = GaugeMetricFamily("kidoproxy_build_info", "Always 1.", labels=["version", "build"])
        info.add_metric([house.version, house.build], 1)
        yield info
        yield gauge("uptime_seconds", "Since the process serves.", (house.wall_ms - house.started_ms) / 1000)
        yield counter("connections_accepted", "Clients that have connected.", house.connections)
        yield counter("connections_rejected", "Clients turned away: there were too many.", house.rejected)
        cuts = CounterMetricFamily("kidoproxy_clients_cut", "Clients cut, by the reason.", labels=["reason"])
        for reason, count in house.cuts.items():
            cuts.add_metric([reason], count)
        yield cuts
        yield counter("commands", "Requests read from clients.", house.commands)
        yield counter("errors", "Requests that the proxy itself refused.", house.errors)
        yield counter("transactions_split", "Transactions that spanned several nodes.", house.split_transactions)
        yield counter("auth_failures", "Logins refused: a wrong user or password.", house.auth_failures)
        yield from self.of_incidents()
        yield counter("soft_misses", "Reads answered as a miss for a node that is down.", house.exchange.soft_misses)
        yield counter("dropped_writes", "Writes taken as done for a node that is down.", house.exchange.dropped_writes)
        yield counter("messages_delivered", "Messages of channels sent to subscribers.", house.delivered())
        yield counter("scripts_healed", "NOSCRIPT replies that no client saw.", house.exchange.healed)
        yield counter("scripts_recited", "Script texts sent ahead of their EVALSHA.", house.exchange.recited)
        lessons = sum(node.school.lessons for node in house.exchange.nodes)
        yield counter("nodes_taught", "Times that a node got again what was loaded.", lessons)
        yield counter("bytes_received", "Bytes from clients.", house.bytes_in)
        yield counter("bytes_sent", "Bytes to clients.", house.bytes_out)
        yield loop_turns(house.turns)

    def of_incidents(self) -> Iterator[Metric]:
        """What clients should not do, by pool."""
        labels = ["pool"]
        logins = CounterMetricFamily("kidoproxy_pool_auth_failures", "Logins refused.", labels=labels)
        web = CounterMetricFamily("kidoproxy_http_requests", "Clients cut because they spoke HTTP.", labels=labels)
        for pool in self.house.pools:
            logins.add_metric([pool.name], self.house.incidents.total(LOGIN, pool.name))
            web.add_metric([pool.name], self.house.incidents.total(HTTP, pool.name))
        yield from (logins, web)

    def of_pools(self) -> Iterator[Metric]:
        """What each listening pool has."""
        clients = GaugeMetricFamily("kidoproxy_clients", "Connected clients.", labels=["pool"])
        for pool in self.house.pools:
            clients.add_metric([pool.name], pool.clients)
        yield clients
        held = GaugeMetricFamily(
            "kidoproxy_client_bytes", "Bytes held for clients: asked, remembered, owed, unread.", labels=["pool"]
        )
        for pool in self.house.pools:
            mine = [session for session in self.house.sessions.values() if session.pool is pool]
            held.add_metric([pool.name], sum(account.total_bytes(session) for session in mine))
        yield held
        blocked = GaugeMetricFamily(
            "kidoproxy_blocked_clients", "Clients that wait in a command, or for the end of a pause.", labels=["pool"]
        )
        for pool in self.house.pools:
            blocked.add_metric([pool.name], self.house.blocked(pool))
        yield blocked
        heard = GaugeMetricFamily("kidoproxy_subscriptions", "Names that clients subscribe to.", labels=["pool"])
        for name, board in self.house.boards.items():
            heard.add_metric([name], sum(board.subscribed(kind) for kind in KINDS))
        yield heard

    def of_nodes(self) -> Iterator[Metric]:
        """What each node has, over all its links."""
        labels = ["node", "address"]
        up = GaugeMetricFamily("kidoproxy_node_up", "1 while the node can be reached.", labels=labels)
        waiting = GaugeMetricFamily("kidoproxy_node_waiting", "Requests that wait for a reply.", labels=labels)
        replies = CounterMetricFamily("kidoproxy_node_replies", "Replies received.", labels=labels)
        lanes = GaugeMetricFamily(
            "kidoproxy_node_lanes", "Connections lent to clients that block, watch or monitor.", labels=labels
        )
        held = GaugeMetricFamily(
            "kidoproxy_node_bytes", "Bytes held for a node's connections: not sent, not answered.", labels=labels
        )
        late = CounterMetricFamily("kidoproxy_node_timeouts", "Requests answered with TIMEOUT.", labels=labels)
        again = CounterMetricFamily("kidoproxy_node_reconnects", "Connections lost and made again.", labels=labels)
        # Two pools may stand on one server: it is one series.
        servers: dict[tuple[str, str], list[NodeLink]] = {}
        lent: dict[tuple[str, str], int] = {}
        for node in self.house.exchange.nodes:
            servers.setdefault((node.name, node.address), []).extend(self.house.exchange.links_of(node))
            lent[node.name, node.address] = lent.get((node.name, node.address), 0) + self.house.lanes.lent[node.index]
        kept = dict.fromkeys(servers, 0)
        for link in self.house.exchange.all_links():
            kept[link.node.name, link.node.address] += link.held_bytes()
        for values, links in servers.items():
            held.add_metric(values, kept[values])
            up.add_metric(values, int(any(link.ready() for link in links)))
            waiting.add_metric(values, sum(link.count() for link in links))
            replies.add_metric(values, sum(link.replies for link in links))
            late.add_metric(values, sum(link.timeouts for link in links))
            lanes.add_metric(values, lent[values])
            again.add_metric(values, sum(link.reconnects for link in links))
        yield from (up, waiting, lanes, held, replies, late, again, self.troubles())

    def troubles(self) -> Metric:
        """What has gone wrong with the nodes, by cause; see `kidoproxy.routes.topology.Node.troubles`."""
        family = CounterMetricFamily(
            "kidoproxy_node_troubles",
            "What has gone wrong with a node, by cause.",
            labels=["node", "address", "cause"],
        )
        found: dict[tuple[str, str, str], int] = {}
        for node in self.house.exchange.nodes:
            for cause, count in node.troubles.items():
                key = node.name, node.address, cause
                found[key] = found.get(key, 0) + count
        for labels, count in found.items():
            family.add_metric(labels, count)
        return family

    def of_copies(self) -> Iterator[Metric]:
        """What copy pools know of their copies."""
        synced = GaugeMetricFamily("kidoproxy_copy_in_sync", "1 while the copy is read.", labels=["pool", "node"])
        wrong = CounterMetricFamily(
            "kidoproxy_copy_mismatches", "Writes answered differently by copies.", labels=["pool"]
        )
        mend = GaugeMetricFamily("kidoproxy_copy_keys_to_mend", "Keys whose copies may differ.", labels=["pool"])
        for group in self.house.groups:
            wrong.add_metric([group.name], group.mismatches)
            mend.add_metric([group.name], len(group.to_mend))
            for copy in group.copies:
                synced.add_metric([group.name, copy.node.name], int(copy.state == IN_SYNC and group.elected))
        yield from (synced, wrong, mend)


def is_up(house: House, node: Node) -> bool:
    """Whether some link to the node is ready."""
    return any(link.ready() for link in house.exchange.links_of(node))


def is_serving(house: House) -> bool:
    """Whether every pool could answer for at least one node, and is not about to stop."""
    if house.draining:
        return False
    return all(any(is_up(house, node) for node in pool.root.nodes()) for pool in house.pools)


def scrape(house: House) -> bytes:
    """The exposition text."""
    registry = CollectorRegistry()
    registry.register(HouseCollector(house))
    return generate_latest(registry)
