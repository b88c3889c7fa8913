"""Writes within a few milliseconds of their keys' expiry: without any fault, copies hold the same afterwards."""

import itertools
import random
import socket
import time
from typing import Any, Final

import pytest

from tests.live.contents import contents
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live

#: How far from the expiry a write is sent, in seconds; when keys are made before it; the pause between two keys.
AROUND: Final = 0.005
AHEAD: Final = 0.6
PAUSE: Final = 0.004
KEYS: Final = 460

Words = tuple[str, ...]
_SETS_NO_EXPIRY: Final = "return redis.call('hset', KEYS[1], ARGV[1], 'v')"
_SETS_EXPIRY: Final = "redis.call('hset', KEYS[1], 'n', 'v'); return redis.call('pexpireat', KEYS[1], ARGV[1])"

#: What makes a key ``k``, and the writes that follow; ``far`` is a moment that is far away.
WRITES: Final = """
hset k a 0 | hset k n v
hset k a 0 | hincrby k n 1
sadd k a | sadd k n
sadd k a | sadd ks x; smove ks k x
zadd k 1 a | zadd k 2 n
zadd k 1 a | zadd ks 1 a; zunionstore kd 2 k ks
geoadd k 1 1 a | geoadd k 2 2 n
set k 0 | set k v keepttl
set k 0 | set k v nx
set k 0 | setbit k 7 0
set k 0 | bitfield k set u1 7 1
set k x | set ks a; bitop or kd k ks
set k 0 | incr k
pfadd k a | pfadd ks x; pfmerge k ks
lpush k a | lpush k n
lpush k a | lpush ks n; lmove ks k left left
xadd k 1-1 a b | xadd k 2-1 a b
xadd k 1-1 a b | xgroup create k g 0 mkstream
hset k a 0 | multi; hset k n v; exec
hset k a 0 | multi; hset k n v; pexpireat k far; exec
set k 0 | multi; set k v nx; exec
hset k a 0 | eval no-expiry 1 k n
hset k a 0 | eval expiry 1 k far
"""


def rows(prefix: str, far: int) -> list[tuple[Words, list[Words]]]:
    """The writes of ``WRITES`` for one key."""
    stands_for = {"k": prefix, "ks": f"{prefix}:s", "kd": f"{prefix}:d", "far": str(far)}
    stands_for |= {"no-expiry": _SETS_NO_EXPIRY, "expiry": _SETS_EXPIRY}

    def words(text: str) -> Words:
        return tuple(stands_for.get(word, word) for word in text.split())

    lines = [line.split(" | ") for line in WRITES.strip().splitlines()]
    return [(words(make), [words(each) for each in writes.split("; ")]) for make, writes in lines]


def packed(requests: list[Words]) -> bytes:
    """As a client sends them."""
    frames = [[word.encode() for word in words] for words in requests]
    return b"".join(
        b"*%d\r\n" % len(frame) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in frame) for frame in frames
    )


def timetable(rng: random.Random) -> list[tuple[float, bytes]]:
    """When what is sent, by the wall clock."""
    start = time.time() + AHEAD + 0.2
    events = []
    for number in range(KEYS):
        at = start + number * PAUSE
        kinds = rows(f"key:{number}", int(start * 1000) + 600_000)
        make, writes = kinds[number % len(kinds)]
        events.append((at - AHEAD, packed([make, ("pexpireat", make[1], str(int(at * 1000)))])))
        events.append((at + rng.uniform(-AROUND, AROUND), packed(writes)))
    return sorted(events)


def send(proxy: RunningProxy, events: list[tuple[float, bytes]]) -> None:
    """Send all that is due, again and again; what comes back is not looked at."""
    with proxy.raw() as client:
        client.setblocking(False)
        for due, group in itertools.groupby(events, key=lambda event: int(event[0] * 1000)):
            time.sleep(max(0.0, due / 1000 - time.time()))
            client.setblocking(True)
            client.sendall(b"".join(raw for _, raw in group))
            client.setblocking(False)
            drain(client)
        client.setblocking(True)
        client.sendall(packed([("echo", "the end")]))
        found = b""
        while not found.endswith(b"the end\r\n"):
            found = (found + client.recv(65536))[-100:]


def drain(client: socket.socket) -> None:
    """Take what is there."""
    try:
        while client.recv(65536):
            pass
    except BlockingIOError:
        pass


def differing(proxy: RunningProxy) -> dict[Any, Any]:
    """The keys that two copies hold differently."""
    first, *others = [contents(url) for url in proxy.nodes.urls]
    return {
        place: (first.get(place), other.get(place))
        for other in others
        for place in first | other
        if first.get(place) != other.get(place)
    }


@pytest.mark.parametrize(("count", "server"), [(2, "embedded"), (3, "system")])
def test_copies_are_equal_after_quiet(own_proxy: Starter, count: int, server: str) -> None:
    """Whatever was found by the one copy and not by the other is repaired; nothing has parted for good."""
    proxy = own_proxy("copy", count, server=server, timeout_ms=10_000)
    send(proxy, timetable(random.Random(7)))
    eventually(lambda: not differing(proxy), 10)
    assert proxy.client().dbsize() > KEYS // 4
