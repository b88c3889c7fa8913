"""One copy is trusted at the start, the others are compared with it; syncs one at a time; single keys are mended."""

from kidoproxy.replication.batch import BatchReply
from kidoproxy.replication.supervisor import CopySupervisor
from kidoproxy.routes.topology import IN_SYNC, SYNCING
from kidoproxy.upstream.states import CONNECTING
from tests.story import (
    Story,
    copies,
    greeted,
    led_by,
    lost,
    refused,
    story,
    then,
    tick,
)
from tests.toy import Stage


def kept(play: Story, recorded: tuple[str, ...] = ()) -> CopySupervisor:
    """A keeper that looks after the story's copies at every tick."""
    supervisor = CopySupervisor(play.exchange, play.pool.groups[0], list(recorded), play.exchange.now)
    play.ticking.append(lambda now: supervisor.tick(now, play.house.wall_ms))
    return supervisor


def logged(supervisor: CopySupervisor) -> list[str]:
    return [str(event) for event in supervisor.log_events]


def waking(play: Story) -> None:
    """All links are opened, as at the start of the proxy."""
    for each in play.pool.nodes:
        play.exchange.connection(each, 2, 0).start_connecting()


def level(behind: str = "", names: str = "ab", recorded: tuple[str, ...] = ()) -> tuple[Stage, CopySupervisor]:
    """Elected copies whose links are there."""
    play = story(copies(*names, behind=behind)) >> waking
    return Stage(play), kept(play, recorded)


def on(stage: Stage, ticks: int = 5) -> None:
    """Time goes by and all nodes answer."""
    for _ in range(ticks):
        tick()(stage.play)
        stage.run()


# -- the election ----------------------------------------------------------------------------------------------


def test_start() -> None:
    """When all have answered one is trusted; the other is compared, mended and let in; the log hears of it."""
    play = story(copies("a", "b", elected=False))
    supervisor = kept(play)
    assert supervisor.is_starting()
    assert play >> waking
    stage = Stage(play)
    stage.toys["a"].dbs[0] = {b"k": b"1"}
    play.node("a").uptime = 100
    on(stage)

    assert not supervisor.is_starting()
    assert stage.toys["b"].dbs[0] == {b"k": b"1"}
    assert play.pool.groups[0].behind_names() == []
    assert logged(supervisor) == [
        "copy in sync: pool=pair node=a",
        "copy behind: pool=pair node=b",
        "copy syncing: pool=pair node=b",
        "synced: pool=pair node=b passes=2 keys=2 copied=1",
        "copy in sync: pool=pair node=b",
    ]


def test_recorded() -> None:
    """A copy that a former run knew to be behind is not trusted, however long it is up."""
    play = story(copies("a", "b", elected=False)) >> waking
    play.node("a").uptime = 100
    kept(play, ("a",))
    stage = Stage(play)
    for toy in stage.toys.values():
        toy.dbs[0] = {b"k": b"1"}
    on(stage, 1)
    tick()(play)

    assert [copy.state for copy in play.pool.groups[0].copies] == [SYNCING, IN_SYNC]


def test_election_waits() -> None:
    """It waits for nodes that have not answered yet, but not for ever; and for one at least."""
    play = story(copies("a", "b", elected=False), shy=True) >> waking
    supervisor = kept(play)
    group = play.pool.groups[0]
    assert play >> greeted("a") >> tick(1.0) << then(lambda play: not group.elected)
    stage = Stage(play)
    stage.toys["a"].dbs[0] = {b"k": b"1"}
    for _ in range(22):
        on(stage, 1)
    assert group.elected
    assert not supervisor.is_starting()

    nobody = story(copies("a", "b", elected=False), shy=True) >> waking >> refused("a") >> refused("b")
    kept(nobody)
    assert nobody >> tick(3.0)
    assert not nobody.pool.groups[0].elected


# -- syncs -------------------------------------------------------------------------------------------------------


def test_order() -> None:
    """A sync is ordered by somebody; why not is said at once; one runs at a time."""
    stage, supervisor = level("bc", "abcd")
    play = stage.play
    assert supervisor.order_sync(play.node("a"), False) == "a is in sync already"
    assert supervisor.order_sync(play.node("b"), False) == ""
    assert supervisor.order_sync(play.node("b"), False) == "b is being synced already"
    assert supervisor.order_sync(play.node("c"), False) == ""
    assert supervisor.sync_progress(play.node("c")) == "waiting for its turn"
    tick()(play)
    assert supervisor.sync_progress(play.node("b")).startswith("making sure of the source")
    assert supervisor.sync_progress(play.node("a")) == ""
    assert supervisor.order_sync(play.node("b"), False) == "b is being synced already"
    assert supervisor.is_starting()
    on(stage)
    assert play.pool.groups[0].behind_names() == []

    refused("d")(play)
    play.pool.groups[0].mark_behind([play.node("d")])
    assert supervisor.order_sync(play.node("d"), False) == "d is down (connection refused)"


def test_failed_sync() -> None:
    """A comparison that was owed and failed is still owed; one that was ordered is not."""
    stage, supervisor = level("b")
    play = stage.play
    supervisor.scheduler.to_compare = [play.node("b")]
    tick()(play)
    refused("b")(play)
    play.told["b"].clear()
    stage.run()
    tick()(play)
    assert logged(supervisor)[-1] == "copy behind: pool=pair node=b"
    assert "sync failed: pool=pair node=b cause=NODEDOWN b (connection refused)" in logged(supervisor)
    assert supervisor.scheduler.to_compare == [play.node("b")]
    tick(1.0)(play)
    on(stage)
    assert play.pool.groups[0].behind_names() == []

    play.pool.groups[0].mark_behind([play.node("b")])
    assert supervisor.order_sync(play.node("b"), False) == ""
    tick()(play)
    refused("b")(play)
    play.told["b"].clear()
    stage.run()
    tick()(play)
    assert supervisor.scheduler.to_compare == []


def test_nothing_to_copy_from() -> None:
    """While every copy in sync is down a sync is refused; one that was ordered before waits for its source."""
    stage, supervisor = level("b", "abc")
    play = stage.play
    play.shy = True
    assert supervisor.order_sync(play.node("b"), False) == ""
    refused("a")(play)
    refused("c")(play)
    tick()(play)
    assert supervisor.sync_progress(play.node("b")) == "waiting for its turn"
    play.pool.groups[0].mark_behind([play.node("c")])
    says = "there is nothing to copy from: a is down (connection refused)"
    refused("a")(play)
    assert supervisor.order_sync(play.node("c"), True).startswith("c is down")
    supervisor.scheduler.orders.clear()
    assert supervisor.order_sync(play.node("b"), True) == says


def test_cancel_what_is_owed() -> None:
    """A comparison that the start owes is ended like any other, and is not begun again."""
    stage, supervisor = level("b")
    supervisor.scheduler.to_compare = [stage.play.node("b")]
    stage.toys["a"].dbs[0] = {b"k": b"1"}
    tick()(stage.play)
    assert supervisor.execute_order(stage.play.node("b"), "cancel") == ("", [])
    tick(3.0)(stage.play)
    on(stage)
    assert stage.play.pool.groups[0].behind_names() == ["b"]


def test_an_order_for_one_that_is_in_sync_by_now() -> None:
    """Nothing is done for it."""
    stage, supervisor = level("b")
    assert supervisor.order_sync(stage.play.node("b"), True) == ""
    stage.play.pool.groups[0].mark_in_sync(stage.play.node("b"))
    on(stage)
    assert stage.toys["b"].seen == []


def test_trust_while_the_trusted_one_is_dead() -> None:
    """A copy that is behind may be trusted when the one in sync is gone; a sync that runs ends with that."""
    stage, supervisor = level("b")
    play = stage.play
    play.shy = True
    refused("a")(play)
    tick(2.0)(play)
    on(stage)
    assert supervisor.execute_order(play.node("b"), "trust confirm") == ("", [])
    assert play.pool.groups[0].behind_names() == ["a"]


def test_the_trusted_one_was_a_guess() -> None:
    """A copy that was never restarted, and only seemed dead, decides when it is back before anything was written."""
    play = story(copies("a", "b", elected=False), shy=True)
    group = play.pool.groups[0]
    group.run_ids = {"a": "a-first", "b": "b-before"}
    supervisor = kept(play)
    assert play >> waking >> refused("a") >> greeted("b")
    stage = Stage(play)
    for toy in stage.toys.values():
        toy.dbs[0] = {b"k": b"1"}
    on(stage)
    assert group.behind_names() == ["a"]
    for _ in range(60):
        on(stage, 1)
        if play.link("a").state == CONNECTING:
            greeted("a")(play)
            break
    on(stage)
    assert "copy in sync: pool=pair node=a" in logged(supervisor)
    assert group.elected


# -- single keys ---------------------------------------------------------------------------------------------------


def test_mend() -> None:
    """A key whose copies differ is copied from its leader to each of the others."""
    stage, supervisor = level("", "abc")
    play = stage.play
    key = led_by(play.pool, "b").encode()
    for at, toy in enumerate(stage.toys.values()):
        toy.dbs[0] = {key: b"%d" % at}
    play.pool.groups[0].repair_later(0, [key])
    tick(0.2)(play)
    assert supervisor.repairer.repaired_count == 0
    on(stage)

    assert [toy.dbs[0][key] for toy in stage.toys.values()] == [b"1", b"1", b"1"]
    assert (supervisor.repairer.repaired_count, play.pool.groups[0].to_repair) == (2, {})


def test_mend_after_a_mismatch() -> None:
    """The whole way: replies differ, the client hears the leader, the keeper mends."""
    stage, _ = level()
    key = led_by(stage.play.pool, "a")
    stage.toys["b"].dbs[0] = {key.encode(): b"xx"}
    assert stage.say(f"APPEND {key} y") == b":1\r\n"
    on(stage)

    assert stage.toys["b"].dbs[0] == {key.encode(): b"y"}
    assert stage.play.pool.groups[0].mismatches == 1


def test_mend_fails_on_the_copy() -> None:
    """A copy that cannot be mended is behind."""
    stage, supervisor = level()
    play = stage.play
    key = led_by(play.pool, "a").encode()
    play.pool.groups[0].repair_later(0, [key])
    tick()(play)
    stage.step("a", 2)
    play.told["b"].clear()
    lost("b")(play)
    stage.run()

    assert play.pool.groups[0].behind_names() == ["b"]
    assert (play.pool.groups[0].to_repair, supervisor.repairer.transfer) == ({}, None)


def test_mend_fails_on_the_leader() -> None:
    """If it is the leader that dies the others are not to blame: the next leader is asked."""
    stage, _ = level("", "abc")
    play = stage.play
    group = play.pool.groups[0]
    key = led_by(play.pool, "a").encode()
    for at, toy in enumerate(stage.toys.values()):
        toy.dbs[0] = {key: b"%d" % at}
    group.repair_later(0, [key])
    tick()(play)
    play.told["a"].clear()
    refused("a")(play)
    stage.run()
    assert list(group.to_repair) == [(0, key)]
    play.shy = True
    on(stage)

    assert group.behind_names() == ["a"]
    assert stage.toys["b"].dbs == stage.toys["c"].dbs
    assert not group.to_repair


def test_leader_changes_between_two_copies() -> None:
    """A copy that has become the leader meanwhile has nothing to be mended from."""
    stage, supervisor = level("", "abc")
    play = stage.play
    group = play.pool.groups[0]
    key = led_by(play.pool, "a").encode()
    group.repair_later(0, [key])
    supervisor.repairer.targets = [group.ranked(key)[0]]
    on(stage, 1)

    assert not group.to_repair
    assert supervisor.repairer.repaired_count == 0


def test_nobody_alive() -> None:
    """With no copy alive nothing can be mended: the key waits until somebody is there."""
    stage, supervisor = level()
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
        play.link(name).start_connecting()
        greeted(name)(play)
    on(stage)

    assert stage.toys["b"].dbs[0] == {key: b"0"}
    assert (play.pool.groups[0].to_repair, supervisor.repairer.repaired_count) == ({}, 1)


def test_one_server_is_not_mended_from_itself() -> None:
    """Without a proof nothing is overwritten: the other name is behind."""
    stage, _ = level()
    play = stage.play
    key = led_by(play.pool, "a").encode()
    stage.toys["b"] = stage.toys["a"]
    play.run_ids["b"] = play.run_ids["a"]
    stage.toys["a"].dbs[0] = {key: b"1"}
    play.pool.groups[0].repair_later(0, [key])
    on(stage)
    assert stage.toys["a"].dbs[0] == {key: b"1"}
    assert play.pool.groups[0].behind_names() == ["b"]


def test_a_proof_is_used_again() -> None:
    """Who has been proved once is not asked again while the connections stand."""
    stage, supervisor = level()
    play = stage.play
    keys = [led_by(play.pool, "a", number).encode() for number in (1, 2)]
    stage.toys["a"].dbs[0] = dict.fromkeys(keys, b"1")
    play.pool.groups[0].repair_later(0, keys)
    on(stage, 8)
    assert stage.toys["b"].dbs[0] == dict.fromkeys(keys, b"1")
    assert stage.toys["b"].seen.count(b"INFO") == 1
    assert supervisor.repairer.repaired_count == 2


def test_unasked_answer() -> None:
    """An answer that belongs to nothing changes nothing."""
    _, supervisor = level()
    supervisor.election_runner.on_done(BatchReply(supervisor.repairer, 1))
    supervisor.repairer.on_done(BatchReply(supervisor.repairer, 1))

    assert supervisor.repairer.repaired_count == 0
