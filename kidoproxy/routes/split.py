"""Split commands: MGET, MSET, DEL, UNLINK, EXISTS and TOUCH become one request per child.

A small request is split at one go, a large one some keys at a time (`SplitPlanBuilder`), by the same loop.
"""

from typing import Final, final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp.encode import array_header, encode_bulks, encode_request
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.placement.owners import Placement
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.plan import Gather, KeySplit, Plan
from kidoproxy.routes.route import PlanBuilder, RequestContext, Route

#: More keys than any request has.
ALL_KEYS: Final = 1 << 60


@final
class ChildRequest:
    """What one child gets of a request: the words, the positions of its keys, and its frame as far as it is encoded."""

    def __init__(self, name: bytes) -> None:
        self.argv: list[bytes] = [name]
        self.key_positions: list[int] = []
        self.encoded_words = 0
        self.frame_parts: list[bytes] = []

    def encode(self) -> None:
        """Encode the words that were added since the last call."""
        self.frame_parts.append(encode_bulks(self.argv[self.encoded_words :]))
        self.encoded_words = len(self.argv)

    def build_request(self) -> Request:
        """The whole request of this child."""
        if not self.encoded_words:
            return Request(self.argv, encode_request(self.argv))
        return Request(self.argv, b"".join([array_header(len(self.argv)), *self.frame_parts]))


@final
class RequestSplitter:
    """Splits ``NAME (key [value …])+``, with ``spec.key_step`` words from one key to the next."""

    def __init__(self, spec: CommandSpec, argv: list[bytes], placement: Placement, tags: Tags) -> None:
        self.response_policy = spec.response_policy
        self.stride = spec.key_step
        self.argv = argv
        self.placement = placement
        self.tags = tags
        self.next_index = 1
        self.key_count = 0
        self.child_requests: dict[int, ChildRequest] = {}

    def step(self, max_keys: int) -> bool:
        """Split up to ``max_keys`` more. Whether there are others."""
        argv = self.argv
        child_requests = self.child_requests
        at = self.next_index
        end = len(argv)
        position = self.key_count
        stop = position + max_keys
        while at < end and position < stop:
            key = argv[at]
            owner = self.placement.owner(self.tags.hashed_part(key))
            child_request = child_requests.get(owner)
            if child_request is None:
                child_request = ChildRequest(argv[0])
                child_requests[owner] = child_request
            child_request.argv.append(key)
            if self.stride == 2:
                child_request.argv.append(argv[at + 1])
            child_request.key_positions.append(position)
            position += 1
            at += self.stride
        self.next_index = at
        self.key_count = position
        return at < end

    def children(self) -> list[int]:
        """The children concerned, by their index."""
        return sorted(self.child_requests)

    def encode(self) -> None:
        """Encode what is split so far: that is work, too, and must not all be left to the end."""
        for child_request in self.child_requests.values():
            if child_request.encoded_words < len(child_request.argv):
                child_request.encode()

    def gather(self, plans: list[Plan], parts: list[Request]) -> Gather:
        """The plan of the whole, given those of the parts, which are in the order of the children."""
        key_positions = [self.child_requests[child].key_positions for child in self.children()]
        split = KeySplit(key_positions, self.key_count)
        return Gather(plans, self.response_policy, [part.raw for part in parts], split=split)

    def request_for(self, child: int) -> Request:
        """The request of one of `children`."""
        return self.child_requests[child].build_request()


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
            self.splitter.encode()
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
