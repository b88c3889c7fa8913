"""Logs for operators: one structured line per change of state on standard error, none per command.

`EventLogger` puts an event and its fields into a record: the text is the record's message, ``event: name=value …``,
and the fields are its attribute ``fields``, which the JSON formatter takes as they are. Nothing is parsed. Records of
other libraries have no such attribute; what they say behind the first colon is the field ``detail``.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Final, final

from kidoproxy.resp.log_event import LogEvent

#: Of one kind, this many events are written one by one, then those of this many seconds as one.
FOLD_AFTER: Final = 5
FOLD_SECONDS: Final = 10.0


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


def configure_logging(kind: str, level: str) -> None:
    """``text`` for people, ``json`` for machines; ``level``: the name of the lowest one that is written."""
    handler = logging.StreamHandler(sys.stderr)
    if kind == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
