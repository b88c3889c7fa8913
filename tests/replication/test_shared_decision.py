"""Several clients pop from one set: decided and told together; no failure on the way loses or doubles an element."""

import random

import pytest

from kidoproxy.replication.leader_first import LeaderFirstWrite
from kidoproxy.replication.shared_decision import MAX_SHARED, SharedReply
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp.errors import NodeFailure
from tests.replication.decided import idle, in_sync, noted
from tests.replication.three import ALL, three
from tests.story import Story, client, copies, given, led_by, lost, node, refused, silence, story, then, to, to_client

UNKNOWN = "; the write may have run, its outcome is unknown"


def three_wait(behind: str = "") -> tuple[Story, str]:
    """One pops, and three stand in line; the leader has answered the first, and the others have heard of it."""
    pool, key = three(behind=behind)
    spop = f"SPOP {key}"
    play = story(pool) >> client(spop) << to("a", spop) >> client(spop, spop, name="you") >> client(spop, name="other")
    assert play << silence() >> node("a", "$-1") << to_client("$-1") << to("a", spop, spop, spop) << silence()
    return play, key


def test_together() -> None:
    """The leader is asked for all in one piece, the others are told once, each client hears what it has got."""
    play, key = three_wait()
    assert play >> node("a", "$1 x", "$1 y") << silence() >> node("a", "$1 z")
    assert play << to("b", f"SREM {key} x y z") << to("c", f"SREM {key} x y z")
    assert play >> node("b", ":3") << silence() >> node("c", ":3")
    assert play << to_client("$1 x", "$1 y", name="you") << to_client("$1 z", name="other") << noted() << then(idle)


def test_a_copy_that_is_behind_is_told_too() -> None:
    """As of any write, without being waited for."""
    play, key = three_wait(behind="c")
    assert play >> node("a", "$1 x", "$-1", "$-1") << to("b", f"SREM {key} x") << to("c", f"SREM {key} x")
    assert play >> node("b", ":1") << to_client("$1 x", "$-1", name="you") << to_client("$-1", name="other")


def test_nothing_was_popped() -> None:
    """Nobody is told; what the leader refuses is refused to each."""
    for replies in (
        ("$-1", "$-1", "$-1"),
        ("-WRONGTYPE no", "-WRONGTYPE no", "-WRONGTYPE no"),
        ("$-1", "-ERR x", "$-1"),
    ):
        play, _ = three_wait()
        assert play >> node("a", *replies)
        assert play << to_client(*replies[:2], name="you") << to_client(replies[2], name="other") << then(idle)


def test_order_of_what_stands_between() -> None:
    """Whatever else is asked of the key keeps its place in the line; other ways of popping are asked for alone."""
    pool, key = three()
    spop = f"SPOP {key}"
    play = story(pool) >> client(spop) << to("a", spop)
    play = play >> client(spop, spop, f"SCARD {key}", spop, f"SPOP {key} 2", spop, name="you")
    play = play >> client(f"PROXY EACH {spop}", spop, name="other") << silence()
    assert play >> node("a", "$-1") << to_client("$-1") << to("a", spop, spop)
    assert play >> node("a", "$-1", "$-1") << to_client("$-1", "$-1", name="you") << to("a", f"SCARD {key}", spop)
    assert play >> node("a", ":0", "$-1") << to_client(":0", "$-1", name="you") << to("a", f"SPOP {key} 2")
    assert play >> node("a", "*0") << to_client("*0", name="you") << to("a", spop)
    assert play >> node("a", "$-1") << to_client("$-1", name="you") << to("a", spop)
    assert play >> node("a", "$-1") << to_client("$-1", name="other") << to("a", spop)
    assert play >> node("a", "$-1") << to_client("$-1", name="other") << then(idle)


def test_another_protocol_is_asked_apart() -> None:
    """Its replies may have another shape."""
    pool, key = three()
    spop = f"SPOP {key}"
    play = story(pool) >> client("HELLO 3", name="you")
    play.client("you").received = b""
    play = play >> client(spop) << to("a", spop) >> client(spop) >> client(spop, name="you") << silence()
    assert play >> node("a", "$-1") << to_client("$-1") << to("a", spop) << silence()


def test_a_leader_is_lost_half_way() -> None:
    """What it had answered was told to nobody: another one decides all of it, and the lost one is behind."""
    play, key = three_wait()
    spop = f"SPOP {key}"
    assert play >> node("a", "$1 x", "$1 y") >> lost("a") << to("b", spop, spop, spop) << in_sync(*ALL)
    assert play >> node("b", "$1 y", "$1 x", "$1 w") << to("c", f"SREM {key} y x w")
    assert play >> node("c", ":3") << to_client("$1 y", "$1 x", name="you") << to_client("$1 w", name="other")
    assert play << in_sync("b", "c") << noted() << then(idle)


def test_all_are_lost() -> None:
    """Nobody has decided: the outcome is unknown to each, and the key waits for a repair."""
    play, key = three_wait()
    spop = f"SPOP {key}"
    assert play >> node("a", "$1 x") >> refused("a") << to("b", spop, spop, spop)
    assert play >> refused("b") << to("c", spop, spop, spop) >> refused("c")
    failure = f"-NODEDOWN a a:6379 (connection refused){UNKNOWN}"
    assert play << to_client(failure, failure, name="you") << to_client(failure, name="other")
    assert play << in_sync(*ALL) << noted(key) << then(idle)


@pytest.mark.parametrize(
    "replies", [("-LOADING a", "$1 y", "$1 z"), ("$1 x", "-BUSY a", "$1 z"), ("$1 x", "$1 y", "-OOM a")]
)
def test_a_leader_that_runs_a_part(replies: tuple[str, str, str]) -> None:
    """Nobody has heard of that part: another one decides all, and this one is behind."""
    play, key = three_wait()
    spop = f"SPOP {key}"
    assert play >> node("a", *replies) << to("b", spop, spop, spop)
    assert play >> node("b", "$1 x", "$-1", "$-1") << to("c", f"SREM {key} x") >> node("c", ":1")
    assert play << to_client("$1 x", "$-1", name="you") << to_client("$-1", name="other") << in_sync("b", "c")


def test_a_leader_that_runs_nothing() -> None:
    """It is told the effect like the others."""
    play, key = three_wait()
    spop = f"SPOP {key}"
    assert play >> node("a", "-LOADING a", "-LOADING a", "-BUSY a") << to("b", spop, spop, spop)
    assert play >> node("b", "$1 x", "$1 y", "$1 z") << to("a", f"SREM {key} x y z") << to("c", f"SREM {key} x y z")
    assert play >> node("a", ":3") >> node("c", ":3") << in_sync(*ALL)
    assert play << to_client("$1 x", "$1 y", name="you") << to_client("$1 z", name="other")


def test_a_copy_differs() -> None:
    """It lacked one of the members: the key is repaired."""
    play, key = three_wait()
    assert play >> node("a", "$1 x", "$1 y", "$1 z") << to("b", f"SREM {key} x y z") << to("c", f"SREM {key} x y z")
    assert play >> node("b", ":2") >> node("c", ":3") << noted(key)
    assert play << to_client("$1 x", "$1 y", name="you") << to_client("$1 z", name="other")


def test_a_bug_of_ours() -> None:
    """Each of the clients hears of it."""
    play, key = three_wait()
    turn = next(iter(play.pool.groups[0].key_turns.open_turns))
    assert isinstance(turn, LeaderFirstWrite)
    turn.abort(NodeFailure("NODEDOWN", "a", "a:6379", "a bug", True), False)
    play.settle()
    failure = f"-NODEDOWN a a:6379 (a bug){UNKNOWN}"
    assert (
        play << to_client(failure, failure, name="you") << to_client(failure, name="other") << noted(key) << then(idle)
    )


def test_too_few_copies() -> None:
    """Each is refused, and nothing is sent."""
    pool, key = three(min_in_sync=3)
    spop = f"SPOP {key}"
    play = story(pool) >> client(spop) << to("a", spop) >> client(spop, spop, name="you")
    refusal = "-NOREPLICAS Not enough good replicas to write."
    play = play >> given(lambda play: setattr(play.node("c"), "live", False))
    assert play >> node("a", "$-1") << to_client("$-1") << to_client(refusal, refusal, name="you") << then(idle)


def test_one_that_has_waited_for_too_long_is_left_out() -> None:
    """It has its answer, and pops nothing."""
    pool, key = three()
    spop = f"SPOP {key}"
    play = story(pool) >> client(spop) << to("a", spop) >> client(spop, name="you")
    late = "-TIMEOUT a a:6379 (earlier commands on its keys are not decided yet)"
    play = (
        play
        >> given(lambda play: pool.groups[0].key_turns.tick(play.executor.now + 60.0))
        << to_client(late, name="you")
    )
    assert play >> client(spop, name="other") << silence() >> node("a", "$-1") << to_client("$-1") << to("a", spop)


def test_a_bound() -> None:
    """So many at one go, then the next."""
    pool, key = three()
    spop = f"SPOP {key}"
    play = story(pool) >> client(spop) << to("a", spop) >> client(*[spop] * (MAX_SHARED + 1), name="you")
    assert play >> node("a", "$-1") << to_client("$-1") << to("a", *[spop] * MAX_SHARED) << silence()
    assert play >> node("a", *["$-1"] * MAX_SHARED) << to_client(*["$-1"] * MAX_SHARED, name="you") << to("a", spop)


@pytest.mark.parametrize("seed", range(12))
def test_no_element_is_popped_twice_or_lost(seed: int) -> None:
    """Against three sets that are real ones: clients pop, and the leader is lost at some reply, again and again."""
    chance = random.Random(seed)
    pool = copies(*ALL)
    key = led_by(pool, "a")
    everything = {f"m{number}" for number in range(60)}
    held = {name: set(everything) for name in ALL}
    alive = list(ALL)
    heard: list[str] = []
    play = story(pool)
    for _ in range(40):
        if chance.random() < 0.7:
            client(*[f"SPOP {key}"] * chance.randrange(1, 6), name=chance.choice(["me", "you"]))(play)
            play.settle()
        name = chance.choice(alive)
        if len(alive) > 1 and chance.random() < 0.06:
            alive.remove(name)
            refused(name)(play)
            play.settle()
            play.sent[name].clear()
        serve(play, name, held[name], chance)
        for who in ("me", "you"):
            heard += [word for word in play.client(who).received.decode().split() if word.startswith("m")]
            play.client(who).received = b""
    while any(play.sent[name] for name in alive):
        for name in alive:
            serve(play, name, held[name], chance)
    for who in ("me", "you"):
        heard += [word for word in play.client(who).received.decode().split() if word.startswith("m")]
        play.client(who).received = b""
    current = [copy.node.name for copy in pool.groups[0].in_sync() if copy.node.name in alive]
    assert len(heard) == len(set(heard))
    assert current
    assert all(held[name] == everything - set(heard) for name in current)


def serve(play: Story, name: str, members: set[str], chance: random.Random) -> None:
    """The node answers one of the requests that it has."""
    sent = play.sent[name]
    if not sent:
        return
    words = sent.pop(0).raw.decode().split("\r\n")[2::2]
    if words[0] == "SPOP":
        popped = chance.choice(sorted(members)) if members else ""
        members.discard(popped)
        node(name, f"${len(popped)} {popped}" if popped else "$-1")(play)
    else:
        node(name, f":{len(members & set(words[2:]))}")(play)
        members.difference_update(words[2:])
    play.settle()


def test_what_is_held_is_charged_in_parts() -> None:
    """However it is held and given back, nobody is charged less than nothing, and in the end nobody for anything."""
    clients = [ReplyQueue(TurnWork()) for _ in range(3)]
    shared = SharedReply([each.open_pending(None) for each in clients])
    for size, charged in ((100, 33), (100, 66), (100, 100), (-200, 33), (-100, 0)):
        shared.add_held_bytes(size)
        assert [each.held_reply_bytes for each in clients] == [charged] * 3
