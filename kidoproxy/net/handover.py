"""What passes from a running proxy to the one that replaces it, see `kidoproxy.net.upgrade`; both ends of it.

The new process finds the numbers of its file descriptors in the environment: its listening sockets, the claims to their
addresses, and one end of a *channel*. On that it says READY when it serves all rings; the old process answers with the
records of the copies when it has released them. Whoever is gone is seen by the end of the channel.
"""

import asyncio
import contextlib
import json
import mmap
import os
import socket
from collections.abc import Collection, MutableMapping
from typing import Final

from kidoproxy.net.address_claims import AddressClaims, BindAddress
from kidoproxy.net.given_sockets import GivenSocket, GivenSockets
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.shared_memory import StartedProcess, began_at

log = EventLogger("kidoproxy")

VARIABLE: Final = "KIDOPROXY_PREDECESSOR"
READY: Final = b"READY\n"
#: The records of all copies are far smaller.
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
CHUNK_BYTES: Final = 1 << 16
#: How long a new process that is not to take over may take to end by itself.
EXIT_SECONDS: Final = 5.0
#: How long a former proxy whose first worker has died may take to be gone as a whole.
GONE_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.05


class SharedFlag:
    """Set once, and seen by this process and all that it has forked."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 1)

    def set(self) -> None:
        self.memory[0] = 1

    def is_set(self) -> bool:
        return self.memory[0] == 1


class Predecessor:
    """The proxy that this process replaces, as this one sees it."""

    def __init__(self, pid: int, channel: socket.socket, sockets: list[GivenSocket], claims: list[socket.socket]):
        self.pid = pid
        self.channel = channel
        self.sockets = sockets
        self.claims = claims
        self.channel.setblocking(False)

    async def serves_on(self) -> bool:
        """Whether the worker that has started this process is gone, and its proxy, which replaces it, is not."""
        for _ in range(int(GONE_SECONDS / POLL_SECONDS)):
            if not self.is_channel_closed() or not began_at(self.pid):
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    def is_channel_closed(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            return not self.channel.recv(1, socket.MSG_PEEK)
        return False

    def say_ready(self) -> None:
        """From now on the other one serves no more. It may have died: then that is so anyway."""
        with contextlib.suppress(OSError):
            self.channel.send(READY)

    async def released(self) -> dict[str, str]:
        """Wait until it has released its copies, or is gone: their records as JSON, by the name of the file."""
        text = await read_message(self.channel)
        self.channel.close()
        try:
            return {str(key): str(record) for key, record in json.loads(text or b"{}").items()}
        except ValueError:
            return {}


class Handover:
    """The listening sockets and the claims of this process and its workers, and whether a new one has them now."""

    def __init__(
        self,
        given: GivenSockets | None = None,
        claims: AddressClaims | None = None,
        predecessor: Predecessor | None = None,
        command: list[str] | None = None,
    ) -> None:
        self.given = given or GivenSockets()
        self.claims = claims or AddressClaims()
        self.predecessor = predecessor
        #: What starts the new program; None: nothing does, for this one has nodes of its own that end with it.
        self.command = command
        #: The process that operators and the service manager know.
        self.main_pid = os.getpid()
        self.done = SharedFlag()
        #: The new process, until it has taken over.
        self.successor = StartedProcess()

    def is_worker_missed(self, worker: int) -> bool:
        """A worker has died; whether another one is to take its place.

        With the first one dies the upgrade that it was making: either the new process serves from now on, and this
        proxy ends, or it serves on, and the new process ends.
        """
        if worker:
            return True
        if self.done.is_set():
            return False
        if pid := self.successor.end(EXIT_SECONDS):
            log.error("upgrade failed", cause="the worker that made it has died", process=pid)
        return True

    def give_up(self, addresses: Collection[BindAddress]) -> None:
        """In each process: this proxy does not listen there any more."""
        self.given.drop(addresses)
        self.claims.release(addresses)

    def let_go(self) -> None:
        """In each process that stops: nobody listens through what it holds; the addresses may be the new one's."""
        self.given.close()
        if self.done.is_set():
            self.claims.close()


def predecessor_of(environ: MutableMapping[str, str]) -> Predecessor | None:
    """Who has started this process to be replaced by it; what it starts in turn is not to think so."""
    text = environ.pop(VARIABLE, "")
    if not text:
        return None
    message = json.loads(text)
    sockets = [GivenSocket(socket.socket(fileno=fd), name) for fd, name in message["sockets"]]
    claims = [socket.socket(fileno=fd) for fd in message["claims"]]
    channel = socket.socket(fileno=message["channel"])
    for sock in (channel, *claims, *[given.socket for given in sockets]):
        sock.set_inheritable(False)
    return Predecessor(message["pid"], channel, sockets, claims)


def describe(pid: int, channel: socket.socket, sockets: list[GivenSocket], claims: list[socket.socket]) -> str:
    """What `predecessor_of` understands."""
    listening = [(given.socket.fileno(), given.by_systemd) for given in sockets]
    return json.dumps(
        {"pid": pid, "channel": channel.fileno(), "sockets": listening, "claims": [sock.fileno() for sock in claims]}
    )


async def read_message(channel: socket.socket) -> bytes:
    """One line, without its end; empty if the other side is gone before that."""
    loop = asyncio.get_running_loop()
    text = b""
    with contextlib.suppress(OSError):
        while not text.endswith(b"\n") and len(text) < MAX_MESSAGE_BYTES:
            chunk = await loop.sock_recv(channel, CHUNK_BYTES)
            if not chunk:
                break
            text += chunk
    return text.rstrip(b"\n") if text.endswith(b"\n") else b""
