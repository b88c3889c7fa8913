"""A request split by child: every key once, in its order, with what belongs to it; at one go or some keys at a time."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kidoproxy.commands.find import COMMANDS
from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import InternalError
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.placement.owners import ketama
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.plan import DirectReply, Gather, Plan, Send
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import PlanBuilder, RequestContext, Route, WallClock
from kidoproxy.routes.split import ALL_KEYS, RequestSplitter
from kidoproxy.routes.topology import Node

NODES = [Node(at, f"n{at}", f"n{at}:1", at + 1) for at in range(6)]
TAGS = Tags(123, 125, [])


def ring_of(name: str, members: list[Route]) -> Ring:
    """A ring of these."""
    names = [member.name for member in members]
    return Ring(name, members, ketama(names, [1] * len(names)), TAGS)


def trees() -> dict[str, Ring]:
    """A ring of nodes, one of copy pools, one of rings."""
    leaves: list[Route] = [NodeRoute(node) for node in NODES[:3]]
    group = CopyGroup("pair", NODES[4:])
    group.elected = True
    for copy in group.copies:
        copy.state = IN_SYNC
    pair = CopyPool("pair", group)
    inner = ring_of("inner", leaves[:2])
    return {
        "nodes": ring_of("ring", leaves),
        "copies": ring_of("both", [pair, leaves[0]]),
        "rings": ring_of("deep", [inner, leaves[2]]),
    }


RINGS = trees()


@pytest.mark.parametrize(
    ("words", "owners", "parts", "places"),
    [
        ("MGET a b c", [0, 2, 0], ["MGET a c", "MGET b"], [[0, 2], [1]]),
        ("MSET a 1 b 2 c 3", [1, 0, 1], ["MSET b 2", "MSET a 1 c 3"], [[1], [0, 2]]),
        ("del a a", [1, 1], ["del a a"], [[0, 1]]),
    ],
)
def test_split(words: str, owners: list[int], parts: list[str], places: list[list[int]]) -> None:
    """One request per child concerned, in the order of the children."""
    argv = words.encode().split(b" ")
    spec = COMMANDS[argv[0].lower()]
    placement = ketama(["x", "y", "z"], [1, 1, 1])
    placement.memo.update(zip(argv[1 :: spec.key_step], owners, strict=True))
    splitter = RequestSplitter(spec, Request(argv, encode_request(argv)), placement, TAGS)
    assert not splitter.step(ALL_KEYS)
    found = splitter.requests()

    assert [request.raw for request in found] == [encode_request(part.encode().split(b" ")) for part in parts]
    assert splitter.children() == sorted(set(owners))
    split = splitter.gather([], found).split
    assert split is not None
    assert split.key_positions == places


@given(st.lists(st.binary(max_size=4) | st.integers(0, 1100).map(bytes), min_size=1))
@example([b"", bytes(9), bytes(10), bytes(99), bytes(100), bytes(999), bytes(1000), bytes(9999), bytes(10_000)])
def test_nothing_is_lost(keys: list[bytes]) -> None:
    """Put back by their positions, the keys of the parts are the keys of the whole."""
    argv = [b"MGET", *keys]
    splitter = RequestSplitter(
        COMMANDS[b"mget"], Request(argv, encode_request(argv)), ketama(list("abcde"), [1] * 5), TAGS
    )
    splitter.step(ALL_KEYS)
    whole: list[bytes | None] = [None] * len(keys)
    parts = splitter.requests()
    split = splitter.gather([], parts).split
    assert split is not None
    for part, places in zip(parts, split.key_positions, strict=True):
        assert part.raw == encode_request(part.argv)
        for key, place in zip(part.argv[1:], places, strict=True):
            assert whole[place] is None
            whole[place] = key

    assert whole == keys


def contents(plan: Plan, raw: bytes) -> object:
    """All that is in a plan, comparable."""
    if isinstance(plan, Send):
        return (plan.node.name, plan.payload or raw, [other.name for other in plan.fallbacks or []])
    if isinstance(plan, DirectReply):
        return plan.frame
    assert isinstance(plan, Gather)
    raws = plan.frames
    parts = [contents(part, raws[at] if raws is not None else raw) for at, part in enumerate(plan.plans)]
    split = (plan.split.key_positions, plan.split.key_count) if plan.split is not None else None
    written_keys = plan.write.written_keys if plan.write is not None else None
    return (plan.response_policy, split, written_keys, parts)


REQUESTS = [
    "MGET",
    "MSET",
    "DEL",
    "UNLINK",
    "EXISTS",
    "TOUCH",
    "SUNION",
    "PFCOUNT",
    "SINTERSTORE",
    "MSETNX",
    "XREAD STREAMS",
]


@pytest.mark.parametrize("tree", RINGS)
@given(
    words=st.sampled_from(REQUESTS),
    keys=st.lists(st.binary(max_size=2), min_size=1, max_size=9),
    tag=st.sampled_from([b"", b"{t}"]),
    most=st.integers(1, 4),
)
@example(words="MGET", keys=[b"%d" % at for at in range(40)], tag=b"", most=1)
def test_some_keys_at_a_time(tree: str, words: str, keys: list[bytes], tag: bytes, most: int) -> None:
    """A plan that is made in slices is the plan that is made at one go, whatever the command and the tree."""
    ring = RINGS[tree]
    argv = words.encode().split()
    spec = COMMANDS[argv[0].lower()]
    for key in keys:
        argv += [tag + key, b"v"] if spec.key_step == 2 else [tag + key]
    if spec.name == b"xread":
        argv += [b"0"] * len(keys)
    request = Request(argv, encode_request(argv))
    request_context = RequestContext(0, 2, False, False, WallClock(0))
    builder = ring.plan_builder(spec, request, request_context)
    steps = 1
    while builder.step(most):
        steps += 1

    assert contents(builder.built_plan(), request.raw) == contents(
        ring.plan(spec, request, request_context), request.raw
    )
    assert steps <= 4 * len(keys) + 8


@pytest.mark.parametrize("words", ["GET k", "DBSIZE", "PUBLISH c m", "SCAN 0", "EVAL return 0", "RANDOMKEY"])
def test_what_has_not_many_keys_is_planned_at_once(words: str) -> None:
    """There is nothing to do in slices then."""
    argv = words.encode().split(b" ")
    request = Request(argv, encode_request(argv))
    spec = COMMANDS[argv[0].lower()]
    request_context = RequestContext(0, 2, False, False, WallClock(0))
    builder = RINGS["nodes"].plan_builder(spec, request, request_context)
    assert not builder.step(1)
    assert contents(builder.built_plan(), request.raw) == contents(
        RINGS["nodes"].plan(spec, request, request_context), request.raw
    )


def test_a_plan_that_is_not_made_yet() -> None:
    """To ask for it is a bug, and so is a builder without a step of its own."""
    with pytest.raises(InternalError):
        PlanBuilder().built_plan()
    with pytest.raises(NotImplementedError):
        PlanBuilder().step(1)
