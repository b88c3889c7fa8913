"""A plain client of nodes and of a running proxy, for ``kidoproxy check`` and ``sync``.

This is the control plane: redis-py, threads, no event loop, nothing of the data path. Whatever may be wrong with a
node becomes one sentence.
"""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from kidoproxy.commands.acl import Acl
from kidoproxy.commands.find import find_by_name
from kidoproxy.config import Address, Config, Node, Pool, Secret, Tls, User
from kidoproxy.config.problems import did_you_mean
from kidoproxy.resp.errors import sanitize
from kidoproxy.resp.replication_errors import same_server_cause

PING_COUNT: Final = 5
#: RESTORE … ABSTTL and much of what keeps copies equal; COPY, GETEX, PXAT came with 6.2.
MIN_COPY_VERSION: Final = (6, 2)
#: The proxy itself answers at once; a busy one may take a moment.
PROXY_TIMEOUT_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.2
#: After so many polls in which a node was behind and no sync ran, the proxy has given up.
MAX_IDLE_POLLS: Final = 25
#: The state of a copy that may be read, as ``PROXY NODES`` writes it.
IN_SYNC: Final = "in sync"
_THREADS: Final = 16


@dataclass(slots=True)
class NodeCheck:
    """What one node said about itself. It is fine when there are no problems."""

    node: Node
    server: str = ""
    #: Empty if it does not say.
    run_id: str = ""
    #: How many databases it has; 0 if it does not say.
    databases: int = 0
    latency_ms: float | None = None
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
    return found


def _report_same_server(node_checks: list[NodeCheck]) -> None:
    """All nodes that one listener reaches are different servers; the later one of two that are not is wrong."""
    first: dict[str, NodeCheck] = {}
    for node_check in node_checks:
        earlier = first.setdefault(node_check.run_id, node_check)
        if node_check.run_id and earlier.node.address != node_check.node.address:
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


def check_node(node: Node, pool: Pool) -> NodeCheck:
    """Connect, ask who it is, and time a few PINGs."""
    node_check = NodeCheck(node)
    with connect(node.address, node.username, node.password, node.tls, pool.connect_timeout) as client:
        try:
            client.ping()
            node_check.latency_ms = statistics.median(_ping_ms(client) for _ in range(PING_COUNT))
            info: dict[str, Any] = client.info()
            node_check.databases = _database_count(client) if pool.copy is not None else 0
        except NoPermissionError:
            node_check.problems.append("the node's user may not say PING and INFO")
        except (RedisError, OSError) as error:
            tls = "; it may not speak TLS" if node.tls is not None and isinstance(error, redis.TimeoutError) else ""
            node_check.problems.append(describe_error(error) + tls)
        else:
            _check_info(info, pool, node_check)
    return node_check


def connect(
    address: Address, username: str, password: Secret, tls: Tls | None, timeout: float, protocol: int = 2
) -> redis.Redis:
    """A client that tries once and waits no longer than ``timeout`` seconds."""
    options: dict[str, Any] = {
        "username": username or None,
        "password": password.reveal() or None,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": protocol,
    }
    if address.is_unix:
        return redis.Redis(unix_socket_path=address.path, **options)
    if tls is not None:
        options["ssl"] = True
        options["ssl_ca_certs"] = tls.ca_file or None
        options["ssl_cert_reqs"] = "required" if tls.verify else "none"
        options["ssl_check_hostname"] = tls.verify
        options["ssl_certfile"] = tls.cert_file or None
        options["ssl_keyfile"] = tls.key_file or None
    return redis.Redis(host=address.host, port=address.port, **options)


def describe_error(error: Exception) -> str:
    """Why a server could not be asked, as what follows its name in a sentence; without addresses."""
    if isinstance(error, AuthenticationError | ResponseError):
        return _describe_refusal(str(error), isinstance(error, AuthenticationError))
    if isinstance(error, BusyLoadingError):
        return "is still loading its data"
    if isinstance(error, InvalidResponse):
        return "what answers there is not Redis"
    if isinstance(error, redis.TimeoutError):
        return "does not answer in time"
    return _describe_connection_error(error)


def _describe_refusal(text: str, is_login: bool) -> str:
    if "without any password" in text:
        return "wants no password, but one is configured"
    if not is_login:
        # A server that does not know AUTH quotes the password.
        return f"says: {sanitize(text.partition(', with args beginning with')[0])}"
    if "required" in text:
        return "wants a password, and none is configured"
    return "refuses the configured user or password"


def _describe_connection_error(error: BaseException) -> str:
    """The system's own words, found under redis-py's; redis-py's if there are none."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower().rstrip(".")
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if "closed by server" in text:
        return "closed the connection; what answers there may not be Redis"
    return sanitize(text.splitlines()[0]).rstrip(".").lower() if text else type(error).__name__


def _ping_ms(client: redis.Redis) -> float:
    started = time.perf_counter()
    client.ping()
    return (time.perf_counter() - started) * 1000


def _database_count(client: redis.Redis) -> int:
    """How many databases it has; 0 if its user may not ask, or it does not know."""
    try:
        found: Any = client.config_get("databases")
    except (RedisError, OSError):
        return 0
    count = str(found.get("databases", ""))
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


def listener_for(config: Config, pool: str) -> Pool | None:
    """A listening pool through which ``pool`` can be reached: itself, or one above it."""
    for candidate in config.listening_pools():
        if any(below.name == pool for below in config.pools_below(candidate.name)):
            return candidate
    return None


def operator_user(pool: Pool) -> User:
    """A user of the file who may order a sync, and whose password stands there. LookupError when there is none."""
    needed = [spec for spec in (find_by_name(b"proxy|sync"), find_by_name(b"proxy|nodes")) if spec is not None]
    for user in pool.all_users():
        acl = Acl(user.commands)
        if user.enabled and (user.nopass or user.password) and all(acl.allows_command(spec) for spec in needed):
            # Without a name redis-py sends AUTH only if there is a password.
            return replace(user, name="") if user.name == "default" else user
    raise LookupError(
        f'no user of pool "{pool.name}" can order it: one must be allowed +proxy, and have a password in the file'
    )


def connect_to_proxy(config: Config, pool: str) -> redis.Redis:
    """A client of the running proxy, through a listener from which ``pool`` can be reached."""
    listener = listener_for(config, pool)
    if listener is None:
        raise LookupError(f'there is no pool "{pool}"' + did_you_mean(pool, config.pools))
    user = operator_user(listener)
    return connect(listener.listen[0], user.name, user.password, listener_trust(listener), PROXY_TIMEOUT_SECONDS)


def listener_trust(listener: Pool) -> Tls | None:
    """How to speak to our own listener: its file names its certificate, which need not be made for the address."""
    tls = listener.listener_tls
    return None if tls is None else Tls(verify=False, cert_file=tls.cert_file, key_file=tls.key_file)


def order(config: Config, pool: str, node: str, *words: str) -> list[str]:
    """Send PROXY SYNC NODE WORDS to the running proxy; the lines of its reply."""
    with connect_to_proxy(config, pool) as client:
        reply = client.execute_command("PROXY", "SYNC", node, *words)
    return [line.decode("utf-8", "replace") for line in reply] if isinstance(reply, list) else []


def sync(
    config: Config,
    pool: str,
    node: str,
    report: Callable[[str], object],
    pause: float = POLL_SECONDS,
    words: tuple[str, ...] = (),
) -> bool:
    """Order a sync of ``node`` from the running proxy, and report until it is over; False when it gave up."""
    with connect_to_proxy(config, pool) as client:
        client.execute_command("PROXY", "SYNC", node, *words)
        reported, idle_polls = "", 0
        while idle_polls < MAX_IDLE_POLLS:
            state, activity = parse_node_state(client.execute_command("PROXY", "NODES"), pool, node)
            line = f"{node}: {state or 'the proxy does not know it'}{f' ({activity})' if activity else ''}"
            if line != reported:
                report(line)
                reported = line
            if state in (IN_SYNC, "") or activity.startswith("failed"):
                return state == IN_SYNC
            idle_polls = 0 if activity else idle_polls + 1
            time.sleep(pause)
    return False


def refill(config: Config, pool: str, node: str, report: Callable[[str], object]) -> bool:
    """As `sync`, but the node is emptied first."""
    return sync(config, pool, node, report, words=("REFILL",))


def parse_node_state(rows: list[list[bytes | int]], pool: str, node: str) -> tuple[str, str]:
    """A node's state and what is being done about it, from ``PROXY NODES`` as RESP2 shows it; empty if unknown."""
    for row in rows:
        texts = [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell) for cell in row]
        fields = dict(zip(texts[::2], texts[1::2], strict=True))
        if fields.get("name") == node and fields.get("pool", pool) == pool:
            return fields.get("state", ""), fields.get("sync", "")
    return "", ""
