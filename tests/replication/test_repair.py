"""A key whose copies differ is copied from its leader to the others, whoever fails meanwhile."""

from kidoproxy.replication.repair import KEYS_PER_TURN
from kidoproxy.replication.supervisor import CopySupervisor
from tests.replication.supervised import run_ticks, supervised_copies
from tests.replication.test_key_turns import Recorded
from tests.story import greeted, led_by, lost, refused, tick
from tests.toy import ToyNodes


def three_that_differ(leader: str) -> tuple[ToyNodes, CopySupervisor, bytes]:
    """Each copy holds something else in a key of this leader, which waits for its repair."""
    stage, supervisor = supervised_copies("", "abc")
    key = led_by(stage.play.pool, leader).encode()
    for at, toy in enumerate(stage.toys.values()):
        toy.dbs[0] = {key: b"%d" % at}
    stage.play.pool.groups[0].repair_later(0, [key])
    return stage, supervisor, key


def test_a_key_is_repaired_on_every_copy() -> None:
    """A key whose copies differ is copied from its leader to each of the others."""
    stage, supervisor, key = three_that_differ("b")
    play = stage.play
    tick(0.2)(play)
    assert supervisor.repairer.repaired_count == 0
    run_ticks(stage)

    assert [toy.dbs[0][key] for toy in stage.toys.values()] == [b"1", b"1", b"1"]
    assert (supervisor.repairer.repaired_count, play.pool.groups[0].to_repair) == (2, {})


def test_a_key_that_is_being_decided() -> None:
    """Its leader is ahead of the others: other keys are repaired first, this one when all have been told."""
    stage, supervisor = supervised_copies()
    play = stage.play
    group = play.pool.groups[0]
    held, other = led_by(play.pool, "a", 1).encode(), led_by(play.pool, "a", 2).encode()
    stage.toys["a"].dbs[0] = {held: b"x", other: b"x"}
    turn = Recorded("a write", [], [(0, held)])
    group.key_turns.ask(turn)
    group.repair_later(0, [held, other])
    for _ in range(3):
        tick(0.2)(play)
        run_ticks(stage)
    assert (stage.toys["b"].dbs[0], list(group.to_repair)) == ({other: b"x"}, [(0, held)])
    assert supervisor.repairer.busy()

    group.key_turns.leave(turn)
    run_ticks(stage)
    assert (stage.toys["b"].dbs[0], group.to_repair) == ({held: b"x", other: b"x"}, {})
    assert not group.key_turns.busy


def test_a_key_that_is_decided_all_the_time() -> None:
    """Somebody has a turn at it whenever one looks: it is repaired between two of them."""
    stage, supervisor = supervised_copies()
    play = stage.play
    group = play.pool.groups[0]
    key = led_by(play.pool, "a").encode()
    stage.toys["a"].dbs[0] = {key: b"x"}
    turn = Recorded("a write", [], [(0, key)])
    group.key_turns.ask(turn)
    group.repair_later(0, [key])
    run_ticks(stage)
    for _ in range(3):
        following = Recorded("a write", [], [(0, key)])
        group.key_turns.ask(following)
        group.key_turns.leave(turn)
        turn = following
        run_ticks(stage, 1)
    assert (stage.toys["b"].dbs[0], group.to_repair) == ({key: b"x"}, {})
    assert (group.key_turns.busy, supervisor.repairer.busy()) == (True, False)


def test_what_it_waited_with_does_not_hold_any_more() -> None:
    """The connections of the proof, or who leads: it is begun again, and who was lost is behind."""
    for name in "ab":
        stage, _ = supervised_copies()
        play = stage.play
        group = play.pool.groups[0]
        key = led_by(play.pool, "a").encode()
        turn = Recorded("a write", [], [(0, key)])
        group.key_turns.ask(turn)
        group.repair_later(0, [key])
        run_ticks(stage, 2)
        refused(name)(play)
        group.key_turns.leave(turn)
        assert list(group.to_repair) == [(0, key)]
        play.shy = True
        run_ticks(stage)
        assert (group.behind_names(), group.to_repair) == ([name], {})


def test_a_key_that_is_noted_once_more() -> None:
    """While one copy was repaired the copies have differed again: the key is repaired once more, on both."""
    stage, supervisor, key = three_that_differ("a")
    play = stage.play
    group = play.pool.groups[0]
    tick(0.2)(play)
    while supervisor.repairer.transfer is None:
        for name in "abc":
            stage.step(name)
    group.repair_later(0, [key])
    run_ticks(stage)
    assert (supervisor.repairer.repaired_count, group.to_repair) == (4, {})


def test_trust_is_lost_meanwhile() -> None:
    """Nobody decides any more: the next key is not begun."""
    stage, supervisor = supervised_copies()
    play = stage.play
    group = play.pool.groups[0]
    keys = [led_by(play.pool, "a", number).encode() for number in (1, 2)]
    stage.toys["a"].dbs[0] = dict.fromkeys(keys, b"1")
    group.repair_later(0, keys)
    tick(0.2)(play)
    while supervisor.repairer.transfer is None or supervisor.repairer.transfer.is_reading:
        for name in "ab":
            stage.step(name)
    group.lose_trust(play.node("a"))
    stage.run()
    assert (supervisor.repairer.repaired_count, supervisor.repairer.busy()) == (1, False)
    assert len(group.to_repair) == 1


def test_a_key_that_is_decided_meanwhile() -> None:
    """While the repair's proof was asked for its leader has gone ahead: the key is copied when all have been told."""
    stage, supervisor = supervised_copies()
    play = stage.play
    group = play.pool.groups[0]
    key = led_by(play.pool, "a").encode()
    stage.toys["a"].dbs[0] = {key: b"x"}
    group.repair_later(0, [key])
    tick(0.2)(play)
    assert supervisor.repairer.prover is not None
    turn = Recorded("a write", [], [(0, key)])
    group.key_turns.ask(turn)
    run_ticks(stage)
    assert (stage.toys["b"].dbs.get(0, {}), list(group.to_repair)) == ({}, [(0, key)])

    group.key_turns.leave(turn)
    run_ticks(stage)
    assert (stage.toys["b"].dbs[0], group.to_repair) == ({key: b"x"}, {})


def test_replies_that_differ_are_repaired() -> None:
    """The whole way: replies differ, the supervisor repairs, the client hears the leader."""
    stage, _ = supervised_copies()
    key = led_by(stage.play.pool, "a")
    stage.toys["b"].dbs[0] = {key.encode(): b"xx"}
    assert stage.say(f"APPEND {key} y") == b""
    run_ticks(stage)

    stage.play.settle()
    assert stage.play.client("me").received == b":1\r\n"
    assert stage.toys["b"].dbs[0] == {key.encode(): b"y"}
    assert stage.play.pool.groups[0].mismatches == 1


def test_another_copy_leads_before_the_repair() -> None:
    """What the client was told stands, though the copy that said so is slow to answer now."""
    stage, _ = supervised_copies()
    play = stage.play
    key = led_by(play.pool, "a")
    stage.toys["b"].dbs[0] = {key.encode(): b"xx"}
    stage.say(f"APPEND {key} y")
    play.node("a").suspect = True
    assert play.pool.groups[0].leader(key.encode()) is play.node("b")
    run_ticks(stage)

    assert stage.toys["a"].dbs == stage.toys["b"].dbs == {0: {key.encode(): b"y"}}
    assert not play.pool.groups[0].repair_sources


def test_a_copy_fails_during_a_repair() -> None:
    """A copy that cannot be repaired is behind."""
    stage, supervisor = supervised_copies()
    play = stage.play
    key = led_by(play.pool, "a").encode()
    play.pool.groups[0].repair_later(0, [key])
    tick()(play)
    stage.step("a", 2)
    play.sent["b"].clear()
    lost("b")(play)
    stage.run()

    assert play.pool.groups[0].behind_names() == ["b"]
    assert (play.pool.groups[0].to_repair, supervisor.repairer.transfer) == ({}, None)


def test_the_leader_fails_during_a_repair() -> None:
    """If it is the leader that dies the others are not to blame: the next leader is asked."""
    stage, _, key = three_that_differ("a")
    play = stage.play
    group = play.pool.groups[0]
    tick()(play)
    play.sent["a"].clear()
    refused("a")(play)
    stage.run()
    assert list(group.to_repair) == [(0, key)]
    play.shy = True
    run_ticks(stage)

    assert group.behind_names() == ["a"]
    assert stage.toys["b"].dbs == stage.toys["c"].dbs
    assert not group.to_repair


def test_the_leader_changes_between_two_repairs() -> None:
    """One copy has what the leader had, and another one leads: what that one has is copied to all."""
    stage, supervisor, key = three_that_differ("a")
    play = stage.play
    group = play.pool.groups[0]
    tick(0.2)(play)
    while not supervisor.repairer.repaired_count:
        for name in "abc":
            stage.step(name)
    group.mark_behind([play.node("a")], 0, [key])
    run_ticks(stage)

    assert not group.to_repair
    assert stage.toys["b"].dbs == stage.toys["c"].dbs


def test_no_copy_is_alive() -> None:
    """With no copy alive nothing can be repaired: the key waits until somebody is there."""
    stage, supervisor = supervised_copies()
    play = stage.play
    key = led_by(play.pool, "a").encode()
    for at, toy in enumerate(stage.toys.values()):
        toy.dbs[0] = {key: b"%d" % at}
    play.shy = True
    play.pool.groups[0].repair_later(0, [key])
    refused("a")(play)
    refused("b")(play)
    tick()(play)
    assert list(play.pool.groups[0].to_repair) == [(0, key)]
    assert play.pool.groups[0].behind_names() == []
    for name in ("a", "b"):
        play.connection(name).start_connecting()
        greeted(name)(play)
    run_ticks(stage)

    assert stage.toys["b"].dbs[0] == {key: b"0"}
    assert (play.pool.groups[0].to_repair, supervisor.repairer.repaired_count) == ({}, 1)


def test_one_server_is_not_repaired_from_itself() -> None:
    """Without a proof nothing is overwritten: the other name is behind."""
    stage, _ = supervised_copies()
    play = stage.play
    key = led_by(play.pool, "a").encode()
    stage.toys["b"] = stage.toys["a"]
    play.run_ids["b"] = play.run_ids["a"]
    stage.toys["a"].dbs[0] = {key: b"1"}
    play.pool.groups[0].repair_later(0, [key])
    run_ticks(stage)
    assert stage.toys["a"].dbs[0] == {key: b"1"}
    assert play.pool.groups[0].behind_names() == ["b"]


def test_a_proof_is_used_again() -> None:
    """Who has been proved once is not asked again while the connections stand."""
    stage, supervisor = supervised_copies()
    play = stage.play
    keys = [led_by(play.pool, "a", number).encode() for number in (1, 2)]
    stage.toys["a"].dbs[0] = dict.fromkeys(keys, b"1")
    play.pool.groups[0].repair_later(0, keys)
    run_ticks(stage, 8)
    assert stage.toys["b"].dbs[0] == dict.fromkeys(keys, b"1")
    assert stage.toys["b"].seen.count(b"INFO") == 1
    assert supervisor.repairer.repaired_count == 2


def test_many_keys_in_one_turn() -> None:
    """One key is repaired right after the other, without waiting for a tick; syncs have their turn in between."""
    stage, supervisor = supervised_copies()
    play = stage.play
    keys = [b"key:%d" % at for at in range(KEYS_PER_TURN + 50)]
    stage.toys["a"].dbs[0] = dict.fromkeys(keys, b"0")
    stage.toys["b"].dbs[0] = dict.fromkeys(keys, b"1")
    group = play.pool.groups[0]
    group.repair_later(0, keys)
    run_ticks(stage, 1)
    assert len(group.to_repair) == 50
    run_ticks(stage, 1)

    assert not group.to_repair
    assert stage.toys["a"].dbs == stage.toys["b"].dbs
    assert supervisor.repairer.repaired_count == len(keys)


def test_a_large_key_has_more_time() -> None:
    """As much as its bytes need; writes that are kept back meanwhile have it, too."""
    stage, supervisor = supervised_copies()
    play = stage.play
    key = led_by(play.pool, "a").encode()
    group = play.pool.groups[0]
    stage.toys["a"].dbs[0] = {key: b"x"}
    group.scrub.large_sizes = {(0, key): 200_000_000}
    group.repair_later(0, [key])
    tick()(play)
    while supervisor.repairer.transfer is None:
        play.settle()
        for name in "ab":
            stage.step(name)
    assert play.connection("b").hold_grace == 20
    stage.run()
    assert stage.toys["b"].dbs[0] == {key: b"x"}
