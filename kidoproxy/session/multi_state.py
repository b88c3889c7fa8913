"""What MULTI has queued, until EXEC or DISCARD."""

from typing import final

from kidoproxy.commands.spec import LOCAL, SESSION, CommandSpec
from kidoproxy.resp.requests import Request


@final
class QueuedCommand:
    """A command between MULTI and EXEC."""

    def __init__(self, spec: CommandSpec, request: Request) -> None:
        self.spec = spec
        self.request = request

    def is_local(self) -> bool:
        """Whether the session answers it, and no node is asked."""
        return self.spec.reach in (SESSION, LOCAL)


@final
class TransactionPlacement:
    """The node or copy pool that a transaction must not leave, and the key that has decided it."""

    def __init__(self, first_key: bytes, ids: set[int]) -> None:
        self.first_key = first_key
        self.placement_ids = ids
