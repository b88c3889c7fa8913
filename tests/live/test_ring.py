"""A ring of three against one real server: the values are equal, up to the order where Redis says that it is free."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import redis

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.commands.find import find
from kidoproxy.commands.keys import key_positions
from tests.live.asking import lines, replies
from tests.live.proxies import RunningProxy, Starter
from tests.live.script import SETUP, WHOLE
from tests.live.script_keyed import KEYED
from tests.live.test_oracle import unequal

pytestmark = [pytest.mark.live, pytest.mark.both_builds]

KEYS: Final = [f"key:{number}" for number in range(300)]


@pytest.fixture(scope="module")
def ring(serve_proxy: Starter) -> RunningProxy:
    """Three nodes."""
    return serve_proxy("ring", 3)


@pytest.fixture(scope="module")
def oracle() -> Iterator[str]:
    """One server."""
    with EmbeddedNodes() as nodes:
        yield nodes.start(1)[0]


@pytest.fixture
def both(ring: RunningProxy, oracle: str) -> tuple[str, str]:
    """The addresses of both, emptied."""
    for url in (oracle, ring.url):
        replies(url, [[b"FLUSHALL"], [b"FUNCTION", b"FLUSH"], [b"SCRIPT", b"FLUSH"]])
    return oracle, ring.url


@pytest.fixture
def clients(both: tuple[str, str], ring: RunningProxy) -> Iterator[tuple[Any, Any]]:
    """The same as clients."""
    with redis.Redis.from_url(both[0]) as straight:
        yield straight, ring.client()


def tagged(request: list[bytes]) -> list[bytes]:
    """The same request with all its keys on one node."""
    spec = find(request)
    places = key_positions(spec, request) if spec is not None else []
    return [b"{t}" + word if at in places else word for at, word in enumerate(request)]


@pytest.mark.parametrize("proto", [2, 3])
def test_keys_that_meet(both: tuple[str, str], proto: int) -> None:
    """With a tag in its keys every command works on a ring as on one server."""
    requests = [[b"HELLO", b"%d" % proto]] + [tagged(request) for request in lines(SETUP) + lines(KEYED)]
    said = replies(both[0], requests), replies(both[1], requests)
    assert unequal(requests[1:], (said[0][1:], said[1][1:])) == []


@pytest.mark.parametrize("proto", [2, 3])
def test_whole_keyspace(both: tuple[str, str], proto: int) -> None:
    """What is split, or asked of all, sums up to what one server with all keys says."""
    script = [request for request in lines(WHOLE) if request[0] not in (b"scan", b"commandlog")]
    requests = [[b"HELLO", b"%d" % proto], *lines(SETUP), *script]
    said = replies(both[0], requests), replies(both[1], requests)
    assert unequal(requests[1:], (said[0][1:], said[1][1:])) == []


def test_split(clients: tuple[Any, Any]) -> None:
    """MSET, MGET, EXISTS, TOUCH, DEL, UNLINK and DBSIZE over many keys on all nodes."""
    said = []
    for client in clients:
        client.mset({key: key for key in KEYS})
        said.append(
            [
                client.dbsize(),
                client.mget([*KEYS, "none", *KEYS[:10]]),
                client.exists(*KEYS, "none", KEYS[0]),
                client.touch(*KEYS, "none"),
                client.delete(*KEYS[:100], "none", KEYS[0]),
                client.unlink(*KEYS[50:150]),
                sorted(client.keys("key:2??")),
                client.dbsize(),
            ]
        )
    assert said[0] == said[1]


@pytest.mark.parametrize("options", [{}, {"match": "key:1*"}, {"count": 7}, {"_type": "hash"}], ids=str)
def test_scan(clients: tuple[Any, Any], options: dict[str, Any]) -> None:
    """SCAN finds every key exactly once when nothing changes, whatever its options."""
    said = []
    for client in clients:
        client.mset({key: key for key in KEYS})
        for key in KEYS[:20]:
            client.hset(f"h:{key}", "f", 1)
        said.append(sorted(client.scan_iter(**options)))
    assert said[0] == said[1]
    assert len(set(said[1])) == len(said[1])


@pytest.mark.parametrize("transaction", [True, False])
def test_pipeline(clients: tuple[Any, Any], transaction: bool) -> None:
    """A pipeline or transaction over all nodes has its replies in the order of its commands, errors in their places."""
    said = []
    for client in clients:
        with client.pipeline(transaction=transaction) as pipe:
            pipe.mset({key: key for key in KEYS})
            for key in KEYS:
                pipe.append(key, "!").get(key)
            pipe.lpush(KEYS[0], 1).mget(KEYS).delete(*KEYS[:10]).dbsize()
            said.append([str(item) for item in pipe.execute(raise_on_error=False)])
    assert said[0] == said[1]


MULTIPLE: Final = """
rename {0} {1}
renamenx {0} {1}
copy {0} {1}
sunion {0} {1}
sinterstore {0} {1}
msetnx {0} 1 {1} 2
msetex 2 {0} 1 {1} 2 ex 5
lmove {0} {1} left right
rpoplpush {0} {1}
bitop and {0} {1}
pfmerge {0} {1}
eval x 2 {0} {1}
zunion 2 {0} {1}
zrangestore {0} {1} 0 1
smove {0} {1} m
sort {0} store {1}
lcs {0} {1}
"""


@pytest.mark.parametrize("request_line", MULTIPLE.strip().splitlines())
def test_keys_that_do_not_meet(clients: tuple[Any, Any], ring: RunningProxy, request_line: str) -> None:
    """What cannot be split over nodes is refused with Redis's own code word, and nothing has been done."""
    first, second = (ring.keys_on(at, 1)[0] for at in (0, 1))
    client = clients[1]
    with pytest.raises(redis.exceptions.ResponseError, match=r"Keys in request don't hash to the same node") as error:
        client.execute_command(*request_line.format(first, second).split())
    assert type(error.value).__name__ == "ClusterCrossSlotError"
    assert client.dbsize() == 0


def test_every_node_knows_a_script(ring: RunningProxy, clients: tuple[Any, Any]) -> None:
    """A script that was loaded once runs for any key."""
    client = clients[1]
    digest = client.script_load("return redis.call('incr', KEYS[1])")
    assert [client.evalsha(digest, 1, key) for key in KEYS[:50]] == [1] * 50
    assert [node.script_exists(digest) for node in ring.node_clients()] == [[True]] * 3
