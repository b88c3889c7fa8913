"""What a leader is asked for a command that it decides, and what is made of its replies."""

import pytest

from kidoproxy.commands.spec import EFFECT_CLAIMED_ENTRIES, EFFECT_REMOVED_MEMBERS, EFFECT_STATE
from kidoproxy.replication.leader_effects import Effect, command_frames, effect_handler, effect_of, requests_along
from kidoproxy.replies.callbacks import CallbackHandler, ignore_failure
from kidoproxy.resp.decode import items, string_value
from kidoproxy.routes.plan import LeaderFirst
from kidoproxy.routes.topology import Node
from tests.story import copies
from tests.story.frames import frame, request

DUMPED = "$2 dd"
REST = "REPLACE ABSTTL"
SHORT = "-ERR EXEC has answered for 1 of 2 commands"


def server(version: bytes) -> Node:
    """A server of this version."""
    found = Node(0, "a", "a:6379", 1)
    found.version = version
    return found


def plan(effect: int, text: str, *keys: bytes) -> LeaderFirst:
    """A command that the leader decides; it writes these keys."""
    return LeaderFirst(copies("a").groups[0], [word.encode() for word in text.split()], list(keys), list(keys), effect)


def words(found: Effect) -> list[str]:
    """The requests of an effect as one would type them."""
    return [b" ".join(string_value(word) for word in items(raw)).decode() for raw in found.frames]


def test_requests() -> None:
    """The values and expiries of all keys written, in one go; where expiry is time left, the clock along with it."""
    sort = plan(EFFECT_STATE, "SORT l BY w_* STORE d", b"d")
    assert requests_along(sort, server(b"7.0.1")) == [[b"DUMP", b"d"], [b"PEXPIRETIME", b"d"]]
    assert requests_along(sort, server(b"6.2.1")) == [[b"DUMP", b"d"], [b"PTTL", b"d"], [b"TIME"]]
    claim = plan(EFFECT_CLAIMED_ENTRIES, "XCLAIM x g c 0 1", b"x")
    assert requests_along(claim, server(b"7.0.1")) == [[b"TIME"]]
    pop = plan(EFFECT_REMOVED_MEMBERS, "SPOP s", b"s")
    assert requests_along(pop, server(b"7.0.1")) == []
    assert command_frames(pop) == [request("SPOP s")]


@pytest.mark.parametrize(
    ("version", "replies", "told"),
    [
        (b"7.2", [":3", DUMPED, ":-1", DUMPED, ":77"], [f"RESTORE d 0 dd {REST}", f"RESTORE e 77 dd {REST}"]),
        (b"7.2", [":0", "$-1", ":-2", DUMPED, ":-1"], ["UNLINK d", "RESTORE e 0 dd REPLACE ABSTTL"]),
        (b"6.2", [":0", "$-1", ":-2", DUMPED, ":50", "*2 $1 7 $4 1000"], ["UNLINK d", f"RESTORE e 7051 dd {REST}"]),
        (b"7.2", ["-ERR half way", "$-1", ":-2", "$-1", ":-2"], ["UNLINK d", "UNLINK e"]),
    ],
)  # fmt: skip
def test_state(version: bytes, replies: list[str], told: list[str]) -> None:
    """Each key's value as it is behind the command, also when that has failed half way."""
    two = plan(EFFECT_STATE, "EVAL t 2 d e", b"d", b"e")
    found = effect_of(two, requests_along(two, server(version)), [frame(reply) for reply in replies])
    assert words(found) == told
    assert not found.problem


@pytest.mark.parametrize(
    ("effect", "version", "replies"),
    [
        (EFFECT_STATE, b"7.2", [":1", "+what", ":-1"]),
        (EFFECT_STATE, b"7.2", [DUMPED, ":-1"]),
        (EFFECT_STATE, b"6.2", [":1", DUMPED, ":5", "+what"]),
        (EFFECT_CLAIMED_ENTRIES, b"7.2", ["*0", "+what"]),
        (EFFECT_CLAIMED_ENTRIES, b"7.2", ["*0", "*2 $1 x $1 1"]),
    ],
)
def test_nonsense(effect: int, version: bytes, replies: list[str]) -> None:
    """From replies that make no sense nobody is told anything."""
    claim = plan(effect, "XCLAIM x g c 0 1", b"x")
    found = effect_of(claim, requests_along(claim, server(version)), [frame(reply) for reply in replies])
    assert found.problem
    assert not found.frames


@pytest.mark.parametrize(
    ("reply", "told", "expected"),
    [
        ("$1 x", "SREM s x", ":1"),
        ("*2 $1 x $1 y", "SREM s x y", ":2"),
        ("~2 $1 x $1 y", "SREM s x y", ":2"),
        ("*0", "", ""),
        ("$-1", "", ""),
        ("_", "", ""),
        ("-WRONGTYPE no", "", ""),
    ],
)
def test_removal(reply: str, told: str, expected: str) -> None:
    """What was popped is removed, and nothing when nothing was."""
    found = effect_of(plan(EFFECT_REMOVED_MEMBERS, "SPOP s 2", b"s"), [], [frame(reply)])
    assert words(found) == ([told] if told else [])
    assert found.expected == ([frame(expected)] if told else [])


@pytest.mark.parametrize("reply", [":1", "+x", "*1 :1", "*2 $1 x $-1", "*1 *1 $1 x"])
def test_what_no_set_can_hold(reply: str) -> None:
    """A node that answers SPOP with anything but strings writes no requests to the others."""
    found = effect_of(plan(EFFECT_REMOVED_MEMBERS, "SPOP s 2", b"s"), [], [frame(reply)])
    assert found.problem
    assert not found.frames


@pytest.mark.parametrize(
    ("frames", "replies", "heard"),
    [
        (["SREM s x"], [":1"], "+mine"),
        (["SREM s x"], [":0"], ":0"),
        (["SREM s x"], ["-OOM no"], "-OOM no"),
        (["SREM s x", "UNLINK d"], ["+OK", "+QUEUED", "+QUEUED", "*2 :1 :0"], "+mine"),
        (["SREM s x", "UNLINK d"], ["+OK", "+QUEUED", "+QUEUED", "*2 :0 :0"], ":0"),
        (["SREM s x", "UNLINK d"], ["+OK", "+QUEUED", "+QUEUED", b"*2\r\n:1\r\n-ERR no\r\n"], "-ERR no"),
        (["SREM s x", "UNLINK d"], ["+OK", "-OOM no", "+QUEUED", "-EXECABORT no"], "-OOM no"),
        (["SREM s x", "UNLINK d"], ["+OK", "+QUEUED", "+QUEUED", "-BUSY no"], "-BUSY no"),
        (["SREM s x", "UNLINK d"], ["+OK", "+QUEUED", "+QUEUED", "*1 :1"], SHORT),
    ],
)  # fmt: skip
def test_the_reply_of_another_copy(frames: list[str], replies: list[str | bytes], heard: str) -> None:
    """As expected it is the leader's reply; what is not as expected is handed on."""
    effect = Effect()
    for at, text in enumerate(frames):
        effect.add(request(text), b":1\r\n" if at == 0 else b"")
    told: list[bytes] = []
    handler = effect_handler(CallbackHandler(told.append, ignore_failure), b"+mine\r\n", effect)
    assert effect.reply_count() == len(replies)
    for reply in replies:
        assert not told
        handler.on_reply(frame(reply))
    assert told == [frame(heard)]
