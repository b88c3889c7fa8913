"""What an operator reads, as text or as JSON."""

import json
import logging
from collections.abc import Iterator

import pytest

from kidoproxy.net.logs import FOLD_AFTER, FOLD_SECONDS, JsonFormatter, RateLimitedLog, configure_logging, parse_fields


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """What is written to standard error; the loggers are as they were afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # `basicConfig(force=True)` closes what it finds.
    root.handlers.clear()
    yield capsys
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(message: object, *args: object) -> dict[str, object]:
    """The JSON object of one line."""
    record = logging.LogRecord("kidoproxy.nodes", logging.WARNING, "", 0, message, args, None)
    line: dict[str, object] = json.loads(JsonFormatter().format(record))
    return line


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pool=cache node=a", {"pool": "cache", "node": "a"}),
        ("node=a cause=no route to host", {"node": "a", "cause": "no route to host"}),
        ("reason=it said: x=1 y=2", {"reason": "it said: x=1 y=2"}),
        ("file=/my files/a cause=", {"file": "/my files/a", "cause": ""}),
        ("address=unix:///a?b=c pid=3", {"address": "unix:///a?b=c", "pid": "3"}),
        ("nothing of the kind", {}),
        ("text before pool=cache", {}),
        ("", {}),
    ],
)
def test_pairs(text: str, found: dict[str, str]) -> None:
    """A value ends at the next name; ``cause`` and ``reason`` go on to the end of the line."""
    assert parse_fields(text) == found


def test_json_has_the_pairs_as_fields() -> None:
    """One object a line: when, how bad, who, what, and the pairs."""
    line = logged("node down: node=%s address=%s cause=%s", "a", "10.0.0.1:6379", "no route to host")
    assert line.pop("time")
    assert line == {
        "level": "warning",
        "logger": "kidoproxy.nodes",
        "event": "node down",
        "node": "a",
        "address": "10.0.0.1:6379",
        "cause": "no route to host",
    }


def test_json_numbers_are_numbers_by_the_program() -> None:
    """A field has one type whatever its value looks like: a pool that is called 7 is no number."""
    line = logged("worker died: worker=%d seconds=%.1f pool=%s", 3, 1.25, "7")
    assert (line["worker"], line["seconds"], line["pool"]) == (3, 1.2, "7")


def test_json_without_pairs() -> None:
    """What has no pairs is kept whole; what is no text is made one; the head cannot be overwritten."""
    assert logged("Task was destroyed: it is pending!")["detail"] == "it is pending!"
    assert "detail" not in logged("stopped")
    assert logged(ValueError("x"))["event"] == "x"
    assert logged("odd: level=%s", "high")["level"] == "warning"
    # The number is inside a cause, so it is part of a text.
    assert logged("odd: cause=it took seconds=%d", 3)["cause"] == "it took seconds=3"


def test_json_keeps_the_traceback_in_its_line(stderr: pytest.CaptureFixture[str]) -> None:
    """An exception is one field of one line."""
    configure_logging("json")
    try:
        raise ValueError("oh")
    except ValueError:
        logging.getLogger("kidoproxy").exception("tick failed: step=%s", "nodes")
    (line,) = stderr.readouterr().err.splitlines()
    assert json.loads(line)["step"] == "nodes"
    assert "ValueError: oh" in json.loads(line)["exception"]


def test_text_is_for_people(stderr: pytest.CaptureFixture[str]) -> None:
    """Time, level, who, and the message as it was written; debugging stays silent."""
    configure_logging("text")
    logging.getLogger("kidoproxy").debug("nothing")
    logging.getLogger("kidoproxy").info("listening: pool=%s", "cache")
    (line,) = stderr.readouterr().err.splitlines()
    assert line.endswith(" INFO    kidoproxy listening: pool=cache")


def test_floods_are_folded(caplog: pytest.LogCaptureFixture) -> None:
    """Of lines of one kind the first are told as they come, the rest as one; other kinds are told beside them."""
    now = [0.0]
    caplog.set_level(logging.INFO)
    news = RateLimitedLog(logging.getLogger("kidoproxy.nodes"), lambda: now[0])
    for at in range(100):
        news.emit("down a", logging.WARNING, "node down: node=%s cause=%s", "a", f"cause {at}")
    news.emit("down b", logging.WARNING, "node down: node=%s cause=%s", "b", "x")
    news.emit_folded()
    assert [record.getMessage() for record in caplog.records] == [
        *[f"node down: node=a cause=cause {at}" for at in range(FOLD_AFTER)],
        "node down: node=b cause=x",
    ]
    caplog.clear()
    now[0] = FOLD_SECONDS
    news.emit_folded()
    assert [record.getMessage() for record in caplog.records] == [
        f"node down: repeated={100 - FOLD_AFTER} node=a cause=cause 99"
    ]
    assert news.state_by_kind == {}
