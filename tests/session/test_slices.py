"""What one client sends is handled in slices: others come in between, and nothing changes its order."""

from collections.abc import Callable

import pytest

from kidoproxy import limits
from kidoproxy.commands.permit import Permit
from kidoproxy.resp.build import OK, PONG, array, bulk, command, integer
from kidoproxy.resp.requests import RequestLimits, RequestReader
from kidoproxy.session.conversation import ClientSession
from kidoproxy.session.users import User, Users
from tests.session.stage import Stage, ring
from tests.session.turns import finished, turn

GET = command([b"GET", b"k"])
PING = command([b"PING"])
COMMAND = command([b"COMMAND"])


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


# -- one long request ------------------------------------------------------------------------------------

KEYS = 5 * limits.SLICE
NAMES = [b"k%d" % at for at in range(KEYS)]


def waiting(stage: Stage) -> int:
    """How many requests wait at the nodes."""
    return sum(link.count() for link in stage.exchange.all_links())


def replied(stage: Stage, name: str, reply: Callable[[list[bytes]], bytes]) -> list[list[bytes]]:
    """The requests that went to the node since last time, each answered."""
    link = stage.link(name)
    reader = RequestReader(RequestLimits())
    reader.feed(b"".join(link.take_out()))
    found = []
    while (request := reader.next()) is not None:
        found.append(request.argv)
    for argv in found:
        link.feed(reply(argv), 0.0)
    return found


def test_a_long_request_is_sent_when_all_of_it_is_planned() -> None:
    """Slice by slice: nothing leaves before the last one, others are served meanwhile, the values come in order."""
    stage = ring("a", "b")
    stage.ready()
    session, other = stage.client(), stage.client()
    session.feed(command([b"MGET", *NAMES]) + PING)
    other.feed(PING)
    turns = 0
    while session.task is not None:
        assert (waiting(stage), session.ledger.count()) == (0, 0)
        turn(stage)
        turns += 1
    assert turns >= KEYS // limits.SLICE
    assert other.ledger.out == [PONG]
    asked = [words for name in "ab" for words in replied(stage, name, lambda argv: array(list(map(bulk, argv[1:]))))]
    assert sum(len(words) - 1 for words in asked) == KEYS
    assert session.ledger.out == []
    assert finished(stage) >= KEYS // limits.SLICE
    assert b"".join(session.ledger.out) == array(list(map(bulk, NAMES))) + PONG


@pytest.mark.parametrize("words", [[b"DEL"], [b"SUNION"], [b"LPUSH", b"k0"]])
def test_a_long_request_that_comes_in_pieces(words: list[bytes]) -> None:
    """Its arguments are cut in slices, too, where somebody wants to see them; what is behind it waits."""
    stage = ring("a")
    stage.ready()
    session = stage.client()
    raw = command([*words, *NAMES]) + PING
    for at in range(0, len(raw), 65536):
        session.feed(raw[at : at + 65536])
    assert (finished(stage) > 1) is (words[0] != b"LPUSH")
    assert b"".join(stage.link("a").take_out()) == raw[: -len(PING)]
    assert session.ledger.count() == 2


@pytest.mark.parametrize("word", [b"DEL", b"UNLINK", b"EXISTS", b"TOUCH"])
def test_every_key_is_sent_once(word: bytes) -> None:
    """Of a long request as of a short one, by whatever command, and also as each node's own reply."""
    stage = ring("a", "b")
    stage.ready()
    session = stage.client()
    for begin in (b"", command([b"PROXY", b"REPLIES", b"LIST"])):
        session.feed(begin + command([word, *NAMES]))
        finished(stage)
        asked = [words for name in "ab" for words in replied(stage, name, lambda argv: integer(len(argv) - 1))]
        assert sorted(key for words in asked for key in words[1:]) == sorted(NAMES)
    assert b"".join(session.ledger.out).startswith(integer(KEYS) + OK + b"*2\r\n:")


def test_a_long_request_that_cannot_be_planned() -> None:
    """Keys on several nodes: refused with the two that part, and nothing is sent."""
    stage = ring("a", "b")
    stage.ready()
    session = stage.client()
    session.feed(command([b"SUNION", *[b"{x}%d" % at for at in range(KEYS)], *NAMES]) + PING)
    assert finished(stage) >= KEYS // limits.SLICE
    said = b"".join(session.ledger.out)
    assert said.startswith(b"-CROSSSLOT")
    assert said.endswith(PONG)


def test_a_client_that_goes_in_the_middle_has_sent_nothing() -> None:
    """Gone or killed: what was not planned to the end is not sent, and nothing is owed."""
    stage = ring("a", "b")
    stage.ready()
    gone, killed = stage.client(), stage.client()
    for session in (gone, killed):
        session.feed(command([b"DEL", *NAMES]))
    gone.gone()
    killed.close()
    finished(stage)
    assert waiting(stage) == 0
    assert killed.ledger.count() == 0


@pytest.mark.parametrize(("last", "said"), [(b"k1", b":"), (b"other", b"-NOPERM")])
@pytest.mark.parametrize("word", [b"DEL", b"MGET", b"SUNION", b"SADD"])
def test_rules_are_asked_for_every_key(word: bytes, last: bytes, said: bytes) -> None:
    """In slices too; one key that is not allowed at the very end is enough."""
    stage = ring("a")
    stage.ready()
    stage.pool.users = Users([User(b"default", Permit("+@all", (b"~k*",)), True, True, [])])
    session = stage.client()
    argv = [word, *NAMES, last] if word != b"SADD" else [word, last, *NAMES]
    session.feed(command(argv))
    # SADD has one key, and the members are nobody's business.
    assert (finished(stage) > 1) is (word != b"SADD" or said == b":")
    for asked in replied(stage, "a", lambda _: b":1\r\n"):
        assert asked == argv
    assert b"".join(session.ledger.out).startswith(said)


def test_what_is_judged_in_slices_may_still_have_to_wait() -> None:
    """Behind a pause, and in a transaction."""
    stage = ring("a")
    stage.ready()
    stage.pool.users = Users([User(b"default", Permit("+@all", (b"~k*",)), True, True, [])])
    session = stage.client()
    session.feed(command([b"MULTI"]) + command([b"DEL", *NAMES]) + PING)
    finished(stage)
    assert b"".join(session.ledger.out) == OK + b"+QUEUED\r\n" * 2
    other = stage.client()
    stage.pool.paused_until = stage.house.wall_ms + 1000
    stage.pool.settle(stage.house)
    other.feed(command([b"DEL", *NAMES]))
    finished(stage)
    assert (other.stalled, sent(stage)) == (True, 0)
    stage.pool.unpause(stage.house)
    finished(stage)
    assert sent(stage) == 1
