"""Talking to nodes as a person would, one question at a time: for ``kidoproxy check`` and ``sync``.

This is the control plane: redis-py, threads, no event loop, nothing of the data path. Every way in
which a node can disappoint becomes one sentence.
"""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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

from kidoproxy.config import Address, Config, Node, Pool, Secret, Tls
from kidoproxy.config.problems import did_you_mean

PINGS: Final = 5
#: RESTORE … ABSTTL and much of what keeps copies equal; COPY, GETEX, PXAT came with 6.2.
LEAST_COPY_VERSION: Final = (6, 2)
#: The proxy itself answers at once; a busy one may take a moment.
ANSWER_SECONDS: Final = 5.0
#: The state of a copy that may be read, as ``PROXY NODES`` writes it.
IN_SYNC: Final = "in sync"
_THREADS: Final = 16


@dataclass(slots=True)
class Checkup:
    """What one node said about itself. It is fine when there are no problems."""

    node: Node
    server: str = ""
    latency_ms: float | None = None
    problems: list[str] = field(default_factory=list)


def check(config: Config) -> dict[str, list[Checkup]]:
    """Ask all nodes of all pools at the same time; by pool, in the order of the configuration."""
    pools = config.pools.values()
    with ThreadPoolExecutor(_THREADS) as threads:
        asked = {pool.name: [threads.submit(check_node, node, pool) for node in pool.nodes] for pool in pools}
        return {name: [answer.result() for answer in answers] for name, answers in asked.items()}


def check_node(node: Node, pool: Pool) -> Checkup:
    """Connect, ask who it is, and time a few PINGs."""
    checkup = Checkup(node)
    with connect(node.address, node.username, node.password, node.tls, pool.connect_timeout) as client:
        try:
            client.ping()
            checkup.latency_ms = statistics.median(_ping_ms(client) for _ in range(PINGS))
            info: dict[str, Any] = client.info()
        except NoPermissionError:
            checkup.problems.append("the node's user may not say PING and INFO")
        except (RedisError, OSError) as error:
            checkup.problems.append(reason(error))
        else:
            _judge(info, pool, checkup)
    return checkup


def connect(
    address: Address, username: str, password: Secret, tls: Tls | None, timeout: float, protocol: int = 2
) -> redis.Redis:
    """A client that tries once, says nothing of itself, and waits no longer than ``timeout`` seconds."""
    options: dict[str, Any] = {
        "username": username or None,
        "password": password.reveal() or None,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": protocol,
        "lib_name": None,
        "lib_version": None,
    }
    if address.is_unix:
        return redis.Redis(unix_socket_path=address.path, **options)
    if tls is not None:
        options["ssl"] = True
        options["ssl_ca_certs"] = tls.ca_file or None
        options["ssl_cert_reqs"] = "required" if tls.verify else "none"
        options["ssl_check_hostname"] = tls.verify
    return redis.Redis(host=address.host, port=address.port, **options)


def reason(error: Exception) -> str:
    """Why it did not work, in one sentence without addresses."""
    if isinstance(error, AuthenticationError):
        return _why_refused(str(error))
    if isinstance(error, BusyLoadingError):
        return "is still loading its data"
    if isinstance(error, InvalidResponse):
        return "what answers there is not Redis"
    if isinstance(error, ResponseError):
        return f"says: {error}"
    if isinstance(error, redis.TimeoutError):
        return "does not answer in time"
    return _why_unreachable(error)


def _why_refused(text: str) -> str:
    if "called without any password" in text:
        return "wants no password, but one is configured"
    if "required" in text:
        return "wants a password, and none is configured"
    return "refuses the configured user or password"


def _why_unreachable(error: BaseException) -> str:
    """The system's own words, found under redis-py's; what it says at the end of a connection else."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower().rstrip(".")
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if "closed by server" in text:
        return "closed the connection; what answers there may not be Redis"
    return text.splitlines()[0].rstrip(".").lower() if text else type(error).__name__


def _ping_ms(client: redis.Redis) -> float:
    started = time.perf_counter()
    client.ping()
    return (time.perf_counter() - started) * 1000


def _judge(info: dict[str, Any], pool: Pool, checkup: Checkup) -> None:
    valkey = info.get("valkey_version")
    version = str(valkey or info.get("redis_version", "?"))
    checkup.server = f"{'valkey' if valkey else 'redis'} {version}"
    if info.get("role") not in (None, "master"):
        master = f" of {info['master_host']}:{info['master_port']}" if "master_host" in info else ""
        checkup.problems.append(f"is a replica{master}: writes to it would fail")
    if info.get("cluster_enabled"):
        checkup.problems.append("runs in cluster mode, which has slots of its own; a node must be a plain server")
    if info.get("loading"):
        checkup.problems.append("is still loading its data")
    if pool.copy is not None and version_of(str(info.get("redis_version", "0"))) < LEAST_COPY_VERSION:
        checkup.problems.append(f"is {checkup.server}; a copy pool needs Redis 6.2 or newer")


def version_of(text: str) -> tuple[int, ...]:
    """``7.0.15`` as numbers; what is no number counts as 0."""
    return tuple(int(part) if part.isdigit() else 0 for part in text.split("."))


def listener_of(config: Config, pool: str) -> Pool | None:
    """A listening pool through which ``pool`` can be reached: itself, or one above it."""
    for candidate in config.listening():
        if any(below.name == pool for below in config.below(candidate.name)):
            return candidate
    return None


def sync(config: Config, pool: str, node: str, say: Callable[[str], None], pause: float = 0.5) -> bool:
    """Tell the running proxy to bring ``node`` up to date, and report until it is; whether it is at the end."""
    listener = listener_of(config, pool)
    if listener is None:
        raise LookupError(f'there is no pool "{pool}"' + did_you_mean(pool, config.pools))
    with connect(listener.listen[0], "", listener.password, None, ANSWER_SECONDS) as client:
        say(_text(client.execute_command("PROXY", "SYNC", node)))
        seen = ""
        while True:
            row = row_of(client.execute_command("PROXY", "NODES"), node)
            if row != seen:
                say(row)
                seen = row
            if IN_SYNC in row or not row:
                return IN_SYNC in row
            time.sleep(pause)


def row_of(reply: object, node: str) -> str:
    """What ``PROXY NODES`` says of one node, as one line; empty when it does not name it."""
    rows = reply if isinstance(reply, list) else _text(reply).splitlines()
    for row in rows:
        words = _words(row)
        if node in words:
            return " ".join(words)
    return ""


def _words(row: object) -> list[str]:
    if isinstance(row, dict):
        return [word for pair in row.items() for part in pair for word in _words(part)]
    if isinstance(row, list):
        return [word for part in row for word in _words(part)]
    return _text(row).split()


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
