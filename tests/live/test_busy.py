"""Scripts that never end, on a real server: they cost their node, and can be ended through the proxy."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live

LIBRARY = "#!lua name=endless\nredis.register_function('endless', function() while true do end end)"
#: From when on a server that runs a script listens to anybody else.
ARGS = ("--lua-time-limit", "100")


@pytest.fixture(scope="module")
def proxy(serve_proxy: Starter) -> RunningProxy:
    """A ring of two nodes with short tempers."""
    return serve_proxy("ring", 2, args=ARGS, timeout_ms=200)


@pytest.fixture
def endless(proxy: RunningProxy) -> Iterator[threading.Thread]:
    """A client whose script or function never ends, on the first node."""
    key = proxy.keys_on(0, 1)[0]
    client = proxy.client()
    client.function_load(LIBRARY, replace=True)

    def run() -> None:
        with pytest.raises(redis.RedisError, match="TIMEOUT"):
            client.fcall("endless", 1, key)

    thread = threading.Thread(target=run)
    thread.start()
    yield thread
    thread.join()


def killed(client: Any) -> bool:
    """Whether FUNCTION KILL found something to kill."""
    try:
        return bool(client.function_kill() == b"OK")
    except redis.ResponseError as problem:
        # Not yet: the function has not begun, or the server does not listen to anybody yet.
        if not str(problem).startswith(("NOTBUSY", "TIMEOUT", "PARTIAL", "No scripts in execution")):
            raise
        return False


def test_kill(proxy: RunningProxy, endless: threading.Thread) -> None:
    """The node counts as down while it is busy; FUNCTION KILL reaches it, and it serves again."""
    key = proxy.keys_on(0, 1)[0]
    client = proxy.client()
    endless.join()
    with pytest.raises(redis.RedisError, match=r"NODEDOWN|TIMEOUT"):
        client.get(key)
    eventually(lambda: killed(client))
    eventually(lambda: works(client, key), 20.0)
    with pytest.raises(redis.ResponseError, match="No scripts in execution"):
        client.script_kill()


def works(client: Any, key: str) -> bool:
    """Whether the node serves."""
    try:
        return bool(client.set(key, "1"))
    except redis.ResponseError:
        return False
