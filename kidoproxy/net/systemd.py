"""Tells systemd that the service is ready or stopping (sd_notify(3)); silent where there is no systemd."""

import os
import socket

from kidoproxy.net.logs import EventLogger

log = EventLogger("kidoproxy")


def sd_notify(state: str) -> None:
    """Send ``state`` to ``$NOTIFY_SOCKET``; a name that begins with ``@`` is an abstract socket.

    A manager that cannot be reached is logged: the proxy serves all the same.
    """
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError as problem:
            cause = problem.strerror or str(problem)
            log.warning("service manager not told", state=state, cause=cause)
