"""What came of a reload reaches whoever has asked for it, and nobody else."""

import json
import os
import socket
import threading

import pytest

from kidoproxy.net.reload_answer import PatientClient, ReloadAnswer, ReloadWait, find_client, name_of


def answered(answer: ReloadAnswer) -> ReloadAnswer | None:
    """By this process, to itself."""
    wait = ReloadWait(os.getpid())
    proxy = threading.Thread(target=lambda: find_client().answer(answer))
    proxy.start()
    try:
        return wait.wait(20, lambda: True)
    finally:
        proxy.join()
        wait.close()


def test_an_answer() -> None:
    """Good or bad; a bug is one that has no reason of its own."""
    assert answered(ReloadAnswer.of(True, [])) == ReloadAnswer(True)
    assert answered(ReloadAnswer.of(False, ["a", "b\n\u00e9"])) == ReloadAnswer(False, ("a", "b\n\u00e9"))
    assert "bug" in ReloadAnswer.of(False, []).lines[0]


def test_nobody_waits() -> None:
    """Then nobody is told, nor is who has gone."""
    assert find_client().sock is None
    PatientClient().answer(ReloadAnswer(True))
    wait = ReloadWait(os.getpid())
    client = find_client()
    wait.close()
    client.answer(ReloadAnswer(True))
    assert client.sock is None


def test_two_at_once() -> None:
    """The second one is told that there is a first one."""
    wait = ReloadWait(os.getpid())
    with pytest.raises(OSError, match="in use"):
        ReloadWait(os.getpid())
    wait.close()
    ReloadWait(os.getpid()).close()


def test_no_answer() -> None:
    """None comes in time, the process ends before, or somebody else answers."""
    wait = ReloadWait(os.getpid())
    assert wait.wait(0.0, lambda: True) is None
    assert wait.wait(20, lambda: False) is None
    wait.pid = 1
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(name_of(os.getpid()))
        assert wait.wait(0.3, lambda: True) is None
    wait.close()


@pytest.mark.parametrize("said", [b"", b"x", b"[]", b"{}", json.dumps({"applied": True, "lines": 7}).encode()])
def test_an_answer_that_is_none(said: bytes) -> None:
    """It counts as none."""
    wait = ReloadWait(os.getpid())
    with socket.socket(socket.AF_UNIX) as proxy:
        proxy.connect(name_of(os.getpid()))
        proxy.sendall(said)
        proxy.shutdown(socket.SHUT_WR)
        assert wait.wait(20, lambda: True) is None
    wait.close()
