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
NAME: Final = re.compile(r"(?:^|(?<= ))([a-z_]+)=")
#: In a format string: a pair whose value is a number.
NUMBER: Final = re.compile(r"([a-z_]+)=%[0-9.]*([df])")
#: The value of one of these goes on to the end of the line.
TO_THE_END: Final = ("cause", "reason")
#: So many lines of one kind are told one by one, then those of so many seconds as one.
FOLD_AFTER: Final = 5
FOLD_SECONDS: Final = 10.0


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


@final
class Folded:
    """Lines of one kind that come in a flood: the first few are told as they come, the rest as one, with a number.

    A kind is what the caller says it is. ``clock`` gives seconds.
    """

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self.log = log
        self.clock = clock
        #: By kind: when its first line came, how many did, and the last one of them that was not told.
        self.kinds: dict[str, tuple[float, int, tuple[int, str, tuple[object, ...]] | None]] = {}

    def tell(self, kind: str, level: int, text: str, *args: object) -> None:
        """One line, ``event: name=value …``."""
        since, count, _ = self.kinds.get(kind, (self.clock(), 0, None))
        if count < FOLD_AFTER:
            self.log.log(level, text, *args)
            self.kinds[kind] = since, count + 1, None
        else:
            self.kinds[kind] = since, count + 1, (level, text, args)

    def tick(self) -> None:
        """Tell what was kept back, when its time is over."""
        now = self.clock()
        for kind, (since, count, kept) in list(self.kinds.items()):
            if now - since >= FOLD_SECONDS:
                del self.kinds[kind]
                if kept is not None:
                    level, text, args = kept
                    event, _, rest = text.partition(": ")
                    self.log.log(level, f"{event}: repeated=%d {rest}", count - FOLD_AFTER, *args)


def set_up_logs(kind: str) -> None:
    """``text`` for people, ``json`` for machines."""
    handler = logging.StreamHandler(sys.stderr)
    if kind == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
