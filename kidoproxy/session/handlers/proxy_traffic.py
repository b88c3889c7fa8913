"""PROXY SLOWLOG, HOTKEYS and BIGKEYS: what this process has seen of the nodes of the client's pool."""

from typing import Final

from kidoproxy.resp import encode, errors
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session.base import Session
from kidoproxy.upstream.slow_log import SlowRequest
from kidoproxy.upstream.top_keys import biggest_keys, hottest_keys

#: How many entries there are without a count.
DEFAULT_COUNT: Final = 10
SLOWLOG_ACTIONS: Final = (b"get", b"len", b"reset")


def slowlog_reply(session: Session, argv: list[bytes]) -> bytes:
    """PROXY SLOWLOG [GET [count] | LEN | RESET], as SLOWLOG has them; a count of -1 is for all."""
    action = argv[2].lower() if len(argv) > 2 else b"get"
    if action not in SLOWLOG_ACTIONS or len(argv) > (4 if action == b"get" else 3):
        return errors.SYNTAX
    node_ids = [node.node_id for node in session.context.root.nodes()]
    slow_log = session.proxy.slow_log
    if action == b"reset":
        slow_log.forget(node_ids)
        return encode.OK
    found = slow_log.of_nodes(node_ids)
    if action == b"len":
        return encode.integer(len(found))
    count = parse_int64(argv[3]) if len(argv) > 3 else DEFAULT_COUNT
    if count is None or count < -1:
        return errors.NOT_INTEGER
    return encode.array([slow_row(session, request) for request in (found if count == -1 else found[:count])])


def slow_row(session: Session, request: SlowRequest) -> bytes:
    """One slow request; durations in microseconds, when it was answered in Unix seconds."""
    proxy = session.proxy
    answered_ms = proxy.wall_ms - int((proxy.executor.now - request.at) * 1000)
    pairs = [
        *[encode.bulk(b"id"), encode.integer(request.id)],
        *[encode.bulk(b"time"), encode.integer(answered_ms // 1000)],
        *[encode.bulk(b"total_us"), encode.integer(microseconds(request.queue_seconds + request.node_seconds))],
        *[encode.bulk(b"queue_us"), encode.integer(microseconds(request.queue_seconds))],
        *[encode.bulk(b"node_us"), encode.integer(microseconds(request.node_seconds))],
        *[encode.bulk(b"command"), encode.array([encode.bulk(word) for word in request.words])],
        *[encode.bulk(b"client"), encode.bulk(request.client.encode())],
        *[encode.bulk(b"node"), encode.bulk(request.node_name.encode("utf-8", "surrogateescape"))],
    ]
    return encode.mapping(session.proto, pairs)


def microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def hotkeys_reply(session: Session, argv: list[bytes]) -> bytes:
    """PROXY HOTKEYS [count]: the keys that are asked for most; ``percent`` is of what their node is asked."""
    count = key_count(argv)
    if count is None:
        return errors.NOT_INTEGER
    rows: list[bytes] = []
    for found in hottest_keys(session.context.root.nodes(), count):
        pairs = [
            *[encode.bulk(b"key"), encode.bulk(found.key)],
            *[encode.bulk(b"node"), encode.bulk(found.node_name.encode("utf-8", "surrogateescape"))],
            *[encode.bulk(b"percent"), encode.integer(round(100 * found.share))],
            *[encode.bulk(b"samples"), encode.integer(found.count)],
        ]
        rows.append(encode.mapping(session.proto, pairs))
    return encode.array(rows)


def bigkeys_reply(session: Session, argv: list[bytes]) -> bytes:
    """PROXY BIGKEYS [count]: the keys with the largest requests and replies."""
    count = key_count(argv)
    if count is None:
        return errors.NOT_INTEGER
    rows: list[bytes] = []
    for found in biggest_keys(session.context.root.nodes(), count):
        pairs = [
            *[encode.bulk(b"key"), encode.bulk(found.key)],
            *[encode.bulk(b"node"), encode.bulk(found.node_name.encode("utf-8", "surrogateescape"))],
            *[encode.bulk(b"bytes"), encode.integer(found.size)],
        ]
        rows.append(encode.mapping(session.proto, pairs))
    return encode.array(rows)


def key_count(argv: list[bytes]) -> int | None:
    """How many keys are wanted; None: that is no number."""
    count = parse_int64(argv[2]) if len(argv) > 2 else DEFAULT_COUNT
    return count if count is not None and count >= 0 else None
