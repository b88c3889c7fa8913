"""Split commands: MGET, MSET, DEL, UNLINK, EXISTS and TOUCH become one request per child.

A small request is split at one go, a large one some keys at a time (`SplitPlanBuilder`), by the same loop.
"""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp.encode import array_header
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.placement.owners import Placement
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.plan import Gather, KeySplit, Plan
from kidoproxy.routes.route import PlanBuilder, RequestContext, Route

#: More keys than any request has.
ALL_KEYS: Final = 1 << 60


@final
class ChildRequest:
    """What one child gets of a request: the words, the positions of its keys, and the pieces of its frame."""

    def __init__(self, name: bytes, name_frame: bytes) -> None:
        self.argv: list[bytes] = [name]
        self.key_positions: list[int] = []
        #: The frames of the words; the first part is the place of the header line.
        self.frame_parts: list[bytes] = [b"", name_frame]
        self.joined_parts = 2

    def join_parts(self) -> None:
        """Make one part of those that were added since the last call."""
        joined_parts = self.joined_parts
        if len(self.frame_parts) > joined_parts:
            self.frame_parts[joined_parts:] = [b"".join(self.frame_parts[joined_parts:])]
            self.joined_parts = joined_parts + 1

    def build_request(self) -> Request:
        """The whole request of this child."""
        self.frame_parts[0] = array_header(len(self.argv))
        return Request(self.argv, b"".join(self.frame_parts))


@final
class RequestSplitter:
    """Splits ``NAME (key [value …])+``, with ``spec.key_step`` words from one key to the next.

    A request's frame is canonical, so where a word's frame ends follows from the word's length: the words' own frames
    are cut out of it, and none is encoded anew.
    """

    def __init__(self, spec: CommandSpec, request: Request, placement: Placement, tags: Tags) -> None:
        self.response_policy = spec.response_policy
        self.has_values = spec.key_step == 2
        self.argv = request.argv
        self.raw = request.raw
        self.placement = placement
        self.tags = tags
        self.next_index = 1
        self.key_count = 0
        header: i64 = len(array_header(len(self.argv)))
        #: The offset in ``raw`` of the next key's frame.
        self.pos: i64 = header + bulk_size(len(self.argv[0]))
        self.name_frame = self.raw[header : self.pos]
        self.child_requests: list[ChildRequest | None] = [None] * placement.node_count

    def step(self, max_keys: int) -> bool:
        """Split up to ``max_keys`` more. Whether there are others."""
        argv, raw, child_requests = self.argv, self.raw, self.child_requests
        placement, tags, has_values = self.placement, self.tags, self.has_values
        at: i64 = self.next_index
        end: i64 = len(argv)
        first = self.key_count
        position: i64 = first
        stop: i64 = position + max_keys
        pos = self.pos
        while at < end and position < stop:
            key = argv[at]
            child_request = child_requests[placement.owner(tags.hashed_part(key))]
            if child_request is None:
                child_request = self.new_child(key)
            child_request.argv.append(key)
            start = pos
            pos += bulk_size(len(key))
            at += 1
            if has_values:
                value = argv[at]
                child_request.argv.append(value)
                pos += bulk_size(len(value))
                at += 1
            child_request.frame_parts.append(raw[start:pos])
            child_request.key_positions.append(int(position))
            position += 1
        self.pos = pos
        self.next_index = int(at)
        self.key_count = int(position)
        return at < end

    def new_child(self, key: bytes) -> ChildRequest:
        """The child that owns ``key``, which has had none so far."""
        child_request = ChildRequest(self.argv[0], self.name_frame)
        self.child_requests[self.placement.owner(self.tags.hashed_part(key))] = child_request
        return child_request

    def join_parts(self) -> None:
        """Join what is split so far: that is work, too, and must not all be left to the end."""
        for child_request in self.child_requests:
            if child_request is not None:
                child_request.join_parts()

    def children(self) -> list[int]:
        """The children concerned, by their index."""
        return [at for at, child_request in enumerate(self.child_requests) if child_request is not None]

    def gather(self, plans: list[Plan], parts: list[Request]) -> Gather:
        """The plan of the whole, given those of the parts, which are in the order of the children."""
        key_positions = [each.key_positions for each in self.child_requests if each is not None]
        split = KeySplit(key_positions, self.key_count)
        return Gather(plans, self.response_policy, [part.raw for part in parts], split=split)

    def request_for(self, child: int) -> Request:
        """The request of one of `children`."""
        child_request = self.child_requests[child]
        assert child_request is not None
        return child_request.build_request()

    def requests(self) -> list[Request]:
        """The requests of all `children`, in their order."""
        return [each.build_request() for each in self.child_requests if each is not None]


def bulk_size(length: i64) -> i64:
    """The size of the frame of a word of so many bytes."""
    size: i64 = length + 6
    while length > 9:
        length //= 10
        size += 1
    return size


@final
class SplitPlanBuilder(PlanBuilder):
    """Plans a large request: split some keys at a time, then planned child by child."""

    def __init__(
        self,
        members: list[Route],
        splitter: RequestSplitter,
        spec: CommandSpec,
        request: Request,
        request_context: RequestContext,
    ) -> None:
        super().__init__()
        self.members = members
        self.splitter = splitter
        self.spec = spec
        self.request = request
        self.request_context = request_context
        self.children: list[int] = []
        self.plans: list[Plan] = []
        self.requests: list[Request] = []
        self.child_builder: PlanBuilder | None = None

    def step(self, max_keys: int) -> bool:
        """Split some keys, or go on with the plan of one child."""
        if not self.children:
            if not self.splitter.step(max_keys):
                self.children = self.splitter.children()
            self.splitter.join_parts()
            return True
        builder = self.child_builder
        if builder is None:
            builder = self.start_child(self.children[len(self.plans)])
        if builder.step(max_keys):
            return True
        return self.on_child_plan(builder.built_plan())

    def start_child(self, at: int) -> PlanBuilder:
        """Begin the plan of the next child; if it is the only one it gets the whole request."""
        part = self.splitter.request_for(at) if len(self.children) > 1 else self.request
        self.requests.append(part)
        builder = self.members[at].plan_builder(self.spec, part, self.request_context)
        self.child_builder = builder
        return builder

    def on_child_plan(self, plan: Plan) -> bool:
        """A child's plan is made: go on with the next one, or finish. Whether there is more to do."""
        self.child_builder = None
        self.plans.append(plan)
        if len(self.plans) < len(self.children):
            return True
        self.plan = plan if len(self.children) == 1 else self.splitter.gather(self.plans, self.requests)
        return False
