"""What the proxy knows about itself and its nodes: INFO's own sections, PROXY NODES and PROXY STATS.

INFO is asked of the nodes and merged; `WithFacts` then adds the sections ``# Kidoproxy`` and
``# KidoproxyNodes``, and corrects what a client means of *us*: how many clients, which port, how long up.
When the nodes give no INFO, a client still gets what is known here, and why it is not more: many read the
version before anything else, and one bad node must not stop them.
"""

from typing import TYPE_CHECKING, Final, final

from kidoproxy.channels.topics import CHANNEL, PATTERN, SHARD
from kidoproxy.commands.spec import INFO, CommandSpec
from kidoproxy.errors import NodeFailure
from kidoproxy.ledger import Leg
from kidoproxy.ledger_account import OUTPUT, QUERY
from kidoproxy.link_states import READY
from kidoproxy.merge_info import merge_info
from kidoproxy.resp import build
from kidoproxy.resp.open import bulk, error_text, is_error
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import BEHIND, Node
from kidoproxy.session import client, redact, talk

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

OURS: Final = (b"kidoproxy", b"kidoproxynodes")
#: INFO's words for several sections at once.
MANY: Final = (b"default", b"all", b"everything")

Fact = tuple[str, str]


# -- the proxy ---------------------------------------------------------------------------------------


def counters(session: "ClientSession") -> list[tuple[str, int]]:
    """Everything that is counted, by name."""
    house = session.house
    return [
        ("uptime_in_seconds", uptime(session)),
        ("connected_clients", session.pool.clients),
        ("connected_clients_of_all_pools", len(house.sessions)),
        ("total_connections_received", house.connections),
        ("rejected_connections", house.rejected),
        ("cut_clients", sum(house.cuts.values())),
        ("total_commands_processed", house.commands),
        ("refused_commands", house.errors),
        ("split_transactions", house.split_transactions),
        ("auth_failures", house.auth_failures),
        ("delivered_messages", house.delivered()),
        ("mishandled_replies", sum([node.troubles.get("mishap", 0) for node in house.exchange.nodes])),
        ("healed_scripts", house.exchange.healed),
        ("total_net_input_bytes", house.bytes_in),
        ("total_net_output_bytes", house.bytes_out),
    ]


def uptime(session: "ClientSession") -> int:
    """Seconds since the proxy has started."""
    return (session.house.wall_ms - session.house.started_ms) // 1000


def proxy_facts(session: "ClientSession") -> list[Fact]:
    """The section ``# Kidoproxy``."""
    house = session.house
    who = [
        ("kidoproxy_version", house.version),
        ("build", house.build),
        ("process_id", str(house.pid)),
        ("pool", session.pool.name),
        ("mode", session.pool.mode),
    ]
    return who + [(name, str(value)) for name, value in counters(session)]


def corrections(session: "ClientSession") -> list[tuple[str, list[Fact]]]:
    """By section, the fields of Redis's own INFO that are about us."""
    house = session.house
    server = [
        ("redis_mode", "standalone"),
        ("process_id", str(house.pid)),
        ("run_id", house.run_id.decode("ascii", "replace")),
        ("tcp_port", port(session.local)),
        ("uptime_in_seconds", str(uptime(session))),
        ("uptime_in_days", str(uptime(session) // 86400)),
        ("server_time_usec", str(house.wall_ms * 1000)),
        ("executable", ""),
        ("config_file", house.config_file),
    ]
    clients = [
        ("connected_clients", str(session.pool.clients)),
        ("maxclients", str(session.pool.max_clients)),
        ("blocked_clients", str(house.blocked(session.pool))),
        ("pubsub_clients", str(len([other for other in client.neighbours(session) if client.is_listening(other)]))),
    ]
    stats = [
        ("total_connections_received", str(house.connections)),
        ("total_commands_processed", str(house.commands)),
        ("rejected_connections", str(house.rejected)),
        ("client_query_buffer_limit_disconnections", str(house.cuts[QUERY])),
        ("client_output_buffer_limit_disconnections", str(house.cuts[OUTPUT])),
        *[(field, str(number)) for field, number in subscriptions(session)],
    ]
    return [
        ("Server", server),
        ("Clients", clients),
        ("Stats", stats),
        ("Replication", [("role", "master"), ("connected_slaves", "0")]),
        ("Cluster", [("cluster_enabled", "0")]),
    ]


def subscriptions(session: "ClientSession") -> list[tuple[str, int]]:
    """What the clients of this pool have subscribed to, as INFO names it."""
    board = session.house.boards.get(session.pool.name)
    fields = (("pubsub_channels", CHANNEL), ("pubsub_patterns", PATTERN), ("pubsubshard_channels", SHARD))
    return [(field, board.subscribed(kind) if board is not None else 0) for field, kind in fields]


def port(local: str) -> str:
    """Of an address ``host:port`` the port; a unix socket's is 0."""
    return local.rpartition(":")[2] or "0"


# -- the nodes -----------------------------------------------------------------------------------------


@final
class NodeFacts:
    """One node of the client's pool, as PROXY NODES and INFO show it."""

    def __init__(self, session: "ClientSession", pool: str, node: Node) -> None:
        links = session.exchange.links_of(node)
        self.pool = pool
        self.node = node
        self.state = state(node)
        self.lanes = session.house.lanes.lent[node.index]
        self.links = len([link for link in links if link.state == READY])
        self.waiting = sum([link.count() for link in links])
        self.reconnects = sum([link.reconnects for link in links])
        self.sync = session.house.syncs.get(node.index, "")

    def texts(self) -> list[Fact]:
        """The facts that are texts."""
        node = self.node
        return [
            ("pool", self.pool),
            ("name", node.name),
            ("address", node.address),
            ("state", self.state),
            ("version", text(node.version)),
            ("run_id", text(node.run_id)),
            ("cause", node.cause),
            ("sync", self.sync),
        ]

    def counts(self) -> list[tuple[str, int]]:
        """The facts that are numbers."""
        return [
            ("links", self.links),
            ("lanes", self.lanes),
            ("waiting", self.waiting),
            ("reconnects", self.reconnects),
        ]

    def fact(self, at: int) -> Fact:
        """One line of the section ``# KidoproxyNodes``; names may hold a colon, so they cannot name the line."""
        node = self.node
        shown = [
            f"name={plain(node.name)}",
            f"address={plain(node.address)}",
            f"state={self.state}",
            f"links={self.links}",
            f"lanes={self.lanes}",
            f"waiting={self.waiting}",
            f"version={plain(text(node.version))}",
            f"reconnects={self.reconnects}",
            f"cause={plain(node.cause)}",
        ]
        return f"node{at}", ",".join(shown)


def state(node: Node) -> str:
    """Down when it cannot be reached, suspect when it answers nothing in time; else what it is to its pool."""
    if not node.live:
        return "down"
    if node.suspect:
        return "suspect"
    group = node.group
    if group is None:
        return "up"
    # While nobody is trusted, nobody is read.
    return group.copy_of(node).state if group.elected else BEHIND


def text(raw: bytes) -> str:
    """Bytes that a node sent, as text."""
    return raw.decode("utf-8", "backslashreplace")


def plain(value: str) -> str:
    """A value that breaks neither the line it stands in, nor its list of fields."""
    return plain_line(value).replace(",", ";")


def nodes_below(pool: str, route: Route) -> list[tuple[str, Node]]:
    """Each node at or below ``route`` with the name of the pool that it is directly in."""
    if isinstance(route, NodeRoute):
        return [(pool, route.node)]
    children = route.children()
    if not children:
        return [(route.name, node) for node in route.nodes()]
    return [found for child in children for found in nodes_below(route.name, child)]


def node_facts(session: "ClientSession") -> list[NodeFacts]:
    """The nodes of the client's pool, in the order of the configuration."""
    found = nodes_below(session.pool.name, session.pool.root)
    return [NodeFacts(session, pool, node) for pool, node in found]


# -- INFO ------------------------------------------------------------------------------------------------


def wants(argv: list[bytes], section: bytes) -> bool:
    """Whether these arguments of INFO ask for ``section``, given in lower case."""
    words = [arg.lower() for arg in argv[1:]]
    return not words or any(word == section or word in MANY for word in words)


def only_ours(argv: list[bytes]) -> bool:
    """Whether INFO asks for our own sections alone: then no node is asked."""
    return len(argv) > 1 and all(arg.lower() in OURS for arg in argv[1:])


def section(name: str, facts: list[Fact]) -> bytes:
    """One section of INFO."""
    rows = "".join([f"{field}:{plain_line(value)}\r\n" for field, value in facts])
    return f"# {name}\r\n{rows}".encode("utf-8", "surrogateescape")


def plain_line(value: str) -> str:
    """A value that stays on its line."""
    return value.replace("\r", " ").replace("\n", " ")


def own_sections(session: "ClientSession", argv: list[bytes], silence: str) -> list[bytes]:
    """Our sections, as far as ``argv`` asks for them; ``silence`` says why the nodes' are missing."""
    found: list[bytes] = []
    if wants(argv, b"kidoproxy"):
        facts = proxy_facts(session)
        if silence:
            facts.append(("nodes_gave_no_info", silence))
        found.append(section("Kidoproxy", facts))
    if wants(argv, b"kidoproxynodes"):
        found.append(section("KidoproxyNodes", [row.fact(at) for at, row in enumerate(node_facts(session))]))
    return found


def answered(session: "ClientSession", spec: CommandSpec, argv: list[bytes], leg: Leg) -> bool:
    """Whether this is an INFO that no node is needed for; ``leg`` has its answer then."""
    ours = spec.rule == INFO and not session.ask.each and only_ours(argv)
    if ours:
        leg.take(answer(session, argv))
    return ours


def corrected(session: "ClientSession", spec: CommandSpec, argv: list[bytes], leg: Leg) -> Leg:
    """The leg for what the nodes say, where that is not what the client hears."""
    if spec.rule == INFO and not session.ask.each:
        return WithFacts(session, argv, leg)
    return redact.corrected(session, spec, argv, leg)


def answer(session: "ClientSession", argv: list[bytes]) -> bytes:
    """INFO without the nodes."""
    return build.verbatim(session.proto, b"\r\n".join(own_sections(session, argv, "")))


def merged(session: "ClientSession", argv: list[bytes], raw: bytes) -> bytes:
    """The nodes' INFO with our corrections, in the sections that it has, and our own sections behind it."""
    theirs = b"\r\n" + bulk(raw)
    extra = [
        section(name, facts) for name, facts in corrections(session) if b"\n# %b\r\n" % name.encode("ascii") in theirs
    ]
    return merge_info([raw], session.proto, extra + own_sections(session, argv, ""))


def alone(session: "ClientSession", argv: list[bytes], why: str) -> bytes:
    """INFO when the nodes gave none: what is known here, and why it is not more."""
    known = [("Server", [("redis_version", text(talk.version(session)))]), *corrections(session)]
    extra = [section(name, facts) for name, facts in known if wants(argv, name.lower().encode("ascii"))]
    return merge_info([build.bulk(b"")], session.proto, extra + own_sections(session, argv, why))


@final
class WithFacts(Leg):
    """Takes the nodes' INFO, and gives the client ours."""

    def __init__(self, session: "ClientSession", argv: list[bytes], parent: Leg) -> None:
        super().__init__()
        self.session = session
        self.argv = argv
        self.parent = parent

    def take(self, raw: bytes) -> None:
        """Add what only we know."""
        if is_error(raw):
            self.parent.take(alone(self.session, self.argv, text(error_text(raw))))
        else:
            self.parent.take(merged(self.session, self.argv, raw))

    def fail(self, failure: NodeFailure) -> None:
        """Say what is known here."""
        self.parent.take(alone(self.session, self.argv, text(error_text(failure.line(False)))))

    def hold(self, size: int) -> None:
        """Its parent counts it."""
        self.parent.hold(size)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """As its parent does."""
        self.parent.abort(failure, failed)

    def title(self) -> str:
        """Its parent's."""
        return self.parent.title()
