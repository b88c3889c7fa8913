"""Who owns the copies: the names of connections, and which of two proxies goes on."""

import pytest

from kidoproxy.replication.owner_marks import ClientList, OwnerMark
from kidoproxy.replication.ownership import Ownership
from tests.replication.test_owner_marks import listed, mark

NOPERM = b"-NOPERM no\r\n"


def client_list(*marks: OwnerMark) -> ClientList:
    """A node's reply, with a client of another kind before, and a number for each of ours from 11 on."""
    rows = [b"id=3 addr=1.2.3.4:5 name=worker age=1 db=0\n"]
    for at, each in enumerate(marks):
        rows.append(b"id=%d addr=[::1]:5 laddr=x name=%b age=1 db=0\n" % (11 + at, each.encode()))
    return listed(b"".join(rows))


def owning(*, take_over: bool = False, dead: str = "", started_ms: int = 1) -> Ownership:
    return Ownership(mark("me", started_ms), take_over, lambda other: other.proxy_id == dead)


def seen(ownership: Ownership, *marks: OwnerMark, node: str = "a") -> list[bytes]:
    """What is to be closed at a node that shows these and ourselves."""
    found = client_list(ownership.mark, *marks)
    return [each.client_id for each in ownership.on_client_list(node, found, ownership.connection_name())]


def confirmed() -> Ownership:
    ownership = owning()
    ownership.mark.is_owner = ownership.confirmed = True
    return ownership


def test_a_claim_waits_for_an_owner_to_go() -> None:
    """It is noted at which node, logged once, and forgotten when it is gone."""
    ownership = owning()
    assert seen(ownership, mark("other", 5, owner=True)) == []
    assert seen(ownership, mark("other", 5, owner=True)) == []
    assert list(ownership.rivals) == ["a"]
    assert (ownership.sightings, ownership.yielded_to) == (2, None)
    assert [str(event) for event in ownership.log_events] == [
        "another proxy: node=a host=host-other pid=7 address=[::1]:5"
    ]
    assert seen(ownership) == []
    assert ownership.rivals == {}


def test_a_claim_does_not_count_as_an_owner_before_it_is_confirmed() -> None:
    """Else two could each take the other for the later one."""
    ownership = owning(started_ms=2)
    ownership.mark.is_owner = True
    seen(ownership, mark("earlier", 1))
    assert list(ownership.rivals) == ["a"]
    assert not ownership.mark.is_owner


def test_an_owner_closes_what_it_beats() -> None:
    """A claim, or a later owner, is closed, and has to look at who is there."""
    ownership = confirmed()
    assert seen(ownership, mark("claim", 0), mark("later", 5, owner=True)) == [b"12", b"13"]
    assert ownership.rivals == {}
    assert ownership.on_client_list("a", client_list(mark("claim", 0)), b"an older name of ours") == []


def test_an_owner_yields_at_once_and_for_good() -> None:
    """To one that took over; its connections have no name from then on."""
    ownership = confirmed()
    seen(ownership, mark("other", 9, 1))
    assert ownership.yielded_to is not None
    assert not ownership.confirmed
    assert ownership.connection_name() == b""
    assert b"NOREPLICAS" in ownership.refusal()
    assert b"process 7 on host-other" in ownership.refusal()
    assert [event.name for event in ownership.log_events] == ["another proxy", "pool not served"]
    assert "kidoproxy serve --take-over pool" in str(ownership.log_events[1])


def test_what_a_dead_process_has_left_is_closed() -> None:
    """Its node has not noticed yet; nobody waits for it."""
    ownership = owning(dead="old")
    assert seen(ownership, mark("old", 0, 3, True)) == [b"12"]
    assert (ownership.rivals, ownership.sightings) == ({}, 0)
    assert seen(ownership, mark("old", 0, 3, True), mark("other", 0)) == [b"12"]
    assert list(ownership.rivals) == ["a"]


def test_take_over() -> None:
    """It gets a higher term than all it finds, names itself so, and then closes what it beats."""
    ownership = owning(take_over=True)
    announced = ownership.connection_name()
    ownership.mark.is_owner = True
    other = mark("other", 0, 4, True)
    assert ownership.on_client_list("a", client_list(other), announced) == []
    assert (ownership.mark.term, ownership.rivals) == (5, {})
    assert seen(ownership, other) == [b"12"]


def test_a_take_over_is_over_once_the_copies_are_owned() -> None:
    """A later take-over by another one is not answered with a further one."""
    ownership = confirmed()
    ownership.take_over = True
    seen(ownership, mark("other", 0, 1))
    assert ownership.yielded_to is not None


def test_what_is_settled() -> None:
    """Nodes are asked again while another one may go, or while an owner is not confirmed; then no more."""
    ownership = owning()
    assert not ownership.is_open()
    seen(ownership, mark("other", 0))
    assert ownership.is_open()
    seen(ownership)
    ownership.mark.is_owner = True
    assert ownership.is_open()
    ownership.confirmed = True
    assert not ownership.is_open()
    ownership.yield_to(mark("other"))
    assert not ownership.is_open()


@pytest.mark.parametrize("raw", [NOPERM, b":1\r\n"])
def test_a_node_that_does_not_tell(raw: bytes) -> None:
    """It is said once, and the pool is served as if nobody else were there."""
    ownership = owning()
    seen(ownership, mark("other", 0))
    found = ClientList()
    found.add(raw)
    assert ownership.on_client_list("a", found, b"") == []
    ownership.on_name_reply("a", NOPERM)
    ownership.on_name_reply("b", b"+OK\r\n")
    assert ownership.rivals == {}
    assert [event.name for event in ownership.log_events] == ["another proxy", "owner unknown"]


def test_an_owner_whose_connections_were_all_lost_at_one_time() -> None:
    """Another one may have served meanwhile: it claims anew, at its old place, whatever order it began with."""
    ownership = confirmed()
    ownership.mark.term, ownership.take_over = 3, True
    seen(ownership)
    seen(ownership, node="b")
    ownership.on_connection_lost("a")
    assert ownership.confirmed, "the other node shows who serves"
    seen(ownership)
    ownership.on_connection_lost("a")
    ownership.on_connection_lost("b")
    assert (ownership.confirmed, ownership.mark.term) == (False, 0)
    assert ownership.connection_name().startswith(b"kidoproxy-claim:0:")
    seen(ownership, mark("later", 9, owner=True))
    assert list(ownership.rivals) == ["a"]
    assert ownership.comparable_mark().beats(mark("later claim", 9))


def test_one_that_cannot_be_closed() -> None:
    """Two would write: this one yields, and says what is missing."""
    ownership = confirmed()
    ownership.on_not_closed("a", mark("other", owner=True), "NOPERM no")
    assert ownership.yielded_to is not None
    assert ownership.yield_reason == "a does not close its connection (NOPERM no)"


def test_advice() -> None:
    """Of one that has been silent it says so, for then its host may be lost."""
    ownership = owning()
    other = mark("other", owner=True)
    ownership.yield_to(other)
    assert "if its host is lost: kidoproxy serve --take-over pool" in ownership.yield_reason
    other.idle_seconds = 40
    ownership.yield_to(other)
    assert ownership.yield_reason.startswith("it has sent nothing for 40 s")
