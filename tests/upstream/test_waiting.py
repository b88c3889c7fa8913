"""Requests that wait in the proxy; what they do over time is told by tests/session/handlers/test_blocking_copies.py."""

from collections.abc import Callable

from kidoproxy.commands.find import COMMANDS
from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.resp.errors import NODEDOWN, NodeFailure
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import Wait
from kidoproxy.upstream.dedicated import DedicatedExecutor
from kidoproxy.upstream.waiting import LOOK_KEYS, WaitingRequest
from tests.story import Story, copies, story
from tests.story.frames import frame, request

FAILURE = NodeFailure(NODEDOWN, "a", "a:1", "no", False)


class Told:
    """What somebody is told."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.then: Callable[[], None] = lambda: None

    def handler(self) -> CallbackHandler:
        """Whoever tells."""
        return CallbackHandler(self.take_reply, self.said.append)

    def take_reply(self, raw: bytes) -> None:
        """A reply."""
        self.said.append(raw)
        self.then()


def pop_plan(play: Story, *keys: str) -> tuple[Wait, bytes]:
    """The plan of a BLPOP of these keys, and its frame."""
    raw = request(" ".join(["BLPOP", *keys, "0"]))
    argv = [b"BLPOP", *[key.encode() for key in keys], b"0"]
    session = play.client("me").session
    plan = play.context.root.plan(COMMANDS[b"blpop"], Request(argv, raw), session.request_context)
    assert isinstance(plan, Wait)
    return plan, raw


def wait(play: Story, told: Told, *keys: str) -> WaitingRequest:
    """A request of these keys that waits."""
    executor = DedicatedExecutor(play.proxy.dedicated_pool, 5.0, b"*-1\r\n")
    plan, raw = pop_plan(play, *keys)
    executor.execute(plan, told.handler(), raw, COMMANDS[b"blpop"], play.client("me").session.request_context)
    return executor.waiting[0]


def answer(play: Story, reply: str) -> None:
    """Both copies answer all that they were sent: transactions of one command."""
    play.settle()
    for name in "ab":
        count = len(play.sent[name]) // 3
        play.sent[name].clear()
        play.connection(name).feed(frame("+OK") + frame("+QUEUED") + frame(f"*1 {reply}"), play.executor.now)
        assert count == 1


def test_an_executor_where_nobody_waits() -> None:
    """It asks for what is there now."""
    play = story(copies("a", "b"))
    plan, raw = pop_plan(play, "q")
    told = Told()
    play.executor.execute(plan, told.handler(), raw, COMMANDS[b"blpop"], play.client("me").session.request_context)
    play.settle()
    assert [one.raw for one in play.sent["a"]] == [raw]
    assert repr(plan) in ("wait for [b'q'], then [a, b]", "wait for [b'q'], then [b, a]")


def test_a_bug_ends_the_waiting() -> None:
    """Whoever waits is told, once, and nothing stays behind."""
    for failed in (True, False):
        play = story(copies("a", "b"))
        told = Told()
        waiting = wait(play, told, "q")
        play.settle()
        waiting.abort(FAILURE, failed)
        waiting.abort(FAILURE, True)
        assert told.said == ([] if failed else [FAILURE])
        assert play.pool.groups[0].waiters.count == 0
        assert play.proxy.dedicated_pool.waiting.deadlines == {}


def test_an_attempt_that_surely_has_not_run() -> None:
    """At first it is the answer; later the client waits on."""
    play = story(copies("a", "b"))
    told = Told()
    waiting = wait(play, told, "q")
    answer(play, "*-1")
    play.pool.groups[0].waiters.wake_key(0, b"q")
    waiting.on_failure(FAILURE)
    assert told.said == []
    assert waiting in play.proxy.dedicated_pool.waiting.deadlines


def test_a_client_that_has_left_or_was_unblocked() -> None:
    """What must not wait any more is answered with what is there now, or at once."""
    play = story(copies("a", "b"))
    plan, raw = pop_plan(play, "q")
    for gone in (True, False):
        told = Told()
        executor = DedicatedExecutor(play.proxy.dedicated_pool, 5.0, b"*-1\r\n")
        executor.outcome.client_gone = gone
        executor.unblock_reason = b"TIMEOUT"
        executor.execute(plan, told.handler(), raw, COMMANDS[b"blpop"], play.client("me").session.request_context)
        assert executor.waiting == []
        if gone:
            answer(play, "$1 x")
        assert told.said == [b"$1\r\nx\r\n" if gone else b"*-1\r\n"]


def test_many_keys_are_looked_for_at_ease() -> None:
    """Behind each write to unknown keys a few keys are looked for at once, many at the next tick."""
    for count in (LOOK_KEYS, LOOK_KEYS + 1):
        play = story(copies("a", "b"))
        wait(play, Told(), *[f"k{number}" for number in range(count)])
        answer(play, "*-1")
        waiters = play.pool.groups[0].waiters
        assert waiters.on_unknown_write is not None
        waiters.on_unknown_write()
        play.settle()
        assert len(play.sent["a"]) == (count if count <= LOOK_KEYS else 0)
        play.proxy.tick()
        play.settle()
        assert len(play.sent["a"]) == count


def test_time_outs() -> None:
    """Each has its own; one that is answered while another one's time-out is told is not answered again."""
    play = story(copies("a", "b"))
    registry = play.proxy.dedicated_pool.waiting
    told = [Told(), Told(), Told(), Told()]
    waiting = []
    for key, one in zip("pqrs", told, strict=True):
        waiting.append(wait(play, one, key))
        answer(play, "*-1")
    moments = zip(waiting, (1.0, 1.0, 3.0, 4.0), strict=True)
    registry.deadlines = {one: (moment, b"late") for one, moment in moments}
    told[0].then = lambda: waiting[1].end(b"early")
    registry.time_out_waiting(1.5)
    assert [one.said for one in told] == [[b"late"], [b"early"], [], []]
    assert (list(registry.deadlines), registry.next_deadline) == (waiting[2:], 3.0)
