"""`kidoproxy.replies.handler`: what a handler does by itself."""

from collections.abc import Callable

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.replies.accounting import HALF_REPLY
from kidoproxy.replies.aggregate import AggregateSlot, MergeWith
from kidoproxy.replies.handler import DelegatingHandler, IgnoreReply, ReplyHandler
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp.errors import NODEDOWN, NodeFailure

FAILURE = NodeFailure(NODEDOWN, "b", "b:1", "gone", True)


def test_an_ignored_reply() -> None:
    """It may be anything, and is not handled in pieces."""
    handler = IgnoreReply()
    handler.on_reply(b"x")
    handler.on_failure(FAILURE)
    handler.add_held_bytes(5)
    assert not handler.can_cut_through()


def test_handlers_say_what_they_do_with_a_reply() -> None:
    """The base class handles neither replies nor failures nor pieces."""
    handler = ReplyHandler()
    calls: list[Callable[[], None]] = [
        lambda: handler.on_reply(b""),
        lambda: handler.on_failure(FAILURE),
        lambda: handler.cut_through(b""),
    ]
    for call in calls:
        with pytest.raises(NotImplementedError):
            call()


@pytest.mark.parametrize("failed", [False, True])
def test_abort_tells_of_the_failure_once(failed: bool) -> None:
    """If `on_reply` has raised, the handler hears of the failure; if `on_failure` itself has, it does not again."""
    replies = ReplyQueue(TurnWork())
    handler = MergeWith(replies.open_pending(None), 1, b"".join)
    ReplyHandler.abort(AggregateSlot(handler, 0), FAILURE, failed)
    assert replies.take_output() == ([] if failed else [b"-NODEDOWN b b:1 (gone)\r\n"])


def test_delegating() -> None:
    """Pieces, bytes held, the description and an abort are those of the parent."""
    replies = ReplyQueue(TurnWork())
    handler = DelegatingHandler(replies.open_pending(COMMANDS[b"get"]))
    handler.cut_through(b"half")
    handler.add_held_bytes(5)
    assert handler.can_cut_through()
    assert (replies.take_output(), replies.held_reply_bytes, handler.describe()) == ([b"half"], 5, "get")
    handler.abort(FAILURE, True)
    assert replies.disconnect_reason == HALF_REPLY


def test_nothing_is_asked_once_more_unless_it_is_known_to_be_harmless() -> None:
    """What the proxy itself asks is not a read of a client."""
    assert not IgnoreReply().may_be_asked_late()
    assert not DelegatingHandler(IgnoreReply()).may_be_asked_late()
