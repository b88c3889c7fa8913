"""The reply to a write that some copy may have missed."""

from typing import final

from kidoproxy.replication.durability import HeldAcknowledgement
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.errors import TIMEOUT, NodeFailure
from kidoproxy.routes.topology import Node


@final
class DurableReply(HeldAcknowledgement):
    """It waits until the record of that is on disk."""

    def __init__(self, group: CopyGroup, node: Node, parent: ReplyHandler, raw: bytes) -> None:
        super().__init__(group.durability.latest_version)
        self.group = group
        self.node = node
        self.parent = parent
        self.raw = raw

    def release(self) -> None:
        self.parent.on_reply(self.raw)

    def on_timeout(self) -> None:
        """After a crash of the proxy nobody would know who missed the write; or another one may not know of it."""
        ownership = self.group.ownership
        if ownership is not None and ownership.yielded_to is not None:
            cause = f"the copies are served by the kidoproxy of {ownership.yielded_to.describe()} now"
        elif not self.group.durability.is_verified():
            cause = f"no copy of {self.group.name} tells whether another proxy serves them"
        else:
            cause = f"the record of {self.group.name}'s copies is not on disk yet"
        self.parent.on_failure(NodeFailure(TIMEOUT, self.node.name, self.node.address, cause, True))
