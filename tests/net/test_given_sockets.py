"""Sockets that a process was started with: which of them is whose, and what is not accepted."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from kidoproxy.config import Address
from kidoproxy.net.given_sockets import GivenSocket, GivenSockets, UnusableSocket, open_listening, sockets_of_systemd


def listening(host: str = "127.0.0.1") -> socket.socket:
    return socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def address_of(sock: socket.socket) -> Address:
    host, port = sock.getsockname()[:2]
    return Address(host, port)


def test_each_is_for_the_address_where_it_is_bound(tmp_path: Path) -> None:
    """By numbers and by names, TCP and unix sockets; a wildcard is not any address."""
    path = tmp_path / "kido.sock"
    with listening() as one, listening("::1") as six, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(path))
        given = GivenSockets([GivenSocket(sock) for sock in (one, six, local)])
        assert [each.socket for each in given.matching(address_of(one))] == [one]
        assert [each.socket for each in given.matching(Address("::1", six.getsockname()[1]))] == [six]
        assert [each.socket for each in given.matching(Address(path=str(path)))] == [local]
        assert given.matching(Address("0.0.0.0", one.getsockname()[1])) == []
        names = [each.address() for each in given.sockets]
        assert names == [f"127.0.0.1:{one.getsockname()[1]}", f"[::1]:{six.getsockname()[1]}", f"unix://{path}"]


def test_workers_share_them_out() -> None:
    """All are taken, each by one worker; where there are too few, several workers share one."""
    with listening() as first:
        sockets = [GivenSocket(first.dup()) for _ in range(5)]
        given = GivenSockets(sockets)
        address = address_of(first)
        assert [given.take(address, worker, 2) for worker in range(2)] == [sockets[::2], sockets[1::2]]
        assert [given.take(address, worker, 7) for worker in (4, 5, 6)] == [[sockets[4]], [sockets[0]], [sockets[1]]]
        assert GivenSockets().take(address, 0, 1) == []
        given.keep_only([address])
        assert given.sockets == sockets
        given.close()
        assert all(each.socket.fileno() == -1 for each in sockets)


def test_one_of_systemds_that_nobody_wants() -> None:
    """The text says which, where the file listens, and what to do; what the former proxy had is no mistake."""
    with listening() as sock:
        other = ("pool.cache", Address("127.0.0.1", 1))
        GivenSockets([GivenSocket(sock)]).check_all_wanted([other])
        GivenSockets([GivenSocket(sock, "a")]).check_all_wanted([other, ("proxy.admin", address_of(sock))])
        with pytest.raises(UnusableSocket) as error:
            GivenSockets([GivenSocket(sock, "kidoproxy.socket")]).check_all_wanted([other])
        told = (
            f"systemd has given 127.0.0.1:{sock.getsockname()[1]} (kidoproxy.socket), and the file listens elsewhere: "
        )
        assert str(error.value).startswith(told + "pool.cache on 127.0.0.1:1;")


@pytest.mark.parametrize(("pid", "count"), [("1", "1"), ("", "1"), ("ours", "x"), ("ours", "0")])
def test_what_is_meant_for_somebody_else(pid: str, count: str) -> None:
    """Or says nothing: nothing is taken; those whom this process starts do not see it."""
    pid = str(os.getpid()) if pid == "ours" else pid
    environ = {"LISTEN_PID": pid, "LISTEN_FDS": count, "LISTEN_FDNAMES": "a", "HOME": "/"}
    assert sockets_of_systemd(environ) == []
    assert environ == {"HOME": "/"}


def test_systemds_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their order; without any they have numbers."""
    with listening() as one, listening() as two:
        fds = {3: one.detach(), 4: two.detach()}
        monkeypatch.setattr("kidoproxy.net.given_sockets.open_listening", lambda fd: socket.socket(fileno=fds[fd]))
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web"}
        given = GivenSockets(sockets_of_systemd(environ))
        assert [each.by_systemd for each in given.sockets] == ["web", "number 2"]
        given.close()


def bound_only() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


@pytest.mark.parametrize("make", [bound_only, lambda: socket.socket(type=socket.SOCK_DGRAM)])
def test_what_nobody_can_connect_to(make: Callable[[], socket.socket]) -> None:
    """A socket of another kind is refused, and so is a file."""
    with pytest.raises(UnusableSocket, match="no listening stream socket: systemd wants ListenStream="):
        open_listening(make().detach())
    fd = os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(UnusableSocket, match=f"file descriptor {fd} is no socket"):
        open_listening(fd)
    os.close(fd)


def test_one_that_listens_is_not_inherited() -> None:
    """By programs that this process starts."""
    with listening() as sock, open_listening(os.dup(sock.fileno())) as opened:
        assert opened.getsockname() == sock.getsockname()
        assert not os.get_inheritable(opened.fileno())
