# mypy: disable-error-code="import-untyped"
"""Scripts and functions on three nodes: a client never needs to know which of them has forgotten what."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import redis
from django.conf import settings
from django.core.cache import CacheHandler

from kidoproxy.admin.embedded import EmbeddedNodes
from tests.commands.oracle import program
from tests.live.asking import lines, replies
from tests.live.contents import is_served, states
from tests.live.proxies import RunningProxy, Starter
from tests.live.script import LIBRARY
from tests.live.test_oracle import unequal
from tests.wait import eventually

if not settings.configured:
    settings.configure()

pytestmark = pytest.mark.live

INCR: Final = "redis.call('incr', KEYS[1]) return redis.call('get', KEYS[1])"
CODE: Final = """#!lua name=counting
redis.register_function('count', function(keys, args) return redis.call('incrby', keys[1], args[1]) end)
redis.register_function{function_name='peek', callback=function(keys) return redis.call('get', keys[1]) end,
    flags={'no-writes'}}"""


def healed(client: Any) -> int:
    """How many NOSCRIPT replies no client has seen."""
    return int(client.info("kidoproxy")["healed_scripts"])


def forget(proxy: RunningProxy, at: int = 1) -> None:
    """A node loses its scripts, and the proxy does not know."""
    proxy.node_clients()[at].script_flush()


def restart(proxy: RunningProxy, at: int = 1) -> None:
    """A node loses everything."""
    proxy.kill(at)
    eventually(lambda: states(proxy)[at] == "down")
    proxy.restart(at)
    eventually(lambda: all(is_served(proxy, at, protocol) for protocol in (2, 3)))


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def protocol(request: pytest.FixtureRequest) -> int:
    """Both."""
    return int(request.param)


@pytest.fixture
def ring(own_proxy: Starter) -> RunningProxy:
    """Three nodes."""
    return own_proxy("ring", 3)


# -- EVALSHA -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lose", [forget, restart])
def test_script_is_forgotten(ring: RunningProxy, lose: Callable[[RunningProxy], None], protocol: int) -> None:
    """EVALSHA runs on a node that has forgotten the script, and NOSCRIPT is not seen; nothing runs twice."""
    client = ring.client(protocol)
    digest = client.script_load(INCR)
    key = ring.keys_on(1, 1)[0]
    assert [client.evalsha(digest, 1, key) for _ in range(3)] == [b"1", b"2", b"3"]
    lose(ring)
    client.set(key, 10)
    assert [client.evalsha(digest, 1, key) for _ in range(3)] == [b"11", b"12", b"13"]
    assert healed(client) == (1 if lose is forget else 0)
    assert ring.node_clients()[1].script_exists(digest) == [True]


@pytest.mark.parametrize("lose", [forget, restart])
@pytest.mark.parametrize("transaction", [True, False])
def test_pipelines(ring: RunningProxy, lose: Callable[[RunningProxy], None], transaction: bool, protocol: int) -> None:
    """In a pipeline and in a transaction each EVALSHA runs in its place."""
    client = ring.client(protocol)
    digest = client.script_load(INCR)
    keys = [ring.keys_on(at, 1)[0] for at in range(3)]
    client.mset(dict.fromkeys(keys, 0))
    for turn in range(3):
        with client.pipeline(transaction=transaction) as pipe:
            for key in keys:
                pipe.set(key, turn)
                for _ in range(4):
                    pipe.evalsha(digest, 1, key).get(key)
            said = pipe.execute()
        right = [True] + [b"%d" % (turn + number) for number in range(1, 5) for _ in range(2)]
        assert said == right * 3
        lose(ring)


def test_redis_py_scripts(ring: RunningProxy, protocol: int) -> None:
    """redis-py's registered scripts and locks work while a node forgets scripts again and again."""
    client = ring.client(protocol)
    script = client.register_script(INCR)
    key = ring.keys_on(1, 1, "n")[0]
    name = ring.keys_on(1, 1, "lock")[0]
    for turn in range(3):
        client.set(key, 0)
        assert script([key]) == b"1"
        with client.lock(name, timeout=20) as lock:
            forget(ring)
            assert lock.extend(5)
            assert lock.reacquire()
            assert script([key]) == b"2"
            with client.pipeline(transaction=bool(turn % 2)) as pipe:
                forget(ring)
                for _ in range(3):
                    script([key], client=pipe)
                assert pipe.execute() == [b"3", b"4", b"5"]
            forget(ring)
        assert client.exists(name) == 0
        restart(ring)


def test_django_redis_incr(ring: RunningProxy) -> None:
    """django-redis counts with a script: also on a node that was restarted."""
    made: Any = CacheHandler({"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"{ring.url}/1"}})
    cache = made["default"]
    keys = [f"counter:{number}" for number in range(20)]
    for lose in (forget, restart):
        cache.set_many(dict.fromkeys(keys, 1))
        assert [cache.incr(key) for key in keys] == [2] * 20
        lose(ring)
        cache.set_many(dict.fromkeys(keys, 5))
        assert [cache.incr(key, 2) for key in keys] == [7] * 20


def test_unknown_script(ring: RunningProxy) -> None:
    """NOSCRIPT for a script that nobody has shown is the node's own reply; so is it after SCRIPT FLUSH."""
    client = ring.client()
    with pytest.raises(redis.exceptions.NoScriptError):
        client.evalsha("0" * 40, 1, "k")
    digest = client.script_load("return 1")
    assert client.script_exists(digest) == [True]
    assert client.script_flush("ASYNC")
    assert client.script_exists(digest) == [False]
    with pytest.raises(redis.exceptions.NoScriptError):
        client.evalsha(digest, 1, "k")
    assert healed(client) == 0


def test_other_connections(ring: RunningProxy) -> None:
    """What one client has shown, another one may name, in another protocol and database."""
    text = "return redis.call('incr', KEYS[1])"
    digest = ring.client().register_script(text).sha
    assert ring.client(2).eval(text, 1, "k") == 1
    other = ring.client(3, db=5)
    assert [other.evalsha(digest, 1, f"k{number}") for number in range(30)] == [1] * 30


# -- libraries -----------------------------------------------------------------------------------------------


def test_functions_come_back(ring: RunningProxy, protocol: int) -> None:
    """A restarted node has its functions again before the first FCALL runs there, and only those that are left."""
    client = ring.client(protocol)
    key = ring.keys_on(1, 1)[0]
    assert client.function_load(CODE) == b"counting"
    client.function_load("#!lua name=old\nredis.register_function('gone', function() return 1 end)")
    assert client.fcall("count", 1, key, 5) == 5
    client.function_delete("old")
    restart(ring)
    assert client.fcall("count", 1, key, 2) == 2
    assert client.fcall_ro("peek", 1, key) == b"2"
    with pytest.raises(redis.ResponseError, match="Function not found"):
        client.fcall("gone", 1, key)
    assert [sorted(item[1] for item in node.function_list()) for node in ring.node_clients()] == [[b"counting"]] * 3


def test_missed_loads(ring: RunningProxy) -> None:
    """What was loaded while a node was down is there when it is back; what should be deleted says what is missing."""
    client = ring.client()
    client.function_load("#!lua name=counting\nredis.register_function('count', function() return 'old' end)")
    key = ring.keys_on(1, 1)[0]
    ring.kill(1)
    eventually(lambda: states(ring)[1] == "down")
    assert client.function_load(CODE, replace=True) == b"counting"
    digest = client.script_load(INCR)
    with pytest.raises(redis.ResponseError, match=r"PARTIAL 'function\|flush' failed for 1 of 3 nodes on node-1"):
        client.function_flush()
    client.function_load(CODE)
    ring.restart(1)
    eventually(lambda: states(ring)[1] == "up")
    assert client.fcall("count", 1, key, 5) == 5
    assert client.script_exists(digest) == [True]


def test_neighbours_know(ring: RunningProxy) -> None:
    """What this proxy has not seen, or not seen last, a restarted node has from its neighbours."""
    client = ring.client()
    key = ring.keys_on(1, 1)[0]
    client.function_load("#!lua name=counting\nredis.register_function('count', function() return 'old' end)")
    ring.restart_proxy()
    client = ring.client()
    assert client.dbsize() == 0
    restart(ring)
    assert client.fcall("count", 1, key, 1) == b"old"
    client.function_load(
        "#!lua name=counting\nredis.register_function('count', function() return 'mine' end)", replace=True
    )
    for node in ring.node_clients():
        node.function_load(CODE, replace=True)
    restart(ring)
    assert client.fcall("count", 1, key, 1) == 1


def test_all_are_restarted(ring: RunningProxy) -> None:
    """When no neighbour knows better, what was loaded through this proxy is loaded again."""
    client = ring.client()
    client.function_load(CODE)
    digest = client.script_load(INCR)
    for at in range(3):
        ring.kill(at)
    eventually(lambda: states(ring) == ["down"] * 3)
    for at in range(3):
        ring.restart(at)
    eventually(lambda: states(ring) == ["up"] * 3)
    keys = [ring.keys_on(at, 1)[0] for at in range(3)]
    assert [client.fcall("count", 1, key, 2) for key in keys] == [2] * 3
    assert client.script_exists(digest) == [True]


def test_dump_and_restore(ring: RunningProxy) -> None:
    """A dump is restored on every node, and again on one that is restarted."""
    client = ring.client()
    client.function_load(CODE)
    dump = client.function_dump()
    client.function_flush("SYNC")
    assert client.function_restore(dump)
    with pytest.raises(redis.ResponseError, match="already exists"):
        client.function_restore(dump)
    restart(ring)
    assert [client.fcall("count", 1, key, 1) for key in (ring.keys_on(at, 1)[0] for at in range(3))] == [1] * 3


def test_copies(own_proxy: Starter) -> None:
    """Copies: libraries and scripts come back with a copy that was restarted, though it is behind."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.function_load(CODE)
    digest = client.script_load("return redis.call('get', KEYS[1])")
    client.set("k", "v")
    proxy.kill(1)
    proxy.restart(1)
    eventually(lambda: states(proxy)[1] == "behind")
    node = proxy.node_clients()[1]
    eventually(lambda: node.script_exists(digest) == [True])
    assert node.function_list()[0][1] == b"counting"
    for other in proxy.node_clients():
        other.script_flush()
    assert client.execute_command("EVALSHA_RO", digest, 1, "k") == b"v"
    assert client.evalsha(digest, 1, "k") == b"v"
    assert client.fcall_ro("peek", 1, "k") == b"v"


# -- kill --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["ring", "copy"])
@pytest.mark.parametrize("what", ["script", "function"])
def test_kill(own_proxy: Starter, mode: str, what: str) -> None:
    """A script that runs for ever is ended through the proxy, though its node answers nothing else."""
    proxy = own_proxy(mode, 2, args=("--busy-reply-threshold", "50"))
    client = proxy.client()
    key = proxy.keys_on(1, 1)[0] if mode == "ring" else "k"
    with pytest.raises(redis.ResponseError, match="NOTBUSY"):
        client.execute_command(what, "KILL")
    if what == "function":
        client.function_load(
            "#!lua name=l\nredis.register_function{function_name='f', callback=function() while true do "
            "end end, flags={'no-writes'}}"
        )
    words = ("FCALL_RO", "f", 1, key) if what == "function" else ("EVAL_RO", "while true do end", 1, key)
    with pytest.raises(redis.ResponseError, match=r"TIMEOUT|NODEDOWN|BUSY"):
        client.execute_command(*words)
    assert client.execute_command(what, "KILL") == b"OK"
    # In a copy pool the read was asked of the second copy too: one kill may come before that one is busy.
    eventually(lambda: "NOTBUSY" in said(client, what, "KILL"))
    eventually(lambda: said(client, "SET", key, 1) == "True")


def said(client: Any, *words: object) -> str:
    """The reply, or the text of an error."""
    try:
        return repr(client.execute_command(*words))
    except redis.ResponseError as error:
        return str(error)


# -- the oracle ----------------------------------------------------------------------------------------------

WORDS: Final = f"""
script load
script load "nonsense("
script load "return 1"
script load "return 1" x
script exists
script exists e0e1f9fabfc9d4800c877a703b823ac0578ff8db nonsense
eval
eval "return 1"
eval "return 1" 0
eval "return 1" 3 {{t}}a
eval "return 1" -1 {{t}}a
eval "return 1" x {{t}}a
eval "return 1" 99999999999999999999 {{t}}a
evalsha e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
evalsha E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 1 {{t}}a
evalsha e0e1f9fabfc9d4800c877a703b823ac0578ff8db 3 {{t}}a
evalsha e0e1f9fabfc9d4800c877a703b823ac0578ff8db x
evalsha nonsense 0
evalsha_ro e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 {{t}}a
eval_ro "return redis.call('set', KEYS[1], 1)" 1 {{t}}a
script kill
script kill x
script flush nonsense
script flush async sync
script exists e0e1f9fabfc9d4800c877a703b823ac0578ff8db
script flush sync
script exists e0e1f9fabfc9d4800c877a703b823ac0578ff8db
evalsha e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
script flush async
script nosuch
function load
function load nonsense
function load "#!lua\\nreturn 1"
function load "#!nosuch name=x\\nreturn 1"
function load "#!lua name=x\\nnonsense("
function load replace
function load replaced {LIBRARY}
function load {LIBRARY}
function load {LIBRARY}
function load replace {LIBRARY}
fcall_ro r 1 {{t}}a x
fcall_ro nosuch 1 {{t}}a
fcall_ro f 1 {{t}}a
fcall_ro r 2 {{t}}a
fcall_ro r x {{t}}a
function list
function list withcode
function list libraryname nosuch
function list nonsense
function dump x
function restore nonsense
function restore nonsense nosuch
function stats x
function kill
function kill x
function delete
function delete nosuch
function delete lib
fcall_ro r 1 {{t}}a x
function flush nonsense
function flush async
function flush sync
function list
function nosuch
"""


@pytest.fixture(scope="module")
def servers(serve_proxy: Starter) -> Iterator[dict[tuple[str, str], tuple[str, str]]]:
    """For each kind of server one alone, and proxies over a ring of three and over two copies."""
    with EmbeddedNodes() as redis_nodes, EmbeddedNodes() as valkey_nodes:
        made: dict[tuple[str, str], tuple[str, str]] = {}
        for name, nodes in (("redis", redis_nodes), ("valkey", valkey_nodes)):
            straight = nodes.start(1, program(name))[0]
            made[name, "ring"] = straight, serve_proxy("ring", 3, server=program(name)).url
            made[name, "copy"] = straight, serve_proxy("copy", 2, server=program(name)).url
        yield made


@pytest.mark.parametrize("mode", ["ring", "copy"])
@pytest.mark.parametrize("server", ["redis", "valkey"])
def test_words(servers: dict[tuple[str, str], tuple[str, str]], server: str, mode: str, protocol: int) -> None:
    """Right or wrong, alone or in a pipeline, every request about scripts is answered as one server answers it."""
    straight, proxied = servers[server, mode]
    requests = [[b"HELLO", b"%d" % protocol], *lines(WORDS)]
    for url in (straight, proxied):
        replies(url, [[b"FLUSHALL"], [b"FUNCTION", b"FLUSH"], [b"SCRIPT", b"FLUSH"]])
    said = replies(straight, requests), replies(proxied, requests)
    # A copy pool knows by itself that nobody has a script, and says it in the words of Redis; Valkey has its own.
    different = [row for row in unequal(requests[1:], (said[0][1:], said[1][1:])) if not both_noscript(*row)]
    assert different == []


def both_noscript(_: object, right: object, ours: object) -> bool:
    """Whether both say that there is no such script."""
    return all(isinstance(raw, bytes) and raw.startswith(b"-NOSCRIPT ") for raw in (right, ours))
