"""The file of a unix socket, whose rights are set before anybody can connect.

Linux asks for the right to write the file when somebody connects, and refuses everybody until the socket listens. So
its owner and mode are set between the two, and there is no moment with wider rights than those that are configured.
"""

import os
import socket
import stat

from kidoproxy.config import SocketAccess


def bind_unix_socket(path: str, access: SocketAccess) -> socket.socket:
    """A socket that is bound there, and does not listen yet. OSError when that, or its rights, cannot be had."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        sock.bind(path)
        try:
            set_access(path, access)
        except BaseException:
            os.unlink(path)
            raise
    except BaseException:
        sock.close()
        raise
    return sock


def set_access(path: str, access: SocketAccess) -> None:
    """Owner and mode of a socket's file: of itself, should somebody have put a link in its place."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise FileExistsError(f"{path} is not the socket that was bound there")
        name = f"/proc/self/fd/{fd}"
        if (access.uid, access.gid) != (-1, -1):
            os.chown(name, access.uid, access.gid)
        if access.mode is not None:
            os.chmod(name, access.mode)
    finally:
        os.close(fd)
