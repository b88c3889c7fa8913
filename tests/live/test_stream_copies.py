"""Streams on real copies: ids for ``*`` that agree, exact trimming, consumer groups."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from kidoproxy.admin.embedded import EmbeddedNodes
from tests.live.contents import contents, equal
from tests.live.proxies import RunningProxy, Starter
from tests.live.test_rings_of_copies import Nested

pytestmark = [pytest.mark.live, pytest.mark.both_builds]


@pytest.fixture(scope="module", params=[2, 3], ids=["two", "three"])
def proxy(serve_proxy: Starter, request: pytest.FixtureRequest) -> RunningProxy:
    """Two copies, or three."""
    return serve_proxy("copy", request.param, timeout_ms=10_000)


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def client(proxy: RunningProxy, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client of emptied nodes."""
    found = proxy.client(protocol=request.param)
    found.flushall()
    yield found
    found.close()


def numbers(entry_id: bytes) -> tuple[int, int]:
    """An id in its order."""
    ms, seq = entry_id.split(b"-")
    return int(ms), int(seq)


def fields(row: list[Any]) -> dict[bytes, Any]:
    """A map, as RESP2 has it."""
    return dict(zip(row[::2], row[1::2], strict=True))


def groups_of(node: Any, stream: str) -> Any:
    """What a node's groups have delivered to whom, and how often; all but the moments of delivery."""
    found = []
    for row in fields(node.execute_command("XINFO", "STREAM", stream, "FULL", "COUNT", 0))[b"groups"]:
        group = fields(row)
        pending = [(entry[0], entry[1], entry[3]) for entry in group[b"pending"]]
        consumers = sorted(fields(one)[b"name"] for one in group[b"consumers"])
        found.append((group[b"name"], group[b"last-delivered-id"], pending, consumers))
    return found


def agreed_groups(proxy: RunningProxy, stream: str) -> Any:
    """The same on every copy."""
    first, *others = [groups_of(node, stream) for node in proxy.node_clients()]
    assert others == [first] * len(others)
    return first


def test_ids_rise(client: Any, proxy: RunningProxy) -> None:
    """Ids are of now, rise in the order in which entries were sent, and are the same on every copy."""
    before = time.time_ns() // 1_000_000
    pipe = client.pipeline(transaction=False)
    for at in range(500):
        pipe.xadd(f"s{at % 3}", {"n": at})
    ids = pipe.execute()
    for stream in range(3):
        own = ids[stream::3]
        assert own == sorted(set(own), key=numbers)
        assert client.xrange(f"s{stream}") == [(one, {b"n": b"%d" % (3 * at + stream)}) for at, one in enumerate(own)]
    assert before - 1000 <= numbers(ids[0])[0] <= time.time_ns() // 1_000_000 + 1000
    equal(proxy)


def test_streams_that_are_ahead(client: Any, proxy: RunningProxy) -> None:
    """Where a stream has a later id than the clock the next one is taken, as servers do, in the order of sending."""
    client.xadd("s", {"f": "v"}, id="9999999999999-1099")
    pipe = client.pipeline(transaction=False)
    for at in range(30):
        pipe.xadd("s", {"n": at})
    assert pipe.execute() == [b"9999999999999-%d" % (1100 + at) for at in range(30)]
    client.xadd("s", {"f": "v"}, id="9999999999999-18446744073709551615")
    assert client.xadd("s", {"f": "v"}) == b"10000000000000-0"
    client.execute_command("XSETID", "s", "18446744073709551615-18446744073709551615")
    with pytest.raises(redis.ResponseError, match="exhausted the last possible ID"):
        client.xadd("s", {"f": "v"})
    equal(proxy)


def test_all_or_nothing(client: Any, proxy: RunningProxy) -> None:
    """In a transaction, too, under WATCH, and with errors as a server has them."""
    client.set("string", "x")
    with client.pipeline() as pipe:
        pipe.watch("string")
        pipe.multi()
        pipe.xadd("s", {"f": "v"})
        pipe.xadd("string", {"f": "v"})
        pipe.xadd("none", {"f": "v"}, nomkstream=True)
        pipe.xadd("s", {"f": "w"}, maxlen=1, approximate=True)
        pipe.xlen("s")
        first, wrong, none, second, length = pipe.execute(raise_on_error=False)
    assert numbers(first) < numbers(second)
    assert str(wrong).endswith("WRONGTYPE Operation against a key holding the wrong kind of value")
    assert (none, length) == (None, 1)
    equal(proxy)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("XADD string * f v", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XADD s * f v g", "wrong number of arguments for 'xadd' command"),
        ("XADD s *", "wrong number of arguments for 'xadd' command"),
        ("XADD s MAXLEN ~ x * f v", "value is not an integer or out of range"),
        ("XADD s MAXLEN ~ 5 LIMIT -1 * f v", "The LIMIT argument must be >= 0."),
        ("XTRIM s MAXLEN = 5 LIMIT 5", "syntax error, LIMIT cannot be used without the special ~ option"),
    ],
)
def test_errors(client: Any, proxy: RunningProxy, words: str, said: str) -> None:
    """A server's own words."""
    client.set("string", "x")
    with pytest.raises(redis.ResponseError) as caught:
        client.execute_command(*words.split())
    assert said in str(caught.value)
    assert list(equal(proxy)) == [(0, b"string")]


def test_trimming(client: Any, proxy: RunningProxy) -> None:
    """Trimming that might stop early does not, so that copies keep the same entries."""
    for at in range(300):
        client.xadd("s", {"n": at}, maxlen=150, approximate=True)
    assert client.xlen("s") == 150
    assert client.xtrim("s", maxlen=40, approximate=True, limit=10) == 110
    oldest = client.xrange("s")[10][0]
    assert client.xtrim("s", minid=oldest, approximate=True) == 10
    assert client.xlen("s") == 30
    equal(proxy)


def test_large_entries(client: Any, proxy: RunningProxy) -> None:
    """Entries of more fields than a script takes, and of large values."""
    for count in (3000, 5000):
        assert client.xadd("s", {f"field:{at}": at for at in range(count)})
    assert client.xadd("s", {"f": b"x" * 3_000_000})
    assert client.xlen("s") == 3
    equal(proxy)


def test_reading_in_groups(client: Any, proxy: RunningProxy) -> None:
    """Without BLOCK, in a transaction, with NOACK and of the past: every copy has delivered the same to the same."""
    client.xgroup_create("s", "g", mkstream=True)
    ids = [client.xadd("s", {"n": at}) for at in range(10)]
    rows = client.xreadgroup("g", "first", {"s": ">"}, count=3)
    assert [row[0] for row in entries(rows)] == ids[:3]
    assert entries(client.xreadgroup("g", "silent", {"s": ">"}, count=2, noack=True))[0][0] == ids[3]
    with client.pipeline() as pipe:
        pipe.xreadgroup("g", "second", {"s": ">"}, count=2)
        pipe.xack("s", "g", ids[0])
        pipe.xreadgroup("g", "second", {"s": ">"}, block=10_000)
        pipe.xreadgroup("g", "second", {"s": ">"}, block=10_000)
        replies = pipe.execute()
    assert [len(entries(replies[0])), replies[1], len(entries(replies[2])), bool(replies[3])] == [2, 1, 3, False]
    assert len(entries(client.xreadgroup("g", "first", {"s": "0"}))) == 2
    assert client.xreadgroup("g", "first", {"s": ">"}, block=1) in ([], {})
    [(name, last, pending, consumers)] = agreed_groups(proxy, "s")
    assert (name, last, consumers) == (b"g", ids[-1], [b"first", b"second", b"silent"])
    assert [(entry_id, consumer) for entry_id, consumer, _ in pending] == [
        (entry_id, b"first" if at < 3 else b"second") for at, entry_id in enumerate(ids) if at in (1, 2, 5, 6, 7, 8, 9)
    ]


def entries(rows: Any) -> Any:
    """The entries of the one stream of XREADGROUP's reply, in either protocol."""
    if isinstance(rows, dict):
        [[found]] = rows.values()
        return found
    return rows[0][1]


def test_a_queue(client: Any, proxy: RunningProxy) -> None:
    """Consumers that block get every entry that producers add, each once, and copies agree on what is pending."""
    client.xgroup_create("s", "g", mkstream=True)
    got: list[bytes] = []

    def consume(name: str) -> None:
        own = proxy.client(protocol=client.connection_pool.connection_kwargs["protocol"])
        while rows := own.xreadgroup("g", name, {"s": ">"}, count=5, block=1000):
            found = [entry_id for entry_id, _ in entries(rows)]
            got.extend(found)
            own.xack("s", "g", found[0])

    threads = [threading.Thread(target=consume, args=(f"c{at}",)) for at in range(3)]
    for thread in threads:
        thread.start()
    added = [client.xadd("s", {"n": at}, maxlen=1000) for at in range(200)]
    for thread in threads:
        thread.join(20)
    assert sorted(got, key=numbers) == added
    [(_, last, _, _)] = agreed_groups(proxy, "s")
    assert last == added[-1]


def test_a_ring_of_copies(tmp_path: Path) -> None:
    """Each shard's copies agree."""
    with EmbeddedNodes() as nodes, Nested(tmp_path, "ring", nodes.start(4), nodes) as found:
        found.start()
        client = found.client()
        with client.pipeline() as pipe:
            for at in range(100):
                pipe.xadd(f"s{at % 10}", {"n": at}, maxlen=5, approximate=True)
            pipe.execute()
        held = [contents(url) for url in found.nodes.urls]
        assert (held[0], held[2]) == (held[1], held[3])
        assert len(held[0] | held[2]) == 10


def test_a_copy_that_dies(own_proxy: Starter) -> None:
    """What was added while a copy died is all there, in its order, and no entry is there twice."""
    proxy = own_proxy("copy", 2, timeout_ms=1000, heal="manual")
    client = proxy.client()
    added, problems = [], []
    for at in range(400):
        if at == 100:
            proxy.kill(0)
        try:
            added.append((client.xadd("s", {"n": at}), at))
        except redis.RedisError as problem:
            problems.append(str(problem))
    kept = [(entry_id, int(row[b"n"])) for entry_id, row in proxy.node_clients()[1].xrange("s")]
    assert [row for row in kept if row in added] == added
    assert (len(problems) <= 1, all("unknown" in one for one in problems)) == (True, True)
    assert len({number for _, number in kept}) == len(kept)
