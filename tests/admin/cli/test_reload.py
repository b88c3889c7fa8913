"""``kidoproxy reload``: which process gets the signal, and what is said when there is none."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from kidoproxy.config import Address
from kidoproxy.net.address_claims import AddressClaims
from kidoproxy.net.reload_answer import ReloadAnswer, ReloadWait, find_client
from tests.admin.cli.invoke import invoke
from tests.config.files import RING
from tests.ports import free_port
from tests.wait import eventually

#: Ends with status 7 by SIGHUP, once it has said that it is there.
WAITS: Final = "import signal, sys; signal.signal(1, lambda *_: sys.exit(7)); print('x', flush=True); signal.pause()"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """Somebody who waits for a SIGHUP."""
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        waiting.stdout.readline()
        yield waiting
        waiting.kill()


@pytest.fixture
def file(tmp_path: Path) -> Callable[[int], str]:
    """A file whose pool listens at that port."""

    def make(port: int) -> str:
        path = tmp_path / "ring.toml"
        path.write_text(RING.replace("6380", str(port)))
        return str(path)

    return make


def test_a_process_that_is_named(process: "subprocess.Popen[str]", ring: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets a SIGHUP; one that says nothing has not said that all is well."""
    monkeypatch.setattr(sys.modules["kidoproxy.admin.cli.reload"], "ANSWER_SECONDS", 0.3)
    result = invoke("reload", "--config", ring, "--pid", str(process.pid))
    assert result.exit_code == 1
    assert result.output == (
        f"kidoproxy: process {process.pid} has got the signal and does not answer; its log says what came of it\n"
    )
    assert process.wait(20) == 7


def test_a_process_that_is_not_there(process: "subprocess.Popen[str]", ring: str) -> None:
    """One line says why."""
    process.kill()
    process.wait()
    result = invoke("reload", "--config", ring, "--pid", str(process.pid))
    assert (result.exit_code, result.output) == (
        1,
        f"kidoproxy: process {process.pid} cannot be signalled: no such process\n",
    )
    result = invoke("reload", "--config", ring, "--pid", str(1 << 80))
    assert result.exit_code == 1
    assert "cannot be signalled" in result.output


def test_a_file_with_mistakes(process: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """Nobody is signalled."""
    file = tmp_path / "ring.toml"
    file.write_text(RING + 'deny = ["flushal"]\n')
    result = invoke("reload", "--config", str(file), "--pid", str(process.pid))
    assert result.exit_code == 2
    assert result.output.startswith('ring.toml: pool.cache.deny: there is no command "flushal"')
    assert process.poll() is None


ANSWERS = [
    (ReloadAnswer(True), 0, "Process PID goes on with ring.toml.\n"),
    (ReloadAnswer(False, ("a", "b")), 1, "kidoproxy: process PID goes on with what it had\n  a\n  b\n"),
]


@pytest.mark.parametrize(("answer", "status", "output"), ANSWERS)
def test_who_listens(file: Callable[[int], str], answer: ReloadAnswer, status: int, output: str) -> None:
    """The process that has claimed one of the file's addresses; what it says is said."""
    port = free_port()
    claims = AddressClaims()
    claims.claim(Address("127.0.0.1", port), False)
    heard: list[int] = []

    def on_hangup(signum: int, frame: object) -> None:
        heard.append(signum)
        find_client().answer(answer)

    before = signal.signal(signal.SIGHUP, on_hangup)
    try:
        result = invoke("reload", "--config", file(port))
        eventually(lambda: heard)
    finally:
        signal.signal(signal.SIGHUP, before)
        claims.close()
    said = result.output.replace(str(os.getpid()), "PID")
    assert (result.exit_code, said, heard) == (status, output, [signal.SIGHUP])


def test_two_at_once(file: Callable[[int], str]) -> None:
    """The second one is not sent: it could not hear what comes of it."""
    wait = ReloadWait(os.getpid())
    result = invoke("reload", "--config", file(free_port()), "--pid", str(os.getpid()))
    wait.close()
    assert (result.exit_code, "somebody else waits" in result.output) == (1, True)


def test_nobody_listens(file: Callable[[int], str]) -> None:
    """Then one has to say which process is meant."""
    port = free_port()
    result = invoke("reload", "--config", file(port))
    assert (result.exit_code, result.output) == (
        1,
        f"kidoproxy: no kidoproxy of yours listens on 127.0.0.1:{port} here; say which process it is with --pid\n",
    )


def test_a_name_that_is_not_known(tmp_path: Path) -> None:
    """Neither do we know who listens there."""
    file = tmp_path / "ring.toml"
    file.write_text(RING.replace("127.0.0.1:6380", "no.such.host.invalid:6380") + "protected = false\n")
    result = invoke("reload", "--config", str(file))
    assert result.exit_code == 1
    assert "cannot be looked up" in result.output
