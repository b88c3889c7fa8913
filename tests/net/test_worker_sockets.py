"""How the first worker asks the others, in one process: both ends are here."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

import pytest

from kidoproxy.net import worker_sockets
from kidoproxy.net.given_sockets import GivenSocket
from kidoproxy.net.tasks import Tasks
from kidoproxy.net.worker_sockets import WorkerSockets, read_answer
from tests.net.real import run


def saying(answer: Callable[[], bytes]) -> Callable[[], Awaitable[bytes]]:
    """What is to be said, made while the loop goes on."""

    async def say() -> bytes:
        await asyncio.sleep(0)
        return answer()

    return say


@pytest.fixture
def pairs() -> WorkerSockets:
    return WorkerSockets([1, 2])


def test_questions_and_answers(pairs: WorkerSockets) -> None:
    """Each answers with what it has to say now, however much that is, as often as it is asked."""

    async def scenario() -> None:
        tasks = Tasks()
        said = [b"small", b"x" * 5_000_000]
        pairs.start_answering(1, saying(lambda: said[0]), list, tasks)
        pairs.start_answering(2, saying(lambda: said[1]), list, tasks)
        assert await pairs.ask() == {1: said[0], 2: said[1]}
        said[0] = b"more"
        assert await pairs.ask() == {1: b"more", 2: said[1]}
        pairs.stop_answering(1)
        pairs.stop_answering(2)
        await tasks.stop()
        pairs.close()

    run(scenario())


def test_one_that_is_gone(pairs: WorkerSockets, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for briefly, and the others are told of; old questions cost its successor nothing."""
    monkeypatch.setattr(worker_sockets, "ANSWER_SECONDS", 0.1)

    async def scenario() -> None:
        tasks = Tasks()
        pairs.start_answering(2, saying(lambda: b"two"), list, tasks)
        for _ in range(3):
            assert await pairs.ask() == {1: None, 2: b"two"}
        pairs.start_answering(1, saying(lambda: b"one" * 1_000_000), list, tasks)
        assert await pairs.ask() == {1: b"one" * 1_000_000, 2: b"two"}
        await tasks.stop()
        pairs.close()

    run(scenario())


def test_who_does_not_say_where_it_listens(pairs: WorkerSockets, monkeypatch: pytest.MonkeyPatch) -> None:
    """All sockets pass over or none: who waits in one that does not would be reset. Nothing stays open meanwhile."""
    monkeypatch.setattr(worker_sockets, "ANSWER_SECONDS", 0.1)

    async def scenario() -> None:
        tasks = Tasks()
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def own_sockets() -> list[GivenSocket]:
                return [GivenSocket(listening.dup(), "a"), GivenSocket(listening.dup())]

            pairs.start_answering(2, saying(lambda: b"two"), own_sockets, tasks)
            with pytest.raises(OSError, match="worker 1 does not say where it listens"):
                await pairs.ask_sockets()
            pairs.start_answering(1, saying(lambda: b"one"), own_sockets, tasks)
            found = await pairs.ask_sockets()
            assert [(given.address(), given.by_systemd) for given in found] == [
                (GivenSocket(listening).address(), name) for name in ("a", "", "a", "")
            ]
            worker_sockets.close_sockets(found)
            port = listening.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        await tasks.stop()
        pairs.close()

    run(scenario())


def test_too_many_questions(pairs: WorkerSockets, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into the socket is not asked, and nobody waits for it."""
    monkeypatch.setattr(worker_sockets, "ANSWER_SECONDS", 0.001)

    async def scenario() -> None:
        question_socket = pairs.pairs[1][0]
        with contextlib.suppress(BlockingIOError):
            while True:
                question_socket.send(worker_sockets.QUESTION)
        assert await pairs.ask() == {1: None, 2: None}
        pairs.close()

    run(scenario())


def test_no_answer_is_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is too long, or empty, is none."""
    monkeypatch.setattr(worker_sockets, "MAX_ANSWER_BYTES", 10)

    async def answer(text: bytes) -> bytes | None:
        own_end, other_end = socket.socketpair()
        own_end.setblocking(False)
        with own_end:
            with other_end:
                other_end.send(text)
            return await read_answer(own_end)

    async def scenario() -> None:
        assert await asyncio.gather(*[answer(text) for text in (b"", b"x" * 10, b"x" * 11)]) == [None, b"x" * 10, None]

    run(scenario())
