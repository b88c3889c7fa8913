"""PROXY ROUTE: where a command would go and why; nobody is asked."""

import pytest

from kidoproxy.replication.group import IN_SYNC, group_of
from kidoproxy.routes.plan import DirectReply, Gather, LeaderFirst, Plan
from kidoproxy.session.handlers import proxy_command
from kidoproxy.session.session import ClientSession
from tests.decoding import decode
from tests.replication.test_key_turns import Recorded
from tests.session.stage import Words, copies, key_on, request, ring, say


def rows(reply: bytes) -> list[str]:
    """A list of texts."""
    found = decode(reply)
    assert isinstance(found, list)
    return [row.decode() for row in found]


def explained(session: ClientSession, *words: Words) -> list[str]:
    """PROXY ROUTE."""
    return rows(say(session, "PROXY", "ROUTE", *words))


def test_route_of_one_key() -> None:
    """What the command is, where its key goes and why, who is asked with what; nothing is sent."""
    stage = ring("a", "b")
    key = key_on(stage, "b")
    lines = explained(stage.client(), "GET", key)
    assert lines[0] == "command: get (read), its keys must meet on one node"
    assert lines[1] == f"key: {key} at 1: {stage.pool.root.explain(key.encode())}"
    assert lines[2:] == [f"asks: b 10.0.0.2:6379 (up): GET {key}"]
    assert stage.executor.all_connections() == []


def test_route_of_a_split_command() -> None:
    """Each node's part is shown."""
    stage = ring("a", "b")
    one, two = key_on(stage, "a"), key_on(stage, "b")
    lines = explained(stage.client(), "MGET", two, one)
    assert lines[3:] == [f"asks: a 10.0.0.1:6379 (up): MGET {one}", f"asks: b 10.0.0.2:6379 (up): MGET {two}"]


def test_route_of_every_node() -> None:
    """All are asked the same."""
    lines = explained(ring("a", "b").client(), "CONFIG", "GET", "save")
    assert lines == ["command: config get (read), any live node", "asks: a 10.0.0.1:6379 (up): CONFIG GET save"]
    lines = explained(ring("a", "b").client(), "DBSIZE")
    assert [line.split(" ")[1] for line in lines[1:]] == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["NOPE"], "refused: ERR unknown command 'NOPE', with args beginning with: "),
        (["SHUTDOWN"], "refused: ERR 'shutdown' is not served here: it would stop a node under every client"),
        (["HELLO"], "command: hello (read), answered by the proxy, it is about the conversation; no node is asked"),
        (["PING"], "command: ping (read), answered by the proxy; no node is asked"),
    ],
)
def test_route_without_a_node(words: list[str], line: str) -> None:
    """Refusals give their reason, and what the proxy answers is said to be its own."""
    assert explained(ring("a").client(), *words) == [line]


def test_route_of_keys_that_do_not_meet() -> None:
    """The refusal is the one that the command itself would get."""
    stage = ring("a", "b")
    lines = explained(stage.client(), "RENAME", key_on(stage, "a"), key_on(stage, "b"))
    assert lines[0] == "command: rename (write), its keys must meet on one node"
    assert len(lines) == 4
    assert lines[3].startswith("refused: CROSSSLOT Keys in request don't hash to the same node")


def test_route_of_channels() -> None:
    """Where a channel lives, and who is listened to for it; nobody is, yet."""
    stage = ring("a", "b")
    session = stage.client()
    name = key_on(stage, "b")
    assert explained(session, "PUBLISH", name, "m") == [
        "command: publish (write), the node where its channel lives",
        f"channel: {name}: {stage.pool.root.explain(name.encode())}",
        f"asks: b 10.0.0.2:6379 (up): PUBLISH {name} m",
    ]
    lines = explained(session, "SUBSCRIBE", name)
    assert lines[0].startswith("command: subscribe (read), the proxy listens for the client")
    assert lines[1:] == [
        f"channel: {name}: {stage.pool.root.explain(name.encode())}",
        f"listens: b 10.0.0.2:6379 (up): {name}",
    ]
    lines = explained(session, "PUNSUBSCRIBE", "*")
    assert lines[1:] == [
        "channel: *: messages may come from any node",
        "listens: a 10.0.0.1:6379 (up): *",
        "listens: b 10.0.0.2:6379 (up): *",
    ]
    assert stage.executor.all_connections() == []
    unelected = copies("a")
    group = group_of(unelected.node("a"))
    assert group is not None
    group.elected = False
    assert len(explained(unelected.client(), "SUBSCRIBE", "c")) == 2


def test_route_of_copies() -> None:
    """A read names who is asked next; a write all copies, and who is told without being waited for."""
    stage = copies("a", "b", "c")
    group = group_of(stage.node("a"))
    assert group is not None
    group.copies[1].state = IN_SYNC
    session = stage.client()
    lines = explained(session, "GET", "k")
    assert {lines[-2].split(" ")[1], lines[-1].split(" ")[1]} == {"a", "b"}
    assert lines[-2].endswith(" (in sync): GET k")
    assert lines[-1].startswith("else: ")
    lines = explained(session, "SET", "k", "two words", "PX", "1000")
    assert [line.partition(":")[0] for line in lines[2:]] == ["asks", "asks", "tells"]
    assert lines[-1].startswith("tells: c 10.0.0.3:6379 (behind), not waited for: SET k 'two words' PXAT 17")


def test_plans_that_are_known_already() -> None:
    """A plan that is an answer is shown as one."""
    assert proxy_command.explain_plan(DirectReply(b"+OK\r\n"), b"") == ["answered: OK"]
    assert proxy_command.explain_plan(Gather([], 0), b"") == []
    assert proxy_command.explain_plan(Plan(-1), b"") == []


def test_long_and_odd_words_are_shortened_and_quoted() -> None:
    """A line of a terminal must show them."""
    assert proxy_command.format_argument(b"") == "''"
    assert proxy_command.format_argument(b"\x00\xff") == "'\\x00\\\\xff'"
    assert proxy_command.format_argument(b"x" * 100) == "x" * 64 + "..."
    assert proxy_command.format_request(request(*["k"] * 20)) == " ".join(["k"] * 8) + " and 12 more"


def test_route_of_what_the_leader_decides() -> None:
    """One copy is asked, the others are told; a read of a key that is being decided says that it waits."""
    stage = copies("a", "b")
    group = group_of(stage.node("a"))
    assert group is not None
    group.mark_in_sync(stage.node("b"))
    leader = group.leader(b"k")
    assert leader is not None
    other = next(copy.node for copy in group.copies if copy.node is not leader)
    lines = explained(stage.client(), "SPOP", "k", "2")
    assert lines[2:] == [
        f"asks: {proxy_command.describe_node(leader)}: SPOP k 2",
        f"tells: {proxy_command.describe_node(other)}: what comes of it",
    ]
    group.key_turns.ask(Recorded("other", [], [(0, b"k")]))
    lines = explained(stage.client(), "GET", "k")
    assert lines[2] == "waits until nobody has a turn at its keys; then:"
    assert lines[3].startswith(f"asks: {proxy_command.describe_node(leader)}: GET k")


def test_route_of_what_nobody_can_decide() -> None:
    """A plan may be older than the loss of the last copy in sync."""
    stage = copies("a", "b")
    group = group_of(stage.node("a"))
    assert group is not None
    group.trust_lost = True
    plan = LeaderFirst(group, [b"SPOP", b"k"], [b"k"], [b"k"], 0)
    assert proxy_command.explain_plan(plan, b"") == ["asks: nobody, no copy is in sync"]
