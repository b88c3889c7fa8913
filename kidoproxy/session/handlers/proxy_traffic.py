"""PROXY SLOWLOG, HOTKEYS and BIGKEYS: what the workers have seen of the nodes of the client's pool.

Each worker has its part (`PARTS`), and the one that is asked puts them together (`COMBINERS`).
"""

from collections.abc import Callable
from typing import Final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.resp import encode, errors
from kidoproxy.resp.decode import integer_value, items, string_value
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.state import SessionState
from kidoproxy.upstream.slow_log import SlowRequest

#: How many entries there are without a count.
DEFAULT_COUNT: Final = 10
SLOWLOG_ACTIONS: Final = (b"get", b"len", b"reset")
#: Where in a slow row its id and its time stand.
SLOW_ID: Final = 1
SLOW_TIME: Final = 3

#: A key, and the name of its node.
NodeKey = tuple[bytes, bytes]
#: Takes the protocol, the client's arguments and all parts; returns the reply.
Combine = Callable[[int, list[bytes], list[bytes]], bytes]


# -- SLOWLOG -----------------------------------------------------------------------------------------------


def slowlog_action(argv: list[bytes]) -> bytes:
    return argv[2].lower() if len(argv) > 2 else b"get"


def slowlog_part(proxy: ProxyState, context: PoolContext, caller: SessionState | None, argv: list[bytes]) -> bytes:
    """PROXY SLOWLOG [GET [count] | LEN | RESET], as SLOWLOG has them; a count of -1 is for all."""
    action = slowlog_action(argv)
    if action not in SLOWLOG_ACTIONS or len(argv) > (4 if action == b"get" else 3):
        return errors.SYNTAX
    node_ids = [node.node_id for node in context.root.nodes()]
    if action == b"reset":
        proxy.slow_log.forget(node_ids)
        return encode.OK
    found = proxy.slow_log.of_nodes(node_ids)
    if action == b"len":
        return encode.integer(len(found))
    count = parse_int64(argv[3]) if len(argv) > 3 else DEFAULT_COUNT
    if count is None or count < -1:
        return errors.NOT_INTEGER
    return encode.array([slow_row(proxy, request) for request in (found if count == -1 else found[:count])])


def slow_row(proxy: ProxyState, request: SlowRequest) -> bytes:
    """One slow request; durations in microseconds, when it was answered in Unix seconds."""
    answered_ms = proxy.wall_ms - int((proxy.executor.now - request.at) * 1000)
    peers = proxy.peers
    # No two workers give the same id.
    request_id = request.id if peers is None else (request.id - 1) * peers.count + peers.number + 1
    pairs = [
        *[encode.bulk(b"id"), encode.integer(request_id)],
        *[encode.bulk(b"time"), encode.integer(answered_ms // 1000)],
        *[encode.bulk(b"total_us"), encode.integer(microseconds(request.queue_seconds + request.node_seconds))],
        *[encode.bulk(b"queue_us"), encode.integer(microseconds(request.queue_seconds))],
        *[encode.bulk(b"node_us"), encode.integer(microseconds(request.node_seconds))],
        *[encode.bulk(b"command"), encode.array([encode.bulk(word) for word in request.words])],
        *[encode.bulk(b"client"), encode.bulk(request.client.encode())],
        *[encode.bulk(b"node"), encode.bulk(encode_name(request.node_name))],
    ]
    return encode.array(pairs)


def combine_slowlog(proto: int, argv: list[bytes], parts: list[bytes]) -> bytes:
    """The newest of all, their number, or OK."""
    action = slowlog_action(argv)
    if action == b"reset":
        return encode.OK
    if action == b"len":
        return encode.integer(sum([integer_value(part) for part in parts]))
    rows = [items(row) for part in parts for row in items(part)]
    rows.sort(key=lambda row: (-integer_value(row[SLOW_TIME]), -integer_value(row[SLOW_ID])))
    count = parse_int64(argv[3]) if len(argv) > 3 else DEFAULT_COUNT
    return encode.array([encode.mapping(proto, row) for row in (rows if count == -1 else rows[:count])])


def microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def encode_name(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


# -- HOTKEYS and BIGKEYS -----------------------------------------------------------------------------------


def hotkeys_part(proxy: ProxyState, context: PoolContext, caller: SessionState | None, argv: list[bytes]) -> bytes:
    """PROXY HOTKEYS [count]: of each node its name, its samples, and its keys with theirs."""
    if key_count(argv) is None:
        return errors.NOT_INTEGER
    rows: list[bytes] = []
    for node in context.root.nodes():
        sketch = node.traffic.hot_keys
        keys: list[bytes] = []
        for key, samples in sketch.counts():
            keys += [encode.bulk(key), encode.integer(samples)]
        name = encode.bulk(encode_name(node.name))
        rows.append(encode.array([name, encode.integer(sketch.samples), encode.array(keys)]))
    return encode.array(rows)


def combine_hotkeys(proto: int, argv: list[bytes], parts: list[bytes]) -> bytes:
    """The keys that are asked for most; ``percent`` is of what their node is asked."""
    samples: dict[NodeKey, int] = {}
    of_node: dict[bytes, int] = {}
    for part in parts:
        for row in items(part):
            words = items(row)
            name = string_value(words[0])
            of_node[name] = of_node.get(name, 0) + integer_value(words[1])
            keys = items(words[2])
            for at in range(0, len(keys), 2):
                found = (string_value(keys[at]), name)
                samples[found] = samples.get(found, 0) + integer_value(keys[at + 1])
    rows: list[bytes] = []
    for (key, node_name), number in largest(samples, argv):
        pairs = [
            *[encode.bulk(b"key"), encode.bulk(key)],
            *[encode.bulk(b"node"), encode.bulk(node_name)],
            *[encode.bulk(b"percent"), encode.integer(round(100 * number / of_node[node_name]))],
            *[encode.bulk(b"samples"), encode.integer(number)],
        ]
        rows.append(encode.mapping(proto, pairs))
    return encode.array(rows)


def bigkeys_part(proxy: ProxyState, context: PoolContext, caller: SessionState | None, argv: list[bytes]) -> bytes:
    """PROXY BIGKEYS [count]: keys with their node, and the largest request or reply."""
    if key_count(argv) is None:
        return errors.NOT_INTEGER
    rows: list[bytes] = []
    for node in context.root.nodes():
        name = encode.bulk(encode_name(node.name))
        for key, size in node.traffic.big_keys.sizes.items():
            rows.append(encode.array([encode.bulk(key), name, encode.integer(size)]))
    return encode.array(rows)


def combine_bigkeys(proto: int, argv: list[bytes], parts: list[bytes]) -> bytes:
    """The keys with the largest requests and replies."""
    sizes: dict[NodeKey, int] = {}
    for part in parts:
        for row in items(part):
            words = items(row)
            found = (string_value(words[0]), string_value(words[1]))
            sizes[found] = max(sizes.get(found, 0), integer_value(words[2]))
    rows: list[bytes] = []
    for (key, node_name), number in largest(sizes, argv):
        pairs = [
            *[encode.bulk(b"key"), encode.bulk(key)],
            *[encode.bulk(b"node"), encode.bulk(node_name)],
            *[encode.bulk(b"bytes"), encode.integer(number)],
        ]
        rows.append(encode.mapping(proto, pairs))
    return encode.array(rows)


def largest(numbers: dict[NodeKey, int], argv: list[bytes]) -> list[tuple[NodeKey, int]]:
    """As many as are wanted, the largest first."""
    return sorted(numbers.items(), key=lambda found: -found[1])[: key_count(argv)]


def key_count(argv: list[bytes]) -> int | None:
    """How many keys are wanted; None: that is no number."""
    count = parse_int64(argv[2]) if len(argv) > 2 else DEFAULT_COUNT
    return count if count is not None and count >= 0 else None


PARTS: Final[dict[HandlerId, Callable[[ProxyState, PoolContext, SessionState | None, list[bytes]], bytes]]] = {
    handler_ids.PROXY_BIGKEYS: bigkeys_part,
    handler_ids.PROXY_HOTKEYS: hotkeys_part,
    handler_ids.PROXY_SLOWLOG: slowlog_part,
}
COMBINERS: Final[dict[HandlerId, Combine]] = {
    handler_ids.PROXY_BIGKEYS: combine_bigkeys,
    handler_ids.PROXY_HOTKEYS: combine_hotkeys,
    handler_ids.PROXY_SLOWLOG: combine_slowlog,
}
