"""When a copy is lost nothing is acknowledged without it before the others show that no other proxy has closed it."""

from kidoproxy.resp.encode import OK
from kidoproxy.resp.limits import RECORD_DURABLE_SECONDS
from tests.replication.test_owner_claim import Stage, mark
from tests.story import client, lost, refused, tick

WRITE = "SET k v"


def half_a_write() -> Stage:
    """The write is on one copy, and the connection to the other one is lost; it is asked who else is there."""
    stage = Stage().start()
    client(WRITE)(stage.play)
    stage.play.settle()
    stage.step("b")
    stage.play.sent["a"].clear()
    refused("a")(stage.play)
    stage.play.settle()
    assert stage.play.sent["b"]
    assert stage.play.client("me").received == b""
    return stage


def test_the_copy_is_down() -> None:
    """The other one shows nobody: the write is acknowledged, and the copy is behind."""
    stage = half_a_write()
    stage.run()
    assert stage.play.client("me").received == OK
    assert stage.group.behind_names() == ["a"]
    assert stage.group.durability.is_current()


def test_another_proxy_has_closed_it() -> None:
    """The client hears that the outcome is unknown, and the pool is not served any more."""
    stage = half_a_write()
    stage.show("ab", mark("him", 1))
    stage.run()
    received = stage.play.client("me").received
    assert received.startswith(b"-TIMEOUT")
    assert b"process 7 on host-him" in received
    assert stage.ownership.yielded_to is not None
    assert b"NOREPLICAS" in stage.say("SET k w")[len(received) :] or b"NOREPLICAS" in stage.say("SET k w")


def test_the_other_copy_is_lost_on_the_way() -> None:
    """It is asked when it is there again."""
    stage = half_a_write()
    stage.play.sent["b"].clear()
    lost("b")(stage.play)
    stage.run()
    assert stage.play.client("me").received == b""
    stage.pass_time(0.5)
    assert stage.play.client("me").received == OK


def test_no_copy_is_there_to_be_asked() -> None:
    """After a while the client hears that nobody knows."""
    stage = half_a_write()
    stage.play.shy = True
    stage.play.sent["b"].clear()
    refused("b")(stage.play)
    stage.pass_time(1)
    assert stage.play.client("me").received == b""
    stage.pass_time(RECORD_DURABLE_SECONDS)
    assert b"no copy of pair tells whether another proxy serves them" in stage.play.client("me").received


def test_both_are_lost_before_anybody_could_be_asked() -> None:
    """The look is owed, and made as soon as a copy answers."""
    stage = Stage().start()
    client(WRITE)(stage.play)
    stage.play.settle()
    stage.step("b")
    connection = stage.play.executor.connection(stage.play.node("b"), 2, 0)
    stage.play.shy = True
    refused("b")(stage.play)
    stage.play.sent["a"].clear()
    refused("a")(stage.play)
    stage.play.settle()
    assert not connection.is_ready()
    assert stage.supervisor.owner_claim.owes_check
    stage.play.shy = False
    for _ in range(40):
        tick()(stage.play)
        stage.run()
    assert stage.play.client("me").received == OK
    assert not stage.supervisor.owner_claim.owes_check
