"""Writes whose keys nobody knows, at any moment of a sync: what they make of a key that differs is not overlooked."""

from itertools import product

import pytest

from kidoproxy.replication import sync_pass
from kidoproxy.replication.sync import Sync
from kidoproxy.resp.encode import encode_request
from tests.replication.syncing import fill_both, hold_the_same, two_copies
from tests.replication.test_partial_sync import missed
from tests.story import client
from tests.toy import ToyNodes

#: More rounds than the first pass of a sync of four keys takes.
ROUNDS = 14
#: Sets the key that another one names.
INDIRECT = encode_request([b"EVAL", b"redis.call('set', redis.call('get', KEYS[1]), ARGV[1])", b"1", b"k", b"new"])


def comparing() -> tuple[ToyNodes, Sync]:
    """Both hold the same keys, but for the value of one."""
    stage, sync = two_copies(False)
    fill_both(stage)
    stage.toys["b"].dbs[0][b"k"] = b"other"
    return stage, sync


def filling() -> tuple[ToyNodes, Sync]:
    """The target has one key, and another value of it."""
    stage, sync = comparing()
    stage.toys["a"].dbs[0].update({b"n%d" % at: b"1" for at in range(9)})
    stage.toys["b"].dbs[0] = {b"k": b"other"}
    return stage, sync


def partial() -> tuple[ToyNodes, Sync]:
    """The target has missed the key."""
    return missed((0, b"k"))


def answer_once(stage: ToyNodes, count: int = 1) -> None:
    """Each node answers so many requests."""
    stage.play.settle()
    for name in "ab":
        stage.step(name, count)


@pytest.mark.parametrize("begin", [comparing, filling, partial])
def test_at_any_moment(begin: object) -> None:
    """The key that differs is written, so that nobody is surprised that it does, and then names what is written."""
    assert callable(begin)
    for at_write, at_script in product(range(0, ROUNDS, 5), range(ROUNDS)):
        stage, sync = begin()
        sync.begin()
        for at in range(ROUNDS):
            if at == at_write:
                client("APPEND k !", name="he")(stage.play)
            if at == at_script:
                client(INDIRECT, name="you")(stage.play)
            answer_once(stage)
        stage.run()
        assert (sync.problem, hold_the_same(stage)) == ("", True), (at_write, at_script)
        assert stage.play.pool.groups[0].behind_names() == []


def test_it_ends() -> None:
    """Values that look different for ever, while such writes go on: the passes are bounded."""
    stage, sync = comparing()
    stage.toys["b"].lies[b"DUMP k"] = b"$5\r\nother\r\n"
    sync.begin()
    for _ in range(3 * ROUNDS * sync_pass.MAX_UNCERTAIN_PASSES):
        client(INDIRECT, name="you")(stage.play)
        answer_once(stage, 2)
    stage.run()
    assert (sync.problem, sync.passes) == ("", sync_pass.MAX_UNCERTAIN_PASSES + 1)
    assert stage.play.pool.groups[0].behind_names() == []
