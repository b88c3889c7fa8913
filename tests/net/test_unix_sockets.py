"""`kidoproxy.net.unix_sockets`: who may connect, from the first moment on."""

import os
import socket
import stat
from pathlib import Path

import pytest

from kidoproxy.config import SocketAccess
from kidoproxy.net.unix_sockets import access_of, bind_unix_socket, effective_access, set_access

OWN = SocketAccess(0o660, os.getuid(), os.getgid())


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o177])
def test_rights_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    """They are what the configuration says, and before that nobody can connect."""
    path = str(tmp_path / "s")
    before = os.umask(mask)
    try:
        sock = bind_unix_socket(path, OWN)
    finally:
        os.umask(before)
    with sock, socket.socket(socket.AF_UNIX) as client:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        with pytest.raises(ConnectionRefusedError):
            client.connect(path)
        sock.listen()
        client.connect(path)


def test_nothing_is_left_when_the_rights_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that the wrong ones might use does not stay."""
    path = tmp_path / "s"

    def refuse(*words: object) -> None:
        raise PermissionError("not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(PermissionError):
        bind_unix_socket(str(path), SocketAccess(None, 0, 0))
    assert not path.exists()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """Who may write the folder does not get rights to what is elsewhere."""
    secret = tmp_path / "secret"
    secret.touch(0o600)
    link = tmp_path / "s"
    link.symlink_to(secret)
    with pytest.raises(OSError, match="not the socket"):
        set_access(str(link), SocketAccess(0o666))
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_the_access_that_a_file_would_get(tmp_path: Path) -> None:
    """As the system makes it, where the configuration says nothing; and what it has."""
    path = str(tmp_path / "s")
    access = effective_access(SocketAccess())
    with bind_unix_socket(path, SocketAccess()):
        assert access_of(path) == access
    assert effective_access(SocketAccess(0o600, 7, 8)) == SocketAccess(0o600, 7, 8)
