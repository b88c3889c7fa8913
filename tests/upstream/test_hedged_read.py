"""`kidoproxy.upstream.hedged_read`: a read that is asked of two copies. Stories."""

from typing import Any, cast
from unittest.mock import Mock

import pytest

from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.upstream import plan_sender
from kidoproxy.upstream.hedged_read import HedgedRead
from kidoproxy.upstream.plan_sender import PlanSender
from tests.story import (
    Pool,
    client,
    copies,
    given,
    led_by,
    lost,
    node,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)


def pool(delay: float = 0.010) -> tuple[Pool, list[str]]:
    """Three copies, and their names in the order in which ``k`` is asked of them."""
    three = copies("a", "b", "c")
    group = three.groups[0]
    group.hedges.delay = delay
    group.hedges.tokens = 10.0
    return three, [copy.node.name for copy in group.ranked_copies(b"k")]


def after(seconds: float) -> Any:
    """The timer of the loop."""

    def run(play: Any) -> None:
        play.executor.copy_hedges.run(play.executor.now + seconds)
        play.executor.copy_hedges.next_due()

    return given(run)


def named(three: Pool, name: str) -> Node:
    return next(found for found in three.nodes if found.name == name)


def counts(three: Pool) -> dict[str, int]:
    """Those that are not zero."""
    return {name: count for name, count in three.groups[0].hedges.counts.items() if count}


def test_the_first_reply_counts() -> None:
    """The second copy is asked when the first is slow; what the first says later is dropped by its position."""
    three, (first, second, _) = pool()
    (
        story(three)
        >> client("GET k") << to(first, "GET k")
        >> after(0.005) << silence()
        >> after(0.011) << to(second, "GET k")
        >> node(second, "$1 x") << to_client("$1 x")
        >> node(first, "$1 x") << silence()
        >> client("GET k") << to(first, "GET k") >> node(first, "$1 y") << to_client("$1 y")
        >> after(1.0) << silence()
    )  # fmt: skip
    assert counts(three) == {"sent": 1, "won": 1, "discarded": 1}
    assert three.groups[0].read_count == 2


def test_the_first_copy_may_still_win() -> None:
    """The second one's reply is dropped then."""
    three, (first, second, _) = pool()
    (
        story(three)
        >> client("GET k") << to(first, "GET k") >> after(0.011) << to(second, "GET k")
        >> node(first, "$1 x") << to_client("$1 x") >> node(second, "$1 x") << silence()
    )  # fmt: skip
    assert counts(three) == {"sent": 1, "discarded": 1}


def test_writes_are_never_asked_twice() -> None:
    """Nor reads behind which their client has sent one: what it has written later is not what it asked for."""
    three, (first, second, third) = pool()
    (
        story(three)
        >> client("GET k", "SET k v")
        << to(first, "GET k", "SET k v") << to(second, "SET k v") << to(third, "SET k v")
        >> after(1.0) << silence()
        >> node(first, "$1 x", "+OK") << to_client("$1 x") >> node(second, "+OK") >> node(third, "+OK")
        << to_client("+OK")
    )  # fmt: skip
    assert counts(three) == {}


def test_reads_behind_it_do_not_matter() -> None:
    """Each read of a pipeline may be asked twice."""
    three, (first, second, _) = pool()
    (
        story(three)
        >> client("GET k", "STRLEN k") << to(first, "GET k", "STRLEN k")
        >> after(0.011) << to(second, "GET k", "STRLEN k")
        >> node(second, "$1 x", ":1") << to_client("$1 x", ":1") >> node(first, "$1 x", ":1") << silence()
    )  # fmt: skip
    assert counts(three) == {"sent": 2, "won": 2, "discarded": 2}


def test_a_pipeline_too_long_to_look_at() -> None:
    """What may stand behind it is not known, so it is not asked twice."""
    three, (first, second, _) = pool()
    many = ["GET k"] * 100
    (
        story(three)
        >> client(*many) << to(first, *many) >> after(0.011) << to(second, *many[:10])
        >> node(first, *["$1 x"] * 100) << to_client(*["$1 x"] * 100)
        >> node(second, *["$1 x"] * 10) << silence()
    )  # fmt: skip
    assert counts(three)["sent"] == 10


@pytest.mark.parametrize("unfit", ["-LOADING soon", "lost"])
def test_a_reply_that_does_not_count(unfit: str) -> None:
    """The other copy that was asked is waited for; only then the next one is asked."""
    three, (first, second, third) = pool()

    def bad(name: str) -> Any:
        return lost(name) if unfit == "lost" else node(name, unfit)

    (
        story(three)
        >> client("GET k") << to(first, "GET k") >> after(0.011) << to(second, "GET k")
        >> bad(second) << silence()
        >> bad(first) << to(third, "GET k")
        >> node(third, "$1 x") << to_client("$1 x")
    )  # fmt: skip


def test_the_last_failure_is_the_answer() -> None:
    """As of any read."""
    three, (first, second, third) = pool()
    (
        story(three)
        >> client("GET k") << to(first, "GET k") >> after(0.011) << to(second, "GET k")
        >> lost(first) << silence() >> lost(second) << to(third, "GET k")
        >> lost(third) << to_client(f"-NODEDOWN {third} {third}:6379 (it closed the connection)")
    )  # fmt: skip


def test_no_copy_that_fell_behind_answers() -> None:
    """The second copy is behind by the time that it answers: the first one's reply is waited for."""
    three, (first, second, _) = pool()
    group = three.groups[0]
    (
        story(three)
        >> client("GET k") << to(first, "GET k") >> after(0.011) << to(second, "GET k")
        >> given(lambda play: group.mark_behind([named(three, second)]))
        >> node(second, "$1 x") << silence()
        >> node(first, "$1 y") << to_client("$1 y")
    )  # fmt: skip


@pytest.mark.parametrize(("attribute", "value"), [("suspect", True), ("live", False)])
def test_who_does_not_answer_is_not_asked(attribute: str, value: bool) -> None:
    """A second copy that is down or suspect would only be one more to wait for."""
    three, (first, second, _) = pool()
    (
        story(three)
        >> client("GET k") << to(first, "GET k")
        >> given(lambda play: setattr(named(three, second), attribute, value))
        >> after(0.011) << silence()
        >> node(first, "$1 x") << to_client("$1 x")
    )  # fmt: skip
    assert counts(three) == {}


def test_no_copy_is_trusted_any_more() -> None:
    """Before an election nobody is asked: the read is refused, and what still comes counts no more."""
    three, (first, second, _) = pool()
    group = three.groups[0]
    (
        story(three)
        >> client("GET k") << to(first, "GET k")
        >> given(lambda play: setattr(group, "elected", False))
        >> lost(first) << to_client(group.refusal) << silence()
        >> given(lambda play: setattr(group, "elected", True))
    )  # fmt: skip
    assert second


def test_a_refused_read_is_over() -> None:
    """Though its reply waits for its turn behind another one, it is not asked again when it would have been due."""
    three, (first, second, _) = pool()
    group = three.groups[0]
    before = led_by(three, second)
    (
        story(three)
        >> client(f"GET {before}", "GET k") << to(second, f"GET {before}") << to(first, "GET k")
        >> given(lambda play: setattr(group, "elected", False))
        >> lost(first) << silence()
        >> given(lambda play: setattr(group, "elected", True))
        >> after(1.0) << unheard
        << then(lambda play: play.clients["me"].session.replies.held_reply_bytes == len(group.refusal))
    )  # fmt: skip
    assert counts(three)["sent"] == 1


def test_nobody_is_asked_late_without_trust() -> None:
    """The first copy's reply is waited for, and heard once."""
    three, (first, _, _) = pool()
    group = three.groups[0]
    (
        story(three)
        >> client("GET k") << to(first, "GET k")
        >> given(lambda play: setattr(group, "elected", False))
        >> after(1.0) << silence()
        >> node(first, "$1 x") << to_client("$1 x")
    )  # fmt: skip


def test_a_copy_behind_is_not_asked_late() -> None:
    """It missed a write since the read was sent."""
    three, (first, second, _) = pool()
    (
        story(three)
        >> client("GET k") << to(first, "GET k")
        >> given(lambda play: three.groups[0].mark_behind([named(three, second)]))
        >> after(0.011) << silence()
        >> node(first, "$1 y") << to_client("$1 y")
    )  # fmt: skip


def test_the_last_one_was_restarted() -> None:
    """It may have lost all that it had: rather than to say that a key is not there the read fails."""
    two = copies("a", "b")
    group = two.groups[0]
    group.hedges.delay, group.hedges.tokens = 0.010, 10.0
    first, second = [copy.node.name for copy in group.ranked_copies(b"k")]
    (
        story(two)
        >> client("GET k") << to(first, "GET k") >> after(0.011) << to(second, "GET k")
        >> given(lambda play: group.mark_behind([named(two, second)]))
        >> lost(first) << silence()
        >> node(second, "$-1") << to_client("-NOREPLICAS No copy is in sync to be read.")
    )  # fmt: skip


@pytest.mark.skipif(not str(plan_sender.__file__).endswith(".py"), reason="compiled classes have no such subclasses")
@pytest.mark.parametrize("late", [False, True])
def test_a_bug_costs_one_request(late: bool) -> None:
    """The client hears of it once; not if another copy has answered."""
    three, _ = pool()
    # Neither is derived from a class that the other build compiles.
    parent, sender = Told(), Mock(current_time=lambda: 0.0)
    read = HedgedRead(cast(PlanSender, sender), cast(ReplyHandler, parent), b"", three.nodes, 2, 0, three.groups[0])
    read.ask_next()
    read.ask_next()
    first, second = [call.args[1] for call in sender.send.call_args_list]
    if late:
        second.on_reply(b"+x\r\n")
    first.abort(NodeFailure("NODEDOWN", "a", "a:1", "bug", True), False)
    assert parent.heard == (["reply"] if late else ["abort"])
    assert (first.serves_client(), second.serves_client()) == (not late, late)
    first.cut_through(b"x")
    assert first.can_cut_through() is True or not late
    assert parent.heard == (["reply"] if late else ["abort", "piece"])


class Told:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_reply(self, raw: bytes) -> None:
        self.heard.append("reply")

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        self.heard.append("abort")

    def serves_client(self) -> bool:
        return True

    def can_cut_through(self) -> bool:
        return False

    def cut_through(self, piece: bytes) -> None:
        self.heard.append("piece")


def test_a_slow_copy_is_noticed_all_the_same() -> None:
    """It still has its deadline: a node that answers nothing becomes suspect, though its clients were served."""
    three, (first, second, _) = pool()
    (
        story(three)
        >> client("GET k") << to(first, "GET k") >> after(0.011) << to(second, "GET k")
        >> node(second, "$1 x") << to_client("$1 x")
        >> tick(0.6) << silence()
        << then(lambda play: play.executor.connections_to(named(three, first))[0].timeouts == 1)
    )  # fmt: skip
    assert not three.nodes[0].failure_counts.get("timeout")


def test_a_large_reply_leaves_in_pieces() -> None:
    """From its first piece on it is the read's; the other copy's goes by in pieces, and is held nowhere."""
    three, (first, second, _) = pool()
    large = 300_000
    head = b"$%d\r\n" % large
    (
        story(three)
        >> client("GET k") << to(first, "GET k") >> after(0.011) << to(second, "GET k")
        >> node(second, head + b"x" * 200_000) << to_client(head + b"x" * 200_000)
        >> node(first, head + b"x" * 200_000) << silence()
        >> node(first, b"x" * 100_000 + b"\r\n") << silence()
        >> node(second, b"x" * 100_000 + b"\r\n") << to_client(b"x" * 100_000 + b"\r\n")
    )  # fmt: skip


def test_half_a_reply_is_not_begun_anew() -> None:
    """The copy whose reply has left in part is lost: the client is cut, whatever the other copy says."""
    three, (first, second, _) = pool()
    head = b"$300000\r\n" + b"x" * 200_000
    (
        story(three)
        >> client("GET k") << to(first, "GET k") >> after(0.011) << to(second, "GET k")
        >> node(second, head) << to_client(head)
        >> lost(second) << then(lambda play: play.clients["me"].session.replies.disconnect_reason != "")
        >> node(first, "$1 x") << silence()
    )  # fmt: skip
    assert counts(three) == {"sent": 1, "won": 1, "discarded": 1}


def test_pieces_of_a_copy_that_fell_behind() -> None:
    """They do not leave: the reply may lack a write."""
    three, (first, second, _) = pool()
    group = three.groups[0]
    head = b"$300000\r\n" + b"x" * 200_000
    (
        story(three)
        >> client("GET k") << to(first, "GET k") >> after(0.011) << to(second, "GET k")
        >> given(lambda play: group.mark_behind([named(three, second)]))
        >> node(second, head) << silence()
        >> node(first, "$1 y") << to_client("$1 y")
        >> node(second, b"x" * 100_000 + b"\r\n") << silence()
    )  # fmt: skip


def test_all_have_been_asked() -> None:
    """The first copy is lost and the second was asked for it: there is no third one."""
    two = copies("a", "b")
    group = two.groups[0]
    group.hedges.delay, group.hedges.tokens = 0.010, 10.0
    first, second = [copy.node.name for copy in group.ranked_copies(b"k")]
    (
        story(two)
        >> client("GET k") << to(first, "GET k") >> lost(first) << to(second, "GET k")
        >> after(0.011) << silence()
        >> node(second, "$1 x") << to_client("$1 x")
    )  # fmt: skip
    assert counts(two) == {}


def test_parts_of_a_split_read() -> None:
    """In a ring of copies each part of an MGET may be asked twice."""
    both = ring(copies("a", "b", name="one"), copies("c", "d", name="two"))
    for group in both.groups:
        group.hedges.delay, group.hedges.tokens = 0.010, 10.0
    story(both) >> client("MGET {one}1 {two}2") << unheard >> after(0.011) << unheard
    assert [group.hedges.counts["sent"] for group in both.groups] == [1, 1]


def test_one_copy_is_asked_once() -> None:
    """There is no second one."""
    one = copies("a")
    one.groups[0].hedges.delay = 0.010
    (
        story(one)
        >> client("GET k")
        << to("a", "GET k")
        >> after(1.0)
        << silence()
        >> node("a", "$1 x")
        << to_client("$1 x")
    )
