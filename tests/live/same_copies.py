"""Copies that hold the same, as clients see it: all but the moments at which entries of streams were delivered."""

from typing import Any, Final

import redis

from tests.live.contents import contents, states
from tests.live.proxies import RunningProxy

#: How soon an expired key is gone from every copy: their clocks and ours.
_LAPSE_MS: Final = 1000


def stream(node: Any, key: bytes) -> Any:
    """A stream's entries, its last id, and of each group what was delivered to whom, and how often."""
    about = fields(node.execute_command("XINFO", "STREAM", key, "FULL", "COUNT", 0))
    groups = []
    for row in map(fields, about[b"groups"]):
        pending = [(entry[0], entry[1], entry[3]) for entry in row[b"pending"]]
        consumers = sorted(fields(one)[b"name"] for one in row[b"consumers"])
        groups.append((row[b"name"], row[b"last-delivered-id"], pending, consumers))
    return about[b"last-generated-id"], node.xrange(key), groups


def fields(row: list[Any]) -> dict[bytes, Any]:
    """A map, as RESP2 has it."""
    return dict(zip(row[::2], row[1::2], strict=True))


def held(url: str, databases: range) -> dict[tuple[int, bytes], Any]:
    """By database and key, what a node holds."""
    found: dict[tuple[int, bytes], Any] = dict(contents(url, databases))
    for (db, key), (kind, _, moment) in found.items():
        if kind == b"stream":
            with redis.Redis.from_url(url, db=db, protocol=2) as node:
                found[(db, key)] = (kind, stream(node, key), moment)
    return found


def differing(proxy: RunningProxy, databases: range) -> list[Any]:
    """The keys that two copies hold differently; those whose time is over may be on one alone."""
    first, *others = [held(url, databases) for url in proxy.nodes.urls]
    with redis.Redis.from_url(proxy.nodes.urls[0]) as node:
        seconds, micros = node.time()
    over = seconds * 1000 + micros // 1000 + _LAPSE_MS
    found = []
    for other in others:
        for place in first | other:
            mine, theirs = first.get(place), other.get(place)
            moments = [each[2] for each in (mine, theirs) if each is not None]
            is_lapsed = len(moments) == 1 and 0 < moments[0] < over
            if mine != theirs and not is_lapsed:
                found.append((place, mine, theirs))
    return found


def check_copies(proxy: RunningProxy, databases: range = range(16)) -> None:
    """No copy is behind, and all hold the same; the complaint names the keys."""
    assert set(states(proxy)) == {"in sync"}
    found = differing(proxy, databases)
    assert not found, (len(found), found[:5])
