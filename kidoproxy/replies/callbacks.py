"""Handlers that call functions: what waits for replies needs no class of its own.

The functions are methods of the object that owns the state, or nested in the function that sends the request, so
that one operation is read in one place. Which handler takes them:

* `CallbackHandler`: one reply, and nobody behind it in the chain (most requests of the proxy's own);
* `BatchHandler`: the replies to several requests that were sent in one piece;
* `InterceptingHandler`: something happens to a reply on its way to its ``parent``; `transform_reply`, if that is all.

What passes pieces of a reply on, or is known by its class to others, is a class of its own. A function must not refer
to the handler that calls it: such a circle stays until the garbage collector finds it.
"""

from collections.abc import Callable
from typing import final

from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.resp.errors import NodeFailure


@final
class CallbackHandler(ReplyHandler):
    """Waits for one reply, and calls ``take_reply`` with it, or ``take_failure`` if there is none."""

    def __init__(self, take_reply: Callable[[bytes], None], take_failure: Callable[[NodeFailure], None]) -> None:
        super().__init__()
        self.take_reply = take_reply
        self.take_failure = take_failure

    def serves_client(self) -> bool:
        return False

    def on_reply(self, raw: bytes) -> None:
        self.take_reply(raw)

    def on_failure(self, failure: NodeFailure) -> None:
        self.take_failure(failure)


class BatchHandler(ReplyHandler):
    """Collects ``count`` replies to what was sent in one piece, and calls ``take_replies`` with all of them.

    If the connection is lost before the last one, ``take_failure`` is called instead.
    """

    def __init__(
        self, count: int, take_replies: Callable[[list[bytes]], None], take_failure: Callable[[NodeFailure], None]
    ) -> None:
        super().__init__()
        self.count = count
        self.take_replies = take_replies
        self.take_failure = take_failure
        self.replies: list[bytes] = []

    def serves_client(self) -> bool:
        return False

    def on_reply(self, raw: bytes) -> None:
        self.replies.append(raw)
        if len(self.replies) == self.count:
            replies = self.replies
            self.replies = []
            self.take_replies(replies)

    def on_failure(self, failure: NodeFailure) -> None:
        self.take_failure(failure)


@final
class InterceptingHandler(DelegatingHandler):
    """Stands before ``parent``: ``take_reply`` and ``take_failure`` are called, and answer the parent themselves.

    The reply is a whole one, unless ``whole`` is False: then its pieces may go to the parent, and ``take_reply`` gets
    the last one. Everything else (abort, description, bytes held) is the parent's.
    """

    def __init__(
        self,
        parent: ReplyHandler,
        take_reply: Callable[[bytes], None],
        take_failure: Callable[[NodeFailure], None],
        whole: bool = True,
    ) -> None:
        super().__init__(parent)
        self.take_reply = take_reply
        self.take_failure = take_failure
        self.whole = whole

    def on_reply(self, raw: bytes) -> None:
        self.take_reply(raw)

    def on_failure(self, failure: NodeFailure) -> None:
        self.take_failure(failure)

    def can_cut_through(self) -> bool:
        return not self.whole and self.parent.can_cut_through()


def transform_reply(parent: ReplyHandler, transform: Callable[[bytes], bytes]) -> InterceptingHandler:
    """Gives ``parent`` what ``transform`` makes of the reply; a failure stays as it is."""

    def take_reply(raw: bytes) -> None:
        parent.on_reply(transform(raw))

    return InterceptingHandler(parent, take_reply, parent.on_failure)


def ignore_failure(failure: NodeFailure) -> None:
    """For a `CallbackHandler` whose owner hears of failures in another way."""
