"""Who may be read, who decides for a key, who is behind: facts about copies, changed by few rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.commands.expiry_effect import SCRIPT_SETS_ANY, SET
from kidoproxy.replication.copy import rendezvous_score, unsigned_fnv1a
from kidoproxy.replication.election import make_trusted
from kidoproxy.replication.expiry_memo import NEVER
from kidoproxy.replication.group import BEHIND, IN_SYNC, MAX_REPAIR_KEYS, CopyGroup
from kidoproxy.replication.repair import forget_repaired, repair_order
from kidoproxy.routes.topology import Node


def group(*uptimes: int) -> CopyGroup:
    """Copies a, b, … that are up for so long."""
    nodes = [Node(at, "abcdef"[at], f"{at}", at + 1) for at in range(len(uptimes))]
    for node, uptime in zip(nodes, uptimes, strict=True):
        node.uptime = uptime
    return CopyGroup("pair", nodes)


def names(nodes: list[Node]) -> str:
    """Their names in one word."""
    return "".join(node.name for node in nodes)


def test_fnv1a() -> None:
    """The published test vectors."""
    assert [int(unsigned_fnv1a(data)) for data in (b"", b"a", b"foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


@given(st.binary(), st.binary())
def test_score(key: bytes, name: bytes) -> None:
    """A score fits into 32 bits, so that being alive outweighs it."""
    assert 0 <= rendezvous_score(unsigned_fnv1a(key), unsigned_fnv1a(name)) < 1 << 32


@given(st.binary(), st.lists(st.sampled_from(["ok", "down", "behind"]), min_size=1, max_size=5))
def test_ranked(key: bytes, states: list[str]) -> None:
    """In-sync nodes in the key's own order, the live ones first; without a key in the order of the configuration."""
    pool = group(*[1] * len(states))
    for copy, state in zip(pool.copies, states, strict=True):
        copy.state = BEHIND if state == "behind" else IN_SYNC
        copy.node.live = state != "down"
    for wanted in (key, None):
        order = [copy.node for copy in pool.ranked_copies(wanted) if copy.state == IN_SYNC]
        expected = [node for node in order if node.live] + [node for node in order if not node.live]
        assert pool.ranked(wanted) == expected
        assert pool.leader(wanted) is (expected[0] if expected else None)


def test_keys_are_spread() -> None:
    """Each of three copies leads a third of the keys, more or less; one that leaves gives up only its own keys."""
    pool = group(1, 1, 1)
    for copy in pool.copies:
        copy.state = IN_SYNC
    keys = [b"key:%d" % at for at in range(3000)]
    before = [pool.leader(key) for key in keys]
    assert all(800 < sum(node is copy.node for node in before) < 1200 for copy in pool.copies)
    pool.mark_behind([pool.copies[1].node])
    after = [pool.leader(key) for key in keys]
    assert all(old is new or old is pool.copies[1].node for old, new in zip(before, after, strict=True))


def test_new_connections_are_recorded() -> None:
    """Nobody waits for it; and before an election the set is not known, so that its record must stay as it is."""
    pool = group(1, 1)
    journal: list[list[str]] = []
    pool.record_details()
    pool.journal = lambda changed: journal.append(changed.behind_names())
    pool.elected = False
    pool.record_details()
    assert journal == []
    make_trusted(pool, pool.copies[0])
    version = pool.durability.latest_version
    pool.record_details()
    assert (journal, pool.durability.latest_version) == ([["b"], ["b"]], version)


def test_in_sync_set() -> None:
    """Who missed a write leaves, as the journal sees; the last one stays; a sync that proves itself brings back."""
    pool = group(1, 1)
    journal: list[list[str]] = []
    pool.journal = lambda changed: journal.append(changed.behind_names())
    a, b = [copy.node for copy in pool.copies]
    pool.on_restart(a)
    assert not pool.copies[0].missed_write
    make_trusted(pool, pool.copies[0])
    pool.mark_in_sync(b)
    assert journal == [["b"], []]
    pool.mark_behind([a, b])
    assert journal == [["b"], [], ["a"]]
    pool.mark_behind([b])
    pool.on_restart(b)
    assert journal == [["b"], [], ["a"]]
    assert pool.copies[1].missed_write
    pool.mark_in_sync(a)
    pool.on_restart(a)
    assert pool.behind_names() == ["a"]
    pool.sync_failed(a)
    assert repr(pool.copies) == "[<copy a behind>, <copy b in sync>]"


def test_the_last_one_is_restarted() -> None:
    """Nobody is asked before it is known what it has lost; the error that clients get names it."""
    pool = group(1, 1)
    make_trusted(pool, pool.copies[0])
    assert not pool.on_restart(pool.copies[0].node)
    assert (pool.elected, pool.trust_lost, pool.ranked(b"k"), pool.leader(None)) == (False, True, [], None)
    assert pool.refusal == b"-NODEDOWN a 0 (it was restarted, and what the copies hold is looked at)\r\n"
    make_trusted(pool, pool.copies[1])
    assert pool.behind_names() == ["a"]
    assert [node.name for node in pool.ranked(None)] == ["b"]
    alone = group(1)
    make_trusted(alone, alone.copies[0])
    assert alone.on_restart(alone.copies[0].node)


def test_who_had_everything() -> None:
    """Who was restarted had everything until a write is acknowledged without it."""
    pool = group(1, 1, 1)
    for copy in pool.copies:
        pool.mark_in_sync(copy.node)
    pool.elected = True
    pool.on_restart(pool.copies[2].node)
    pool.on_restart(pool.copies[1].node)
    assert [copy.had_all_writes for copy in pool.copies] == [False, True, True]
    assert pool.trust_is_revocable
    pool.mark_behind([])
    assert [copy.had_all_writes for copy in pool.copies] == [False, False, False]


def test_when_writes_done() -> None:
    """Whoever waits for the open writes is called when they are done; later ones do not count."""
    pool = group(1, 1)
    called: list[str] = []
    pool.when_writes_done(lambda: called.append("nothing"))
    assert called == ["nothing"]
    first, second = pool.begin_write(), pool.begin_write()
    pool.when_writes_done(lambda: called.append("two"))
    third = pool.begin_write()
    pool.end_write(second)
    assert called == ["nothing"]
    pool.end_write(first)
    assert called == ["nothing", "two"]
    pool.end_write(third)
    assert (called, pool.open_writes) == (["nothing", "two"], 0)


def test_repair_later() -> None:
    """Keys to repair are noted by database, once each; past the limit nobody but the first is trusted."""
    pool = group(1, 1)
    for copy in pool.copies:
        copy.state = IN_SYNC
    pool.repair_later(0, [b"k", b"k"])
    pool.repair_later(1, [b"k"])
    assert list(pool.to_repair) == [(0, b"k"), (1, b"k")]
    pool.repair_later(0, [b"%d" % at for at in range(MAX_REPAIR_KEYS)])
    assert not pool.to_repair
    assert pool.behind_names() == ["b"]


def test_node_of_another_group() -> None:
    """A node that is no copy of this pool."""
    with pytest.raises(KeyError):
        group(1).copy_of(Node(9, "z", "", 9))


def test_repr() -> None:
    """A node says whether it is there."""
    node = Node(0, "a", "10.0.0.1:6379", 1)
    assert repr(node) == "<node a 10.0.0.1:6379 live>"
    node.live = False
    assert repr(node) == "<node a 10.0.0.1:6379 down>"


def test_pubsub_node() -> None:
    """Messages go to one copy in sync; the one where we subscribe stays it while it lives."""
    pair = group(1, 1)
    assert pair.active_pubsub_node() is None
    a, b = pair.copies
    a.state = b.state = IN_SYNC
    assert pair.active_pubsub_node() is a.node
    a.state = BEHIND
    assert pair.active_pubsub_node() is b.node
    pair.pubsub_node = b.node
    pair.pubsub_connections = 1
    a.state = IN_SYNC
    assert pair.active_pubsub_node() is pair.preferred_pubsub_node() is b.node
    b.state = BEHIND
    assert (pair.active_pubsub_node(), pair.preferred_pubsub_node()) == (b.node, a.node)
    b.node.live = False
    assert pair.active_pubsub_node() is pair.preferred_pubsub_node() is a.node


def three() -> CopyGroup:
    """Three copies in sync, all live."""
    found = group(1, 1, 1)
    for copy in found.copies:
        copy.state = IN_SYNC
        copy.node.live = True
    return found


def test_who_decides_for_a_repair() -> None:
    """The node whose reply the client got, while it is live and in sync; else the leader."""
    found = three()
    leader, other, third = found.ranked(b"k")
    found.repair_later(0, [b"k"], leader)
    leader.suspect = True
    assert found.leader(b"k") is not leader
    assert repair_order(found, (0, b"k"))[0] is leader
    leader.suspect = False
    found.repair_later(0, [b"k"], other)
    assert repair_order(found, (0, b"k")) == [other, leader, third]
    assert repair_order(found, (0, b"x")) == found.ranked(b"x")
    other.live = False
    assert repair_order(found, (0, b"k"))[0] is leader
    other.live = True
    found.mark_behind([other])
    assert repair_order(found, (0, b"k")) == [leader, third]
    forget_repaired(found, (0, b"k"))
    assert (found.to_repair, found.repair_sources) == ({}, {})


def test_what_is_known_of_expiry() -> None:
    """It is true while the copies in sync stay: not when one comes in, or was restarted; nor after unknown keys."""
    found = three()
    memo = found.expiry_memo

    def learn() -> None:
        for db in (0, 1):
            for key in (b"k", b"other"):
                memo.answer((db, key), memo.ask((db, key)), NEVER)

    def known() -> list[tuple[int, bytes]]:
        return sorted(memo.young)

    learn()
    memo.on_write_sent(0, [b"k"], None, SET)
    assert known() == [(0, b"other"), (1, b"k"), (1, b"other")]
    learn()
    memo.on_write_sent(0, [b"k"], 1, SET)
    assert known() == [(0, b"other"), (1, b"other")]
    for forget in (
        lambda: memo.on_write_sent(0, [], None, SET),
        lambda: memo.on_write_sent(0, [b"x"], None, SCRIPT_SETS_ANY),
        lambda: found.mark_in_sync(found.copies[0].node),
        lambda: make_trusted(found, found.copies[0]),
        lambda: found.on_restart(found.copies[0].node),
    ):
        learn()
        forget()
        assert known() == []
