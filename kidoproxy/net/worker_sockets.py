"""How the workers ask each other: the first one what the others count and where they listen, each what clients want.

The parent makes a pair of datagram sockets for each worker, before the first fork, and keeps them: so a worker that
replaces another one is asked by the same pair, by whoever wants to. A question is one end of a fresh pair of stream
sockets; the answer is all that comes out of the other end. Whoever asks waits for all answers together no longer than
`ANSWER_SECONDS`. A question to a worker that is gone is found by the one that replaces it, when nobody waits any more,
and costs nothing.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from kidoproxy.net.given_sockets import GivenSocket
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.shared_memory import ClientIds
from kidoproxy.net.tasks import Tasks

log = EventLogger("kidoproxy.workers")

#: How long a scrape waits for all workers, and a worker for one that does not read.
ANSWER_SECONDS: Final = 2.0
#: No answer is longer.
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
CHUNK_BYTES: Final = 1 << 18
QUESTION: Final = b"?"
SOCKETS_QUESTION: Final = b"s"
#: A request of another worker's client, which comes out of the socket: see `kidoproxy.net.peer_channel`.
REQUEST: Final = b"r"
#: Of one process.
MAX_SOCKETS: Final = 200


class WorkerSockets:
    """Between these workers, of ``count`` in all: some may have nothing to serve."""

    def __init__(self, workers: list[int], count: int = 0) -> None:
        self.count = count or max(workers) + 1
        self.client_ids = ClientIds(self.count)
        #: By worker: the end on which it is asked, and its own.
        self.all_pairs = {worker: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for worker in workers}
        #: Those that the first worker asks.
        self.pairs = {worker: pair for worker, pair in self.all_pairs.items() if worker}
        for pair in self.all_pairs.values():
            for end in pair:
                end.setblocking(False)

    def close(self) -> None:
        for pair in self.all_pairs.values():
            for end in pair:
                end.close()

    def others(self, worker: int) -> list[int]:
        """All but this one."""
        return [other for other in self.all_pairs if other != worker]

    def put_request(self, worker: int, end: socket.socket) -> bool:
        """Send one end of a pair to a worker; False while too many questions wait for it already."""
        with contextlib.suppress(BlockingIOError):
            socket.send_fds(self.all_pairs[worker][0], [REQUEST], [end.fileno()])
            return True
        return False

    async def ask(self) -> dict[int, bytes | None]:
        """What each of the others has to say; None for one that does not answer in time."""
        answers = await asyncio.gather(*[ask_one(pair[0]) for pair in self.pairs.values()])
        return dict(zip(self.pairs, answers, strict=True))

    async def wait_for_all(self) -> None:
        """Wait until each of the others answers, which it does when it serves."""
        for pair in self.pairs.values():
            while await ask_one(pair[0]) is None:
                log.info("waiting for a worker")

    async def ask_sockets(self) -> list[GivenSocket]:
        """The listening sockets of the others. OSError when one does not answer: who waits in its would be reset."""
        answers = await asyncio.gather(*[ask_one_for_sockets(pair[0]) for pair in self.pairs.values()])
        found = [given for answer in answers if answer is not None for given in answer]
        silent = [str(worker) for worker, answer in zip(self.pairs, answers, strict=True) if answer is None]
        if silent:
            close_sockets(found)
            raise OSError(f"worker {', '.join(silent)} does not say where it listens")
        return found

    def start_answering(
        self,
        worker: int,
        answer: Callable[[], Awaitable[bytes]],
        sockets: Callable[[], list[GivenSocket]],
        tasks: Tasks,
        on_request: Callable[[socket.socket], object] = socket.socket.close,
    ) -> None:
        """Answer with what ``answer`` and ``sockets`` return, from now on; ``on_request`` answers clients' requests."""
        question_socket = self.all_pairs[worker][1]
        loop = asyncio.get_running_loop()

        def on_question() -> None:
            with contextlib.suppress(BlockingIOError):
                question, fds, _, _ = socket.recv_fds(question_socket, len(QUESTION), 1)
                for fd in fds if question == SOCKETS_QUESTION else ():
                    with socket.socket(fileno=fd) as end:
                        send_sockets(end, sockets())
                for fd in fds if question == REQUEST else ():
                    on_request(socket.socket(fileno=fd))
                for fd in fds if question == QUESTION else ():
                    tasks.start(send_answer(socket.socket(fileno=fd), answer), "worker answer")

        loop.add_reader(question_socket.fileno(), on_question)

    def stop_answering(self, worker: int) -> None:
        asyncio.get_running_loop().remove_reader(self.all_pairs[worker][1].fileno())


async def ask_one(question_socket: socket.socket) -> bytes | None:
    """Ask one worker; None when it does not answer in time, or too many questions wait for it already."""
    own_end, other_end = socket.socketpair()
    with own_end:
        own_end.setblocking(False)
        with contextlib.suppress(OSError):
            with other_end:
                socket.send_fds(question_socket, [QUESTION], [other_end.fileno()])
            async with asyncio.timeout(ANSWER_SECONDS):
                return await read_answer(own_end)
    return None


async def ask_one_for_sockets(question_socket: socket.socket) -> list[GivenSocket] | None:
    """Those of one worker; None when it does not answer in time, or has more than can be sent."""
    loop = asyncio.get_running_loop()
    own_end, other_end = socket.socketpair()
    is_answered = asyncio.Event()
    with own_end, contextlib.suppress(OSError):
        own_end.setblocking(False)
        with other_end:
            socket.send_fds(question_socket, [SOCKETS_QUESTION], [other_end.fileno()])
        loop.add_reader(own_end.fileno(), is_answered.set)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await is_answered.wait()
        finally:
            loop.remove_reader(own_end.fileno())
        text, fds, _, _ = socket.recv_fds(own_end, CHUNK_BYTES, MAX_SOCKETS)
        sockets = [socket.socket(fileno=fd) for fd in fds]
        names = json.loads(text or b"[]")
        found = [GivenSocket(*pair) for pair in zip(sockets, names, strict=False)]
        if found and len(sockets) == len(names):
            return found
        for sock in sockets:
            sock.close()
    return None


def close_sockets(sockets: list[GivenSocket]) -> None:
    for given in sockets:
        given.socket.close()


def send_sockets(end: socket.socket, sockets: list[GivenSocket]) -> None:
    """In one message, which a fresh pair of sockets takes at once."""
    with contextlib.suppress(OSError):
        names = json.dumps([given.by_systemd for given in sockets]).encode()
        socket.send_fds(end, [names], [given.socket.fileno() for given in sockets])
    close_sockets(sockets)


async def send_answer(end: socket.socket, answer: Callable[[], Awaitable[bytes]]) -> None:
    """Answer one question, unless nobody waits any more."""
    with end:
        end.setblocking(False)
        with contextlib.suppress(OSError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.get_running_loop().sock_sendall(end, await answer())


async def read_answer(end: socket.socket) -> bytes | None:
    """All that comes until the other end is closed; None if that is nothing, or too much."""
    loop = asyncio.get_running_loop()
    chunks: list[bytes] = []
    size = 0
    while chunk := await loop.sock_recv(end, CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            return None
    return b"".join(chunks) or None
