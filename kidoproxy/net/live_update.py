"""A changed configuration, applied to a process that serves: made as a whole, then set in one turn of the loop.

Only what `kidoproxy.config.changes` calls live may differ. All that may fail (contexts for TLS, rules of users) is made
before anything is set, so a configuration is applied as a whole or not at all.
"""

from typing import Final

from kidoproxy.config import Config, CopyOptions, NodeConfig
from kidoproxy.config.tls import listener_context
from kidoproxy.net.connect import ConnectTarget
from kidoproxy.net.from_config import (
    connect_target,
    connection_options,
    pool_commands,
    pool_users,
    set_plain_values,
)
from kidoproxy.net.listener_update import ListenerUpdate
from kidoproxy.net.listeners import Listeners
from kidoproxy.net.logs import EventLogger
from kidoproxy.routes.build import RouteTree, set_copy_options
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.topology import Node
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.reconfigure import reconfigure_clients
from kidoproxy.upstream.connection_set import connection_set_of
from kidoproxy.upstream.moved_node import move_connections

log: Final = EventLogger("kidoproxy.nodes")


class LiveUpdate:
    """``config`` as values for the objects of one process; `apply` sets them."""

    def __init__(
        self,
        current: Config,
        config: Config,
        proxy: ProxyState,
        tree: RouteTree,
        listeners: Listeners,
    ) -> None:
        self.config = config
        self.proxy = proxy
        self.tree = tree
        pools = config.listening_pools()
        #: Clients of a pool that is what it was are not looked at.
        self.sessions = [
            (pool, pool_users(pool), pool_commands(pool)) for pool in pools if pool != current.pools[pool.name]
        ]
        tls = {pool.name: listener_context(pool.listener_tls) for pool in pools if pool.listener_tls}
        contexts = {context.name: context for context in proxy.contexts}
        self.listeners = ListenerUpdate(listeners, config, contexts, tls)
        members = [(node_of(config, old.name, pool.name), config.pools[pool.name]) for old, pool in tree.node_configs]
        self.nodes = [
            (node, connection_options(*member), connect_target(*member))
            for node, member in zip(tree.nodes, members, strict=True)
        ]
        former = [node_of(current, old.name, pool.name) for old, pool in tree.node_configs]
        #: Those that have another address, and which.
        self.moved = [
            (node, str(new.address))
            for node, old, (new, _) in zip(tree.nodes, former, members, strict=True)
            if (old.address, old.tls is None) != (new.address, new.tls is None)
        ]

    def apply(self, targets: dict[Node, ConnectTarget]) -> int:
        """Set everything, for all that begins from now on; how many clients were closed."""
        executor = self.proxy.executor
        for node, options, target in self.nodes:
            connection_set_of(node).replace_options(options, executor.unshared_connections)
            targets[node].replace(target)
        for node, address in self.moved:
            log.info("node moved", node=node.name, old=node.address, new=address)
            node.address = address
            move_connections(executor, node, executor.now)
        for name, route in self.tree.pools.items():
            if isinstance(route, CopyPool):
                set_copy_options(route, self.config.pools[name].copy or CopyOptions())
        self.listeners.apply()
        return self.apply_to_sessions()

    def apply_to_sessions(self) -> int:
        contexts = {context.name: context for context in self.proxy.contexts}
        closed = 0
        for pool, users, commands in self.sessions:
            set_plain_values(contexts[pool.name], pool)
            closed += reconfigure_clients(self.proxy, contexts[pool.name], users, commands)
        return closed


def node_of(config: Config, name: str, pool: str) -> NodeConfig:
    """The node of this name in a pool that has it."""
    return next(node for node in config.pools[pool].nodes if node.name == name)
