"""``kidoproxy upgrade``: what is said when nobody can be asked; tests/live/test_upgrade.py has what comes of it."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

import kidoproxy.admin.cli.upgrade  # noqa: F401
from kidoproxy.config import Address
from kidoproxy.net.address_claims import AddressClaims
from kidoproxy.net.upgrade import FAILURES_NAME
from tests.admin.cli.invoke import invoke
from tests.config.files import RING
from tests.ports import free_port


@pytest.fixture
def file(tmp_path: Path) -> tuple[str, int]:
    """A file, and the port on which its pool listens."""
    port = free_port()
    path = tmp_path / "ring.toml"
    path.write_text(RING.replace("6380", str(port)))
    return str(path), port


def named(count: int) -> socket.socket:
    """This process says how many of its upgrades have failed."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"\0{FAILURES_NAME} {os.getpid()} {count}")
    return sock


def test_nobody_is_there(file: tuple[str, int]) -> None:
    """Nobody listens, or a process is named that is no proxy: it gets no signal."""
    result = invoke("upgrade", "--config", file[0])
    assert (result.exit_code, "no kidoproxy of yours listens" in result.output) == (1, True)
    result = invoke("upgrade", "--config", file[0], "--pid", str(os.getpid()))
    assert result.exit_code == 1
    assert result.output == f"kidoproxy: process {os.getpid()} is no kidoproxy that serves a file here\n"


def test_the_new_process_fails(file: tuple[str, int]) -> None:
    """The counter of the old one moves: it serves on."""
    claims = AddressClaims()
    claims.claim(Address("127.0.0.1", file[1]), False)
    with named(0):
        named_later: list[socket.socket] = []
        signal.signal(signal.SIGUSR2, lambda *_: named_later.append(named(1)))
        try:
            result = invoke("upgrade", "--config", file[0])
        finally:
            signal.signal(signal.SIGUSR2, signal.SIG_DFL)
            claims.close()
            for sock in named_later:
                sock.close()
    assert named_later
    assert (result.exit_code, "the new process did not get ready" in result.output) == (1, True)


def test_nothing_comes_of_it(file: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without an end."""
    monkeypatch.setattr(sys.modules["kidoproxy.admin.cli.upgrade"], "WAIT_SECONDS", 0.2)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        with named(0):
            result = invoke("upgrade", "--config", file[0], "--pid", str(os.getpid()))
    finally:
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    assert (result.exit_code, "nothing has come of it after 0.2 s" in result.output) == (1, True)
