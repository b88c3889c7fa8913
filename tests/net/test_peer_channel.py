"""How the workers of a proxy ask each other for their clients, in one process: all ends are here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from kidoproxy.net import peer_channel
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.peer_channel import PeerChannel
from kidoproxy.net.tasks import Tasks
from kidoproxy.net.worker_sockets import WorkerSockets
from kidoproxy.resp import limits
from kidoproxy.resp.decode import string_value
from kidoproxy.resp.encode import integer
from kidoproxy.session.peers import Answers
from tests.net.real import run, until
from tests.session.stage import InMemoryProxy, ring

LIST = [b"client|list", b"CLIENT", b"LIST"]
KILL = [b"client|kill", b"CLIENT", b"KILL", b"TYPE", b"normal"]


class Workers:
    """Channels between so many workers, each with a client."""

    def __init__(self, count: int) -> None:
        self.sockets = WorkerSockets(list(range(count)))
        self.tasks = Tasks()
        self.stages: list[InMemoryProxy] = [ring("a") for _ in range(count)]
        self.channels = [self.channel(at) for at in range(count)]
        for stage in self.stages:
            stage.client()

    def channel(self, at: int) -> PeerChannel:
        bridge = LoopBridge(asyncio.get_running_loop(), self.stages[at].proxy)
        return PeerChannel(at, self.sockets, bridge, self.tasks)

    async def ask(self, at: int, words: list[bytes]) -> Answers:
        """What the others answer worker ``at``."""
        found: list[Answers] = []
        peers = self.channels[at].peers
        peers.ask(peers.others, "cache", words, found.append)
        await until(lambda: found)
        return found[0]


@contextlib.asynccontextmanager
async def workers(count: int, *answering: int) -> AsyncIterator[Workers]:
    """For the time of the ``with``; these answer."""
    made = Workers(count)
    for at in answering:
        made.channels[at].start_answering(list)
    try:
        yield made
    finally:
        for at in answering:
            made.channels[at].stop_answering()
        await made.tasks.stop()
        made.sockets.close()


def test_each_asks_all_others() -> None:
    """Any worker, also for more than one turn of the loop makes."""

    async def scenario() -> None:
        async with workers(3, 0, 1, 2) as found:
            for at in range(2 * limits.CLIENTS_PER_SLICE):
                found.stages[2].client(f"10.9.9.8:{at}")
            answers = await found.ask(1, LIST)
            assert {worker: len(string_value(part or b"").splitlines()) for worker, part in answers.items()} == {
                0: 1,
                2: 2 * limits.CLIENTS_PER_SLICE + 1,
            }
            assert await found.ask(0, KILL) == {1: integer(1), 2: integer(2 * limits.CLIENTS_PER_SLICE + 1)}

    run(scenario())


def test_one_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for once, then briefly until it answers. What it finds too late it does not do."""
    monkeypatch.setattr(peer_channel, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(peer_channel, "SILENT_SECONDS", 0.02)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with workers(3, 0, 2) as found:
            waited: list[float] = []
            for _ in range(2):
                began = loop.time()
                assert await found.ask(0, KILL) == {1: None, 2: integer(len(waited) == 0)}
                waited.append(loop.time() - began)
            assert waited[0] > 0.2 > waited[1]
            found.channels[1].start_answering(list)
            assert (await found.ask(2, LIST))[1] is not None
            assert len(found.stages[1].proxy.sessions) == 1
            found.channels[0].silent_until.clear()
            assert (await found.ask(0, KILL))[1] == integer(1)
            found.channels[1].stop_answering()

    run(scenario())


def test_many_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the socket takes, or than may be under way: each gets its answer."""
    monkeypatch.setattr(peer_channel, "MAX_QUESTIONS", 200)
    monkeypatch.setattr(peer_channel, "ANSWER_SECONDS", 60.0)

    async def scenario() -> None:
        async with workers(2, 0, 1) as found:
            found.channels[0] = found.channel(0)
            answers = await asyncio.gather(*[found.ask(0, LIST) for _ in range(300)])
            assert all(answer[1] is not None for answer in answers)

    run(scenario())


def test_what_cannot_be_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that makes no sense, is too long, or is cut: there is no answer, and it is not waited for."""
    monkeypatch.setattr(peer_channel, "MAX_ANSWER_BYTES", 1000)

    async def scenario() -> None:
        async with workers(2, 0, 1) as found:
            asked = [found.ask(0, [b"nonsense"]), found.ask(0, [b"script text", b"x" * 2000])]
            assert await asyncio.gather(*asked) == [{1: None}, {1: None}]
            registry = found.stages[1].pool.script_registry
            registry.remember(b"x" * 2000)
            found.channels[0].silent_until.clear()
            digest = registry.digests[b"x" * 2000]
            assert await found.ask(0, [b"script text", digest]) == {1: None}

    run(scenario())


def test_ids_of_a_successor() -> None:
    """It goes on behind the one that it replaces, and learns what that knew."""

    async def scenario() -> None:
        async with workers(2, 0, 1) as found:
            assert [session.id for stage in found.stages for session in stage.proxy.sessions.values()] == [1, 2]
            found.stages[0].pool.script_registry.load_library(b"#!lua name=mine\n")
            found.stages[1] = ring("a")
            successor = found.channel(1)
            await successor.inherit()
            assert found.stages[1].client().id == 4
            assert [change.name for change in found.stages[1].pool.script_registry.library_changes] == [b"mine"]

    run(scenario())


def test_the_only_worker() -> None:
    """It has nobody to ask."""

    async def scenario() -> None:
        async with workers(1, 0) as found:
            await found.channels[0].inherit()
            assert found.stages[0].proxy.peers is None

    run(scenario())
