"""A ring: each key lives on one child, chosen by a consistent hash of its tag.

One key, or several that meet: the child's plan. Splittable commands are cut by child. Several keys on
several children, not splittable: CROSSSLOT, never guessed, never mis-sent.
"""

from typing import Final, final

from kidoproxy import cursor, errors
from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.judge import reaches_outside
from kidoproxy.commands.keys import keys
from kidoproxy.commands.spec import (
    CHANNEL,
    CHOICE,
    EVERY,
    INFO,
    LANE,
    NO_MANDATORY_KEYS,
    RELAY,
    SCAN,
    SPLIT,
    STREAM_KEYS,
    CommandSpec,
)
from kidoproxy.resp.build import command
from kidoproxy.resp.requests import Request
from kidoproxy.routes import streams
from kidoproxy.routes.placement import Placement
from kidoproxy.routes.plan import Answer, Gather, Plan, Send
from kidoproxy.routes.route import Ask, Planned, Planning, Route
from kidoproxy.routes.scripts import known, names_no_keys, undeclared
from kidoproxy.routes.split import ALL_KEYS, Cutting, Splitting
from kidoproxy.routes.tags import Tags
from kidoproxy.scripts.analysis import WHOLE, Analysis, Name
from kidoproxy.scripts.request import Inputs, names, whole
from kidoproxy.scripts.values import ANY_KEY, KEY, LITERAL

DBSIZE: Final = COMMANDS[b"dbsize"]
TOO_MANY: Final = "it uses more names of keys than are followed"
HOW_MANY: Final = Request([b"DBSIZE"], command([b"DBSIZE"]))


@final
class Ring(Route):
    """Children on a ring; ``placement`` answers with a child's place in the list.

    A child that stands there more than once has several shares and is asked once: the first place stands for all.
    """

    def __init__(self, name: str, members: list[Route], placement: Placement, tags: Tags) -> None:
        super().__init__(name)
        self.members = members
        self.distinct: list[Route] = []
        same: list[int] = []
        for member in members:
            if member not in self.distinct:
                self.distinct.append(member)
            same.append(members.index(member))
        self.placement = placement if len(self.distinct) == len(members) else placement.joined(same)
        self.tags = tags

    def plan(self, spec: CommandSpec, request: Request, ask: Ask) -> Plan:
        """By reach: the hot path is one key and one child."""
        if spec.plain:
            return self.members[self.owner(request.argv[1])].plan(spec, request, ask)
        if spec.reach == SPLIT:
            return self.split(spec, request, ask)
        if spec.reach == EVERY:
            return self.every(spec, request, ask)
        if spec.reach == SCAN:
            return self.scan(spec, request, ask)
        if spec.reach == CHANNEL:
            return self.members[self.owner(request.argv[1])].plan(spec, request, ask)
        return self.by_keys(spec, request, ask)

    def planning(self, spec: CommandSpec, request: Request, ask: Ask) -> Planning:
        """In slices, where each key is looked at."""
        if spec.reach == SPLIT:
            cutting = Cutting(spec, request.argv, self.placement, self.tags)
            return Splitting(self.members, cutting, spec, request, ask)
        if spec.plain or spec.reach in (EVERY, SCAN, CHANNEL):
            return Planned(self.plan(spec, request, ask))
        positions = keys(spec, request.argv)
        return Meeting(self, spec, request, ask, positions) if positions else Planned(self.keyless(spec, request, ask))

    def owner(self, key: bytes) -> int:
        """The child that owns ``key``."""
        return self.placement.owner(self.tags.cut(key))

    def by_keys(self, spec: CommandSpec, request: Request, ask: Ask) -> Plan:
        """Commands with any number of keys, none included, that meet on one child."""
        argv = request.argv
        positions = keys(spec, argv)
        if not positions:
            return self.keyless(spec, request, ask)
        first = self.owner(argv[positions[0]])
        return self.meet(spec, request, ask, positions, self.stray(argv, positions, 0, len(positions), first), first)

    def stray(self, argv: list[bytes], positions: list[int], start: int, stop: int, owner: int) -> int:
        """Of these keys the first one that lives elsewhere, by its place in ``positions``; -1 when none does."""
        for at in range(start, min(stop, len(positions))):
            if self.owner(argv[positions[at]]) != owner:
                return at
        return -1

    def meet(self, spec: CommandSpec, request: Request, ask: Ask, positions: list[int], stray: int, first: int) -> Plan:
        """All keys live on the child ``first``, or ``stray`` is one that does not."""
        argv = request.argv
        if stray >= 0:
            if spec.finder == STREAM_KEYS:
                return self.streams(spec, argv, positions, ask)
            return Answer(errors.cross_slot(spec.name, argv[positions[0]], argv[positions[stray]]))
        if len(self.distinct) > 1:
            for pattern in reaches_outside(spec, argv):
                if self.place(pattern.partition(b"*")[0], True) != first:
                    return Answer(errors.reaches_outside(spec.name, pattern))
            refusal = self.unfit(spec, argv, first, ask) if spec.scripting else None
            if refusal is not None:
                return Answer(refusal)
        return self.members[first].plan(spec, request, ask)

    def place(self, name: bytes, begins: bool) -> int | None:
        """The child that owns this key, or all keys that begin so; None when that depends on how they go on."""
        if not begins:
            return self.owner(name)
        part = self.tags.held(name)
        return None if part is None else self.placement.owner(part)

    def unfit(self, spec: CommandSpec, argv: list[bytes], child: int, ask: Ask) -> bytes | None:
        """Why a script cannot run on this child: it is seen to use what lives elsewhere, or to hide what it uses."""
        analysis = known(ask.book, spec, argv)
        if analysis is None:
            return None
        if analysis.unread or analysis.hidden:
            return errors.unseen(spec.name, analysis.unread or analysis.hidden)
        if not (analysis.whole or analysis.names or analysis.dynamic):
            return None
        inputs = Inputs(argv)
        called = whole(analysis, inputs, False)
        if called:
            return errors.whole_node(spec.name, called)
        found = names(self.unsettled(analysis, inputs, child), analysis.dynamic, inputs)
        if found is None:
            return errors.unseen(spec.name, TOO_MANY)
        for used in found:
            place = self.place(used.text, used.begins)
            if place == child or (place is None and not used.text and not used.wanted):
                continue
            if used.command in WHOLE:
                return errors.whole_node(spec.name, used.command)
            return errors.astray(spec.name, used.command, used.text + (b"..." if used.begins else b""))
        return None

    def unsettled(self, analysis: Analysis, inputs: Inputs, child: int) -> list[Name]:
        """The names in a script that have to be computed: not those whose beginning says that they live on ``child``.

        The KEYS live there. Held by a tag or a family, so does all that begins as they do, however much there is of it.
        """
        found: list[Name] = []
        held = -1
        for name in analysis.names:
            kind, _, _, text = name.form[0]
            if kind == LITERAL and not name.signs and self.place(text, True) == child:
                continue
            if kind in (KEY, ANY_KEY) and not name.signs:
                if held < 0:
                    held = int(all(self.tags.held(key) is not None for key in inputs.keys))
                if held:
                    continue
            found.append(name)
        return found

    def streams(self, spec: CommandSpec, argv: list[bytes], positions: list[int], ask: Ask) -> Plan:
        """Streams may be read on several nodes at a time: nothing is taken away that cannot be told."""
        parts = streams.cut(argv, positions, [self.owner(argv[at]) for at in positions])
        found = streams.gather(argv, positions, parts)
        for child, request in parts:
            plan = self.members[child].plan(spec, request, ask)
            if isinstance(plan, Answer):
                # Before another part is asked, which would give its entries to a group.
                return plan
            found.plans.append(plan)
        return found

    def keyless(self, spec: CommandSpec, request: Request, ask: Ask) -> Plan:
        """Any node will do, but what needs a lane and names no key (WAIT, MONITOR) is for all of them."""
        if spec.reach == LANE and spec.rule != RELAY:
            return self.every(spec, request, ask)
        if spec.flags & NO_MANDATORY_KEYS and len(self.distinct) > 1:
            return self.by_arguments(spec, request, ask)
        return self.anyone().plan(spec, request, ask)

    def by_arguments(self, spec: CommandSpec, request: Request, ask: Ask) -> Plan:
        """A script may be told its keys as arguments, as channels_redis tells its own.

        Those that belong to a family of ``together`` say where it must run. Without any, a script that plainly calls
        for a key is refused: it would find what happens to be on the node that runs it.
        """
        argv = request.argv
        first = 0
        for at in range(3, len(argv)):
            if not self.tags.gathers or self.tags.home(argv[at]) is None:
                continue
            if first and self.owner(argv[at]) != self.owner(argv[first]):
                return Answer(errors.cross_slot(spec.name, argv[first], argv[at]))
            first = first or at
        refusal: bytes | None = None
        if first:
            child = self.owner(argv[first])
            refusal = self.unfit(spec, argv, child, ask)
            return Answer(refusal) if refusal is not None else self.members[child].plan(spec, request, ask)
        if names_no_keys(argv):
            refusal = undeclared(ask.book, spec, argv)
        return Answer(refusal) if refusal is not None else self.anyone().plan(spec, request, ask)

    def split(self, spec: CommandSpec, request: Request, ask: Ask) -> Plan:
        """One request per child concerned, not one per key; the request itself if there is only one."""
        cutting = Cutting(spec, request.argv, self.placement, self.tags)
        cutting.step(ALL_KEYS)
        children = cutting.children()
        if len(children) == 1:
            return self.members[children[0]].plan(spec, request, ask)
        parts = [cutting.part(child) for child in children]
        plans: list[Plan] = []
        for at, child in enumerate(children):
            plans.append(self.members[child].plan(spec, parts[at], ask))
        return cutting.gather(plans, parts)

    def every(self, spec: CommandSpec, request: Request, ask: Ask) -> Plan:
        """All children, merged by the command's rule."""
        if spec.rule == CHOICE and not ask.each:
            return self.chance(spec, request, ask)
        return Gather([member.plan(spec, request, ask) for member in self.distinct], spec.rule)

    def chance(self, spec: CommandSpec, request: Request, ask: Ask) -> Plan:
        """Each child offers one and says how many keys it has; a child without keys is never chosen."""
        plans: list[Plan] = []
        for member in self.distinct:
            plans += [member.plan(spec, request, ask), member.plan(DBSIZE, HOW_MANY, ask)]
        gather = Gather(plans, CHOICE)
        gather.raws = [request.raw, HOW_MANY.raw] * len(self.distinct)
        return gather

    def anyone(self) -> Route:
        """A child for requests that any one can serve: the first one that is alive."""
        for member in self.distinct:
            for node in member.nodes():
                if node.live:
                    return member
        return self.members[0]

    def scan(self, spec: CommandSpec, request: Request, ask: Ask) -> Plan:
        """The node that the cursor names, or the first; its reply names the next."""
        return scan_plan(self.scanned(), request)

    def scanned(self) -> list[Route]:
        """The children's, one after another."""
        return [leaf for member in self.distinct for leaf in member.scanned()]

    def home(self, channel: bytes) -> Route:
        """Where a key of this name would live."""
        return self.members[self.owner(channel)].home(channel)

    def children(self) -> list[Route]:
        """The members, each once."""
        return self.distinct

    def why(self, key: bytes) -> str:
        """Hashed part, hash, point and owner, then what the child says."""
        part = self.tags.cut(key)
        child = self.members[self.placement.owner(part)]
        return f"{self.placement.explain(part)} -> {child.why(key)}"


@final
class Meeting(Planning):
    """Whether very many keys meet on one child."""

    def __init__(self, ring: Ring, spec: CommandSpec, request: Request, ask: Ask, positions: list[int]) -> None:
        super().__init__()
        self.ring = ring
        self.spec = spec
        self.request = request
        self.ask = ask
        self.positions = positions
        self.owner = ring.owner(request.argv[positions[0]])
        self.at = 0

    def step(self, most: int) -> bool:
        """So many keys more."""
        start = self.at
        self.at = start + most
        stray = self.ring.stray(self.request.argv, self.positions, start, self.at, self.owner)
        if stray < 0 and self.at < len(self.positions):
            return True
        self.plan = self.ring.meet(self.spec, self.request, self.ask, self.positions, stray, self.owner)
        return False


def scan_plan(steps: list[Route], request: Request) -> Plan:
    """SCAN over ``steps``, one after another; the cursor says which one, and its own cursor there."""
    argv = request.argv
    found = cursor.unpack(argv[1])
    if found is None:
        return Answer(errors.INVALID_CURSOR)
    own, number = found
    at = 0
    node = steps[0].scan_node(number)
    if number:
        while node is None:
            at += 1
            if at == len(steps):
                return Answer(errors.INVALID_CURSOR)
            node = steps[at].scan_node(number)
    if node is None:
        return Answer(errors.NO_COPY)
    following = 0
    if at + 1 < len(steps):
        after = steps[at + 1].scan_node(0)
        if after is None:
            return Answer(errors.NO_COPY)
        following = after.number
    send = Send(node, command([argv[0], b"%d" % own, *argv[2:]]))
    gather = Gather([send], INFO)
    gather.number = node.number
    gather.following = following
    return gather
