"""Logs for operators: one structured line per change of state on standard error, none per command.

A message is ``event: name=value name=value``. A value has no spaces, but for that of ``cause`` or ``reason``,
which is the rest of the line.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Final, final

#: A name of a pair, at the beginning or behind a space.
FIELD_NAME: Final = re.compile(r"(?:^|(?<= ))([a-z_]+)=")
#: In a format string: a pair whose value is a number.
NUMERIC_FIELD: Final = re.compile(r"([a-z_]+)=%[0-9.]*([df])")
#: The value of one of these goes on to the end of the line.
REST_OF_LINE_FIELDS: Final = ("cause", "reason")
#: So many lines of one kind are told one by one, then those of so many seconds as one.
FOLD_AFTER: Final = 5
FOLD_SECONDS: Final = 10.0


def parse_fields(text: str) -> dict[str, str]:
    """``pool=cache cause=no route`` as a dictionary; empty when ``text`` is something else."""
    fields: dict[str, str] = {}
    names = list(FIELD_NAME.finditer(text))
    if not names or names[0].start():
        return fields
    for index, name in enumerate(names):
        last = name[1] in REST_OF_LINE_FIELDS or index + 1 == len(names)
        fields[name[1]] = text[name.end() :] if last else text[name.end() : names[index + 1].start()].rstrip(" ")
        if last:
            break
    return fields


class JsonFormatter(logging.Formatter):
    """One JSON object a line. What a record says as ``name=value`` pairs becomes its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a field is a number if the program, not the text of this one line, says so."""
        event, _, rest = record.getMessage().partition(": ")
        fields: dict[str, object] = dict(parse_fields(rest))
        for name, kind in NUMERIC_FIELD.findall(record.msg if isinstance(record.msg, str) else ""):
            if name in fields:
                fields[name] = (int if kind == "d" else float)(str(fields[name]))
        if rest and not fields:
            fields["detail"] = rest
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        head = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
        }
        return json.dumps({**head, **fields, **head})


class TextFormatter(logging.Formatter):
    """One line for each record, whatever stands in its values; the lines of an exception follow it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without control characters."""
        return replace_control_characters(super().formatMessage(record))


def replace_control_characters(text: str) -> str:
    """Nothing that would begin a line of its own, or tell a terminal what to do."""
    return text if text.isprintable() else "".join([c if c.isprintable() else " " for c in text])


@final
class RateLimitedLog:
    """Lines of one kind that come in a flood: the first few are told as they come, the rest as one, with a number.

    A kind is what the caller says it is. ``clock`` gives seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self.logger = logger
        self.clock = clock
        #: By kind: when its first line came, how many did, and the last one of them that was not told.
        self.state_by_kind: dict[str, tuple[float, int, tuple[int, str, tuple[object, ...]] | None]] = {}

    def emit(self, kind: str, level: int, text: str, *args: object) -> None:
        """One line, ``event: name=value …``."""
        since, count, _ = self.state_by_kind.get(kind, (self.clock(), 0, None))
        if count < FOLD_AFTER:
            self.logger.log(level, text, *args)
            self.state_by_kind[kind] = since, count + 1, None
        else:
            self.state_by_kind[kind] = since, count + 1, (level, text, args)

    def emit_folded(self) -> None:
        """Tell what was kept back, when its time is over."""
        now = self.clock()
        for kind, (since, count, last_folded) in list(self.state_by_kind.items()):
            if now - since >= FOLD_SECONDS:
                del self.state_by_kind[kind]
                if last_folded is not None:
                    level, text, args = last_folded
                    event, _, rest = text.partition(": ")
                    self.logger.log(level, f"{event}: repeated=%d {rest}", count - FOLD_AFTER, *args)


def configure_logging(kind: str) -> None:
    """``text`` for people, ``json`` for machines."""
    handler = logging.StreamHandler(sys.stderr)
    if kind == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
