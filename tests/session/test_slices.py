"""What one client sends is handled in slices: others come in between, and nothing changes its order."""

from collections.abc import Callable

import pytest

from kidoproxy.commands.acl import Acl
from kidoproxy.resp import limits
from kidoproxy.resp.encode import OK, PONG, array, bulk, encode_request, integer
from kidoproxy.resp.request_reader import RequestReader
from kidoproxy.resp.request_scanner import RequestLimits
from kidoproxy.session.mode import READY
from kidoproxy.session.session import ClientSession
from kidoproxy.session.users import User, Users
from tests.session.stage import InMemoryProxy, ring
from tests.session.turns import finished, turn

GET = encode_request([b"GET", b"k"])
PING = encode_request([b"PING"])
COMMAND = encode_request([b"COMMAND"])


def sent(stage: InMemoryProxy) -> int:
    """How many requests went to the node since last time."""
    conn = stage.connection("a")
    reader = RequestReader(RequestLimits())
    reader.feed(b"".join(conn.take_output()))
    count = 0
    while reader.next() is not None:
        count += 1
    return count


def staged(clients: int) -> tuple[InMemoryProxy, list[ClientSession]]:
    """A ring of one node, and so many clients."""
    stage = ring("a")
    stage.ready()
    return stage, [stage.client() for _ in range(clients)]


def test_a_flood_goes_slice_by_slice() -> None:
    """A turn handles one slice of it; the rest waits, nothing more is read meanwhile, and all of it is done."""
    stage, (session,) = staged(1)
    session.feed(PING * (2 * limits.SLICE_UNITS + 1))
    assert (session.replies.out, session.mode != READY, session.wants_input()) == (
        [PONG] * limits.SLICE_UNITS,
        True,
        False,
    )
    turn(stage)
    assert (len(session.replies.out), session.mode != READY) == (2 * limits.SLICE_UNITS, True)
    turn(stage)
    assert (len(session.replies.out), session.mode != READY, session.wants_input()) == (
        2 * limits.SLICE_UNITS + 1,
        False,
        True,
    )
    assert session.reader.buffered_bytes() == 0


@pytest.mark.parametrize("word", [b"COMMAND", b"COMMAND DOCS", b"COMMAND INFO", b"COMMAND LIST", b"CLIENT HELP"])
def test_large_answers_count_by_their_bytes(word: bytes) -> None:
    """A few bytes that ask for very many are not done at one go."""
    stage, (session,) = staged(1)
    session.feed(encode_request(word.split()) * 1000)
    most = limits.SLICE_UNITS * limits.BYTES_PER_UNIT + len(session.replies.out[0])
    turns = 1
    while session.mode != READY:
        assert session.replies.out_bytes <= turns * most
        turn(stage)
        turns += 1
    assert turns >= session.replies.out_bytes // most
    assert len(session.replies.out) == 1000


def test_who_comes_late_gets_a_smaller_slice() -> None:
    """Clients that all send much in the same turn do not make it long; each has its share of the following ones."""
    stage, sessions = staged(3)
    for session in sessions:
        session.feed(PING * (3 * limits.SLICE_UNITS))
    done = [len(session.replies.out) for session in sessions]
    assert done == [limits.SLICE_UNITS, limits.SMALL_SLICE_UNITS, limits.SMALL_SLICE_UNITS]
    for _ in range(2):
        before = done
        turn(stage)
        done = [len(session.replies.out) for session in sessions]
        assert all(now > then for now, then in zip(done, before, strict=True))


def test_order_is_kept() -> None:
    """What comes later waits behind what is suspended."""
    stage, (session,) = staged(1)
    session.feed(PING * limits.SLICE_UNITS + GET)
    session.feed(PING + encode_request([b"ECHO", b"x"]))
    assert (sent(stage), session.mode != READY) == (0, True)
    turn(stage)
    assert (sent(stage), session.mode != READY, session.replies.open_count()) == (1, False, 3)


def test_something_else_may_let_it_go_on() -> None:
    """Its place in line is then void: it does not go on a second time before its turn."""
    stage, (session,) = staged(1)
    session.feed(PING * (4 * limits.SLICE_UNITS))
    session.resume()
    assert len(session.replies.out) == limits.SLICE_UNITS + limits.SMALL_SLICE_UNITS
    turn(stage)
    assert len(session.replies.out) == 2 * limits.SLICE_UNITS + limits.SMALL_SLICE_UNITS


def test_a_client_that_goes_is_not_waited_for() -> None:
    """Gone or killed while it is suspended: nothing more of it is handled."""
    stage, sessions = staged(2)
    gone, killed = sessions
    gone.feed(PING * (2 * limits.SLICE_UNITS))
    killed.feed(PING * (2 * limits.SLICE_UNITS))
    gone.on_disconnect()
    killed.close()
    said = len(killed.replies.out)
    turn(stage)
    assert (gone.replies.out, len(killed.replies.out), stage.executor.turn_work.jobs.queue) == ([], said, [])


def test_much_that_is_owed_is_waited_for() -> None:
    """However small the pieces in which it comes: with very many open calls no more is read."""
    stage, (session,) = staged(1)
    for _ in range(limits.MAX_OPEN_REQUESTS // 1024 + 2):
        session.feed(GET * 1024)
        turn(stage)
    assert (sent(stage), session.mode != READY, session.wants_input()) == (limits.MAX_OPEN_REQUESTS, True, False)
    stage.connection("a").feed(OK * (limits.MAX_OPEN_REQUESTS // 2), 0.0)
    turn(stage)
    assert (sent(stage), session.mode != READY) == (2 * 1024, False)


# -- one long request ------------------------------------------------------------------------------------

KEYS = 5 * limits.SLICE_UNITS
NAMES = [b"k%d" % at for at in range(KEYS)]


def waiting(stage: InMemoryProxy) -> int:
    """How many requests wait at the nodes."""
    return sum(conn.pending_count() for conn in stage.executor.all_connections())


def replied(stage: InMemoryProxy, name: str, reply: Callable[[list[bytes]], bytes]) -> list[list[bytes]]:
    """The requests that went to the node since last time, each answered."""
    conn = stage.connection(name)
    reader = RequestReader(RequestLimits())
    reader.feed(b"".join(conn.take_output()))
    found = []
    while (request := reader.next()) is not None:
        found.append(request.argv)
    for argv in found:
        conn.feed(reply(argv), 0.0)
    return found


def test_a_long_request_is_sent_when_all_of_it_is_planned() -> None:
    """Slice by slice: nothing leaves before the last one, others are served meanwhile, the values come in order."""
    stage = ring("a", "b")
    stage.ready()
    session, other = stage.client(), stage.client()
    session.feed(encode_request([b"MGET", *NAMES]) + PING)
    other.feed(PING)
    turns = 0
    while session.current_job is not None:
        assert (waiting(stage), session.replies.open_count()) == (0, 0)
        turn(stage)
        turns += 1
    assert turns >= KEYS // limits.SLICE_UNITS
    assert other.replies.out == [PONG]
    asked = [words for name in "ab" for words in replied(stage, name, lambda argv: array(list(map(bulk, argv[1:]))))]
    assert sum(len(words) - 1 for words in asked) == KEYS
    assert session.replies.out == []
    assert finished(stage) >= KEYS // limits.SLICE_UNITS
    assert b"".join(session.replies.out) == array(list(map(bulk, NAMES))) + PONG


@pytest.mark.parametrize("words", [[b"DEL"], [b"SUNION"], [b"LPUSH", b"k0"]])
def test_a_long_request_that_comes_in_pieces(words: list[bytes]) -> None:
    """Its arguments are cut in slices, too, where somebody wants to see them; what is behind it waits."""
    stage = ring("a")
    stage.ready()
    session = stage.client()
    raw = encode_request([*words, *NAMES]) + PING
    for at in range(0, len(raw), 65536):
        session.feed(raw[at : at + 65536])
    assert (finished(stage) > 1) is (words[0] != b"LPUSH")
    assert b"".join(stage.connection("a").take_output()) == raw[: -len(PING)]
    assert session.replies.open_count() == 2


@pytest.mark.parametrize("word", [b"DEL", b"UNLINK", b"EXISTS", b"TOUCH"])
def test_every_key_is_sent_once(word: bytes) -> None:
    """Of a long request as of a short one, by whatever command, and also as each node's own reply."""
    stage = ring("a", "b")
    stage.ready()
    session = stage.client()
    for begin in (b"", encode_request([b"PROXY", b"REPLIES", b"LIST"])):
        session.feed(begin + encode_request([word, *NAMES]))
        finished(stage)
        asked = [words for name in "ab" for words in replied(stage, name, lambda argv: integer(len(argv) - 1))]
        assert sorted(key for words in asked for key in words[1:]) == sorted(NAMES)
    assert b"".join(session.replies.out).startswith(integer(KEYS) + OK + b"*2\r\n:")


def test_a_long_request_that_cannot_be_planned() -> None:
    """Keys on several nodes: refused with the two that part, and nothing is sent."""
    stage = ring("a", "b")
    stage.ready()
    session = stage.client()
    session.feed(encode_request([b"SUNION", *[b"{x}%d" % at for at in range(KEYS)], *NAMES]) + PING)
    assert finished(stage) >= KEYS // limits.SLICE_UNITS
    said = b"".join(session.replies.out)
    assert said.startswith(b"-CROSSSLOT")
    assert said.endswith(PONG)


def test_a_client_that_goes_in_the_middle_has_sent_nothing() -> None:
    """Gone or killed: what was not planned to the end is not sent, and nothing is owed."""
    stage = ring("a", "b")
    stage.ready()
    gone, killed = stage.client(), stage.client()
    for session in (gone, killed):
        session.feed(encode_request([b"DEL", *NAMES]))
    gone.on_disconnect()
    killed.close()
    finished(stage)
    assert waiting(stage) == 0
    assert killed.replies.open_count() == 0


@pytest.mark.parametrize(("last", "said"), [(b"k1", b":"), (b"other", b"-NOPERM")])
@pytest.mark.parametrize("word", [b"DEL", b"MGET", b"SUNION", b"SADD"])
def test_rules_are_asked_for_every_key(word: bytes, last: bytes, said: bytes) -> None:
    """In slices too; one key that is not allowed at the very end is enough."""
    stage = ring("a")
    stage.ready()
    stage.pool.users = Users([User(b"default", Acl("+@all", (b"~k*",)), True, True, [])])
    session = stage.client()
    argv = [word, *NAMES, last] if word != b"SADD" else [word, last, *NAMES]
    session.feed(encode_request(argv))
    # SADD has one key, and the members are nobody's business.
    assert (finished(stage) > 1) is (word != b"SADD" or said == b":")
    for asked in replied(stage, "a", lambda _: b":1\r\n"):
        assert asked == argv
    assert b"".join(session.replies.out).startswith(said)


def test_what_is_checked_in_slices_may_still_have_to_wait() -> None:
    """Behind a pause, and in a transaction."""
    stage = ring("a")
    stage.ready()
    stage.pool.users = Users([User(b"default", Acl("+@all", (b"~k*",)), True, True, [])])
    session = stage.client()
    session.feed(encode_request([b"MULTI"]) + encode_request([b"DEL", *NAMES]) + PING)
    finished(stage)
    assert b"".join(session.replies.out) == OK + b"+QUEUED\r\n" * 2
    other = stage.client()
    stage.pool.paused_until_ms = stage.proxy.wall_ms + 1000
    stage.proxy.update_sessions(stage.pool)
    other.feed(encode_request([b"DEL", *NAMES]))
    finished(stage)
    assert (other.mode != READY, sent(stage)) == (True, 0)
    stage.proxy.unpause(stage.pool)
    finished(stage)
    assert sent(stage) == 1
