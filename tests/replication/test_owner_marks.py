"""Marks of proxies: the names of connections, which of two goes on, and how they are found among very many clients."""

import itertools

import pytest

from kidoproxy.replication.owner_marks import MAX_LINE_BYTES, MAX_MARKS, ClientList, OwnerMark, name_field, parse_mark
from kidoproxy.resp.encode import bulk


def mark(proxy: str, started_ms: int = 1, term: int = 0, owner: bool = False) -> OwnerMark:
    made = OwnerMark("pool", proxy, started_ms, f"host-{proxy}", "machine", 7, 9)
    made.term, made.is_owner = term, owner
    return made


def listed(text: bytes, piece_bytes: int = 0) -> ClientList:
    """The reply with this text, in pieces of so many bytes, or at one go."""
    raw, found = bulk(text), ClientList()
    for at in range(0, len(raw), piece_bytes or len(raw)):
        found.add(raw[at : at + (piece_bytes or len(raw))])
    return found


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
    assert listed(b"id=1 addr=x name=" + name).marks == []


def test_marks_among_many_clients() -> None:
    """Found wherever they are, with the id and the address of the connection; without an id they are of no use."""
    name = mark("other").encode()
    text = b"id=1 addr=1.1.1.1:1 name= age=0\n" * 3 + b"id=2 addr=[::1]:7 name=" + name + b" age=0 idle=70\n"
    text += b"addr=x name=" + name + b"\nid=4 name=" + name
    marks = listed(text).marks
    assert [(found.client_id, found.address, found.idle_seconds) for found in marks] == [
        (b"2", "[::1]:7", 70),
        (b"4", "?", 0),
    ]


def test_two_never_both_go_on_nor_both_stop() -> None:
    """Of any two marks exactly one beats the other."""
    kinds = itertools.product("ab", (1, 2), (0, 1), (False, True))
    for one, other in itertools.permutations([mark(*kind) for kind in kinds], 2):
        if one.proxy_id != other.proxy_id:
            assert one.beats(other) != other.beats(one)


def test_two_pools_of_one_process() -> None:
    """They write in orders of their own, so one of them yields; a mark of our own does not count."""
    one, other = mark("me"), mark("me")
    other.pool = "qool"
    assert (one.is_same(mark("me")), one.is_same(other)) == (True, False)
    assert one.beats(other) != other.beats(one)


def test_what_counts_first() -> None:
    """A take-over, then who owns already, however late its clock says it started, then who started first."""
    assert mark("b", 9, 1).beats(mark("a", 1, 0, True))
    assert mark("b", 9, 0, True).beats(mark("a", 1))
    assert mark("b", 1).beats(mark("a", 2))
    assert mark("a", 1).beats(mark("b", 1))


@pytest.mark.parametrize("piece_bytes", [1, 7, 100, 4096])
def test_a_long_list_in_pieces(piece_bytes: int) -> None:
    """However it is cut, the same marks are found, and no more than a line is held, however long a client's name is."""
    name = mark("other").encode()
    rows = [b"id=%d addr=1.1.1.1:1 name=%b age=0\n" % (number, name) for number in range(20)]
    rows[3:3] = [b"id=77 addr=x name=" + b"y" * 20_000 + b" name=" + name + b"\n"]
    found = ClientList()
    raw = bulk(b"".join(rows))
    for at in range(0, len(raw), piece_bytes):
        found.add(raw[at : at + piece_bytes])
        assert len(found.line) <= MAX_LINE_BYTES + 1
    assert found.is_list()
    assert [int(each.client_id) for each in found.marks] == list(range(20))


def test_a_list_as_text() -> None:
    """RESP3 says in front that it is one."""
    found = ClientList()
    found.add(b"=60\r\ntxt:id=5 addr=x name=" + mark("other").encode() + b"\n\r\n")
    assert [each.client_id for each in found.marks] == [b"5"]


def test_marks_have_a_bound() -> None:
    """Anybody may give a thousand connections such a name."""
    rows = [b"id=%d addr=x name=%b\n" % (number, mark("other").encode()) for number in range(MAX_MARKS + 10)]
    assert len(listed(b"".join(rows)).marks) == MAX_MARKS


def test_what_is_no_list() -> None:
    """An error, another type, and nothing at all."""
    for raw in (b"-NOPERM no\r\n", b":1\r\n", b""):
        found = ClientList()
        found.add(raw)
        assert not found.is_list()
    assert listed(b"").is_list()


def test_silence() -> None:
    """Each connection is tested every second, so one that says nothing for longer looks lost."""
    found = mark("other")
    assert found.silence() == ""
    found.idle_seconds = 40
    assert found.silence() == "it has sent nothing for 40 s, as one that stands still, or whose host is lost"
