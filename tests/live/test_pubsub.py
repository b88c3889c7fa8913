"""Channels from outside: real clients that listen through the proxy to real nodes, one subscription for all of them."""

from typing import Any, Final

import pytest
import redis
import redis.asyncio

from kidoproxy.resp.encode import encode_request
from tests.live.proxies import RunningProxy, Starter
from tests.live.test_faults import said
from tests.wait import eventually

pytestmark = pytest.mark.live

SECONDS: Final = 20.0


@pytest.fixture(scope="module")
def ring(serve_proxy: Starter) -> RunningProxy:
    """Three nodes that say what happens to their keys."""
    return serve_proxy("ring", 3, args=["--notify-keyspace-events", "KEA"])


@pytest.fixture(scope="module")
def copies(serve_proxy: Starter) -> RunningProxy:
    """Three copies that do the same."""
    return serve_proxy("copy", 3, args=["--notify-keyspace-events", "KEA"])


@pytest.fixture(params=["ring", "copy"])
def proxy(request: pytest.FixtureRequest, ring: RunningProxy, copies: RunningProxy) -> RunningProxy:
    """Either of them."""
    return ring if request.param == "ring" else copies


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def proto(request: pytest.FixtureRequest) -> int:
    """Both protocols."""
    return int(request.param)


def heard(listener: Any, count: int) -> list[tuple[str, bytes | None, bytes | None, Any]]:
    """So many messages of redis-py: type, pattern, channel, data."""
    found: list[tuple[str, bytes | None, bytes | None, Any]] = []
    while len(found) < count:
        message = listener.get_message(timeout=SECONDS)
        assert message is not None, f"after {found}"
        found.append((message["type"], message["pattern"], message["channel"], message["data"]))
    return found


def listening(proxy: RunningProxy, proto: int, *channels: str, patterns: tuple[str, ...] = ()) -> Any:
    """A subscriber whose subscriptions are confirmed; closed with the proxy."""
    listener = proxy.client(protocol=proto).pubsub()
    if channels:
        listener.subscribe(*channels)
    if patterns:
        listener.psubscribe(*patterns)
    heard(listener, len(channels) + len(patterns))
    return listener


def upstream(proxy: RunningProxy, channel: str) -> list[int]:
    """How many subscribers of the channel each node counts."""
    return [dict(node.pubsub_numsub(channel))[channel.encode()] for node in proxy.node_clients()]


# -- clients ---------------------------------------------------------------------------------------------


def test_redis_py(proxy: RunningProxy, proto: int) -> None:
    """A subscriber hears each message once for its channel and once for its pattern; PUBLISH counts both."""
    client = proxy.client(protocol=proto)
    with listening(proxy, proto, "news", "other", patterns=("n*",)) as listener:
        assert client.publish("news", "hello") == 2
        assert sorted(heard(listener, 2)) == [
            ("message", None, b"news", b"hello"),
            ("pmessage", b"n*", b"news", b"hello"),
        ]
        assert client.publish("nobody", "hello") == 1
        assert heard(listener, 1) == [("pmessage", b"n*", b"nobody", b"hello")]
        listener.unsubscribe()
        listener.punsubscribe()
        assert {row[0] for row in heard(listener, 3)} == {"unsubscribe", "punsubscribe"}
        assert client.publish("news", "hello") == 0
    eventually(lambda: proxy.client().pubsub_channels() == [] and proxy.client().pubsub_numpat() == 0)


async def test_redis_py_asyncio(proxy: RunningProxy, proto: int) -> None:
    """The same with asyncio; commands in a pipeline reach channels too."""
    client = redis.asyncio.Redis(port=proxy.port, protocol=proto)
    async with client, client.pubsub() as listener:
        await listener.subscribe("async")
        assert (await listener.get_message(timeout=SECONDS))["type"] == "subscribe"
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.set("async", "value")
            pipeline.publish("async", "value")
            assert await pipeline.execute() == [True, 1]
        found = await listener.get_message(timeout=SECONDS)
        assert (found["type"], found["channel"], found["data"]) == ("message", b"async", b"value")


def test_shard_channels(proxy: RunningProxy) -> None:
    """SPUBLISH reaches who has said SSUBSCRIBE, and nobody else."""
    with proxy.raw() as connection:
        connection.sendall(b"HELLO 3\r\nSSUBSCRIBE s\r\n")
        assert said(connection, 2)[1] == b">3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n"
        assert proxy.client().execute_command("PUBLISH", "s", "m") == 0
        assert proxy.client().execute_command("SPUBLISH", "s", "m") == 1
        assert said(connection, 1) == [b">3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$1\r\nm\r\n"]
        assert proxy.client().execute_command("PUBSUB", "SHARDCHANNELS") == [b"s"]
        assert proxy.client(protocol=2).execute_command("PUBSUB", "SHARDNUMSUB", "s") == [b"s", 1]


def test_many_clients_are_one_subscription(proxy: RunningProxy) -> None:
    """However many clients have a channel, its node counts one; the proxy counts them all, and serves them all."""
    sockets = [proxy.raw() for _ in range(200)]
    try:
        for at, connection in enumerate(sockets):
            connection.sendall(
                encode_request([b"HELLO", b"3" if at % 2 else b"2"]) + encode_request([b"SUBSCRIBE", b"crowd"])
            )
        for at, connection in enumerate(sockets):
            confirmed = said(connection, 2)[1]
            assert confirmed == (b">" if at % 2 else b"*") + b"3\r\n$9\r\nsubscribe\r\n$5\r\ncrowd\r\n:1\r\n"
        assert sorted(upstream(proxy, "crowd")) == [0, 0, 1]
        assert proxy.client().pubsub_numsub("crowd") == [(b"crowd", 200)]
        assert proxy.client().publish("crowd", "m") == 200
        for at, connection in enumerate(sockets):
            kind = b">" if at % 2 else b"*"
            assert said(connection, 1) == [kind + b"3\r\n$7\r\nmessage\r\n$5\r\ncrowd\r\n$1\r\nm\r\n"]
        assert proxy.client().info("stats")["pubsub_channels"] == 1
    finally:
        for connection in sockets:
            connection.close()
    eventually(lambda: upstream(proxy, "crowd") == [0, 0, 0])
    eventually(lambda: not any(node.client_list(_type="pubsub") for node in proxy.node_clients()))


def test_the_list_of_clients(ring: RunningProxy) -> None:
    """Who listens is of type pubsub, and can be killed as such; its subscriptions go with it."""
    listener = listening(ring, 3, "a", "b", patterns=("p*",))
    found = ring.client().client_list(_type="pubsub")
    assert [(one["flags"], one["sub"], one["psub"], one["ssub"]) for one in found] == [("P", "2", "1", "0")]
    assert ring.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") >= 0
    assert ring.client().execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
    with pytest.raises(redis.ConnectionError):
        listener.connection.read_response(timeout=SECONDS)
    eventually(lambda: upstream(ring, "a") == [0, 0, 0])
    listener.close()


# -- keyspace events -------------------------------------------------------------------------------------


def test_keyspace_events(proxy: RunningProxy, proto: int) -> None:
    """What any node says about its keys is heard, once, whichever node has the key."""
    client = proxy.client()
    client.flushall()
    keys = [f"event:{number}" for number in range(30)]
    with listening(proxy, proto, "__keyevent@0__:set", patterns=("__keyspace@0__:event:*",)) as listener:
        for key in keys:
            client.set(key, "v")
        found = heard(listener, 60)
        events = sorted(data for kind, _, _, data in found if kind == "message")
        spaces = sorted(channel or b"" for kind, _, channel, _ in found if kind == "pmessage")
        assert events == sorted(key.encode() for key in keys)
        assert spaces == sorted(f"__keyspace@0__:{key}".encode() for key in keys)
        assert client.publish("end", "") == 0
        assert listener.get_message(timeout=0.01) is None


# -- nodes that fail -------------------------------------------------------------------------------------


def channels_on_each(proxy: RunningProxy) -> list[str]:
    """A channel on each node."""
    return [proxy.keys_on(at, 1, "channel")[0] for at in range(len(proxy.names))]


def test_a_node_that_comes_back(own_proxy: Starter, proto: int) -> None:
    """Subscriptions to a node that is killed stay, and are there again when it is; the others notice nothing."""
    proxy = own_proxy("ring", 2, tcp=True)
    good, bad = channels_on_each(proxy)
    client = proxy.client()
    with listening(proxy, proto, good, bad, patterns=("chan*",)) as listener:
        proxy.kill(1)
        assert client.publish(good, "still") == 2
        assert {row[0] for row in heard(listener, 2)} == {"message", "pmessage"}
        eventually(lambda: "not listening: node=node-1" in proxy.log())
        with pytest.raises(redis.ResponseError, match=r"^NODEDOWN node-1"):
            client.publish(bad, "lost")
        with proxy.client(protocol=proto).pubsub() as late:
            late.subscribe(good, bad)
            with pytest.raises(redis.ResponseError, match=r"^NODEDOWN node-1"):
                heard(late, 1)
        proxy.restart(1)
        eventually(lambda: proxy.node_clients()[1].pubsub_channels() == [bad.encode()])
        eventually(lambda: proxy.node_clients()[1].pubsub_numpat() == 1)
        eventually(lambda: "listening again: node=node-1" in proxy.log())
        eventually(lambda: answered(client) and client.publish(bad, "back") == 2)
        assert ("message", None, bad.encode(), b"back") in heard(listener, 2)


def answered(client: Any) -> bool:
    """Whether every node answers."""
    try:
        client.dbsize()
    except redis.RedisError:
        return False
    return True


def test_a_copy_that_fails(own_proxy: Starter, proto: int) -> None:
    """When the copy that is listened to is killed another one is; every message that is counted arrives, once."""
    proxy = own_proxy("copy", 3, tcp=True)
    client = proxy.client()
    with listening(proxy, proto, "news") as listener:
        assert upstream(proxy, "news") == [1, 0, 0]
        assert client.publish("news", "before") == 1
        proxy.kill(0)
        sent = [b"before"]

        def reached() -> bool:
            text = b"%d" % len(sent)
            try:
                count = client.publish("news", text)
            except redis.ResponseError:
                return False
            sent.extend([text] * count)
            return bool(count)

        eventually(reached)
        assert client.publish("news", "after") == 1
        sent.append(b"after")
        assert [row[3] for row in heard(listener, len(sent))] == sent
        proxy.restart(0)
        eventually(lambda: ordered(client))
        eventually(lambda: client.info("kidoproxynodes")["node0"]["state"] == "in sync")
        assert client.publish("news", "end") == 1
        assert [row[3] for row in heard(listener, 1)] == [b"end"]


def ordered(client: Any) -> bool:
    """Whether the sync of the copy that was restarted has been ordered; first the proxy has to see the restart."""
    try:
        return bool(client.execute_command("PROXY", "SYNC", "node-0"))
    except redis.ResponseError:
        return False


def test_a_node_may_forbid_it(own_proxy: Starter) -> None:
    """What the node's ACL refuses is refused in the node's words, and costs nobody else anything."""
    args = ["--user", "listener", "on", ">secret", "~*", "+@all", "resetchannels", "&good:*"]
    proxy = own_proxy("ring", 1, args=args, node={"username": "listener", "password": "secret"})
    sockets = [proxy.raw() for _ in range(12)]
    try:
        for at, connection in enumerate(sockets):
            connection.sendall(encode_request([b"SUBSCRIBE", b"good:%d" % at if at % 3 else b"bad:%d" % at]))
        for at, connection in enumerate(sockets):
            reply = said(connection, 1)[0]
            assert reply.startswith(b"*3\r\n$9\r\nsubscribe\r\n" if at % 3 else b"-NOPERM "), (at, reply)
    finally:
        for connection in sockets:
            connection.close()


# -- clients that are slow -------------------------------------------------------------------------------


def test_a_slow_subscriber(own_proxy: Starter) -> None:
    """Who does not read its messages is cut at its limit; who does gets all of them."""
    proxy = own_proxy("ring", 1, limits={"pubsub_output_mb": 4})
    client = proxy.client()
    block = b"x" * 100_000
    with proxy.raw() as slow, listening(proxy, 3, "flood") as listener:
        slow.sendall(encode_request([b"SUBSCRIBE", b"flood"]))
        said(slow, 1)
        counts = []
        for number in range(200):
            counts.append(client.publish("flood", b"%d:" % number + block))
            assert heard(listener, 1)[0][3] == b"%d:" % number + block
        assert (counts[0], counts[-1]) == (2, 1)
        assert "client cut" in proxy.log()
        assert "reason=output limit" in proxy.log()
        assert client.publish("flood", "end") == 1


# -- workers ---------------------------------------------------------------------------------------------


def test_workers(own_proxy: Starter) -> None:
    """Clients of all workers hear a message, whichever worker it was sent to; each worker listens once."""
    proxy = own_proxy("ring", 2, proxy={"workers": 2})
    sockets = [proxy.raw() for _ in range(32)]
    try:
        for connection in sockets:
            connection.sendall(encode_request([b"SUBSCRIBE", b"news"]))
        for connection in sockets:
            said(connection, 1)
        listeners = sum(upstream(proxy, "news"))
        assert listeners in (1, 2)
        assert proxy.client().publish("news", "m") >= listeners
        for connection in sockets:
            assert said(connection, 1) == [b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nm\r\n"]
    finally:
        for connection in sockets:
            connection.close()
    eventually(lambda: sum(upstream(proxy, "news")) == 0)


# -- transactions ----------------------------------------------------------------------------------------


def test_in_a_transaction(ring: RunningProxy) -> None:
    """PUBLISH is part of its node's transaction, wherever the keys beside it live."""
    keys = channels_on_each(ring)
    with listening(ring, 2, *keys) as listener, ring.client().pipeline(transaction=True) as pipeline:
        for key in keys:
            pipeline.set(key, "v").publish(key, "set")
        assert pipeline.execute() == [True, 1] * 3
        assert sorted(row[2] or b"" for row in heard(listener, 3)) == sorted(key.encode() for key in keys)
