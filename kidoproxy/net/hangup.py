"""What the kernel knows of a client's socket and the loop has not said yet: an end, or bytes that nobody has read."""

import asyncio
import contextlib
import fcntl
import os
import select
import socket
import termios
from array import array


def has_hung_up(transport: asyncio.Transport) -> bool:
    """Whether nothing more will come from the client: the loop would say so only after it has read from others."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return False
    poller = select.poll()
    poller.register(sock, select.POLLRDHUP)
    if not poller.poll(0):
        return False
    return not unread_bytes(sock)


def has_unread_input(transport: asyncio.Transport) -> bool:
    """Whether something has arrived that the loop has not read."""
    sock = transport.get_extra_info("socket")
    return sock is not None and unread_bytes(sock) > 0


def hold_segment(transport: asyncio.Transport) -> None:
    """Keep what is written from now on for the FIN that follows: the client hears of both at once.

    Between two segments it might send its next request.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)


def send_fin(transport: asyncio.Transport) -> None:
    """Now, and not in the next turn, as the loop would after `write_eof`."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as same:
            same.shutdown(socket.SHUT_WR)


def unread_bytes(sock: object) -> int:
    """How many bytes of the client's lie in the kernel."""
    unread = array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, unread)  # type: ignore[call-overload]
    return unread[0]
