"""When a copy is lost nothing is acknowledged without it before the others show that no other proxy has closed it."""

import pytest

from kidoproxy.resp.encode import OK
from kidoproxy.resp.limits import RECORD_DURABLE_SECONDS
from kidoproxy.upstream.states import CONNECTING
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


@pytest.mark.parametrize("outcome", ["down", "back", "taken over"])
def test_a_lost_copy_that_may_be_back(outcome: str) -> None:
    """Whoever takes over may not reach the other copy: the lost one is asked first, unless it is down."""
    stage = Stage().start()
    play = stage.play
    play.shy = True
    client(WRITE)(play)
    play.settle()
    stage.step("b")
    play.sent["a"].clear()
    lost("a")(play)
    stage.run()
    connection = play.connection("a")
    assert connection.state == CONNECTING
    assert play.client("me").received == b""
    if outcome == "down":
        refused("a")(play)
    else:
        stage.show("a", *[mark("him", 1)][: outcome == "taken over"])
        play.connect(connection)
        play.greet(connection)
    stage.run()
    received = play.client("me").received
    assert received.startswith(b"-TIMEOUT") if outcome == "taken over" else received == OK
