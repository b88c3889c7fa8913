"""Cutting one request by child: MGET, MSET, DEL, UNLINK, EXISTS and TOUCH become one request per child.

A small request is cut at one go, a large one some keys at a time (`Splitting`), by the same loop.
"""

from typing import Final, final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp.build import array_head, bulks, command
from kidoproxy.resp.requests import Request
from kidoproxy.routes.placement import Placement
from kidoproxy.routes.plan import Gather, Plan
from kidoproxy.routes.route import Ask, Planning, Route
from kidoproxy.routes.tags import Tags

#: More keys than any request has.
ALL_KEYS: Final = 1 << 60


@final
class Share:
    """What one child gets of a request: the words, the positions of its keys, and its frame as far as it is made."""

    def __init__(self, name: bytes) -> None:
        self.words: list[bytes] = [name]
        self.places: list[int] = []
        self.made = 0
        self.frame: list[bytes] = []

    def encode(self) -> None:
        """The words that have come since last time."""
        self.frame.append(bulks(self.words[self.made :]))
        self.made = len(self.words)

    def request(self) -> Request:
        """All of it."""
        if not self.made:
            return Request(self.words, command(self.words))
        return Request(self.words, b"".join([array_head(len(self.words)), *self.frame]))


@final
class Cutting:
    """The request has the form ``NAME (key [value …])+``, with ``spec.step`` words from one key to the next."""

    def __init__(self, spec: CommandSpec, argv: list[bytes], placement: Placement, tags: Tags) -> None:
        self.rule = spec.rule
        self.width = spec.step
        self.argv = argv
        self.placement = placement
        self.tags = tags
        self.at = 1
        self.keys = 0
        self.shares: dict[int, Share] = {}

    def step(self, most: int) -> bool:
        """So many keys more. Whether there are others."""
        argv = self.argv
        shares = self.shares
        at = self.at
        end = len(argv)
        position = self.keys
        stop = position + most
        while at < end and position < stop:
            key = argv[at]
            owner = self.placement.owner(self.tags.cut(key))
            share = shares.get(owner)
            if share is None:
                share = Share(argv[0])
                shares[owner] = share
            share.words.append(key)
            if self.width == 2:
                share.words.append(argv[at + 1])
            share.places.append(position)
            position += 1
            at += self.width
        self.at = at
        self.keys = position
        return at < end

    def children(self) -> list[int]:
        """The children concerned, in their order."""
        return sorted(self.shares)

    def encode(self) -> None:
        """Make the frames as far as the request is cut: that is work, too, and must not all be left to the end."""
        for share in self.shares.values():
            if share.made < len(share.words):
                share.encode()

    def gather(self, plans: list[Plan], parts: list[Request]) -> Gather:
        """The plan of the whole, given those of the parts, which are in the order of the children."""
        found = Gather(plans, self.rule)
        found.raws = [part.raw for part in parts]
        found.places = [self.shares[child].places for child in self.children()]
        found.keys = self.keys
        return found

    def part(self, child: int) -> Request:
        """What this child gets, which is concerned."""
        return self.shares[child].request()


@final
class Splitting(Planning):
    """The plan of a large request: cut some keys at a time, then planned child by child."""

    def __init__(self, members: list[Route], cutting: Cutting, spec: CommandSpec, request: Request, ask: Ask) -> None:
        super().__init__()
        self.members = members
        self.cutting = cutting
        self.spec = spec
        self.request = request
        self.ask = ask
        self.children: list[int] = []
        self.plans: list[Plan] = []
        self.parts: list[Request] = []
        self.child: Planning | None = None

    def step(self, most: int) -> bool:
        """One of: some keys; some of one child's own planning."""
        if not self.children:
            if not self.cutting.step(most):
                self.children = self.cutting.children()
            self.cutting.encode()
            return True
        child = self.child
        if child is None:
            child = self.begin(self.children[len(self.plans)])
        if child.step(most):
            return True
        return self.planned(child.get())

    def begin(self, at: int) -> Planning:
        """The planning of the next child; of the whole request if there is only one."""
        part = self.cutting.part(at) if len(self.children) > 1 else self.request
        self.parts.append(part)
        child = self.members[at].planning(self.spec, part, self.ask)
        self.child = child
        return child

    def planned(self, plan: Plan) -> bool:
        """A child's plan is there: the next one, if there is one."""
        self.child = None
        self.plans.append(plan)
        if len(self.plans) < len(self.children):
            return True
        self.plan = plan if len(self.children) == 1 else self.cutting.gather(self.plans, self.parts)
        return False
