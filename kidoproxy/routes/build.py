"""Config in, route tree out. The only place that knows what a mode is."""

from typing import final

from kidoproxy import config
from kidoproxy.cursor import number_of
from kidoproxy.routes.copy import ORDERS, CopyPool
from kidoproxy.routes.hashes import FNV1A_64, MD5
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.placement import Placement, django_redis_shard, hash_ring, ketama
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import Route
from kidoproxy.routes.tags import GREEDY, OFF, Tags
from kidoproxy.routes.topology import CopyGroup, Node


@final
class Tree:
    """The routes of all pools by name, and all nodes with the configuration that each came from."""

    def __init__(self) -> None:
        self.pools: dict[str, Route] = {}
        self.nodes: list[Node] = []
        self.sources: list[tuple[config.Node, config.Pool]] = []
        self.groups: list[CopyGroup] = []


def placement_of(options: config.RingOptions, members: tuple[config.Member, ...]) -> Placement:
    """The ring of these members."""
    names = [member.ring_name for member in members]
    weights = [member.weight for member in members]
    if options.hash == "hash_ring":
        return hash_ring(names, weights)
    if options.hash == "django_redis_shard":
        return django_redis_shard(names)
    return ketama(names, weights, FNV1A_64 if options.hash == "fnv1a_64" else MD5)


def tags_of(options: config.RingOptions) -> Tags:
    """Which part of a key is hashed."""
    if options.hash == "django_redis_shard" and options.tags == b"{}":
        return Tags(GREEDY, GREEDY, options.together)
    if not options.tags:
        return Tags(OFF, OFF, options.together)
    return Tags(options.tags[0], options.tags[1], options.together)


def build(whole: config.Config) -> Tree:
    """The tree of every listening pool. A pool is built once, however many others it is a member of."""
    tree = Tree()
    for pool in whole.listening():
        keep_apart(build_pool(whole, pool, tree).nodes())
    return tree


def keep_apart(nodes: list[Node]) -> None:
    """One listening pool reaches all of ``nodes``: no two of them may be one server."""
    for node in nodes:
        node.neighbours += [other for other in nodes if other is not node and other not in node.neighbours]


def build_pool(whole: config.Config, pool: config.Pool, tree: Tree) -> Route:
    """One pool and everything below."""
    if pool.name in tree.pools:
        return tree.pools[pool.name]
    members: list[Route] = []
    servers: dict[config.Address, Route] = {}
    for member in pool.members:
        if isinstance(member, config.PoolRef):
            members.append(build_pool(whole, whole.pools[member.pool], tree))
            continue
        # One server under several names is one node, which has several shares of the ring.
        if member.address not in servers:
            servers[member.address] = NodeRoute(add_node(member, pool, tree))
        members.append(servers[member.address])
    tree.pools[pool.name] = route_of(pool, members, tree)
    return tree.pools[pool.name]


def route_of(pool: config.Pool, members: list[Route], tree: Tree) -> Route:
    """The route over these members: the one place that asks for the mode."""
    if pool.ring is not None:
        return Ring(pool.name, members, placement_of(pool.ring, pool.members), tags_of(pool.ring))
    options = pool.copy or config.CopyOptions()
    group = CopyGroup(pool.name, [node for route in members for node in route.nodes()], options.min_in_sync)
    tree.groups.append(group)
    return CopyPool(pool.name, group, ORDERS[options.read])


def add_node(source: config.Node, pool: config.Pool, tree: Tree) -> Node:
    """A node for each member that is a server."""
    node = Node(len(tree.nodes), source.name, str(source.address), number_of(pool.name, source.name))
    tree.nodes.append(node)
    tree.sources.append((source, pool))
    return node
