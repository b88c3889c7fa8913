"""What the configuration says, as the values that sessions and connections work with."""

from kidoproxy.commands.acl import Acl
from kidoproxy.commands.command_set import CommandSet
from kidoproxy.config import Config, NodeConfig, Pool, UserConfig
from kidoproxy.config.tls import certificate_info, node_context
from kidoproxy.net.connect import ConnectTarget
from kidoproxy.routes.route import Route
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.users import User, Users, password_digest
from kidoproxy.upstream.handshake import ConnectionOptions


def set_process_values(proxy: ProxyState, config: Config) -> None:
    """What all pools share and may be set at any time."""
    proxy.max_clients = config.max_clients
    proxy.dedicated_pool.max_per_node = config.max_lanes
    proxy.slow_log.set_threshold(config.slow_seconds)


def pool_context(pool: Pool, root: Route) -> PoolContext:
    """What the sessions of a listening pool need to know; ``root`` is the pool's route."""
    context = PoolContext(pool.name, pool.mode, root, pool_commands(pool))
    context.users = pool_users(pool)
    context.databases = pool.databases
    set_plain_values(context, pool)
    return context


def pool_commands(pool: Pool) -> CommandSet:
    return CommandSet(pool.deny, pool.allow, pool.rename)


def pool_users(pool: Pool) -> Users:
    return Users([session_user(user) for user in pool.all_users()])


def set_plain_values(context: PoolContext, pool: Pool) -> None:
    """All that may be set at any time, and counts from then on."""
    context.strict_transactions = pool.ring is not None and pool.ring.transactions == "strict"
    context.miss_on_down = pool.ring is not None and pool.ring.on_down == "miss"
    context.needs_arguments = context.root.needs_arguments() or context.miss_on_down
    context.node_errors_as_loading = pool.node_errors == "retry"
    context.max_bulk_bytes = pool.limits.bulk_bytes
    context.max_query_bytes = pool.limits.query_buffer_bytes
    context.max_output_bytes = pool.limits.client_output_bytes
    context.max_pubsub_output_bytes = pool.limits.pubsub_output_bytes
    context.max_clients = pool.limits.max_clients
    context.idle_seconds = pool.limits.idle_seconds
    tls = pool.listener_tls
    context.certificate_user = tls.auth_clients_user if tls and tls.auth_clients_user != "off" else ""
    context.certificate_expiries = {
        certificate.cert_file: certificate_info(certificate).not_after
        for certificate in (tls.certificates if tls else ())
    }


def session_user(user: UserConfig) -> User:
    """A user as sessions know it: of its passwords the hashes alone."""
    digests = [secret.reveal().encode() for secret in user.digests]
    if user.password:
        digests.insert(0, password_digest(user.password.reveal().encode()))
    acl = Acl(user.commands, user.keys, user.channels)
    return User(user.name.encode(), acl, user.enabled, user.nopass, digests)


def connection_options(node: NodeConfig, pool: Pool) -> ConnectionOptions:
    """As whom a connection to ``node`` logs in, how long it waits, and how much it holds."""
    return ConnectionOptions(node.username, node.password.reveal(), pool.timeout, pool.node_queue_bytes)


def connect_target(node: NodeConfig, pool: Pool) -> ConnectTarget:
    """Where ``node`` listens."""
    address = node.address
    tls = node_context(node.tls) if node.tls is not None else None
    server_hostname = (node.tls.server_hostname or address.host) if node.tls is not None else None
    if node.sentinels is not None:
        # They name the host, which is the name to be checked too unless another one is given.
        server_hostname = node.tls.server_hostname or None if node.tls is not None else None
        return ConnectTarget("", 0, "", tls, pool.connect_timeout, server_hostname)
    return ConnectTarget(address.host, address.port, address.path, tls, pool.connect_timeout, server_hostname)
