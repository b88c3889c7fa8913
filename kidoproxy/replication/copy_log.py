"""What the operator's log hears of a copy pool: events in the order in which they happened, each with the pool's name.

Whoever ticks the supervisor takes ``events`` and empties the list.
"""

from typing import final

from kidoproxy.replication.group import CopyGroup
from kidoproxy.resp.log_event import LogEvent


@final
class CopyLog:
    """The events of one group, and the states that were logged last, by name of the node."""

    def __init__(self, group: CopyGroup) -> None:
        self.group = group
        self.events: list[LogEvent] = []
        self.logged_states: dict[str, str] = {}

    def add(self, name: str, fields: dict[str, object]) -> None:
        self.events.append(LogEvent(name, {"pool": self.group.name, **fields}))

    def add_state_changes(self) -> None:
        """One event for each copy whose state has changed since the last call; none while no copy is trusted."""
        for copy in self.group.copies if self.group.elected else []:
            if self.logged_states.get(copy.node.name) != copy.state:
                self.logged_states[copy.node.name] = copy.state
                self.add(f"copy {copy.state}", {"node": copy.node.name})
