"""Logs for operators: one structured line per change of state on standard error, none per command.

`EventLogger` puts an event and its fields into a record: the text is the record's message, ``event: name=value …``,
and the fields are its attribute ``fields``, which the JSON formatter takes as they are. Nothing is parsed. Records of
other libraries have no such attribute; what they say behind the first colon is the field ``detail``.
"""

import contextlib
import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, TextIO, final

from kidoproxy.resp.log_event import LogEvent

#: Of one kind, this many events are written one by one, then those of this many seconds as one.
FOLD_AFTER: Final = 5
FOLD_SECONDS: Final = 10.0
#: So many different records are compared with those that come.
MAX_FOLDED: Final = 256
FOREVER: Final = float("inf")


#: The field that says which of several workers this process is; empty if it is alone, or their parent.
worker_field: dict[str, object] = {}


def set_worker(worker: int) -> None:
    """Say in each line from now on which worker it is from."""
    worker_field["worker"] = worker


class EventLogger:
    """Writes events to the logger ``logger_name``: ``log.warning("node down", node="a", cause="no route to host")``."""

    def __init__(self, logger_name: str) -> None:
        self.logger = logging.getLogger(logger_name)

    def write(self, level: int, event: LogEvent, problem: BaseException | None = None) -> None:
        """Write an event that a pure package has made; with ``problem``, its traceback."""
        extra = {"event": event.name, "fields": event.fields}
        self.logger.log(level, str(event), extra=extra, exc_info=problem)

    def info(self, name: str, /, **fields: object) -> None:
        self.write(logging.INFO, LogEvent(name, fields))

    def warning(self, name: str, /, **fields: object) -> None:
        self.write(logging.WARNING, LogEvent(name, fields))

    def error(self, name: str, /, **fields: object) -> None:
        self.write(logging.ERROR, LogEvent(name, fields))

    def exception(self, name: str, /, **fields: object) -> None:
        """Write an error with the traceback of the exception that is being handled."""
        self.write(logging.ERROR, LogEvent(name, fields), sys.exception())


class JsonFormatter(logging.Formatter):
    """One JSON object a line; the fields of an event are its fields, but cannot replace when, how bad, who and what."""

    def format(self, record: logging.LogRecord) -> str:
        event, fields = event_of(record)
        head = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
            **worker_field,
        }
        trace = {"exception": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps({**head, **fields, **trace, **head}, default=str)


def event_of(record: logging.LogRecord) -> tuple[str, dict[str, object]]:
    """The event and the fields of any record, be it of another library."""
    fields: dict[str, object] | None = getattr(record, "fields", None)
    if fields is not None:
        return str(getattr(record, "event", "")), fields
    event, _, detail = record.getMessage().partition(": ")
    return event, {"detail": detail} if detail else {}


class TextFormatter(logging.Formatter):
    """One line for each record, whatever stands in its values; the lines of an exception follow it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without control characters."""
        of_worker = "".join([f" {name}={value}" for name, value in worker_field.items()])
        return replace_control_characters(super().formatMessage(record) + of_worker)


def replace_control_characters(text: str) -> str:
    """Nothing that would begin a line of its own, or tell a terminal what to do."""
    return text if text.isprintable() else "".join([c if c.isprintable() else " " for c in text])


@final
class RateLimitedLog:
    """Events of one kind that come in a flood: the first few are written as they come, the rest as one, with a number.

    A kind is what the caller says it is. ``clock`` gives seconds.
    """

    def __init__(self, logger: EventLogger, clock: Callable[[], float] = time.monotonic) -> None:
        self.logger = logger
        self.clock = clock
        #: By kind: when its first event came, how many did, and the last one of them that was not written.
        self.state_by_kind: dict[str, tuple[float, int, tuple[int, LogEvent] | None]] = {}

    def emit(self, kind: str, level: int, name: str, /, **fields: object) -> None:
        """Write one event, or count it."""
        event = LogEvent(name, fields)
        since, count, _ = self.state_by_kind.get(kind, (self.clock(), 0, None))
        if count < FOLD_AFTER:
            self.logger.write(level, event)
            self.state_by_kind[kind] = since, count + 1, None
        else:
            self.state_by_kind[kind] = since, count + 1, (level, event)

    def emit_folded(self) -> None:
        """Write what was kept back, when its time is over."""
        now = self.clock()
        for kind, (since, count, last_folded) in list(self.state_by_kind.items()):
            if now - since >= FOLD_SECONDS:
                del self.state_by_kind[kind]
                if last_folded is not None:
                    level, event = last_folded
                    folded = LogEvent(event.name, {"repeated": count - FOLD_AFTER, **event.fields})
                    self.logger.write(level, folded)


@final
class FoldingHandler(logging.StreamHandler[TextIO]):
    """Writes records; of the same one over and over (event and fields) the first few, then a number now and then.

    What is held back is written with the next record behind its time, by `write_folded`, or at the end. No more than
    `MAX_FOLDED` different records are remembered; beyond them all are written.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self.clock = clock
        #: By what a record says: when the first one came, how many did, and the last one that was not written.
        self.repeated: dict[str, tuple[float, int, logging.LogRecord | None]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, or count it."""
        self.write_due(self.clock())
        said = f"{record.name} {record.levelno} {record.getMessage()}"
        since, count, _ = self.repeated.get(said, (self.clock(), 0, None))
        if record.exc_info or (count == 0 and len(self.repeated) >= MAX_FOLDED):
            super().emit(record)
            return
        self.repeated[said] = since, count + 1, None if count < FOLD_AFTER else record
        if count < FOLD_AFTER:
            super().emit(record)

    def write_due(self, now: float) -> None:
        """Write what has been held back long enough; a time in the far future is for all."""
        for said, (since, count, last) in list(self.repeated.items()):
            if now - since >= FOLD_SECONDS:
                del self.repeated[said]
                if last is not None:
                    super().emit(repeated_record(last, count - FOLD_AFTER))

    def close(self) -> None:
        """The end: nothing is kept to itself."""
        self.write_due(FOREVER)
        super().close()


def repeated_record(record: logging.LogRecord, count: int) -> logging.LogRecord:
    """The same record, which stands for so many."""
    event, fields = event_of(record)
    folded = LogEvent(event, {"repeated": count, **fields})
    found = logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, str(folded), None, None)
    found.event, found.fields = folded.name, folded.fields
    return found


def write_folded() -> None:
    """A few times a second: write what was held back long enough, even if nothing else is logged."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, FoldingHandler):
            with handler.lock or contextlib.nullcontext():
                handler.write_due(handler.clock())


def log_exception(problem: BaseException | None, where: str) -> None:
    """What Python itself would write to standard error, as an event: there, each line is one."""
    EventLogger("kidoproxy").write(logging.CRITICAL, LogEvent("unexpected error", {"where": where}), problem)


def on_uncaught(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    log_exception(problem, "the program")


def on_unraisable(found: "sys.UnraisableHookArgs") -> None:
    log_exception(found.exc_value, str(found.err_msg or "a finalizer"))


def on_thread_exception(found: threading.ExceptHookArgs) -> None:
    log_exception(found.exc_value, "a thread")


def hook_into_python(is_json: bool) -> None:
    """Whether warnings, and exceptions that nobody has caught, are events; if not Python writes them, for people."""
    logging.captureWarnings(is_json)
    if is_json:
        sys.excepthook, sys.unraisablehook = on_uncaught, on_unraisable
        threading.excepthook = on_thread_exception
    elif sys.excepthook is on_uncaught:
        sys.excepthook, sys.unraisablehook = sys.__excepthook__, sys.__unraisablehook__
        threading.excepthook = threading.__excepthook__


def configure_logging(kind: str, level: str) -> None:
    """``text`` for people, ``json`` for machines; ``level``: the name of the lowest one that is written."""
    handler = FoldingHandler(sys.stderr)
    hook_into_python(kind == "json")
    if kind == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
