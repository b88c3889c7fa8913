"""INFO, and the data of PROXY NODES and PROXY STATS.

INFO is sent to the nodes and merged; `info_handler` then adds the sections ``# Kidoproxy`` and ``# KidoproxyNodes``,
and replaces the fields that are about the proxy: clients, port, uptime. When the nodes give no INFO, the reply has the
fields that are known here and the reason: many libraries read the version first, and one bad node must not stop them.
"""

from typing import Final, final

from kidoproxy.commands.spec import MERGE_INFO, CommandSpec
from kidoproxy.replication.group import BEHIND, IN_SYNC, group_of
from kidoproxy.replies.accounting import OUTPUT_LIMIT, QUERY_LIMIT
from kidoproxy.replies.callbacks import InterceptingHandler
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.merge_info import merge_info
from kidoproxy.resp import encode
from kidoproxy.resp.decode import error_text, is_error, string_value
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.route import RequestContext, Route
from kidoproxy.routes.topology import Node
from kidoproxy.session import redact
from kidoproxy.session.base import Session
from kidoproxy.session.handlers import session_commands
from kidoproxy.session.numbers import ERROR_PREFIX, Totals, gather_totals

PROXY_SECTIONS: Final = (b"kidoproxy", b"kidoproxynodes")
#: INFO's names for several sections at once.
SECTION_GROUPS: Final = (b"default", b"all", b"everything")

#: In this order.
COUNTERS: Final = (
    "connected_clients",
    "connected_clients_of_all_pools",
    "total_connections_received",
    "rejected_connections",
    "cut_clients",
    "total_commands_processed",
    "refused_commands",
    "split_transactions",
    "auth_failures",
    "delivered_messages",
    "mishandled_replies",
    "healed_scripts",
    "total_net_input_bytes",
    "total_net_output_bytes",
)

InfoField = tuple[str, str]


# -- the proxy ---------------------------------------------------------------------------------------


def counters(session: Session, totals: Totals) -> list[tuple[str, int]]:
    """The counters of all workers, as PROXY STATS and INFO show them."""
    return [
        ("uptime_in_seconds", uptime(session)),
        ("workers", totals.workers),
        ("workers_answered", totals.answered),
        *[(name, totals.get(name)) for name in COUNTERS],
    ]


def uptime(session: Session) -> int:
    """Seconds since the start of the proxy."""
    return (session.proxy.wall_ms - session.proxy.started_ms) // 1000


def proxy_fields(session: Session, totals: Totals) -> list[InfoField]:
    """The section ``# Kidoproxy``."""
    proxy = session.proxy
    identity = [
        ("kidoproxy_version", proxy.version),
        ("build", proxy.build),
        ("process_id", str(proxy.pid)),
        ("pool", session.context.name),
        ("mode", session.context.mode),
    ]
    return identity + [(name, str(value)) for name, value in counters(session, totals)]


def field_overrides(session: Session, totals: Totals) -> list[tuple[str, list[InfoField]]]:
    """By section, the fields of Redis's own INFO that are about the proxy."""
    proxy = session.proxy
    server = [
        ("redis_mode", "standalone"),
        ("process_id", str(proxy.pid)),
        ("run_id", proxy.run_id.decode("ascii", "replace")),
        ("tcp_port", port_of(session.local_address)),
        ("uptime_in_seconds", str(uptime(session))),
        ("uptime_in_days", str(uptime(session) // 86400)),
        ("server_time_usec", str(proxy.wall_ms * 1000)),
        ("executable", ""),
        ("config_file", proxy.config_file),
    ]
    clients = [
        ("connected_clients", str(totals.get("connected_clients"))),
        ("maxclients", str(session.context.max_clients)),
        ("blocked_clients", str(totals.get("blocked_clients"))),
        ("pubsub_clients", str(totals.get("pubsub_clients"))),
    ]
    stats = [
        ("total_connections_received", str(totals.get("total_connections_received"))),
        ("total_commands_processed", str(totals.get("total_commands_processed"))),
        ("rejected_connections", str(totals.get("rejected_connections"))),
        ("total_error_replies", str(totals.get("total_error_replies"))),
        ("client_query_buffer_limit_disconnections", str(totals.get(QUERY_LIMIT))),
        ("client_output_buffer_limit_disconnections", str(totals.get(OUTPUT_LIMIT))),
        *[(field, str(totals.get(field))) for field in ("pubsub_channels", "pubsub_patterns", "pubsubshard_channels")],
    ]
    return [
        ("Server", server),
        ("Clients", clients),
        ("Stats", stats),
        ("Errorstats", error_fields(totals)),
        ("Replication", [("role", "master"), ("connected_slaves", "0")]),
        ("Cluster", [("cluster_enabled", "0")]),
    ]


def error_fields(totals: Totals) -> list[InfoField]:
    """The section ``# Errorstats``: the error replies that clients got, the proxy's own and those of nodes."""
    return [
        (f"errorstat_{name.removeprefix(ERROR_PREFIX)}", f"count={count}")
        for name, count in totals.numbers.items()
        if name.startswith(ERROR_PREFIX)
    ]


def port_of(local: str) -> str:
    """The port of an address ``host:port``; 0 for a unix socket."""
    return local.rpartition(":")[2] or "0"


# -- the nodes -----------------------------------------------------------------------------------------


@final
class NodeInfo:
    """One node of the client's pool, as PROXY NODES and INFO show it."""

    def __init__(self, session: Session, pool_name: str, node: Node, totals: Totals) -> None:
        self.pool_name = pool_name
        self.node = node
        self.state = node_state(node)
        self.cause = node.cause or node.unfenced
        self.note_others(totals)
        self.dedicated = totals.of_node(node, "lanes")
        self.ready_connections = totals.of_node(node, "links")
        self.pending_requests = totals.of_node(node, "waiting")
        self.reconnects = totals.of_node(node, "reconnects")
        self.sync_status = session.proxy.sync_status.get(node.node_id, "")

    def note_others(self, totals: Totals) -> None:
        """A node that another worker cannot reach is not up, whatever this one sees of it."""
        for state in ("down", "suspect"):
            workers = totals.of_node(self.node, state)
            if workers and self.state not in ("down", state):
                self.state = state
                self.cause = f"{state} for {workers} of {totals.answered} workers"

    def text_fields(self) -> list[InfoField]:
        """The fields that are texts."""
        node = self.node
        return [
            ("pool", self.pool_name),
            ("name", node.name),
            ("address", node.address),
            ("state", self.state),
            ("version", decode_text(node.version)),
            ("run_id", decode_text(node.run_id)),
            ("cause", self.cause),
            ("sync", self.sync_status),
            *([("sentinels", node.master_view.describe())] if node.master_view is not None else []),
        ]

    def count_fields(self) -> list[tuple[str, int]]:
        """The fields that are numbers."""
        return [
            ("links", self.ready_connections),
            ("lanes", self.dedicated),
            ("waiting", self.pending_requests),
            ("reconnects", self.reconnects),
            *([("failovers", self.node.failovers)] if self.node.master_view is not None else []),
            *missed_and_synced_counts(self.node),
        ]

    def info_field(self, at: int) -> InfoField:
        """One line of the section ``# KidoproxyNodes``; names may hold a colon, so they cannot name the line."""
        node = self.node
        pairs = [
            f"name={sanitize_field(node.name)}",
            f"address={sanitize_field(node.address)}",
            f"state={self.state}",
            f"links={self.ready_connections}",
            f"lanes={self.dedicated}",
            f"waiting={self.pending_requests}",
            f"version={sanitize_field(decode_text(node.version))}",
            f"reconnects={self.reconnects}",
            f"cause={sanitize_field(self.cause)}",
            *([f"sync={sanitize_field(self.sync_status)}"] if self.sync_status else []),
            *[f"{name}={number}" for name, number in missed_and_synced_counts(node)],
            *self.sentinel_pairs(),
        ]
        return f"node{at}", ",".join(pairs)

    def sentinel_pairs(self) -> list[str]:
        """Of a node that sentinels name: what they say, and how often its master has moved."""
        view = self.node.master_view
        if view is None:
            return []
        return [f"sentinels={sanitize_field(view.describe())}", f"failovers={self.node.failovers}"]


def missed_and_synced_counts(node: Node) -> list[tuple[str, int]]:
    """Of a copy that is not in sync: how many keys it has missed (-1: nobody knows), and how far its sync is."""
    group = group_of(node)
    copy = group.copy_of(node) if group is not None else None
    if copy is None or copy.state == IN_SYNC:
        return []
    progress = copy.sync_progress
    if progress is None:
        return [("missed_keys", copy.missed.count())]
    return [
        ("missed_keys", copy.missed.count()),
        ("sync_keys", progress.keys_done),
        ("sync_keys_expected", progress.keys_total),
        ("sync_keys_per_s", round(progress.rate)),
        ("sync_seconds_left", progress.seconds_left()),
    ]


def node_state(node: Node) -> str:
    """``down`` if it cannot be reached, ``suspect`` if it does not answer, else ``up`` or its state as a copy."""
    if not node.live:
        return "down"
    if node.suspect:
        return "suspect"
    group = group_of(node)
    if group is None:
        return "up"
    # While no copy is trusted, none is read.
    return group.copy_of(node).state if group.elected else BEHIND


def decode_text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def sanitize_field(value: str) -> str:
    """A value that breaks neither the line it stands in, nor its list of fields."""
    return sanitize_line(value).replace(",", ";")


def nodes_with_pool_name(pool_name: str, route: Route) -> list[tuple[str, Node]]:
    """Each node at or below ``route``, with the name of its own pool."""
    if isinstance(route, NodeRoute):
        return [(pool_name, route.node)]
    children = route.children()
    if not children:
        return [(route.name, node) for node in route.nodes()]
    return [found for child in children for found in nodes_with_pool_name(route.name, child)]


def node_infos(session: Session, totals: Totals) -> list[NodeInfo]:
    """The nodes of the client's pool, in the order of the configuration."""
    found = nodes_with_pool_name(session.context.name, session.context.root)
    return [NodeInfo(session, pool_name, node, totals) for pool_name, node in found]


# -- INFO ------------------------------------------------------------------------------------------------


def wants_section(argv: list[bytes], section_name: bytes) -> bool:
    """Whether these arguments of INFO select this section; ``section_name`` is in lower case."""
    wanted = [arg.lower() for arg in argv[1:]]
    return not wanted or any(name == section_name or name in SECTION_GROUPS for name in wanted)


def only_proxy_sections(argv: list[bytes]) -> bool:
    """Whether INFO selects the proxy's sections alone: then no node is asked."""
    return len(argv) > 1 and all(arg.lower() in PROXY_SECTIONS for arg in argv[1:])


def info_section(name: str, fields: list[InfoField]) -> bytes:
    """One section of INFO."""
    rows = "".join([f"{field}:{sanitize_line(value)}\r\n" for field, value in fields])
    return f"# {name}\r\n{rows}".encode("utf-8", "surrogateescape")


def sanitize_line(value: str) -> str:
    """A value that stays on its line."""
    return value.replace("\r", " ").replace("\n", " ")


def proxy_sections(session: Session, totals: Totals, argv: list[bytes], missing_reason: str) -> list[bytes]:
    """The proxy's sections that ``argv`` selects; ``missing_reason`` says why the nodes' are missing, or is empty."""
    found: list[bytes] = []
    if wants_section(argv, b"kidoproxy"):
        fields = proxy_fields(session, totals)
        if missing_reason:
            fields.append(("nodes_gave_no_info", missing_reason))
        found.append(info_section("Kidoproxy", fields))
    if wants_section(argv, b"kidoproxynodes"):
        found.append(
            info_section(
                "KidoproxyNodes", [node_info.info_field(at) for at, node_info in enumerate(node_infos(session, totals))]
            )
        )
    return found


def reply_if_proxy_only(
    session: Session, spec: CommandSpec, argv: list[bytes], handler: ReplyHandler, request_context: RequestContext
) -> bool:
    """Answer an INFO that needs no node; whether it was one."""
    proxy_only = spec.response_policy == MERGE_INFO and not request_context.per_node and only_proxy_sections(argv)
    if proxy_only:
        gather_totals(session, lambda totals: handler.on_reply(proxy_info(session, totals, argv)))
    return proxy_only


def client_view_handler(
    session: Session, spec: CommandSpec, argv: list[bytes], handler: ReplyHandler, request_context: RequestContext
) -> ReplyHandler:
    """The handler that turns the nodes' reply into the client's: it completes INFO, else see `redact`."""
    if spec.response_policy == MERGE_INFO and not request_context.per_node:
        return info_handler(session, argv, handler)
    return redact.corrected_count_handler(session, spec, argv, handler, request_context)


def info_handler(session: Session, argv: list[bytes], parent: ReplyHandler) -> ReplyHandler:
    """Takes the nodes' merged INFO and completes it, with what all workers count at that moment."""

    def on_reply(raw: bytes) -> None:
        if is_error(raw):
            fall_back(session, argv, parent, decode_text(error_text(raw)))
        else:
            gather_totals(session, lambda totals: parent.on_reply(merged_info(session, totals, argv, raw)))

    def on_failure(failure: NodeFailure) -> None:
        fall_back(session, argv, parent, decode_text(error_text(failure.error_reply(False))))

    return InterceptingHandler(parent, on_reply, on_failure)


def fall_back(session: Session, argv: list[bytes], handler: ReplyHandler, reason: str) -> None:
    """Answer without the nodes."""
    gather_totals(session, lambda totals: handler.on_reply(fallback_info(session, totals, argv, reason)))


def proxy_info(session: Session, totals: Totals, argv: list[bytes]) -> bytes:
    """The proxy's sections alone."""
    return encode.verbatim(session.proto, b"\r\n".join(proxy_sections(session, totals, argv, "")))


def merged_info(session: Session, totals: Totals, argv: list[bytes], raw: bytes) -> bytes:
    """The nodes' INFO with the proxy's fields in the sections that it has, and the proxy's sections behind it."""
    node_info = b"\r\n" + string_value(raw)
    extra = [
        info_section(name, fields)
        for name, fields in field_overrides(session, totals)
        if b"\n# %b\r\n" % name.encode("ascii") in node_info
    ]
    return merge_info([raw], session.proto, extra + proxy_sections(session, totals, argv, ""))


def fallback_info(session: Session, totals: Totals, argv: list[bytes], reason: str) -> bytes:
    """INFO when the nodes gave none: the fields that are known here, and the reason."""
    known = [
        ("Server", [("redis_version", decode_text(session_commands.advertised_version(session)))]),
        *field_overrides(session, totals),
    ]
    extra = [info_section(name, fields) for name, fields in known if wants_section(argv, name.lower().encode("ascii"))]
    return merge_info([encode.bulk(b"")], session.proto, extra + proxy_sections(session, totals, argv, reason))
