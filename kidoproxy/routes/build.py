"""Makes the route tree from the configuration. The only place that knows what a mode is."""

from typing import final

from kidoproxy import config
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replies.cursor import cursor_id_of
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.placement.hashes import MD5, NUTCRACKER_HASHES
from kidoproxy.routes.placement.owners import Placement, django_redis_shard, hash_ring, ketama
from kidoproxy.routes.placement.tags import GREEDY, OFF, Tags
from kidoproxy.routes.read_order import READ_ORDERS
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import Node


@final
class RouteTree:
    """The routes of all pools by name, and all nodes with the configuration that each came from."""

    def __init__(self) -> None:
        self.pools: dict[str, Route] = {}
        self.nodes: list[Node] = []
        self.node_configs: list[tuple[config.NodeConfig, config.Pool]] = []
        self.copy_groups: list[CopyGroup] = []


def build_placement(options: config.RingOptions, members: tuple[config.Member, ...]) -> Placement:
    """The ring of these members."""
    names = [member.ring_name for member in members]
    weights = [member.weight for member in members]
    if options.hash == "hash_ring":
        return hash_ring(names, weights)
    if options.hash == "django_redis_shard":
        return django_redis_shard(names)
    return ketama(names, weights, NUTCRACKER_HASHES.get(options.hash, MD5))


def build_tags(options: config.RingOptions) -> Tags:
    """Which part of a key is hashed."""
    if options.hash == "django_redis_shard" and options.tags == b"{}":
        return Tags(GREEDY, GREEDY, options.together)
    if not options.tags:
        return Tags(OFF, OFF, options.together)
    return Tags(options.tags[0], options.tags[1], options.together)


def build(full_config: config.Config) -> RouteTree:
    """The tree of every listening pool. A pool is built once, however many others it is a member of."""
    tree = RouteTree()
    for pool in full_config.listening_pools():
        set_pool_neighbours(build_pool(full_config, pool, tree).nodes())
    return tree


def set_pool_neighbours(nodes: list[Node]) -> None:
    """One listening pool reaches all of ``nodes``: no two of them may be one server."""
    for node in nodes:
        node.pool_neighbours += [other for other in nodes if other is not node and other not in node.pool_neighbours]


def build_pool(full_config: config.Config, pool: config.Pool, tree: RouteTree) -> Route:
    """The route of one pool and everything below it."""
    if pool.name in tree.pools:
        return tree.pools[pool.name]
    members: list[Route] = []
    routes_by_address: dict[config.Address, Route] = {}
    for member in pool.members:
        if isinstance(member, config.PoolRef):
            members.append(build_pool(full_config, full_config.pools[member.pool], tree))
            continue
        # One server under several names is one node, which has several shares of the ring.
        if member.address not in routes_by_address:
            routes_by_address[member.address] = NodeRoute(add_node(member, pool, tree))
        members.append(routes_by_address[member.address])
    tree.pools[pool.name] = build_route(pool, members, tree)
    return tree.pools[pool.name]


def build_route(pool: config.Pool, members: list[Route], tree: RouteTree) -> Route:
    """The route over these members: the one place that asks for the mode."""
    if pool.ring is not None:
        return Ring(pool.name, members, build_placement(pool.ring, pool.members), build_tags(pool.ring))
    options = pool.copy or config.CopyOptions()
    group = CopyGroup(pool.name, [node for route in members for node in route.nodes()])
    tree.copy_groups.append(group)
    copy_pool = CopyPool(pool.name, group)
    set_copy_options(copy_pool, options)
    return copy_pool


def set_copy_options(pool: CopyPool, options: config.CopyOptions) -> None:
    """May be done at any time: a read, a write, a sync or a scrub under way ends with what it began with."""
    group = pool.group
    pool.read_order = READ_ORDERS[options.read]
    for copy in group.copies:
        copy.node.set_timed(options.read == "nearest")
    group.hedges.delay = options.hedge
    group.min_in_sync = options.min_in_sync
    group.acks_needed = acks_needed(options, len(group.copies))
    group.scrub.interval = options.scrub_s
    group.effect_max_bytes = options.effect_max_mb << 20
    group.heals_itself = options.heal == "auto"
    group.sync_keys_per_s = options.sync_keys_per_s


def acks_needed(options: config.CopyOptions, copy_count: int) -> int:
    """How many copies must have a write before it is acknowledged; 0: all that are in sync."""
    if options.ack == "all":
        return 0
    return max(options.min_in_sync, 1 if options.ack == "leader" else copy_count // 2 + 1)


def add_node(node_config: config.NodeConfig, pool: config.Pool, tree: RouteTree) -> Node:
    """A new node for this member."""
    node = Node(len(tree.nodes), node_config.name, str(node_config.address), cursor_id_of(pool.name, node_config.name))
    tree.nodes.append(node)
    tree.node_configs.append((node_config, pool))
    return node
