"""What a request has made goes with it: nothing of the proxy's is left for the garbage collector.

The collector looks seldom, for all that a busy proxy makes would be too much to look through, and each look holds up
the loop. So objects that know each other in a circle, which only the collector takes away, would pile up, and then
stall everybody. Here it is off, a real daemon runs in this process, and what it finds in the end is counted by kind.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.net.daemon import Daemon
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.reply_reader import ReplyReader
from tests.config.files import read
from tests.live.asking import lines
from tests.live.script import SETUP, WHOLE
from tests.live.script_keyed import KEYED
from tests.net.real import until
from tests.ports import free_port

pytestmark = [pytest.mark.live, pytest.mark.both_builds]

SECONDS: Final = 30.0
#: Conversations whose last request is open when the client hangs up.
LEFT_OPEN: Final = [
    ["get str"],
    ["multi", "get str"],
    ["multi", "get str", "set str 1", "exec"],
    ["watch str"],
    ["watch str", "multi", "set str 2", "exec"],
    ["watch {str}2 {str}3", "unwatch"],
    ["blpop none 60"],
    ["subscribe a", "unsubscribe"],
    ["psubscribe a*", "ping"],
    ["monitor", "get str"],
    ["mget str num none list hash"],
    ["eval 'return redis.call(\"get\", KEYS[1])' 1 str"],
    ["xread block 60000 streams stream $"],
]
#: Requests that meet a node that is lost, each on a connection of its own.
LOST: Final = lines("""
get a
mget a b c d e f g
mset a 1 b 2 c 3 d 4 e 5
del a b c d e
incr a
spop set
dbsize
scan 0
publish a m
eval 'return redis.call("incr", KEYS[1])' 1 n
""")


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """A daemon calms the garbage collector for ever."""
    threshold = gc.get_threshold()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()
    gc.unfreeze()
    gc.set_threshold(*threshold)


class Client:
    """Asks requests, each time on a new connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def ask(self, requests: list[list[bytes]], replies: int) -> None:
        """All at once, on a connection of its own; wait for so many replies, then hang up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"".join(map(encode_request, requests)))
        frames = ReplyReader()
        while replies > 0:
            data = await asyncio.wait_for(reader.read(1 << 16), SECONDS)
            assert data
            frames.feed(data)
            while frames.next() is not None:
                replies -= 1
        writer.transport.abort()


@asynccontextmanager
async def serving(folder: Path, mode: str, urls: list[str]) -> AsyncIterator[tuple[Daemon, Client]]:
    """A daemon in this loop, with one pool over these nodes."""
    port, ready = free_port(), asyncio.Event()
    nodes = ", ".join(f'"{url}"' for url in urls)
    text = f'[pool.p]\nlisten = "127.0.0.1:{port}"\nmode = "{mode}"\nnodes = [{nodes}]\n'
    daemon = Daemon(read(folder, f'[proxy]\nstate_dir = "{folder}/state"\n{text}'))
    task = asyncio.ensure_future(daemon.run(lambda said: ready.set()))
    await asyncio.wait_for(ready.wait(), SECONDS)
    yield daemon, Client(port)
    daemon.stop()
    await asyncio.wait_for(task, SECONDS)


def left_over() -> Counter[str]:
    """The proxy's own objects that only the collector takes away, by kind; now it has."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    kinds = Counter(type(each).__name__ for each in gc.garbage if type(each).__module__.startswith("kidoproxy"))
    gc.set_debug(0)
    gc.garbage.clear()
    if kinds:
        gc.collect()
    return kinds


def quiet() -> None:
    """From now on the collector only looks when it is told to, and not at what is there now."""
    gc.collect()
    gc.freeze()
    gc.disable()


@pytest.mark.parametrize(("mode", "count"), [("ring", 3), ("copy", 2)])
async def test_no_request_leaves_garbage(mode: str, count: int, tmp_path: Path) -> None:
    """Every command, answered or refused, on a connection of its own; then clients that hang up in the middle."""
    script = [[request] for request in lines(KEYED) + lines(WHOLE)]
    with EmbeddedNodes() as nodes:
        async with serving(tmp_path, mode, nodes.start(count)) as (daemon, client):
            await client.ask(lines(SETUP), len(lines(SETUP)))
            quiet()
            for requests in script:
                await client.ask(requests, 1)
            for conversation in LEFT_OPEN:
                await client.ask(lines("\n".join(conversation)), len(conversation) - 1)
            await until(lambda: not daemon.clients)
            assert left_over() == {}


@pytest.mark.parametrize(("mode", "count"), [("ring", 3), ("copy", 2)])
async def test_no_failure_leaves_garbage(mode: str, count: int, tmp_path: Path) -> None:
    """Requests are under way when a node is lost, and more come while it is not there."""
    with EmbeddedNodes() as nodes:
        async with serving(tmp_path, mode, nodes.start(count)) as (daemon, client):
            await client.ask(lines(SETUP), len(lines(SETUP)))
            quiet()
            nodes.pause(0)
            asked = [asyncio.ensure_future(client.ask([request], 1)) for request in LOST]
            await asyncio.sleep(0)
            nodes.kill(0)
            await asyncio.gather(*asked)
            for request in LOST:
                await client.ask([request], 1)
            await until(lambda: not daemon.clients)
            assert left_over() == {}
