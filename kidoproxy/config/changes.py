"""What a running proxy can take over from a changed file, and what needs a restart: the one place that decides it.

Each key of the schema has its line here. Its value is compared as the proxy works with it: a password that moves from
the file into a ``password_file`` is no change, a renewed certificate of the same name is one. `plan_reload` says what
has changed, as names of keys; whoever applies it takes all of it or, if anything needs a restart, nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kidoproxy.config.model import Certificate, Config, ListenerTls, Member, NodeConfig, Pool


@dataclass(frozen=True, slots=True)
class Rule:
    """Whether a key can be applied live, and its value in the model; None where another key has it, or only a check."""

    is_live: bool
    value: Callable[[Any], object] | None = None


def live(value: Callable[[Any], object] | None = None) -> Rule:
    return Rule(True, value)


def restart(value: Callable[[Any], object]) -> Rule:
    return Rule(False, value)


def _listener_value(value: Callable[[ListenerTls], object]) -> Callable[[Pool], object]:
    """Of a pool's listeners; None without TLS."""
    return lambda pool: pool.listener_tls and value(pool.listener_tls)


def _node_certificates(value: Callable[[Certificate], object]) -> Callable[[Pool], object]:
    """Of what a pool's nodes are shown."""
    return lambda pool: {value(node.tls.certificate) for node in pool.nodes if node.tls and node.tls.certificate}


Rules = Mapping[str, Rule]

PROXY_RULES: Final[Rules] = {
    "workers": restart(lambda config: config.workers),
    "state_dir": restart(lambda config: config.state_dir),
    "admin": restart(lambda config: config.admin),
    "admin_token_file": restart(lambda config: config.admin_token),
    "log": live(lambda config: config.log),
    "log_level": live(lambda config: config.log_level),
    "slow_ms": live(lambda config: config.slow_seconds),
    "drain_seconds": live(lambda config: config.drain_seconds),
    "max_clients": live(lambda config: config.max_clients),
    "max_lanes": live(lambda config: config.max_lanes),
}
#: Tables that have rules of their own (``users``, ``limits``, ``tls``, the nodes) are compared after these.
POOL_RULES: Final[Rules] = {
    "listen": live(lambda pool: [(address, address.plain) for address in pool.listen]),
    "socket_mode": live(lambda pool: pool.socket_access.mode),
    "socket_user": live(lambda pool: pool.socket_access.uid),
    "socket_group": live(lambda pool: pool.socket_access.gid),
    "mode": restart(lambda pool: pool.mode),
    "nodes": restart(lambda pool: [member.name for member in pool.members]),
    "password": live(lambda pool: pool.password),
    "password_file": live(),
    "protected": live(),
    "timeout_ms": live(lambda pool: pool.timeout),
    "connect_timeout_ms": live(lambda pool: pool.connect_timeout),
    "node_queue_mb": live(lambda pool: pool.node_queue_bytes),
    # Clients may have selected one that there is no more.
    "databases": restart(lambda pool: pool.databases),
    "hash": restart(lambda pool: pool.ring and pool.ring.hash),
    "tags": restart(lambda pool: pool.ring and pool.ring.tags),
    "together": restart(lambda pool: pool.ring and pool.ring.together),
    "on_down": live(lambda pool: pool.ring and pool.ring.on_down),
    "node_errors": live(lambda pool: pool.node_errors),
    "transactions": live(lambda pool: pool.ring and pool.ring.transactions),
    "same_server": live(),
    # A write under way ends by the rules by which it began.
    "ack": live(lambda pool: pool.copy and pool.copy.ack),
    "min_in_sync": live(lambda pool: pool.copy and pool.copy.min_in_sync),
    "effect_max_mb": live(lambda pool: pool.copy and pool.copy.effect_max_mb),
    "heal": live(lambda pool: pool.copy and pool.copy.heal),
    "sync_keys_per_s": live(lambda pool: pool.copy and pool.copy.sync_keys_per_s),
    "scrub": live(lambda pool: pool.copy and pool.copy.scrub_s),
    "read": live(lambda pool: pool.copy and pool.copy.read),
    "hedge_ms": live(lambda pool: pool.copy and pool.copy.hedge),
    "deny": live(lambda pool: pool.deny),
    "allow": live(lambda pool: pool.allow),
    "rename": live(lambda pool: pool.rename),
    "users": live(lambda pool: [user.name for user in pool.users]),
    "limits": live(),
    "tls": live(),
}
USER_RULES: Final[Rules] = {
    "password": live(lambda user: user.password),
    "password_file": live(),
    "password_sha256": live(lambda user: user.digests),
    "nopass": live(lambda user: user.nopass),
    "enabled": live(lambda user: user.enabled),
    "commands": live(lambda user: user.commands),
    "keys": live(lambda user: user.keys),
    "channels": live(lambda user: user.channels),
}
LIMITS_RULES: Final[Rules] = {
    "max_clients": live(lambda limits: limits.max_clients),
    "client_output_mb": live(lambda limits: limits.client_output_bytes),
    "pubsub_output_mb": live(lambda limits: limits.pubsub_output_bytes),
    "bulk_mb": live(lambda limits: limits.bulk_bytes),
    "query_buffer_mb": live(lambda limits: limits.query_buffer_bytes),
    "idle_timeout_s": live(lambda limits: limits.idle_seconds),
}
#: Of a pool: its nodes share ``ca_file`` and the like, its listeners have the rest.
TLS_RULES: Final[Rules] = {
    "ca_file": live(lambda pool: {(node.tls.ca_file, node.tls.ca_pem) for node in pool.nodes if node.tls}),
    "verify": live(lambda pool: {node.tls.verify for node in pool.nodes if node.tls}),
    "cert_file": live(_listener_value(lambda tls: [(found.cert_file, found.cert_pem) for found in tls.certificates])),
    "key_file": live(_listener_value(lambda tls: [(found.key_file, found.key_pem) for found in tls.certificates])),
    "client_ca_file": live(_listener_value(lambda tls: (tls.client_ca_file, tls.client_ca_pem))),
    "auth_clients": live(_listener_value(lambda tls: tls.auth_clients)),
    "auth_clients_user": live(_listener_value(lambda tls: tls.auth_clients_user)),
    "min_version": live(_listener_value(lambda tls: tls.min_version)),
    "ciphers": live(_listener_value(lambda tls: tls.ciphers)),
    "node_cert_file": live(_node_certificates(lambda found: (found.cert_file, found.cert_pem))),
    "node_key_file": live(_node_certificates(lambda found: (found.key_file, found.key_pem))),
}
NODE_RULES: Final[Rules] = {
    # Of a ring: see `_may_move`.
    "url": live(lambda node: (node.address, node.tls is not None, node.sentinels)),
    "name": restart(lambda node: node.ring_name),
    "weight": restart(lambda node: node.weight),
    "username": live(lambda node: node.username),
    "password": live(lambda node: node.password),
    "password_file": live(),
    "server_hostname": live(lambda node: node.tls and node.tls.server_hostname),
}
#: Of a node that is a pool; it has no login.
REF_RULES: Final[Rules] = {
    "url": restart(lambda ref: ref.pool),
    "name": NODE_RULES["name"],
    "weight": NODE_RULES["weight"],
}


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    """The keys that have changed, as ``pool.cache.timeout_ms``: those to be applied, those that need a restart."""

    live: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


def plan_reload(old: Config, new: Config) -> ReloadPlan:
    """What is to be done to make ``new`` of a proxy that runs with ``old``."""
    changes = list(_config_changes(old, new))
    return ReloadPlan(
        tuple(key for key, is_live in changes if is_live), tuple(key for key, is_live in changes if not is_live)
    )


#: The name of a key that has changed, and whether it is live.
Changes = Iterator[tuple[str, bool]]


def _config_changes(old: Config, new: Config) -> Changes:
    yield from _table_changes("proxy", PROXY_RULES, old, new)
    for name in dict.fromkeys((*old.pools, *new.pools)):
        location = f"pool.{name}"
        if name in old.pools and name in new.pools:
            yield from _pool_changes(location, old.pools[name], new.pools[name])
        else:
            yield location, False


def _pool_changes(location: str, old: Pool, new: Pool) -> Changes:
    if old.mode != new.mode:
        # Most other keys have a meaning in one of them only.
        yield f"{location}.mode", False
        return
    yield from _table_changes(location, POOL_RULES, old, new)
    yield from _table_changes(f"{location}.limits", LIMITS_RULES, old.limits, new.limits)
    if [member.name for member in old.members] == [member.name for member in new.members]:
        yield from _table_changes(f"{location}.tls", TLS_RULES, old, new)
        may_move = _may_move(old, new)
        for i, (old_member, new_member) in enumerate(zip(old.members, new.members, strict=True)):
            yield from _member_changes(f"{location}.nodes[{i}]", old_member, new_member, may_move)
    old_users, new_users = ({user.name: user for user in pool.users} for pool in (old, new))
    for name in dict.fromkeys((*old_users, *new_users)):
        if name in old_users and name in new_users:
            yield from _table_changes(f"{location}.users.{name}", USER_RULES, old_users[name], new_users[name])


def _may_move(old: Pool, new: Pool) -> bool:
    """Whether the nodes may be at other addresses: not copies, which hold what they have been sent there.

    Sentinels follow their masters themselves. Names of one server are one node, and stay so.
    """
    if new.ring is None or any(node.sentinels for node in (*old.nodes, *new.nodes)):
        return False
    servers = [
        [[node.address for node in pool.nodes].index(node.address) for node in pool.nodes] for pool in (old, new)
    ]
    return servers[0] == servers[1]


def _member_changes(location: str, old: Member, new: Member, may_move: bool) -> Changes:
    if isinstance(old, NodeConfig) and isinstance(new, NodeConfig):
        for key, is_live in _table_changes(location, NODE_RULES, old, new):
            yield key, is_live and (may_move or key != f"{location}.url")
    elif isinstance(old, NodeConfig) or isinstance(new, NodeConfig):
        yield f"{location}.url", False
    else:
        yield from _table_changes(location, REF_RULES, old, new)


def _table_changes(location: str, rules: Rules, old: object, new: object) -> Changes:
    for key, rule in rules.items():
        if rule.value is not None and rule.value(old) != rule.value(new):
            yield f"{location}.{key}", rule.is_live
