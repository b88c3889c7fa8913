"""``kidoproxy check``: asks every node, each in a thread, who it is, and what would keep it from serving."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import redis
from redis.exceptions import (
    NoPermissionError,
    RedisError,
)

from kidoproxy.admin.copy_permissions import missing_permissions
from kidoproxy.admin.redis_client import connect, describe_error
from kidoproxy.admin.sentinel_check import check_sentinels
from kidoproxy.config import Address, Config, NodeConfig, Pool
from kidoproxy.replication.owner_marks import OwnerMark, parse_mark
from kidoproxy.resp.errors import sanitize
from kidoproxy.resp.replication_errors import same_server_cause

PING_COUNT: Final = 5
#: RESTORE … ABSTTL and much of what keeps copies equal; COPY, GETEX, PXAT came with 6.2.
MIN_COPY_VERSION: Final = (6, 2)
_THREADS: Final = 16


@dataclass(slots=True)
class NodeCheck:
    """What one node said about itself. It is fine when there are no problems."""

    node: NodeConfig
    server: str = ""
    #: Where it was asked: of a node that sentinels name, the master; and what the sentinels said.
    address: Address = field(default_factory=Address)
    sentinels: str = ""
    #: Empty if it does not say.
    run_id: str = ""
    #: How many databases it has; 0 if it does not say.
    databases: int = 0
    latency_ms: float | None = None
    #: Of a copy: the proxies that say to serve it.
    owners: list[OwnerMark] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add_problem(self, problem: str) -> None:
        """Add it, unless it has been found already in another way."""
        if problem not in self.problems:
            self.problems.append(problem)


def check_nodes(config: Config) -> dict[str, list[NodeCheck]]:
    """Ask all nodes of all pools at the same time; by pool, in the order of the configuration."""
    pools = config.pools.values()
    with ThreadPoolExecutor(_THREADS) as threads:
        futures = {pool.name: [threads.submit(check_node, node, pool) for node in pool.nodes] for pool in pools}
        found = {name: [answer.result() for answer in answers] for name, answers in futures.items()}
    for listener in config.listening_pools():
        _report_same_server(
            [node_check for pool in config.pools_below(listener.name) for node_check in found[pool.name]]
        )
    for pool in pools:
        if pool.copy is not None:
            _compare_databases(found[pool.name])
            _compare_owners(found[pool.name])
    return found


def _report_same_server(node_checks: list[NodeCheck]) -> None:
    """All nodes that one listener reaches are different servers; the later one of two that are not is wrong."""
    first: dict[str, NodeCheck] = {}
    for node_check in node_checks:
        earlier = first.setdefault(node_check.run_id, node_check)
        if node_check.run_id and earlier.address != node_check.address:
            node_check.add_problem(same_server_cause(earlier.node.name))


def _compare_databases(node_checks: list[NodeCheck]) -> None:
    """Copies have the same databases, or some of their data cannot be copied."""
    with_database_count = [node_check for node_check in node_checks if node_check.databases]
    for node_check in with_database_count[1:]:
        if node_check.databases != with_database_count[0].databases:
            first = f"{with_database_count[0].node.name} has {with_database_count[0].databases}"
            node_check.add_problem(
                f"has {node_check.databases} databases and {first}; copies need the same 'databases'"
            )


def _compare_owners(node_checks: list[NodeCheck]) -> None:
    """One proxy serves all copies."""
    owners = {mark.proxy_id: mark.process() for node_check in node_checks for mark in node_check.owners}
    for node_check in node_checks if len(owners) > 1 else []:
        if node_check.owners:
            node_check.add_problem(f"the copies are served by {' and '.join(owners.values())}; run one proxy for them")


def check_node(node: NodeConfig, pool: Pool) -> NodeCheck:
    """Connect, ask who it is, and time a few PINGs."""
    node_check = NodeCheck(node, address=node.address)
    if node.sentinels is not None:
        found = check_sentinels(node.sentinels, node.tls, pool.connect_timeout)
        node_check.problems += found.problems
        if found.master is None:
            return node_check
        node_check.address, node_check.sentinels = found.master, found.summary
    with connect(node_check.address, node.username, node.password, node.tls, pool.connect_timeout) as client:
        try:
            client.ping()
            node_check.latency_ms = statistics.median(_ping_ms(client) for _ in range(PING_COUNT))
            info: dict[str, Any] = client.info()
            if pool.copy is not None:
                _ask_copy(client, node_check)
                version = parse_version(str(info.get("redis_version", "0")))
                node_check.problems += missing_permissions(client, version)
        except NoPermissionError:
            node_check.problems.append("the node's user may not say PING and INFO")
        except (RedisError, OSError) as error:
            tls = "; it may not speak TLS" if node.tls is not None and isinstance(error, redis.TimeoutError) else ""
            node_check.problems.append(describe_error(error) + tls)
        else:
            _check_info(info, pool, node_check)
    return node_check


def _ping_ms(client: redis.Redis) -> float:
    started = time.perf_counter()
    client.ping()
    return (time.perf_counter() - started) * 1000


def _ask_copy(client: redis.Redis, node_check: NodeCheck) -> None:
    """What copies are asked besides; what its user may not ask, or it does not know, stays unknown."""
    pipeline = client.pipeline(transaction=False)
    pipeline.config_get("databases")
    pipeline.client_list()
    try:
        config, clients = pipeline.execute(raise_on_error=False)
    except (RedisError, OSError):
        return
    if isinstance(config, dict):
        node_check.databases = _count(str(config.get("databases", "")))
    for found in clients if isinstance(clients, list) else []:
        mark = parse_mark(str(found.get("name", "")).encode())
        if mark is not None and mark.is_owner:
            mark.idle_seconds = _count(str(found.get("idle", "")))
            node_check.owners.append(mark)


def describe_owners(node_checks: list[NodeCheck]) -> list[str]:
    """The proxies that say to serve these copies, and for how long one has sent nothing to any of them."""
    latest: dict[str, OwnerMark] = {}
    for mark in [mark for node_check in node_checks for mark in node_check.owners]:
        latest[mark.process()] = min(latest.get(mark.process(), mark), mark, key=lambda each: each.idle_seconds)
    return [", ".join(part for part in (name, mark.silence()) if part) for name, mark in latest.items()]


def _count(count: str) -> int:
    return int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 0


def _check_info(info: dict[str, Any], pool: Pool, node_check: NodeCheck) -> None:
    node_check.run_id = str(info.get("run_id", ""))
    if pool.copy is not None and 0 < node_check.databases < pool.databases:
        node_check.add_problem(
            f"has {node_check.databases} databases, the pool serves {pool.databases}: set 'databases' alike"
        )
    valkey = info.get("valkey_version")
    version = str(valkey or info.get("redis_version", "?"))
    node_check.server = f"{'valkey' if valkey else 'redis'} {sanitize(version, 32)}"
    if info.get("role") not in (None, "master"):
        master = f" of {sanitize(str(info['master_host']))}:{info['master_port']}" if "master_host" in info else ""
        node_check.problems.append(f"is a replica{master}: writes to it would fail")
    if info.get("cluster_enabled"):
        node_check.problems.append("runs in cluster mode, which has slots of its own; a node must be a plain server")
    if info.get("loading"):
        node_check.problems.append("is still loading its data")
    if pool.copy is not None and parse_version(str(info.get("redis_version", "0"))) < MIN_COPY_VERSION:
        node_check.problems.append(f"is {node_check.server}; a copy pool needs Redis 6.2 or newer")


def parse_version(text: str) -> tuple[int, ...]:
    """``7.0.15`` as numbers; what is no number counts as 0."""
    return tuple(int(part) if part.isascii() and part.isdigit() and len(part) < 10 else 0 for part in text.split("."))
