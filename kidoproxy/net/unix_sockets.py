"""The file of a unix socket, whose rights are set before anybody can connect.

Linux asks for the right to write the file when somebody connects, and refuses everybody until the socket listens. So
its owner and mode are set between the two, and there is no moment with wider rights than those that are configured.
"""

import os
import socket
import stat
from pathlib import Path

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


def effective_access(access: SocketAccess) -> SocketAccess:
    """With the mode and the owners that a socket gets which this process binds, where ``access`` has none."""
    mode = 0o777 & ~read_umask() if access.mode is None else access.mode
    return SocketAccess(
        mode, os.geteuid() if access.uid == -1 else access.uid, os.getegid() if access.gid == -1 else access.gid
    )


def read_umask() -> int:
    """Of this process; to ask the system for it would change it for a moment."""
    lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), 0o022)


def access_of(path: str) -> SocketAccess:
    """Mode and owners that the socket's file has. OSError when there is none."""
    found = os.lstat(path)
    return SocketAccess(stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


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
