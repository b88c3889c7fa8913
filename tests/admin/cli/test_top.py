"""``kidoproxy top``: once, again and again, in a terminal, and when nobody answers."""

import http.client
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from kidoproxy.admin import status_client
from kidoproxy.admin.status_client import StatusRefused
from tests.admin.cli.invoke import invoke
from tests.admin.test_top_view import document
from tests.session.stage import ring as stage_ring

#: The command of that name stands in its place.
top_module = import_module("kidoproxy.admin.cli.top")


@pytest.fixture
def with_admin(ring: str, tmp_path: Path) -> str:
    """A file with an admin listener."""
    path = tmp_path / "admin.toml"
    path.write_text('[proxy]\nadmin = "127.0.0.1:9380"\n' + Path(ring).read_text())
    return str(path)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the listener answers one after the other; time stands still, and Ctrl-C comes when there is no more."""
    found: list[Any] = [document(stage_ring("a")) for _ in range(3)]

    def fetch(address: object, token: object) -> Any:
        if not found:
            raise KeyboardInterrupt
        answer = found.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(status_client, "fetch_status", fetch)
    monkeypatch.setattr(top_module.time, "sleep", lambda seconds: None)
    return found


def test_once(with_admin: str, answers: list[Any]) -> None:
    """Two readings, for the rates, and one output."""
    result = invoke("top", "--config", with_admin, "--once")
    assert result.exit_code == 0
    assert result.output.count("kidoproxy 1.2.3") == 1
    assert "\x1b" not in result.output
    assert len(answers) == 1


def test_again_and_again(with_admin: str, answers: list[Any]) -> None:
    """Where there is no terminal one text follows the other, until Ctrl-C."""
    result = invoke("top", "--config", with_admin)
    assert (result.exit_code, result.output.count("kidoproxy 1.2.3")) == (0, 2)
    assert "\x1b" not in result.output


def test_in_a_terminal(with_admin: str, answers: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """In place, and as much as there is room for."""
    monkeypatch.setattr(top_module, "terminal_size", lambda is_terminal: (2, 20))
    monkeypatch.setattr(top_module, "has_terminal", lambda: True)
    result = invoke("top", "--config", with_admin)
    shown = click.unstyle(result.output).splitlines()
    assert result.output.count(top_module.CLEAR) == 2
    assert all(len(line) <= 20 + len(top_module.CLEAR) for line in result.output.splitlines())
    assert len(shown) <= 5


def test_sizes() -> None:
    """Nothing is cut where there is no terminal."""
    assert top_module.terminal_size(False) == (None, top_module.PLAIN_WIDTH)
    lines, columns = top_module.terminal_size(True)
    assert lines is not None
    assert columns > 0


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "does not answer on 127.0.0.1:9380: connection refused"),
        (TimeoutError("timed out"), "does not answer on 127.0.0.1:9380: timed out"),
        (http.client.BadStatusLine("x"), "does not answer on 127.0.0.1:9380: it does not speak HTTP"),
        (StatusRefused("127.0.0.1:9380 answers 401"), "kidoproxy: 127.0.0.1:9380 answers 401"),
    ],
    ids=["refused", "late", "no HTTP", "401"],
)
def test_nobody_answers(problem: Exception, sentence: str, with_admin: str, answers: list[Any]) -> None:
    """One line, and status 1."""
    answers[:] = [problem]
    result = invoke("top", "--config", with_admin, "--once")
    assert result.exit_code == 1
    assert sentence in result.output


def test_no_listener(ring: str) -> None:
    """A file without admin pages is told how to have them."""
    result = invoke("top", "--config", ring)
    assert result.exit_code == 2
    assert "proxy.admin: there is none" in result.output
