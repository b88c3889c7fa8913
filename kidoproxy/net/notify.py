"""Tells systemd that the service is ready or stopping (sd_notify(3)); silent where there is no systemd."""

import os
import socket


def notify(state: str) -> None:
    """Send ``state`` to ``$NOTIFY_SOCKET``; a name that begins with ``@`` is an abstract socket."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)
