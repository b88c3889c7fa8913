"""Keys are compared at one point of the order of writes, by value, expiry and, if DUMPs differ, by their meaning."""

import pytest

from kidoproxy.replication.batch import BatchReply, Callback
from kidoproxy.replication.batch_size import BATCH_BYTES
from kidoproxy.replication.key_comparison import ComparisonStep, KeyComparison
from kidoproxy.resp.encode import array, bulk, error, integer, null
from tests.replication.supervised import supervised_copies
from tests.replication.test_key_turns import Recorded
from tests.story import client, lost
from tests.toy import ToyNodes


class Heard(Callback):
    """What the end was."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def on_done(self, batch_reply: BatchReply) -> None:
        self.problems.append(batch_reply.problem)


def begin(stage: ToyNodes, *keys: bytes, is_large: bool = False, size: int = 0) -> tuple[KeyComparison, Heard]:
    """A comparison of these keys on all copies, whose requests are sent."""
    play, heard = stage.play, Heard()
    group = play.pool.groups[0]
    comparison = KeyComparison(play.executor, group, play.pool.nodes, 0, list(keys), play.proxy.wall_ms, size, is_large)
    comparison.begin(heard)
    return comparison, heard


def compare(stage: ToyNodes, *keys: bytes, is_large: bool = False) -> list[bytes]:
    """Those that differ."""
    comparison, heard = begin(stage, *keys, is_large=is_large)
    stage.run()
    assert heard.problems == [""]
    return comparison.different_keys


def copies_with(**values: tuple[bytes, bytes]) -> ToyNodes:
    """Two copies with these keys; an empty value is no key."""
    stage, _ = supervised_copies()
    for at, toy in enumerate(stage.toys.values()):
        toy.dbs[0] = {key.encode(): pair[at] for key, pair in values.items() if pair[at]}
    return stage


def test_values() -> None:
    """Another value, and a key that only one copy has, differ; a key that no copy has does not."""
    stage = copies_with(same=(b"1", b"1"), other=(b"1", b"2"), first=(b"1", b""), second=(b"", b"1"))
    assert sorted(compare(stage, b"same", b"other", b"first", b"second", b"none")) == [b"first", b"other", b"second"]


@pytest.mark.parametrize(
    ("one", "other", "version", "differs"),
    [
        (5000, 5001, b"7.0.0", False),
        (5000, 5002, b"7.0.0", True),
        (5000, -1, b"7.0.0", True),
        (5000, 5900, b"6.2.0", False),
        (5000, 6100, b"6.2.0", True),
    ],
)
def test_expiry(one: int, other: int, version: bytes, differs: bool) -> None:
    """A moment may be rounded; where a server tells only the time that is left it is compared by the second."""
    stage = copies_with(k=(b"1", b"1"))
    for node in stage.play.pool.nodes:
        node.version = version
    for toy, moment in zip(stage.toys.values(), (one, other), strict=True):
        toy.until[b"k"] = moment
    assert compare(stage, b"k") == ([b"k"] if differs else [])


@pytest.mark.parametrize(("left", "differs"), [(500, False), (5000, True)])
def test_a_key_that_expires_about_now(left: int, differs: bool) -> None:
    """One copy may have let it go before another one."""
    stage = copies_with(k=(b"1", b""))
    stage.toys["a"].until[b"k"] = stage.play.proxy.wall_ms + left
    assert compare(stage, b"k") == ([b"k"] if differs else [])


def test_at_one_point() -> None:
    """A write that is sent later stands behind the questions on all copies, however late one of them answers."""
    stage = copies_with(k=(b"1", b"1"))
    comparison, heard = begin(stage, b"k")
    client("SET k 2")(stage.play)
    stage.play.settle()
    while stage.play.sent["a"]:
        stage.step("a")
    stage.run()
    assert (heard.problems, comparison.different_keys) == ([""], [])
    assert stage.toys["b"].dbs[0] == {b"k": b"2"}


def lie(stage: ToyNodes, command: bytes, first: bytes, second: bytes) -> None:
    """What the two copies say to this command."""
    for toy, frame in zip(stage.toys.values(), (first, second), strict=True):
        toy.lies[command] = frame


def members(*words: bytes) -> bytes:
    return array([bulk(word) for word in words])


def test_the_same_in_another_form() -> None:
    """Where DUMPs differ the contents decide, in RESP2 whatever the clients speak; a module's value has none."""
    stage = copies_with(same=(b"1", b"2"), other=(b"1", b"2"), odd=(b"1", b"2"), gone=(b"1", b"2"))
    for key, kind in ((b"same", b"set"), (b"other", b"set"), (b"odd", b"ReJSON-RL"), (b"gone", b"none")):
        lie(stage, b"TYPE " + key, b"+%b\r\n" % kind, b"+%b\r\n" % kind)
    lie(stage, b"SMEMBERS same", members(b"x", b"y"), members(b"y", b"x"))
    lie(stage, b"SMEMBERS other", members(b"x", b"y"), members(b"y", b"z"))
    assert compare(stage, b"same", b"other", b"odd", b"gone") == [b"odd", b"other"]
    assert compare(stage, b"odd") == [b"odd"]


@pytest.mark.parametrize(
    ("first", "second", "differs"), [(900_000, 900_000, False), (900_000, 900_005, True), (0, -2, False)]
)
def test_fields_that_expire(first: int, second: int, differs: bool) -> None:
    """Of a hash whose fields expire it is asked when; what is about to expire may be there or not."""
    stage = copies_with(k=(b"\x17a", b"\x17b"))
    later = stage.play.proxy.wall_ms
    lie(stage, b"HGETALL", members(b"f", b"1", b"g", b"1"), members(b"g", b"1", b"f", b"1"))
    lie(stage, b"HMGET", members(b"1", b"1"), members(b"1", b"1"))
    moments = [array([integer(at if at < 0 else later + at), integer(-1)]) for at in (first, second)]
    lie(stage, b"HPEXPIRETIME", *moments)
    assert compare(stage, b"k") == ([b"k"] if differs else [])
    assert not any(seen.startswith(b"TYPE") for seen in stage.toys["a"].seen)


@pytest.mark.parametrize("other", [b"1", b"2"])
def test_a_copy_that_may_not_be_asked_when_fields_expire(other: bytes) -> None:
    """Of another version, or by its user's rules: then the contents alone are compared, and the scrub goes on."""
    stage = copies_with(k=(b"\x17a", b"\x17b"))
    lie(stage, b"HGETALL", members(b"f", b"1"), members(b"f", other))
    comparison, heard = begin(stage, b"k")
    while not any(b"HPEXPIRETIME" in one.raw for one in stage.play.sent["b"]):
        stage.play.settle()
        for name in "ab":
            stage.step(name)
    lie(stage, b"HMGET", members(b"1"), members(other))
    lie(stage, b"HPEXPIRETIME", array([integer(-1)]), array([integer(-1)]))
    stage.toys["b"].lies[b"EXEC"] = error(b"EXECABORT unknown command")
    stage.run()
    assert (heard.problems, comparison.different_keys) == ([""], [] if other == b"1" else [b"k"])


def test_a_hash_that_has_lost_its_last_field() -> None:
    """One copy may have let the key go before another one; its fields tell whether that was about now."""
    stage = copies_with(k=(b"\x17a", b""))
    lie(stage, b"HGETALL", members(b"f", b"1"), array([]))
    lie(stage, b"HMGET", members(b"1"), array([null(2)]))
    lie(stage, b"HPEXPIRETIME", array([integer(stage.play.proxy.wall_ms)]), array([integer(-2)]))
    assert compare(stage, b"k") == []
    lie(stage, b"HPEXPIRETIME", array([integer(-1)]), array([integer(-2)]))
    assert compare(stage, b"k") == [b"k"]


def test_a_hash_whose_key_expires_otherwise() -> None:
    """The key's own expiry is compared first."""
    stage = copies_with(k=(b"\x17a", b"\x17a"))
    assert compare(stage, b"k") == []
    stage.toys["b"].until[b"k"] = stage.play.proxy.wall_ms + 90_000
    assert compare(stage, b"k") == [b"k"]


def test_a_hash_that_is_none_any_more() -> None:
    """If it is gone meanwhile, or another type, on all copies, there is nothing to ask."""
    stage = copies_with(k=(b"\x17a", b"\x17b"), l=(b"\x17a", b"\x17b"))
    lie(stage, b"HGETALL k", error(b"WRONGTYPE x"), error(b"WRONGTYPE x"))
    lie(stage, b"HGETALL l", array([]), array([]))
    assert compare(stage, b"k", b"l") == []


def test_keys_that_come_into_the_hands_of_their_leader() -> None:
    """At whatever step: what the leader has decided the other copies do not know yet."""
    for keys, words in (((b"set",), b"SMEMBERS"), ((b"hash",), b"HMGET"), ((b"set", b"hash"), b"SMEMBERS")):
        stage = copies_with(set=(b"1", b"2"), hash=(b"\x17a", b"\x17b"))
        lie(stage, b"TYPE", b"+set\r\n", b"+set\r\n")
        lie(stage, b"HGETALL", members(b"f", b"1"), members(b"f", b"1"))
        lie(stage, b"SMEMBERS", members(b"x"), members(b"y"))
        lie(stage, b"HMGET", members(b"1"), members(b"2"))
        lie(stage, b"HPEXPIRETIME", array([integer(-1)]), array([integer(-1)]))
        comparison, heard = begin(stage, *keys)
        turns, taken = stage.play.pool.groups[0].key_turns, False
        while not heard.problems:
            stage.play.settle()
            for name in "ab":
                stage.step(name)
            wanted = ComparisonStep.TYPES if words == b"SMEMBERS" else ComparisonStep.CONTENTS
            if comparison.step is wanted and not taken:
                turns.ask(Recorded("a write", [], [(0, key) for key in keys]))
                taken = True
        assert (comparison.put_off, comparison.different_keys) == (list(keys), [])


def test_a_long_content() -> None:
    """It would hold up the loop, so it is compared in pieces. Equal DUMPs, and a module's, are the end of it."""
    for first, kind, needs_pieces in ((b"1", b"set", True), (b"2", b"set", False), (b"1", b"ReJSON-RL", False)):
        stage = copies_with(k=(first, b"2"))
        lie(stage, b"TYPE", b"+%b\r\n" % kind, b"+%b\r\n" % kind)
        comparison, heard = begin(stage, b"k", size=BATCH_BYTES + 1)
        stage.run()
        assert (heard.problems, comparison.needs_pieces) == ([""], needs_pieces)
        assert comparison.different_keys == ([b"k"] if kind != b"set" else [])


def test_large_values() -> None:
    """Type, length and expiry are compared, and nothing is copied for that."""
    stage = copies_with(same=(b"12", b"34"), other=(b"1", b"22"), first=(b"1", b""), second=(b"", b"1"))
    found = [compare(stage, key, is_large=True) for key in (b"same", b"other", b"first", b"second", b"none")]
    assert found == [[], [b"other"], [b"first"], [b"second"], []]
    assert not any(b"DUMP" in seen for toy in stage.toys.values() for seen in toy.seen)


def test_a_large_key_in_the_hands_of_its_leader() -> None:
    """It is put off as any other."""
    stage = copies_with(k=(b"12", b"1"))
    comparison, heard = begin(stage, b"k", is_large=True)
    stage.play.pool.groups[0].key_turns.ask(Recorded("a write", [], [(0, b"k")]))
    stage.run()
    assert (heard.problems, comparison.put_off, comparison.different_keys) == ([""], [b"k"], [])


def test_a_large_hash_of_other_length() -> None:
    """Fields that have expired may be counted still: that alone is no difference, and said to whoever goes on."""
    stage = copies_with(k=(b"12", b"1"))
    lie(stage, b"TYPE", b"+hash\r\n", b"+hash\r\n")
    lie(stage, b"HLEN", integer(5), integer(4))
    comparison, _ = begin(stage, b"k", is_large=True)
    stage.run()
    assert (comparison.different_keys, comparison.counts_differ, comparison.large_length) == ([], True, 5)
    lie(stage, b"HLEN", integer(5), error(b"WRONGTYPE x"))
    assert compare(stage, b"k", is_large=True) == [b"k"]


@pytest.mark.parametrize(
    ("lies", "problem"),
    [
        ({b"EXEC": array([])}, "b gave no sensible answer to DUMP"),
        ({b"PEXPIRETIME": bulk(b"soon")}, "b gave no sensible answer to DUMP"),
        ({b"EXEC": error(b"NOPERM x")}, "NOPERM x"),
        ({b"GET": array([])}, ""),
    ],
)
def test_nonsense(lies: dict[bytes, bytes], problem: str) -> None:
    """What is no answer ends the comparison with that reason; nonsense as a content is a difference."""
    stage = copies_with(k=(b"1", b"2"))
    stage.toys["b"].lies.update(lies)
    comparison, heard = begin(stage, b"k")
    stage.run()
    assert (heard.problems, bool(comparison.different_keys)) == ([problem], not problem)


def test_contents_of_another_number() -> None:
    """A copy that answers fewer questions than it was asked is not believed."""
    stage = copies_with(k=(b"1", b"2"))
    _, heard = begin(stage, b"k")
    while not any(b"TYPE" in seen for seen in stage.toys["a"].seen):
        stage.play.settle()
        stage.step("a")
        stage.step("b")
    stage.toys["b"].lies[b"EXEC"] = array([])
    stage.run()
    assert heard.problems == ["b gave no sensible answer to EXEC"]


def test_a_copy_is_lost() -> None:
    """The comparison ends with that; one that was cancelled says nothing."""
    stage = copies_with(k=(b"1", b"1"))
    _, heard = begin(stage, b"k")
    cancelled, silent = begin(stage, b"k")
    cancelled.cancel()
    stage.play.sent["b"].clear()
    lost("b")(stage.play)
    stage.run()
    assert len(heard.problems) == 1
    assert "b" in heard.problems[0]
    assert silent.problems == []
    cancelled.finish("")
    assert silent.problems == []
