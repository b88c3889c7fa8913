"""Who owns the copies: the names of connections, and which of two proxies goes on."""

import itertools

import pytest

from kidoproxy.replication.ownership import OwnerMark, Ownership, name_field, parse_client_list, parse_mark
from kidoproxy.resp.encode import bulk

NOPERM = b"-NOPERM no\r\n"


def mark(proxy: str, started_ms: int = 1, term: int = 0, owner: bool = False) -> OwnerMark:
    made = OwnerMark("pool", proxy, started_ms, f"host-{proxy}", "machine", 7, 9)
    made.term, made.is_owner = term, owner
    return made


def client_list(*marks: OwnerMark) -> bytes:
    """A node's reply, with a client of another kind before, and a number for each of ours from 11 on."""
    rows = [b"id=3 addr=1.2.3.4:5 name=worker age=1 db=0\n"]
    for at, each in enumerate(marks):
        rows.append(b"id=%d addr=[::1]:5 laddr=x name=%b age=1 db=0\n" % (11 + at, each.encode()))
    return bulk(b"".join(rows))


def owning(*, take_over: bool = False, dead: str = "", started_ms: int = 1) -> Ownership:
    return Ownership(mark("me", started_ms), take_over, lambda other: other.proxy_id == dead)


def seen(ownership: Ownership, *marks: OwnerMark, node: str = "a") -> list[bytes]:
    """What is to be closed at a node that shows these and ourselves."""
    return ownership.on_client_list(node, client_list(ownership.mark, *marks), ownership.connection_name())


def confirmed() -> Ownership:
    ownership = owning()
    ownership.mark.is_owner = ownership.confirmed = True
    return ownership


def test_a_name_is_read_as_it_was_written() -> None:
    """All of it comes back; it has neither spaces nor what a node would refuse."""
    written = OwnerMark("my pool", "id", 5, "hôst:1", "m", 12, 34)
    written.term, written.is_owner = 3, True
    name = written.encode()
    read = parse_mark(name)
    assert name == b"kidoproxy-owner:3:5:id:m:12:34:h_st_1:my_pool"
    assert read is not None
    assert read.encode() == name
    assert (read.pid, read.pid_started, read.started_ms) == (12, 34, 5)
    assert name_field("") == "?"
    assert len(name_field("x" * 500)) == 64


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"kidoproxy-owner",
        b"kidoproxy-other:3:5:id:m:12:34:h:p",
        b"kidoproxy-owner:x:5:id:m:12:34:h:p",
        b"kidoproxy-owner:1:-5:id:m:12:34:h:p",
        b"kidoproxy-owner:1:5:id:m:12:34:h:p:q",
        b"kidoproxy-owner:1:5:id:m:12:\xff:h:p",
    ],
)
def test_other_names_mean_nothing(name: bytes) -> None:
    """Anybody may call a connection anything."""
    assert parse_mark(name) is None
    assert parse_client_list(b"id=1 addr=x name=" + name) == []


def test_marks_among_many_clients() -> None:
    """Found wherever they are, with the id and the address of the connection; without an id they are of no use."""
    name = mark("other").encode()
    text = b"id=1 addr=1.1.1.1:1 name= age=0\n" * 3 + b"id=2 addr=[::1]:7 name=" + name + b" age=0\n"
    text += b"addr=x name=" + name + b"\nid=4 name=" + name
    assert [(found.client_id, found.address) for found in parse_client_list(text)] == [(b"2", "[::1]:7"), (b"4", "?")]


def test_two_never_both_go_on_nor_both_stop() -> None:
    """Of any two marks exactly one beats the other."""
    kinds = itertools.product("ab", (1, 2), (0, 1), (False, True))
    for one, other in itertools.permutations([mark(*kind) for kind in kinds], 2):
        if one.proxy_id != other.proxy_id:
            assert one.beats(other) != other.beats(one)


def test_what_counts_first() -> None:
    """A take-over, then who owns already, however late its clock says it started, then who started first."""
    assert mark("b", 9, 1).beats(mark("a", 1, 0, True))
    assert mark("b", 9, 0, True).beats(mark("a", 1))
    assert mark("b", 1).beats(mark("a", 2))
    assert mark("a", 1).beats(mark("b", 1))


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
    assert ownership.on_client_list("a", raw, b"") == []
    ownership.on_name_reply("a", NOPERM)
    ownership.on_name_reply("b", b"+OK\r\n")
    assert ownership.rivals == {}
    assert [event.name for event in ownership.log_events] == ["another proxy", "owner unknown"]
