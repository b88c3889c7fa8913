"""CLIENT of all workers: the clients of a pool are told of and reached, whichever worker they are connected to."""

import pytest

from kidoproxy.resp import limits
from kidoproxy.resp.decode import items, string_value
from kidoproxy.resp.encode import OK, PONG, encode_request, integer
from kidoproxy.session.mode import PAUSED
from kidoproxy.session.session import ClientSession
from tests.session.joined import Joined
from tests.session.stage import copies, heard, request, ring, say

PARTIAL = b"-PARTIAL 'client|%b' reached 2 of 3 workers (no answer from 2)%b\r\n"


def three() -> tuple[Joined, list[ClientSession]]:
    """Three workers with a client each, at 10.9.9.0:1, 10.9.9.1:1, …"""
    joined = Joined(*[ring("a") for _ in range(3)])
    return joined, [stage.client(f"10.9.9.{at}:1") for at, stage in enumerate(joined.stages)]


def ids(raw: bytes) -> list[int]:
    """The clients of a list."""
    return [int(line.split(b" ", 1)[0][3:]) for line in string_value(raw).splitlines()]


def test_ids_are_unique() -> None:
    """No two clients have the same id, whatever the worker, and of each worker they grow."""
    joined, clients = three()
    more = [stage.client() for stage in joined.stages for _ in range(2)]
    assert sorted(client.id for client in clients + more) == list(range(1, 10))


@pytest.mark.parametrize("proto", [2, 3])
def test_list(proto: int) -> None:
    """The clients of all workers, in a reply that waits in its place; the client's next request waits for it."""
    joined, (me, _, other) = three()
    say(me, "HELLO", str(proto))
    me.feed(request("CLIENT", "LIST") + request("PING"))
    assert heard(me) == b""
    assert joined.deliver() == 1
    reply = heard(me)
    assert reply.endswith(PONG)
    listed = reply.removesuffix(PONG)
    assert listed[:1] == (b"=" if proto == 3 else b"$")
    assert len(string_value(listed).splitlines()) == 3
    assert ids(joined.say(me, "CLIENT", "LIST", "ID", "3", "1", "77")) == [1, 3]
    say(other, "CLIENT", "SETNAME", "far")
    assert b" name=far " in joined.say(me, "CLIENT", "LIST", "TYPE", "normal")
    assert joined.say(me, "CLIENT", "LIST", "TYPE", "martian").startswith(b"-ERR")
    assert not joined.questions


def test_list_without_a_worker() -> None:
    """What is known is listed, and it counts that an answer is missing."""
    joined, (me, *_) = three()
    joined.silent = {1}
    assert ids(joined.say(me, "CLIENT", "LIST")) == [1, 3]
    assert joined.stages[0].proxy.peers is not None
    assert joined.stages[0].proxy.peers.missed_answers == 1


@pytest.mark.parametrize("words", [[], [b"TYPE", b"normal"], [b"ID", *[b"%d" % at for at in range(1, 4000)]]])
def test_very_many_clients(words: list[bytes]) -> None:
    """Each worker makes its part in slices."""
    joined, (me, *_) = three()
    for at in range(2 * limits.CLIENTS_PER_SLICE):
        joined.stages[1].client(f"10.9.8.1:{at}")
    me.feed(encode_request([b"CLIENT", b"LIST", *words]))
    joined.deliver()
    assert len(ids(heard(me))) == 2 * limits.CLIENTS_PER_SLICE + 3
    assert joined.say(me, "CLIENT", "KILL", "TYPE", "normal") == integer(2 * limits.CLIENTS_PER_SLICE + 2)
    assert not me.closing


def test_kill() -> None:
    """The count is that of all; the old form knows addresses of all; the caller is spared as ever."""
    joined, (me, other, third) = three()
    assert joined.say(me, "CLIENT", "KILL", "10.9.9.2:1") == OK
    assert third.closing
    assert joined.say(me, "CLIENT", "KILL", "10.9.9.2:1") == b"-ERR No such client\r\n"
    assert joined.say(me, "CLIENT", "KILL", "ID", "2") == integer(1)
    assert other.closing
    assert joined.say(me, "CLIENT", "KILL", "USER", "nobody").startswith(b"-ERR")
    more = [stage.client() for stage in joined.stages]
    assert joined.say(me, "CLIENT", "KILL", "USER", "default") == integer(3)
    assert all(client.closing for client in more)
    assert not me.closing
    assert joined.say(me, "CLIENT", "KILL", "USER", "default", "SKIPME", "no") == integer(1)
    assert me.closing


def test_one_that_refuses() -> None:
    """A worker that has taken over a changed configuration already does not know the user any more: none is closed."""
    joined, (me, *_) = three()
    joined.refusing = {2}
    assert joined.say(me, "CLIENT", "KILL", "USER", "default") == integer(1)


def test_pause() -> None:
    """It holds the clients of all workers before the OK, and so does its end."""
    joined, (me, other, third) = three()
    assert joined.say(me, "CLIENT", "PAUSE", "60000") == OK
    for client in (other, third):
        client.feed(request("PING"))
        assert client.mode == PAUSED
    assert joined.say(other, "CLIENT", "UNPAUSE") == b""  # it is held itself
    fourth = joined.stages[1].client()
    assert joined.say(fourth, "CLIENT", "UNPAUSE") == OK
    assert heard(third) == PONG
    assert heard(other) == PONG + OK


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        (["KILL", "TYPE", "normal"], PARTIAL % (b"kill", b"; 1 clients closed")),
        (["KILL", "10.9.9.1:1"], PARTIAL % (b"kill", b"; 1 clients closed")),
        (["PAUSE", "9"], PARTIAL % (b"pause", b"")),
        (["UNPAUSE"], PARTIAL % (b"unpause", b"")),
        (
            ["UNBLOCK", "3"],
            b"-PARTIAL 'client|unblock' reached 1 of 2 workers (no answer from 2); 0 clients unblocked\r\n",
        ),
        (["UNBLOCK", "2"], integer(0)),
        (["UNBLOCK", "1"], integer(0)),
    ],
)
def test_what_one_worker_has_not_done(words: list[str], reply: bytes) -> None:
    """It says PARTIAL, with what the others have done; who need not be asked is not missed."""
    joined, (me, *_) = three()
    joined.silent = {2}
    assert joined.say(me, "CLIENT", *words) == reply


def test_unblock() -> None:
    """An id says which worker has the client, and that one alone is asked."""
    joined, (me, other, _) = three()
    stage = joined.stages[1]
    stage.connection("a")
    other.feed(request("BLPOP", "q", "0"))
    assert joined.say(me, "CLIENT", "UNBLOCK", str(other.id), "what").startswith(b"-ERR")
    me.feed(request("CLIENT", "UNBLOCK", str(other.id)))
    assert [workers for workers, _, _ in joined.questions] == [[1]]
    joined.deliver()
    assert heard(me) == integer(1)


def test_inside_a_transaction() -> None:
    """EXEC waits for the parts as for a node's replies."""
    joined, (me, other, _) = three()
    for words in (
        ["MULTI"],
        ["CLIENT", "LIST"],
        ["CLIENT", "KILL", "ID", "2"],
        ["CLIENT", "ID"],
        ["CLIENT", "PAUSE", "x"],
    ):
        say(me, *words)
    me.feed(request("EXEC"))
    assert heard(me) == b""
    joined.deliver()
    listed, killed, own_id, paused = items(heard(me))
    assert ids(listed) == [1, 2, 3]
    assert (killed, own_id) == (integer(1), integer(1))
    assert paused.startswith(b"-ERR")
    assert other.closing


def test_copies() -> None:
    """One worker serves them, so nobody is asked."""
    joined = Joined(copies("a"), ring("a"))
    me = joined.stages[0].client()
    me.feed(request("CLIENT", "LIST"))
    assert ids(heard(me)) == [1]


def test_one_that_leaves_meanwhile() -> None:
    """Nobody is told."""
    joined, (me, *_) = three()
    me.feed(request("CLIENT", "LIST"))
    me.on_disconnect()
    joined.deliver()
    assert heard(me) == b""
