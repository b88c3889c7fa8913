"""Logs for operators: one structured line per change of state on standard error, none per command."""

import json
import logging
import sys


class JsonLines(logging.Formatter):
    """One JSON object a line. What a record says as ``name=value`` pairs becomes its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        text = record.getMessage()
        event, _, rest = text.partition(": ")
        fields: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
        }
        if rest:
            fields["detail"] = rest
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def set_up_logs(kind: str) -> None:
    """``text`` for people, ``json`` for machines."""
    handler = logging.StreamHandler(sys.stderr)
    if kind == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
