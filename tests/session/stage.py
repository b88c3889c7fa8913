"""A stage for session tests: nodes in memory on a ring or in a copy pool, driven by bytes alone."""

from kidoproxy.commands.vocabulary import Vocabulary
from kidoproxy.exchange import Exchange
from kidoproxy.link import NodeLink
from kidoproxy.link_greeting import Login
from kidoproxy.resp.build import bulk, command, integer, push
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.election import trust
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.placement import ketama
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import Route
from kidoproxy.routes.tags import Tags
from kidoproxy.routes.topology import CopyGroup, Node
from kidoproxy.session.conversation import ClientSession
from kidoproxy.session.house import House, PoolFacts
from tests.greet import greet

STARTED_MS = 1_700_000_000_000

Words = str | bytes


class Stage:
    """A house with one pool over ``nodes``; time stands still unless a test moves it."""

    def __init__(self, nodes: list[Node], root: Route, mode: str, words: Vocabulary | None = None) -> None:
        self.nodes = nodes
        self.exchange = Exchange(nodes, [Login() for _ in nodes])
        self.house = House(self.exchange)
        self.house.started_ms = STARTED_MS
        self.house.wall_ms = STARTED_MS + 90_000
        self.house.version = "1.2.3"
        self.house.build = "interpreted"
        self.house.pid = 4242
        self.pool = PoolFacts("cache", mode, root, words or Vocabulary(frozenset(), frozenset(), {}))
        self.house.pools.append(self.pool)

    def client(self, address: str = "10.9.9.9:5000", local: str = "127.0.0.1:6380") -> ClientSession:
        """A client has connected."""
        self.pool.clients += 1
        return ClientSession(self.house, self.pool, address, local)

    def node(self, name: str) -> Node:
        """The node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def link(self, name: str, proto: int = 2, db: int = 0) -> NodeLink:
        """The node's ready link for (protocol, database)."""
        link = self.exchange.link(self.node(name), proto, db)
        if not link.open:
            link.connected(0.0, 1.0)
            info = f"run_id:{name * 4}\r\nredis_version:7.0.15\r\nuptime_in_seconds:9\r\n".encode()
            link.feed(greet(link, info), 0.0)
        return link

    def ready(self) -> None:
        """Every node has a ready link for RESP2 and database 0."""
        for node in self.nodes:
            self.link(node.name)


def ring(*names: str, words: Vocabulary | None = None) -> Stage:
    """A ring of nodes with these names."""
    nodes = [Node(at, name, f"10.0.0.{at + 1}:6379", at + 1) for at, name in enumerate(names)]
    members: list[Route] = [NodeRoute(node) for node in nodes]
    root = Ring("cache", members, ketama(list(names), [1] * len(names)), Tags(123, 125, []))
    return Stage(nodes, root, "ring", words)


def copies(*names: str) -> Stage:
    """A copy pool; its first node is the one that is trusted, the others are behind."""
    nodes = [Node(at, name, f"10.0.0.{at + 1}:6379", at + 1) for at, name in enumerate(names)]
    group = CopyGroup("cache", nodes)
    stage = Stage(nodes, CopyPool("cache", group), "copy")
    trust(group, group.copies[0])
    return stage


def listening(stage: Stage, session: ClientSession, name: str) -> None:
    """The client has subscribed to a channel of node ``a``, and has heard so."""
    session.feed(request("SUBSCRIBE", name))
    link = stage.exchange.others[-1]
    link.connected(0.0, 1.0)
    link.feed(greet(link, b"run_id:aaaa\r\n"), 0.0)
    link.take_out()
    link.feed(push(3, [bulk(b"subscribe"), bulk(name.encode()), integer(1)]) + bulk(b"1"), 0.0)
    session.resume()
    heard(session)


def say(session: ClientSession, *words: Words) -> bytes:
    """Send one command; what is ready for the client afterwards."""
    session.feed(command([word.encode() if isinstance(word, str) else word for word in words]))
    return heard(session)


def heard(session: ClientSession) -> bytes:
    """What is ready for the client."""
    return b"".join(session.ledger.take_out())


def asked(link: NodeLink) -> bytes:
    """What was sent to the node since last time."""
    return b"".join(link.take_out())


def request(*words: Words) -> bytes:
    """The frame of a command, as a node gets it."""
    return command([word.encode() if isinstance(word, str) else word for word in words])


def key_on(stage: Stage, name: str) -> str:
    """A key that lives on the ring's node of that name."""
    for number in range(1000):
        if f" {name} (" in stage.pool.root.why(b"k%d" % number):
            return f"k{number}"
    raise AssertionError(f"no key on {name}")
