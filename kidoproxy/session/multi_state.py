"""What a session has between MULTI and EXEC or DISCARD."""

from typing import Final, final

from kidoproxy.commands.spec import LOCAL, SESSION, CommandSpec
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.route import RequestContext


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


@final
class MultiState:
    """An open transaction. ``request_context``: in which its commands are planned while they are queued."""

    def __init__(self, request_context: RequestContext) -> None:
        self.request_context: Final = request_context
        self.queue: list[QueuedCommand] = []
        #: The channels, with their kinds, that it publishes to.
        self.channels: dict[tuple[int, bytes], bool] = {}
        self.queue_bytes = 0
        self.placement: TransactionPlacement | None = None
        #: A command was refused, so EXEC aborts.
        self.exec_dirty = False
