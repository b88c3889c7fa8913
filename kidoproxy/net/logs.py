"""Logs for operators: one structured line per change of state on standard error, none per command.

A message is ``event: name=value name=value``. A value has no spaces, but for that of ``cause`` or ``reason``,
which is the rest of the line.
"""

import json
import logging
import re
import sys
from typing import Final

#: A name of a pair, at the beginning or behind a space.
NAME: Final = re.compile(r"(?:^|(?<= ))([a-z_]+)=")
#: In a format string: a pair whose value is a number.
NUMBER: Final = re.compile(r"([a-z_]+)=%[0-9.]*([df])")
#: The value of one of these goes on to the end of the line.
TO_THE_END: Final = ("cause", "reason")


def pairs(text: str) -> dict[str, str]:
    """``pool=cache cause=no route`` as a dictionary; empty when ``text`` is something else."""
    found: dict[str, str] = {}
    names = list(NAME.finditer(text))
    if not names or names[0].start():
        return found
    for at, name in enumerate(names):
        last = name[1] in TO_THE_END or at + 1 == len(names)
        found[name[1]] = text[name.end() :] if last else text[name.end() : names[at + 1].start()].rstrip(" ")
        if last:
            break
    return found


class JsonLines(logging.Formatter):
    """One JSON object a line. What a record says as ``name=value`` pairs becomes its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a field is a number if the program, not the text of this one line, says so."""
        event, _, rest = record.getMessage().partition(": ")
        fields: dict[str, object] = dict(pairs(rest))
        for name, kind in NUMBER.findall(record.msg if isinstance(record.msg, str) else ""):
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


class TextLines(logging.Formatter):
    """One line for each record, whatever stands in its values; the lines of an exception follow it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without control characters."""
        return visible(super().formatMessage(record))


def visible(text: str) -> str:
    """Nothing that would begin a line of its own, or tell a terminal what to do."""
    return text if text.isprintable() else "".join([c if c.isprintable() else " " for c in text])


def set_up_logs(kind: str) -> None:
    """``text`` for people, ``json`` for machines."""
    handler = logging.StreamHandler(sys.stderr)
    if kind == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
