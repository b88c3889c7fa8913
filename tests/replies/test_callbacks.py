"""`kidoproxy.replies.callbacks`: which function a handler calls, with what, and how often."""

from kidoproxy.replies.callbacks import (
    BatchHandler,
    CallbackHandler,
    InterceptingHandler,
    ignore_failure,
    transform_reply,
)
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp.errors import NODEDOWN, NodeFailure

FAILURE = NodeFailure(NODEDOWN, "b", "b:1", "gone", True)


def test_one_reply() -> None:
    """The reply goes to one function, the failure to the other; who is aborted has failed, once."""
    replies: list[bytes] = []
    failures: list[NodeFailure] = []
    handler = CallbackHandler(replies.append, failures.append)
    handler.on_reply(b"+OK\r\n")
    assert (replies, failures) == ([b"+OK\r\n"], [])
    handler.on_failure(FAILURE)
    handler.abort(FAILURE, True)
    handler.abort(FAILURE, False)
    assert failures == [FAILURE, FAILURE]
    assert not handler.can_cut_through()


def test_an_ignored_failure() -> None:
    """Nothing comes of it."""
    replies: list[bytes] = []
    CallbackHandler(replies.append, ignore_failure).on_failure(FAILURE)
    assert replies == []


def test_a_batch() -> None:
    """Its function is called once, with all replies in their order, which the handler does not keep."""
    batches: list[list[bytes]] = []
    failures: list[NodeFailure] = []
    handler = BatchHandler(2, batches.append, failures.append)
    handler.on_reply(b"+1\r\n")
    assert batches == []
    handler.on_reply(b"+2\r\n")
    assert (batches, handler.replies) == ([[b"+1\r\n", b"+2\r\n"]], [])
    assert not handler.can_cut_through()


def test_half_a_batch() -> None:
    """A failure stands for all that is missing."""
    batches: list[list[bytes]] = []
    failures: list[NodeFailure] = []
    handler = BatchHandler(2, batches.append, failures.append)
    handler.on_reply(b"+1\r\n")
    handler.on_failure(FAILURE)
    assert (batches, failures) == ([], [FAILURE])


def test_intercepting() -> None:
    """The functions are called in the parent's place; an abort, and bytes held, are for the parent."""
    replies = ReplyQueue(TurnWork())
    taken: list[object] = []
    handler = InterceptingHandler(replies.open_pending(None), taken.append, taken.append)
    handler.on_reply(b"+OK\r\n")
    handler.on_failure(FAILURE)
    assert taken == [b"+OK\r\n", FAILURE]
    handler.add_held_bytes(5)
    assert replies.held_reply_bytes == 5
    handler.abort(FAILURE, False)
    assert (len(taken), replies.take_output()) == (2, [b"-NODEDOWN b b:1 (gone)\r\n"])


def test_pieces_pass_where_the_reply_need_not_be_whole() -> None:
    """Whenever the parent takes them."""
    replies = ReplyQueue(TurnWork())
    pending = replies.open_pending(None)
    assert not InterceptingHandler(pending, pending.on_reply, pending.on_failure).can_cut_through()
    in_pieces = InterceptingHandler(pending, pending.on_reply, pending.on_failure, whole=False)
    assert in_pieces.can_cut_through()
    in_pieces.cut_through(b"$4\r\nha")
    in_pieces.on_reply(b"lf\r\n")
    assert replies.take_output() == [b"$4\r\nha", b"lf\r\n"]
    behind = InterceptingHandler(replies.open_pending(None), pending.on_reply, pending.on_failure, whole=False)
    replies.close()
    assert not behind.can_cut_through()


def test_a_reply_is_transformed() -> None:
    """A failure is not; neither leaves before its turn."""
    replies = ReplyQueue(TurnWork())
    first, second = (transform_reply(replies.open_pending(None), bytes.upper) for _ in range(2))
    second.on_failure(FAILURE)
    first.on_reply(b"+ok\r\n")
    assert replies.take_output() == [b"+OK\r\n", b"-NODEDOWN b b:1 (gone)\r\n"]
