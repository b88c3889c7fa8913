"""Copies that were changed past the proxy: a scrub finds what differs, and nothing else, and repairs it."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from tests.live.contents import equal
from tests.live.proxies import RunningProxy, Starter, environment
from tests.wait import eventually

pytestmark = pytest.mark.live


def scrub(proxy: RunningProxy, *options: str) -> tuple[int, str]:
    """``kidoproxy scrub``: its exit status and what it said."""
    words = [sys.executable, "-m", "kidoproxy", "scrub", "--config", str(proxy.config), "pool", *options]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def fill(client: Any) -> None:
    """Keys of all kinds, and a stream with a group."""
    pipe = client.pipeline(transaction=False)
    for number in range(500):
        pipe.set(f"s{number}", number)
    for at in range(3):
        pipe.rpush(f"list{at}", *range(20))
        pipe.sadd(f"set{at}", *[f"member-{number}" for number in range(20)])
        pipe.hset(f"hash{at}", mapping={f"field-{number}": number for number in range(20)})
        pipe.zadd(f"zset{at}", {f"member-{number}": number for number in range(20)})
    pipe.xadd("stream", {"a": 1})
    pipe.xadd("stream", {"a": 2})
    pipe.xgroup_create("stream", "g", "0")
    pipe.xreadgroup("g", "c", {"stream": ">"})
    pipe.set("expires", 1, ex=1000)
    pipe.execute()


def store_otherwise(node: Any) -> None:
    """The same contents in other forms: order of members, encodings, times of delivery."""
    members = sorted(node.smembers("set1"), reverse=True)
    node.delete("set1")
    for member in members:
        node.sadd("set1", member)
    fields = node.hgetall("hash1")
    node.delete("hash1")
    node.hset("hash1", mapping=dict(reversed(fields.items())))
    node.hset("hash2", "long", "x" * 500)
    node.hdel("hash2", "long")
    entry = node.xpending_range("stream", "g", "-", "+", 1)[0]
    node.xclaim("stream", "g", "c", 0, [entry["message_id"]], idle=100_000, retrycount=1, justid=True)


def plant(node: Any, url: str) -> list[str]:
    """Differences past the proxy; the names of the keys."""
    node.delete("s1")
    node.set("s2", "other")
    node.pexpire("expires", 500_000)
    node.pexpire("s3", 500_000)
    node.set("extra", 1)
    node.sadd("set0", "one more")
    node.hset("hash0", "field-1", "other")
    node.zadd("zset0", {"member-1": 77})
    node.lset("list0", 3, "other")
    node.execute_command("XACK", "stream", "g", node.xpending_range("stream", "g", "-", "+", 1)[0]["message_id"])
    with redis.Redis.from_url(url, db=3, protocol=2) as far:
        far.set("far", 1)
    return "s1 s2 s3 expires extra set0 hash0 zset0 list0 stream far".split()  # noqa: SIM905


def test_what_differs_is_found_and_repaired(own_proxy: Starter) -> None:
    """Other forms of the same content are equal; a dry run changes nothing; a scrub makes the copies equal."""
    proxy = own_proxy("copy", 2)
    fill(proxy.client())
    nodes = proxy.node_clients()
    store_otherwise(nodes[1])
    status, said = scrub(proxy)
    assert said.endswith("pool: 514 keys compared on node-0 node-1: all are equal\n"), said
    assert status == 0

    names = plant(nodes[1], proxy.nodes.urls[1])
    status, said = scrub(proxy, "--dry-run")
    assert status == 1
    assert "differ, nothing was repaired (dry run)" in said
    differing = sorted(line.split("'")[1] for line in said.splitlines() if line.endswith("differs"))
    assert differing == sorted(names)
    assert "db 3: 'far' differs" in said
    assert nodes[1].get("s2") == b"other"

    status, said = scrub(proxy)
    assert status == 1
    assert f"{len(names)} differ, {len(names)} repaired" in said
    equal(proxy, (0, 3))
    assert scrub(proxy)[0] == 0
    log = proxy.log()
    assert "scrub started: pool=pool" in log
    assert "scrub ended: pool=pool" in log


LARGE = 12_000


def fill_large(client: Any) -> None:
    """A value of each type that is compared in pieces."""
    client.set("string", b"x" * (9 << 20))
    for at in range(0, LARGE, 1000):
        pipe = client.pipeline(transaction=False)
        for number in range(at, at + 1000):
            word = b"%0800d" % number
            pipe.hset("hash", b"f%d" % number, word)
            pipe.sadd("set", word)
            pipe.zadd("zset", {word: number / 7})
            pipe.rpush("list", word)
            pipe.xadd("stream", {"f": word}, id=f"{number + 1}-1")
        pipe.execute()
    client.sadd("medium", *[b"%0800d" % number for number in range(1000)])
    client.xgroup_create("stream", "g", "0")
    client.xreadgroup("g", "c", {"stream": ">"}, count=2000)


def plant_large(node: Any) -> None:
    """One byte, or one member, of each, and of the stream a pending entry; the lengths stay."""
    node.setrange("string", 8 << 20, b"y")
    node.hset("hash", "f11000", "other")
    node.srem("set", b"%0800d" % 11_000)
    node.sadd("set", "other")
    node.srem("medium", b"%0800d" % 500)
    node.sadd("medium", "other")
    node.zadd("zset", {b"%0800d" % 11_000: 5})
    node.lset("list", 11_000, "other")
    node.xack("stream", "g", "1500-1")
    node.xclaim("stream", "g", "c", 0, ["9000-1"], force=True, justid=True)


def test_large_values(own_proxy: Starter) -> None:
    """They are compared piece by piece while writes go on: what differs is found and repaired, and nothing else."""
    proxy = own_proxy("copy", 2, timeout_ms=5000)
    client = proxy.client()
    fill_large(client)
    stop = threading.Event()

    def write() -> None:
        with proxy.client() as writer:
            while not stop.is_set():
                writer.setrange("string", 1 << 20, "written")
                writer.rpush("list", writer.lpop("list"))
                writer.hset("hash", "f7", "new")
                writer.spop("set")
                writer.sadd("set", "new")

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            status, said = scrub(proxy)
        finally:
            stop.set()
        writing.result(20)
    assert (status, said.splitlines()[-1]) == (0, "pool: 7 keys compared on node-0 node-1: all are equal")

    plant_large(proxy.node_clients()[1])
    status, said = scrub(proxy)
    assert (status, "7 differ, 7 repaired" in said) == (1, True), said
    equal(proxy)


def test_fields_that_expire(own_proxy: Starter) -> None:
    """What one copy has let go a moment before the other one is no difference; another moment is."""
    proxy = own_proxy("copy", 2, server="embedded")
    client = proxy.client()
    pipe = client.pipeline(transaction=False)
    for number in range(300):
        pipe.hset(f"h{number}", mapping={"f": 1, "g": 2})
        pipe.execute_command("HPEXPIRE", f"h{number}", 200 + 10 * number, "FIELDS", 1, "f")
        pipe.hset(f"one{number}", "f", 1)
        pipe.execute_command("HPEXPIRE", f"one{number}", 205 + 10 * number, "FIELDS", 1, "f")
    pipe.hset("other", mapping={"f": 1, "g": 2})
    pipe.execute_command("HPEXPIRE", "other", 600_000, "FIELDS", 1, "f")
    pipe.execute()
    while client.exists("one299"):
        status, said = scrub(proxy, "--dry-run")
        assert (status, "all are equal" in said) == (0, True), said
    proxy.node_clients()[1].execute_command("HPEXPIRE", "other", 500_000, "FIELDS", 1, "f")
    status, said = scrub(proxy)
    assert (status, "'other' differs" in said, "1 repaired" in said) == (1, True, True)
    assert scrub(proxy)[0] == 0


def test_two_at_once_and_an_end(own_proxy: Starter) -> None:
    """A second request is refused with status 2; one that is cancelled ends so, and has changed nothing."""
    proxy = own_proxy("copy", 2, sync_keys_per_s=1)
    client = proxy.client()
    for number in range(20):
        client.set(f"k{number}", number)
    proxy.node_clients()[1].set("k0", "other")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(scrub, proxy)
        eventually(lambda: b"running" in repr(client.execute_command("PROXY", "SCRUB", "STATUS")).encode())
        status, said = scrub(proxy)
        assert (status, "it is being scrubbed already" in said) == (2, True)
        client.execute_command("PROXY", "SCRUB", "CANCEL")
        status, said = first.result(30)
    assert (status, "was not scrubbed: cancelled" in said) == (2, True)


def test_what_cannot_be_compared(own_proxy: Starter) -> None:
    """Without two copies that answer it ends with a reason and status 2; it can be requested again."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.set("k", 1)
    proxy.kill(1)
    client.set("k", 2)
    status, said = scrub(proxy)
    assert (status, "it takes two copies that are in sync" in said) == (2, True)
    with pytest.raises(redis.ResponseError, match="no scrub of 'pool': it is not being scrubbed"):
        client.execute_command("PROXY", "SCRUB", "CANCEL")


def test_by_itself(own_proxy: Starter) -> None:
    """With a scrub every second what was changed past the proxy is repaired without a request."""
    proxy = own_proxy("copy", 3, scrub="1s")
    proxy.client().set("k", 1)
    nodes = proxy.node_clients()
    nodes[2].set("extra", 1)
    nodes[1].set("k", 2)
    nodes[2].set("k", 3)
    eventually(lambda: [node.get("k") for node in nodes] in ([b"1"] * 3, [b"2"] * 3, [b"3"] * 3))
    eventually(lambda: len({node.exists("extra") for node in nodes}) == 1)
    equal(proxy)


def test_a_restart_does_not_put_it_off(own_proxy: Starter) -> None:
    """The interval counts from the last scrub, which the record remembers."""
    proxy = own_proxy("copy", 2, scrub="1h")
    proxy.client().set("k", 1)
    assert scrub(proxy)[0] == 0
    proxy.end()
    (record,) = (proxy.folder / "state").glob("copies-*.json")
    known = json.loads(record.read_text())
    assert 0 < known["scrub_done_ms"] == known["scrub_since_ms"]
    record.write_text(json.dumps({**known, "scrub_since_ms": known["scrub_since_ms"] - 3_600_000}))
    proxy.start()
    eventually(lambda: "scrub ended" in proxy.log())
