"""Between the workers of one proxy: a client's command that means all of them (`kidoproxy.session.peers`).

A request travels as a question of `worker_sockets`: through a fresh pair of stream sockets, one end of which the other
worker is sent. On it go the request, with the time by which its answer must be there, and the answer, each behind its
length. Nobody waits longer than `ANSWER_SECONDS`. A worker that was waited for in vain is waited for much shorter for a
while, or until it answers again. What finds its time over is not done any more: its worker was stopped, or is the one
that replaces it.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.given_sockets import GivenSocket
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.tasks import Tasks
from kidoproxy.net.worker_sockets import MAX_ANSWER_BYTES, WorkerSockets
from kidoproxy.session.handlers import peer_requests
from kidoproxy.session.peers import Answers, Peers, TakeAnswers
from kidoproxy.session.pool_context import PoolContext

log = EventLogger("kidoproxy.workers")

#: How long a client waits for the other workers.
ANSWER_SECONDS: Final = 1.0
#: And for one that did not answer a while ago, until it does.
SILENT_SECONDS: Final = 0.1
SILENCE_SECONDS: Final = 5.0
#: So many questions are put to one worker at a time; others wait for their turn, within the same time.
MAX_QUESTIONS: Final = 16
#: The socket on which questions wait takes few (net.unix.max_dgram_qlen); whoever finds it full comes again.
FULL_SECONDS: Final = 0.005
CHUNK_BYTES: Final = 1 << 18
#: When the answer must be there, by the monotonic clock, which all processes share; the length of what follows.
DEADLINE: Final = struct.Struct("!d")
LENGTH: Final = struct.Struct("!Q")


class PeerChannel:
    """Asks the other workers for the clients of this one, and answers theirs."""

    def __init__(self, worker: int, sockets: WorkerSockets, bridge: LoopBridge, tasks: Tasks) -> None:
        self.sockets = sockets
        self.bridge = bridge
        self.tasks = tasks
        others = sockets.others(worker)
        self.peers = Peers(worker, sockets.count, others, self.ask)
        self.turns = {other: asyncio.Semaphore(MAX_QUESTIONS) for other in others}
        #: Those that did not answer: until when they are waited for no longer than briefly.
        self.silent_until: dict[int, float] = {}
        proxy = bridge.proxy
        proxy.peers = self.peers if others else None
        proxy.client_id_step = sockets.count
        proxy.last_client_id = sockets.client_ids.last(worker) or worker + 1 - sockets.count
        proxy.note_client_id = lambda client_id: sockets.client_ids.note(worker, client_id)

    async def inherit(self) -> None:
        """This worker replaces one that is gone: learn from the others what that knew of scripts and pauses."""
        proxy = self.bridge.proxy
        for context in proxy.contexts if self.peers.others else ():
            done = asyncio.Event()

            def take(answers: Answers, context: PoolContext = context, done: asyncio.Event = done) -> None:
                peer_requests.learn_state(proxy, context, answers)
                done.set()

            self.peers.ask(self.peers.others, context.name, [peer_requests.STATE], take)
            await done.wait()

    # -- asking ------------------------------------------------------------------------------------------------------

    def ask(self, workers: list[int], request: bytes, take: TakeAnswers) -> None:
        """Ask these workers; ``take`` gets what has come in time, in a turn of the loop of its own."""
        self.tasks.start(self.gather(workers, request, take), "ask workers")

    async def gather(self, workers: list[int], request: bytes, take: TakeAnswers) -> None:
        parts = await asyncio.gather(*[self.ask_one(worker, request) for worker in workers])
        answers: Answers = dict(zip(workers, parts, strict=True))
        self.bridge.update_clock()
        try:
            take(answers)
        finally:
            self.bridge.schedule_flush()

    async def ask_one(self, worker: int, request: bytes) -> bytes | None:
        """What one worker answers; None if it does not, in time or in full."""
        now = time.monotonic()
        was_silent = now < self.silent_until.get(worker, 0.0)
        seconds = SILENT_SECONDS if was_silent else ANSWER_SECONDS
        is_asked = False
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with asyncio.timeout(seconds), self.turns[worker]:
                is_asked = True
                answer = await self.request(worker, DEADLINE.pack(now + seconds) + frame(request))
                self.silent_until.pop(worker, None)
                return answer
        # Whoever had no turn has only found that there are many questions; of several that wait one says it.
        if is_asked and not was_silent and time.monotonic() >= self.silent_until.get(worker, 0.0):
            log.warning("worker does not answer", other=worker)
            self.silent_until[worker] = time.monotonic() + SILENCE_SECONDS
        return None

    async def request(self, worker: int, message: bytes) -> bytes:
        own_end, other_end = socket.socketpair()
        with own_end:
            own_end.setblocking(False)
            with other_end:
                while not self.sockets.put_request(worker, other_end):  # noqa: ASYNC110
                    await asyncio.sleep(FULL_SECONDS)
            await asyncio.get_running_loop().sock_sendall(own_end, message)
            return await read_frame(own_end)

    # -- answering ---------------------------------------------------------------------------------------------------

    def start_answering(self, own_sockets: Callable[[], list[GivenSocket]]) -> None:
        """From now on, also what the first worker asks."""
        # Here, because the library of metrics is large, and one process alone may not have the pages.
        from kidoproxy.admin.portions import answer_with_snapshot

        proxy = self.bridge.proxy
        self.sockets.start_answering(
            self.peers.number, lambda: answer_with_snapshot(proxy), own_sockets, self.tasks, self.start_answer
        )

    def stop_answering(self) -> None:
        self.sockets.stop_answering(self.peers.number)

    def start_answer(self, end: socket.socket) -> None:
        """Answer the request that comes out of this socket."""
        self.tasks.start(self.answer(end), "answer a worker")

    async def answer(self, end: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with end, contextlib.suppress(OSError, asyncio.IncompleteReadError):
            end.setblocking(False)
            async with asyncio.timeout(ANSWER_SECONDS):
                (deadline,) = DEADLINE.unpack(await read_exactly(end, DEADLINE.size))
                request = await read_frame(end)
                if time.monotonic() < deadline:
                    await loop.sock_sendall(end, frame(await self.part(request)))

    async def part(self, request: bytes) -> bytes:
        """This worker's answer, when it is made: large ones take several turns."""
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def take(part: bytes) -> None:
            if not done.done():
                done.set_result(part)

        self.bridge.update_clock()
        try:
            peer_requests.answer(self.bridge.proxy, request, take)
        finally:
            self.bridge.schedule_flush()
        return await done


def frame(content: bytes) -> bytes:
    """Behind its length."""
    return LENGTH.pack(len(content)) + content


async def read_frame(end: socket.socket) -> bytes:
    """What `frame` has made. IncompleteReadError if it is cut, OSError if it is too long."""
    (length,) = LENGTH.unpack(await read_exactly(end, LENGTH.size))
    if length > MAX_ANSWER_BYTES:
        raise OSError("too long")
    return await read_exactly(end, length)


async def read_exactly(end: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    chunks: list[bytes] = []
    missing = size
    while missing:
        chunk = await loop.sock_recv(end, min(missing, CHUNK_BYTES))
        if not chunk:
            raise asyncio.IncompleteReadError(b"".join(chunks), size)
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)
