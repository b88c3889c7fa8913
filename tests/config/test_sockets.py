"""`kidoproxy.config.sockets`: the rights of unix sockets, and every mistake in them."""

from pathlib import Path

import pytest

from kidoproxy.config import SocketAccess
from tests.config.files import pool, problems, read


def on_socket(lines: str) -> str:
    return pool(lines).replace('"127.0.0.1:6380"', '["unix:///run/kido.sock", "127.0.0.1:6380"]')


@pytest.mark.parametrize(
    ("lines", "access"),
    [
        ("", SocketAccess()),
        ('socket_mode = "660"', SocketAccess(0o660)),
        ('socket_mode = "0600"\nsocket_group = "7"', SocketAccess(0o600, -1, 7)),
        ('socket_user = "root"\nsocket_group = "root"', SocketAccess(None, 0, 0)),
    ],
)
def test_rights(tmp_path: Path, lines: str, access: SocketAccess) -> None:
    """Octal digits, names and numbers."""
    assert read(tmp_path, on_socket(lines)).pools["cache"].socket_access == access


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (on_socket('socket_user = "no-such-user"'), 'socket_user: "no-such-user" is not known to this machine'),
        (on_socket('socket_group = "no-such-group"'), 'socket_group: "no-such-group" is not known to this machine'),
    ],
)
def test_mistakes(tmp_path: Path, text: str, line: str) -> None:
    """Each is a line with its place."""
    assert problems(tmp_path, text) == [f"ring.toml: pool.cache.{line}"]


@pytest.mark.parametrize("mode", ["rw", "888", "1777", "66"])
def test_no_mode(tmp_path: Path, mode: str) -> None:
    """Three octal digits, nothing else: neither a sticky bit nor a letter."""
    (line,) = problems(tmp_path, on_socket(f'socket_mode = "{mode}"'))
    assert line == 'ring.toml: pool.cache.socket_mode: must be three octal digits, such as "660"'


def test_without_a_unix_socket(tmp_path: Path) -> None:
    """Somebody meant something else."""
    (warning,) = read(tmp_path, pool('socket_mode = "600"')).warnings
    assert warning == "ring.toml: pool.cache.socket_mode: has no effect: the pool listens on no unix socket"
