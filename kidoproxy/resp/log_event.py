"""What the log is to say, as a value: the pure packages make it, `kidoproxy.net.logs` writes it as text or as JSON."""

from typing import final


@final
class LogEvent:
    """The name of an event, such as ``node down``, and its fields in the order in which they are shown.

    A value without spaces keeps the text line easy to split; ``cause`` and ``reason`` may have some, and come last.
    """

    def __init__(self, name: str, fields: dict[str, object]) -> None:
        self.name = name
        self.fields = fields

    def __str__(self) -> str:
        """``node down: node=a cause=no route to host``."""
        if not self.fields:
            return self.name
        return f"{self.name}: " + " ".join([f"{name}={value}" for name, value in self.fields.items()])
