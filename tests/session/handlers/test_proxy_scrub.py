"""PROXY SCRUB: a request stands in the record of each copy pool, whose state and numbers can be asked for."""

from kidoproxy.replication.group import group_of
from kidoproxy.resp import errors
from tests.decoding import decode
from tests.session.stage import copies, ring, say


def test_requests() -> None:
    """It is wanted, can be taken back, and is about all copy pools or about the one that is named."""
    stage = copies("a", "b")
    session = stage.client()
    group = group_of(stage.node("a"))
    assert group is not None
    name = group.name
    assert say(session, "PROXY", "SCRUB") == b"+OK\r\n"
    assert (group.scrub.state, group.scrub.dry_run) == ("waiting", False)
    refused = f"-ERR no scrub of '{name}': it is being scrubbed already\r\n".encode()
    assert say(session, "PROXY", "SCRUB", "DRYRUN", name) == refused
    assert say(session, "PROXY", "SCRUB", "cancel") == b"+OK\r\n"
    assert group.scrub.is_cancelled
    group.scrub.end("cancelled", 0)
    assert say(session, "PROXY", "SCRUB", "CANCEL").endswith(b"it is not being scrubbed\r\n")
    assert say(session, "PROXY", "SCRUB", "DRYRUN", name) == b"+OK\r\n"
    assert group.scrub.dry_run
    assert say(session, "PROXY", "SCRUB", "RUN", "x").startswith(b"-ERR no scrub of 'x': it is no copy pool")
    assert say(session, "PROXY", "SCRUB", "SING") == errors.SYNTAX
    assert say(session, "PROXY", "SCRUB", "RUN", name, "x") == errors.wrong_arity(b"proxy|scrub")


def test_status() -> None:
    """A row for each copy pool, with the keys that differ."""
    stage = copies("a", "b")
    session = stage.client()
    group = group_of(stage.node("a"))
    assert group is not None
    group.scrub.request(False)
    group.scrub.begin(["a", "b"])
    group.scrub.add_keys(7)
    group.scrub.add_difference(3, b"k")
    rows = decode(say(session, "PROXY", "SCRUB", "STATUS"))
    assert isinstance(rows, list)
    fields = dict(zip(rows[0][::2], rows[0][1::2], strict=True))
    assert (fields[b"pool"], fields[b"state"], fields[b"copies"]) == (group.name.encode(), b"running", b"a b")
    assert (fields[b"keys"], fields[b"differences"], fields[b"differing"]) == (7, 1, [[3, b"k"]])
    assert say(session, "PROXY", "SCRUB", "STATUS", "x") == b"*0\r\n"


def test_a_ring_has_no_copies() -> None:
    """There is nothing to compare."""
    reply = say(ring("a").client(), "PROXY", "SCRUB")
    assert reply.endswith(b"it is no copy pool, there is nothing to compare\r\n")
