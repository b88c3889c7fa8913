"""What an operator reads, as text or as JSON."""

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from kidoproxy.net.logs import (
    FOLD_AFTER,
    FOLD_SECONDS,
    MAX_FOLDED,
    EventLogger,
    FoldingHandler,
    JsonFormatter,
    RateLimitedLog,
    TextFormatter,
    configure_logging,
    set_worker,
    write_folded,
)


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """What is written to standard error; the loggers are as they were afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # `basicConfig(force=True)` closes what it finds.
    root.handlers.clear()
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    yield capsys
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def as_json(record: logging.LogRecord) -> dict[str, object]:
    """The JSON object of one record."""
    line: dict[str, object] = json.loads(JsonFormatter().format(record))
    return line


def logged(caplog: pytest.LogCaptureFixture, name: str, /, **fields: object) -> logging.LogRecord:
    """The record of one event."""
    caplog.clear()
    EventLogger("kidoproxy.nodes").warning(name, **fields)
    (record,) = caplog.records
    return record


def foreign(message: object, *args: object) -> dict[str, object]:
    """The JSON object of a record that another library has made."""
    return as_json(logging.LogRecord("asyncio", logging.WARNING, "", 0, message, args, None))


def test_one_record_is_text_and_json(caplog: pytest.LogCaptureFixture) -> None:
    """Text has the fields behind the event, in their order; JSON has them beside when, how bad, who and what."""
    record = logged(caplog, "node down", node="a", address="10.0.0.1:6379", cause="no route to host")
    assert (
        TextFormatter()
        .format(record)
        .endswith(" WARNING kidoproxy.nodes node down: node=a address=10.0.0.1:6379 cause=no route to host")
    )
    line = as_json(record)
    assert line.pop("time")
    assert line == {
        "level": "warning",
        "logger": "kidoproxy.nodes",
        "event": "node down",
        "node": "a",
        "address": "10.0.0.1:6379",
        "cause": "no route to host",
    }


@pytest.mark.parametrize("value", ["a b=c", "x: y=1", "", "%s", "two\nlines", "\u20ac"])
def test_a_value_may_be_anything(caplog: pytest.LogCaptureFixture, value: str) -> None:
    """What looks like another field, or like a format, is part of its value in JSON; its text stays one line."""
    record = logged(caplog, "odd", file=value, cause="none")
    assert (as_json(record)["file"], as_json(record)["cause"]) == (value, "none")
    text = value.replace("\n", " ")
    assert TextFormatter().format(record).endswith(f" odd: file={text} cause=none")


def test_json_numbers_are_numbers_by_the_program(caplog: pytest.LogCaptureFixture) -> None:
    """A field has one type whatever its value looks like: a pool that is called 7 is no number."""
    line = as_json(logged(caplog, "worker died", worker=3, seconds=1.2, pool="7", file=Path("/a")))
    assert (line["worker"], line["seconds"], line["pool"], line["file"]) == (3, 1.2, "7", "/a")


def test_the_head_cannot_be_overwritten(caplog: pytest.LogCaptureFixture) -> None:
    """A field has no effect on when, how bad, who and what; nor have names that logging uses itself."""
    line = as_json(logged(caplog, "odd", level="high", logger="x", event="y", name="n", message="m"))
    assert (line["level"], line["logger"], line["event"]) == ("warning", "kidoproxy.nodes", "odd")
    assert (line["name"], line["message"]) == ("n", "m")


def test_records_of_other_libraries() -> None:
    """What they say is kept whole, as an event and a detail; what is no text is made one."""
    line = foreign("Task was destroyed: %s", "it is pending: x=1")
    assert (line["event"], line["detail"]) == ("Task was destroyed", "it is pending: x=1")
    assert "detail" not in foreign("stopped")
    assert foreign(ValueError("x"))["event"] == "x"


def test_json_keeps_the_traceback_in_its_line(stderr: pytest.CaptureFixture[str]) -> None:
    """An exception is one field of one line."""
    configure_logging("json", "info")
    try:
        raise ValueError("oh")
    except ValueError:
        EventLogger("kidoproxy").exception("tick failed", step="nodes")
    (line,) = stderr.readouterr().err.splitlines()
    assert json.loads(line)["step"] == "nodes"
    assert "ValueError: oh" in json.loads(line)["exception"]


def test_text_is_for_people(stderr: pytest.CaptureFixture[str]) -> None:
    """Time, level, who, and the message as it was written; debugging stays silent."""
    configure_logging("text", "info")
    logging.getLogger("kidoproxy").debug("nothing")
    EventLogger("kidoproxy").info("listening", pool="cache")
    (line,) = stderr.readouterr().err.splitlines()
    assert line.endswith(" INFO    kidoproxy listening: pool=cache")


def test_the_level(stderr: pytest.CaptureFixture[str]) -> None:
    """What is less than the level that was set last is not written."""
    log = EventLogger("kidoproxy")
    for level, written in (("error", 1), ("info", 3), ("warning", 2)):
        configure_logging("text", level)
        for write in (log.info, log.warning, log.error):
            write("said", level=level)
        assert stderr.readouterr().err.count(f"said: level={level}") == written


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_line_says_which_worker_it_is_from(
    kind: str, stderr: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several; the parent, and a process that is alone, say nothing of it. An event cannot say otherwise."""
    monkeypatch.setattr("kidoproxy.net.logs.worker_field", {})
    configure_logging(kind, "info")
    log = EventLogger("kidoproxy")
    log.warning("node down", node="a")
    set_worker(3)
    log.warning("node down", node="a")
    alone, third = stderr.readouterr().err.splitlines()
    assert "worker" not in alone
    assert (json.loads(third)["worker"] == 3) if kind == "json" else third.endswith("node down: node=a worker=3")


def test_floods_are_folded(caplog: pytest.LogCaptureFixture) -> None:
    """Of events of one kind the first are written as they come, the rest as one; other kinds are not affected."""
    now = [0.0]
    caplog.set_level(logging.INFO)
    limited = RateLimitedLog(EventLogger("kidoproxy.nodes"), lambda: now[0])
    for at in range(100):
        limited.emit("down a", logging.WARNING, "node down", node="a", cause=f"cause {at}")
    limited.emit("down b", logging.WARNING, "node down", node="b", cause="x")
    limited.emit_folded()
    assert [record.getMessage() for record in caplog.records] == [
        *[f"node down: node=a cause=cause {at}" for at in range(FOLD_AFTER)],
        "node down: node=b cause=x",
    ]
    caplog.clear()
    now[0] = FOLD_SECONDS
    limited.emit_folded()
    assert [record.getMessage() for record in caplog.records] == [
        f"node down: repeated={100 - FOLD_AFTER} node=a cause=cause 99"
    ]
    assert limited.state_by_kind == {}


def test_the_same_over_and_over(stderr: pytest.CaptureFixture[str]) -> None:
    """The first few at once, the rest as one with a number; what differs in a field is something else."""
    now = [0.0]
    handler = FoldingHandler(sys.stderr, lambda: now[0])
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level="INFO", handlers=[handler], force=True)
    log = EventLogger("kidoproxy.test")
    for _ in range(100):
        log.warning("client cut", reason="slow")
    log.warning("client cut", reason="other")
    assert [json.loads(line)["reason"] for line in stderr.readouterr().err.splitlines()] == [
        *["slow"] * FOLD_AFTER,
        "other",
    ]
    now[0] = FOLD_SECONDS
    write_folded()
    (line,) = stderr.readouterr().err.splitlines()
    assert (json.loads(line)["repeated"], json.loads(line)["reason"]) == (100 - FOLD_AFTER, "slow")
    assert handler.repeated == {}
    for _ in range(FOLD_AFTER + 1):
        log.info("still there")
    handler.close()
    assert [json.loads(line).get("repeated") for line in stderr.readouterr().err.splitlines()] == [
        *[None] * FOLD_AFTER,
        1,
    ]


def test_folding_remembers_little(stderr: pytest.CaptureFixture[str]) -> None:
    """However many different events there are: those beyond are written, and tracebacks always are."""
    configure_logging("json", "info")
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, FoldingHandler)
    log = EventLogger("kidoproxy.test")
    for number in range(2 * MAX_FOLDED):
        log.info("odd", number=number)
    for _ in range(2 * FOLD_AFTER):
        try:
            raise ValueError("x")
        except ValueError:
            log.exception("failed")
    assert len(handler.repeated) == MAX_FOLDED
    assert len(stderr.readouterr().err.splitlines()) == 2 * MAX_FOLDED + 2 * FOLD_AFTER


class Unlucky:
    """Its end fails."""

    def __init__(self, problem: Exception) -> None:
        self.problem = problem

    def __del__(self) -> None:
        raise self.problem


def test_json_has_all_that_python_says(stderr: pytest.CaptureFixture[str]) -> None:
    """Warnings, and exceptions that nobody has caught: in threads, in finalizers, at the end; each is one line."""
    configure_logging("json", "info")
    try:
        problem = ValueError("two\nlines")
        sys.excepthook(ValueError, problem, None)
        Unlucky(problem)
        threading.excepthook(threading.ExceptHookArgs((ValueError, problem, None, None)))
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("this is old", DeprecationWarning, stacklevel=1)
    finally:
        configure_logging("text", "info")
    lines = [json.loads(line) for line in stderr.readouterr().err.splitlines()]
    assert [line.get("where") for line in lines[:3]] == ["the program", "a finalizer", "a thread"]
    assert all("two\nlines" in line["exception"] for line in lines[:3])
    assert "DeprecationWarning" in str(lines[3])
    assert (sys.excepthook, threading.excepthook) == (sys.__excepthook__, threading.__excepthook__)
