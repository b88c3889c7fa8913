"""What one client sends is handled in slices: others come in between, and nothing changes its order."""

import pytest

from kidoproxy import limits
from kidoproxy.resp.build import OK, PONG, command
from kidoproxy.resp.requests import RequestLimits, RequestReader
from kidoproxy.session.conversation import ClientSession
from tests.session.stage import Stage, ring

GET = command([b"GET", b"k"])
PING = command([b"PING"])
COMMAND = command([b"COMMAND"])


def turn(stage: Stage) -> None:
    """One turn of the loop, as the hub makes it: the next slices, and no more."""
    turn = stage.exchange.turn
    turn.spent = 0
    turn.jobs.go_on(lambda: False)
    drained, turn.drained = turn.drained, []
    for session in stage.house.sessions.values():
        if session.ledger in drained:
            session.resume()


def sent(stage: Stage) -> int:
    """How many requests went to the node since last time."""
    link = stage.link("a")
    reader = RequestReader(RequestLimits())
    reader.feed(b"".join(link.take_out()))
    count = 0
    while reader.next() is not None:
        count += 1
    return count


def staged(clients: int) -> tuple[Stage, list[ClientSession]]:
    """A ring of one node, and so many clients."""
    stage = ring("a")
    stage.ready()
    return stage, [stage.client() for _ in range(clients)]


def test_a_flood_goes_slice_by_slice() -> None:
    """A turn handles one slice of it; the rest waits, nothing more is read meanwhile, and all of it is done."""
    stage, (session,) = staged(1)
    session.feed(PING * (2 * limits.SLICE + 1))
    assert (session.ledger.out, session.stalled, session.is_listening()) == ([PONG] * limits.SLICE, True, False)
    turn(stage)
    assert (len(session.ledger.out), session.stalled) == (2 * limits.SLICE, True)
    turn(stage)
    assert (len(session.ledger.out), session.stalled, session.is_listening()) == (2 * limits.SLICE + 1, False, True)
    assert session.reader.buffered() == 0


@pytest.mark.parametrize("word", [b"COMMAND", b"COMMAND DOCS", b"COMMAND INFO", b"COMMAND LIST", b"CLIENT HELP"])
def test_large_answers_count_by_their_bytes(word: bytes) -> None:
    """A few bytes that ask for very many are not done at one go."""
    stage, (session,) = staged(1)
    session.feed(command(word.split()) * 1000)
    most = limits.SLICE * limits.UNIT_BYTES + len(session.ledger.out[0])
    turns = 1
    while session.stalled:
        assert session.ledger.out_bytes <= turns * most
        turn(stage)
        turns += 1
    assert turns >= session.ledger.out_bytes // most
    assert len(session.ledger.out) == 1000


def test_who_comes_late_gets_a_smaller_slice() -> None:
    """Clients that all send much in the same turn do not make it long; each has its share of the following ones."""
    stage, sessions = staged(3)
    for session in sessions:
        session.feed(PING * (3 * limits.SLICE))
    done = [len(session.ledger.out) for session in sessions]
    assert done == [limits.SLICE, limits.SMALL_SLICE, limits.SMALL_SLICE]
    for _ in range(2):
        before = done
        turn(stage)
        done = [len(session.ledger.out) for session in sessions]
        assert all(now > then for now, then in zip(done, before, strict=True))


def test_order_is_kept() -> None:
    """What comes later waits behind what is suspended."""
    stage, (session,) = staged(1)
    session.feed(PING * limits.SLICE + GET)
    session.feed(PING + command([b"ECHO", b"x"]))
    assert (sent(stage), session.stalled) == (0, True)
    turn(stage)
    assert (sent(stage), session.stalled, session.ledger.count()) == (1, False, 3)


def test_something_else_may_let_it_go_on() -> None:
    """Its place in line is then void: it does not go on a second time before its turn."""
    stage, (session,) = staged(1)
    session.feed(PING * (4 * limits.SLICE))
    session.resume()
    assert len(session.ledger.out) == limits.SLICE + limits.SMALL_SLICE
    turn(stage)
    assert len(session.ledger.out) == 2 * limits.SLICE + limits.SMALL_SLICE


def test_a_client_that_goes_is_not_waited_for() -> None:
    """Gone or killed while it is suspended: nothing more of it is handled."""
    stage, sessions = staged(2)
    gone, killed = sessions
    gone.feed(PING * (2 * limits.SLICE))
    killed.feed(PING * (2 * limits.SLICE))
    gone.gone()
    killed.close()
    said = len(killed.ledger.out)
    turn(stage)
    assert (gone.ledger.out, len(killed.ledger.out), stage.exchange.turn.jobs.waiting) == ([], said, [])


def test_much_that_is_owed_is_waited_for() -> None:
    """However small the pieces in which it comes: with very many open calls no more is read."""
    stage, (session,) = staged(1)
    for _ in range(limits.CLIENT_PAUSE_CALLS // 1024 + 2):
        session.feed(GET * 1024)
        turn(stage)
    assert (sent(stage), session.stalled, session.is_listening()) == (limits.CLIENT_PAUSE_CALLS, True, False)
    stage.link("a").feed(OK * (limits.CLIENT_PAUSE_CALLS // 2), 0.0)
    turn(stage)
    assert (sent(stage), session.stalled) == (2 * 1024, False)
