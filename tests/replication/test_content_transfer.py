"""A copy that does not read the source's DUMPs gets what keys hold, by commands that every version knows."""

from collections.abc import Callable
from typing import Final

import pytest

from kidoproxy.replication.content_transfer import (
    MAX_ATTEMPTS,
    MAX_CONTENT_BYTES,
    MAX_REPLY_BYTES,
    ContentTransfer,
    new_transfer,
)
from kidoproxy.replication.group import BEHIND, IN_SYNC
from kidoproxy.replication.source_proof import Proof
from kidoproxy.replication.sync_steps import SyncStep
from kidoproxy.replication.transfer import Transfer
from kidoproxy.resp.encode import array, bulk, error, integer
from tests.replication.supervised import run_ticks, supervised_copies
from tests.replication.syncing import hold_the_same, two_copies
from tests.replication.test_key_turns import Recorded
from tests.story import copies, led_by, story
from tests.toy import Toy, ToyNodes

REFUSALS: Final = (b"ERR DUMP payload version or checksum are wrong", b"ERR Bad data format")


def refuse_dumps(toy: Toy, text: bytes = REFUSALS[0]) -> None:
    toy.lies[b"RESTORE"] = error(text)


@pytest.mark.parametrize("refill", [False, True])
@pytest.mark.parametrize("text", REFUSALS)
def test_a_sync_to_an_older_server(text: bytes, refill: bool) -> None:
    """The first DUMP is refused, and no other one is sent: all keys come by their contents, expiries too."""
    stage, sync = two_copies(refill)
    stage.toys["a"].dbs = {0: {b"k%d" % at: b"v%d" % at for at in range(50)}}
    stage.toys["a"].until[b"k1"] = 1_800_000_000_000
    stage.toys["b"].dbs = {0: {b"k2": b"v2", b"k3": b"other", b"extra": b"x"}}
    refuse_dumps(stage.toys["b"], text)
    sync.begin()
    stage.run()

    assert (sync.step, sync.problem) == (SyncStep.DONE, "")
    assert hold_the_same(stage)
    assert stage.toys["b"].until[b"k1"] == 1_800_000_000_000
    assert stage.play.pool.groups[0].copies[1].state == IN_SYNC
    restored = [seen for seen in stage.toys["b"].seen if seen.startswith(b"RESTORE")]
    assert len(restored) < 5


def test_a_repair_of_an_older_copy() -> None:
    """A key that differs is copied by its contents, in one transaction: nobody reads half of it."""
    stage, supervisor = supervised_copies()
    key = led_by(stage.play.pool, "a").encode()
    for name, toy in stage.toys.items():
        toy.dbs[0] = {key: name.encode()}
    refuse_dumps(stage.toys["b"])
    stage.play.pool.groups[0].repair_later(0, [key])
    run_ticks(stage)
    assert stage.toys["b"].dbs[0] == {key: b"a"}
    assert (supervisor.repairer.repaired_count, stage.play.pool.groups[0].to_repair) == (1, {})
    assert stage.toys["b"].seen[-4:] == [b"MULTI", b"UNLINK " + key, b"SET " + key + b" a", b"EXEC"]


def test_a_refusal_of_another_kind() -> None:
    """A copy that may not be written to is behind, and DUMPs are not to blame."""
    stage, supervisor = supervised_copies()
    key = led_by(stage.play.pool, "a").encode()
    stage.toys["a"].dbs[0] = {key: b"1"}
    stage.toys["b"].lies[b"RESTORE"] = error(b"OOM command not allowed when used memory > 'maxmemory'.")
    stage.play.pool.groups[0].repair_later(0, [key])
    run_ticks(stage)
    assert supervisor.repairer.repaired_count == 1
    assert stage.play.pool.groups[0].copies[1].state != IN_SYNC
    assert not any(seen.startswith(b"TYPE") for seen in stage.toys["a"].seen)


def contents_of(*keys: bytes, size: int = 0) -> tuple[ToyNodes, ContentTransfer]:
    """A transfer by contents that has begun, and whose outcome nobody waits for."""
    play = story(copies("a", "b"))
    stage = ToyNodes(play)
    assert stage.say("SET warm up") == b"+OK\r\n"
    proof = Proof(play.pool.groups[0], play.connection("a"), play.connection("b"))
    proof.proven = True
    assert type(new_transfer(play.executor, proof, 0, list(keys), False, 0)) is Transfer
    proof.needs_contents = True
    transfer = new_transfer(play.executor, proof, 0, list(keys), False, play.proxy.wall_ms, size)
    assert isinstance(transfer, ContentTransfer)
    return stage, transfer


def outcome(stage: ToyNodes, transfer: ContentTransfer) -> str:
    """Begin it, and let all answer; why it failed."""
    transfer.begin(transfer)
    stage.run()
    assert transfer.callback is None
    return transfer.problem


def lie(command: bytes, reply: bytes) -> Callable[[ToyNodes], None]:
    """The source says this."""

    def apply(stage: ToyNodes) -> None:
        stage.toys["a"].lies[command] = reply

    return apply


@pytest.mark.parametrize(
    ("lies", "cause"),
    [
        ([lie(b"TYPE", b"+ReJSON-RL\r\n")], "type 'ReJSON-RL' can be copied in no other way"),
        ([lie(b"TYPE", integer(1))], "type '' can be copied in no other way"),
        ([lie(b"TYPE", b"-NOPERM x\r\n")], "type '' can be copied in no other way"),
        ([lie(b"EXEC", bulk(b"x"))], "a gave no sensible answer to TYPE"),
        ([lie(b"EXEC", error(b"ERR no"))], "ERR no"),
        ([lie(b"PEXPIRETIME", bulk(b"x"))], "no sensible answer about types and contents"),
        ([lie(b"GET", integer(4))], "no sensible answer about the contents of a key"),
        ([lie(b"EXISTS", error(b"ERR x")), lie(b"PEXPIRETIME", error(b"NOPERM x"))], "NOPERM x"),
    ],
)
def test_a_source_that_cannot_be_copied(lies: list[Callable[[ToyNodes], None]], cause: str) -> None:
    """A module's type, and replies that make no sense: it fails with its cause, and the target is as it was."""
    stage, transfer = contents_of(b"k")
    for toy in stage.toys.values():
        toy.dbs = {0: {b"k": toy.run_id.encode()}}
    stage.toys["b"].dbs = {0: {b"k": b"old"}}
    for apply in lies:
        apply(stage)
    assert cause in outcome(stage, transfer)
    assert stage.toys["b"].dbs == {0: {b"k": b"old"}}
    assert stage.say("SET other 1") == b"+OK\r\n"


def test_a_target_that_makes_no_sense() -> None:
    """Nothing is written to it."""
    stage, transfer = contents_of(b"k")
    stage.toys["b"].lies[b"TYPE"] = integer(1)
    assert outcome(stage, transfer) == "b gave no sensible answer about types and contents"


def test_a_target_that_refuses_what_is_written() -> None:
    """The error within the transaction is the problem."""
    stage, transfer = contents_of(b"k")
    stage.toys["a"].dbs = {0: {b"k": b"v"}}
    stage.toys["b"].lies[b"SET"] = error(b"OOM command not allowed")
    assert outcome(stage, transfer) == "OOM command not allowed"


def test_a_key_of_another_type_at_the_target() -> None:
    """It is replaced, as DUMP and RESTORE would."""
    stage, transfer = contents_of(b"k")
    stage.toys["a"].dbs = {0: {b"k": b"v"}}
    stage.toys["b"].dbs = {0: {b"k": b"v"}}
    stage.toys["b"].lies |= {b"TYPE": b"+list\r\n", b"GET": error(b"WRONGTYPE x")}
    assert outcome(stage, transfer) == ""
    assert transfer.changed_keys == [b"k"]


def test_keys_that_are_gone() -> None:
    """What the source does not have goes at the target; what neither has is no difference."""
    stage, transfer = contents_of(b"gone", b"never")
    stage.toys["b"].dbs = {0: {b"gone": b"v"}}
    assert outcome(stage, transfer) == ""
    assert (transfer.changed_keys, stage.toys["b"].dbs) == ([b"gone"], {0: {}})


@pytest.mark.parametrize(
    ("kind", "size", "cause"),
    [
        (b"list", MAX_CONTENT_BYTES + 1, "a list of 2097153 bytes is too large otherwise"),
        (b"string", MAX_CONTENT_BYTES + 1, ""),
    ],
)
def test_a_large_value(kind: bytes, size: int, cause: str) -> None:
    """Taking it apart would stop the loop; a string need not be taken apart."""
    stage, transfer = contents_of(b"k", size=size)
    stage.toys["a"].dbs = {0: {b"k": b"v"}}
    stage.toys["a"].lies[b"TYPE"] = b"+" + kind + b"\r\n"
    assert outcome(stage, transfer).endswith(cause)
    assert bool(transfer.problem) == bool(cause)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_value_whose_size_nobody_knew(name: str) -> None:
    """A repair does not ask for sizes. At the source it is a cause to fail, at the target it is another value."""
    stage, transfer = contents_of(b"k")
    for toy in stage.toys.values():
        toy.dbs = {0: {b"k": b"v"}}
        toy.lies |= {b"TYPE": b"+list\r\n", b"LRANGE": array([bulk(b"x")]), b"RPUSH": integer(1)}
    stage.toys[name].lies[b"LRANGE"] = array([bulk(b"x" * MAX_REPLY_BYTES)])
    problem = outcome(stage, transfer)
    assert problem.endswith("bytes is too large otherwise") == (name == "a")
    assert transfer.changed_keys == ([b"k"] if name == "b" else [])


@pytest.mark.parametrize("dump", [b"\x16x", b"\x10x"])
def test_fields_that_expire(dump: bytes) -> None:
    """An older server has no such fields: rather than to make them last for ever the copy fails."""
    stage, transfer = contents_of(b"k")
    toy = stage.toys["a"]
    toy.lies |= {b"TYPE": b"+hash\r\n", b"HGETALL": array([bulk(b"f"), bulk(b"1")]), b"DUMP": bulk(dump)}
    toy.dbs = {0: {b"k": b"x"}}
    stage.toys["b"].lies |= {b"TYPE": b"+hash\r\n", b"HGETALL": array([bulk(b"f"), bulk(b"1")])}
    stage.toys["b"].dbs = {0: {b"k": b"x"}}
    expected = "b is too old for fields of a hash that expire" if dump[0] == 0x16 else ""
    assert (outcome(stage, transfer), transfer.changed_keys) == (expected, [])


class Fickle(Toy):
    """Its keys are of these types, one after another as it is asked; then of the last one."""

    def __init__(self, *kinds: bytes) -> None:
        super().__init__()
        self.kinds = list(kinds)
        self.dbs = {0: {b"k": b"v"}}

    def lie(self, argv: list[bytes]) -> bytes | None:
        if argv[0] == b"TYPE":
            return b"+" + (self.kinds.pop(0) if len(self.kinds) > 1 else self.kinds[0]) + b"\r\n"
        if argv[0] in (b"SMEMBERS", b"LRANGE"):
            return error(b"WRONGTYPE x")
        return super().lie(argv)


def test_a_type_that_changes() -> None:
    """Between TYPE and the contents it has become another one: all is asked anew."""
    stage, transfer = contents_of(b"k")
    stage.toys["a"] = Fickle(b"set", b"string")
    stage.toys["b"].lies[b"SMEMBERS"] = array([])
    assert outcome(stage, transfer) == ""
    assert (transfer.attempts, stage.toys["b"].dbs[0][b"k"]) == (2, b"v")


def test_a_type_that_changes_all_the_time() -> None:
    """It is given up with its cause; the writes that were held back go on."""
    stage, transfer = contents_of(b"k")
    stage.toys["a"] = Fickle(*[b"list", b"set"] * MAX_ATTEMPTS)
    stage.toys["b"].lies[b"LRANGE"] = array([])
    assert outcome(stage, transfer) == "a says another type of a key whenever it is asked"
    assert transfer.attempts == MAX_ATTEMPTS
    assert stage.say("SET other 1") == b"+OK\r\n"


def test_it_is_cancelled() -> None:
    """Whatever it waits for: nothing is held back afterwards, and replies that come change nothing."""
    for steps in range(4):
        stage, transfer = contents_of(b"k")
        stage.toys["a"].dbs = {0: {b"k": b"v"}}
        transfer.begin(transfer)
        for _ in range(steps):
            stage.step("a", 3)
            stage.step("b", 6)
        transfer.cancel()
        stage.run()
        assert stage.say("SET other 1") == b"+OK\r\n"


def test_a_copy_that_stays_behind_says_why() -> None:
    """What cannot be copied by contents either is the cause that the operator reads."""
    stage, sync = two_copies(False)
    stage.toys["a"].dbs = {0: {b"k": b"v"}}
    stage.toys["a"].lies[b"TYPE"] = b"+MBbloom--\r\n"
    refuse_dumps(stage.toys["b"])
    sync.begin()
    stage.run()
    assert stage.play.pool.groups[0].copies[1].state == BEHIND
    assert sync.problem.startswith("b does not read DUMPs of a, a newer server, and a value of type 'MBbloom--'")


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_leader_decides_meanwhile(is_cancelled: bool) -> None:
    """While the types are asked for: the contents are asked for behind it, so that nothing is told twice."""
    stage, transfer = contents_of(b"k")
    stage.toys["a"].dbs = {0: {b"k": b"v"}}
    turns = stage.play.pool.groups[0].key_turns
    turn = Recorded("leader", [], [(0, b"k")])
    transfer.begin(transfer)
    turns.ask(turn)
    stage.run()
    assert not any(seen.startswith(b"GET") for seen in stage.toys["a"].seen)
    assert stage.say("SET other 1") == b"+OK\r\n"
    if is_cancelled:
        transfer.cancel()
    turns.leave(turn)
    stage.run()
    assert not turns.busy
    assert stage.toys["b"].dbs[0].get(b"k") == (None if is_cancelled else b"v")
