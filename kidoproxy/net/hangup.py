"""Whether a client has closed its connection behind what was read from it."""

import asyncio
import fcntl
import select
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
    unread = array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, unread)
    return unread[0] == 0
