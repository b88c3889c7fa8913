"""What the status page shows of the traffic: hot and large keys, slow requests. Lists of a fixed length."""

from typing import Any, Final

from kidoproxy.routes.topology import Node
from kidoproxy.session.handlers.info import decode_text
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.upstream.top_keys import biggest_keys, hottest_keys

#: How many of each are shown.
SHOWN: Final = 20

Rows = list[dict[str, Any]]


def hot_key_documents(pool_names: dict[Node, str]) -> Rows:
    """The keys that are asked for most; ``share`` is of what their node is asked."""
    pools = {node.name: pool for node, pool in pool_names.items()}
    return [
        {
            "key": decode_text(found.key),
            "pool": pools[found.node_name],
            "node": found.node_name,
            "share": round(found.share, 4),
            "samples": found.count,
        }
        for found in hottest_keys(list(pool_names), SHOWN)
    ]


def big_key_documents(pool_names: dict[Node, str]) -> Rows:
    """The keys with the largest requests and replies."""
    pools = {node.name: pool for node, pool in pool_names.items()}
    return [
        {
            "key": decode_text(found.key),
            "pool": pools[found.node_name],
            "node": found.node_name,
            "bytes": found.size,
        }
        for found in biggest_keys(list(pool_names), SHOWN)
    ]


def slow_documents(proxy: ProxyState) -> Rows:
    """The last slow requests, the newest first."""
    now = proxy.executor.now
    return [
        {
            "id": request.id,
            "time_ms": proxy.wall_ms - int((now - request.at) * 1000),
            "request": " ".join([decode_text(word) for word in request.words]),
            "client": request.client,
            "node": request.node_name,
            "total_us": round((request.queue_seconds + request.node_seconds) * 1_000_000),
            "queue_us": round(request.queue_seconds * 1_000_000),
            "node_us": round(request.node_seconds * 1_000_000),
        }
        for request in proxy.slow_log.requests[: -SHOWN - 1 : -1]
    ]
