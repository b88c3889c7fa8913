"""A copy pool: each key lives on every node; writes go to all of them in one order, a read asks one.

The leader of a key is the first in-sync node in rendezvous order of the key: reads ask it, and its reply
to a write is the reply. A node that is not in sync gets every write and is not read.
"""

from typing import Final, final

from kidoproxy import cursor, errors
from kidoproxy.commands.expiry import absolute
from kidoproxy.commands.judge import asks_from_now, copy_class, copy_refusal, other_database
from kidoproxy.commands.keys import keys
from kidoproxy.commands.spec import (
    COPY_ALL,
    COPY_COUNT,
    COPY_EXPIRY,
    COPY_ONE,
    COPY_READ,
    COPY_REFUSED,
    INFO,
    ONE_OK,
    SCAN,
    SPLIT,
    STREAM_KEYS,
    CommandSpec,
)
from kidoproxy.resp.build import command, integer
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import Answer, Gather, Plan, Send
from kidoproxy.routes.ring import scan_plan
from kidoproxy.routes.route import Ask, Route
from kidoproxy.routes.scripts import judge
from kidoproxy.routes.topology import IN_SYNC, CopyGroup, Node

#: Who is asked for a read: the key's leader, the first in-sync node of the list, or each in turn.
LEADER: Final = 0
FIRST: Final = 1
RANDOM: Final = 2
ORDERS: Final[dict[str, int]] = {"leader": LEADER, "first": FIRST, "random": RANDOM}

#: Scans within one key; their cursors mean something to one copy only.
KEY_SCANS: Final = (b"hscan", b"sscan", b"zscan")


@final
class CopyPool(Route):
    """All writes to all copies, reads to the leader."""

    def __init__(self, name: str, group: CopyGroup, order: int = LEADER) -> None:
        super().__init__(name)
        self.order = order
        self.group = group

    def plan(self, spec: CommandSpec, request: Request, ask: Ask) -> Plan:
        """By what the command does to the copies."""
        if not self.group.elected:
            return Answer(self.group.refusal)
        if spec.plain:
            keyed = [request.argv[1]]
        else:
            if spec.reach == SCAN:
                return scan_plan(self.scanned(), request)
            keyed = keys_of(spec, request.argv)
        if spec.rule == ONE_OK:
            # A kill: for whichever copy is busy.
            return Gather([Send(node) for node in self.nodes()], ONE_OK)
        verdict = copy_class(spec, request.argv)
        if verdict == COPY_COUNT:
            return Answer(self.count(request.argv))
        if verdict == COPY_REFUSED and ask.in_multi and spec.timeout_at:
            # Inside a transaction nothing waits.
            verdict = COPY_ALL
        if verdict == COPY_READ:
            if len(request.argv) > 2 and spec.name in KEY_SCANS and not ask.each:
                return self.scan_key(request)
            return self.read(spec, request, keyed, ask)
        if verdict == COPY_ONE:
            voice = self.voice()
            return Send(voice) if voice is not None else Answer(errors.NO_COPY)
        payload = None
        if verdict == COPY_REFUSED:
            script = judge(ask.book, spec, request.argv)
            if script is None:
                return Answer(errors.denied(spec.name, copy_refusal(spec, request.argv)))
            if script.refusal:
                return Answer(script.refusal)
            payload = script.payload
        elif verdict == COPY_EXPIRY:
            rewritten = absolute(request.argv, ask.now_ms)
            payload = command(rewritten) if rewritten is not None else None
        return self.write(spec, request, keyed, payload, ask)

    def read(self, spec: CommandSpec, request: Request, keyed: list[bytes], ask: Ask) -> Plan:
        """The leader of the first key, then the next one if it gives no reply.

        Inside a transaction all reads ask one node, so that they see one state; if it also writes, all nodes
        are asked, and the one whose word counts for the writes is heard. With ``each`` all in-sync ones are asked.
        """
        nodes = self.choose(keyed[0] if keyed and not ask.in_multi else None)
        if ask.each or (ask.in_multi and ask.writes):
            return self.gather([Send(node) for node in nodes], spec)
        if ask.in_multi:
            return Send(nodes[0])
        if spec.finder == STREAM_KEYS and asks_from_now(spec, request.argv):
            # Asked once more later it would be another question: what came between would be lost in silence.
            return self.gather([Send(nodes[0])], spec)
        others = nodes[1:] if len(nodes) > 1 else nodes
        if spec.rule == INFO:
            return Gather([Send(nodes[0], None, others)], INFO)
        return Send(nodes[0], None, others)

    def count(self, argv: list[bytes]) -> bytes:
        """WAIT: a write is answered when every copy in sync has it, so there is nothing to wait for."""
        if not argv[1].isdigit() or not argv[2].isdigit():
            return errors.NOT_INTEGER
        return integer(len(self.group.in_sync()) - 1)

    def scan_key(self, request: Request) -> Plan:
        """HSCAN, SSCAN, ZSCAN: begun on the key's leader, continued where it was begun, or not at all."""
        argv = request.argv
        found = cursor.unpack(argv[2])
        if found is None:
            return Answer(errors.INVALID_CURSOR)
        own, number = found
        node = self.scan_node(number) if number else self.group.leader(argv[1])
        if node is None:
            return Answer(errors.INVALID_CURSOR)
        gather = Gather([Send(node, command([argv[0], argv[1], b"%d" % own, *argv[3:]]))], INFO)
        gather.number = node.number
        return gather

    def choose(self, key: bytes | None) -> list[Node]:
        """The in-sync nodes in the order in which a read asks them."""
        if self.order == LEADER or key is None:
            return self.group.ranked(key)
        nodes = self.group.ranked(None)
        if self.order == RANDOM:
            # By turns: as even as chance, and the core has no dice.
            first = self.group.reads % len(nodes)
            return nodes[first:] + nodes[:first]
        return nodes

    def write(self, spec: CommandSpec, request: Request, keyed: list[bytes], payload: bytes | None, ask: Ask) -> Plan:
        """Every node; the in-sync ones are waited for, the others are not."""
        group = self.group
        nodes = group.ranked(keyed[0] if keyed and not ask.in_multi else None)
        live = [node for node in nodes if node.live]
        if len(live) < group.min_in_sync:
            return Answer(errors.NOREPLICAS)
        gather = self.gather([Send(node, payload) for node in nodes], spec)
        gather.write = True
        gather.touched = keyed
        gather.anywhere = spec.copy == COPY_REFUSED
        gather.other = other_database(spec, request.argv)
        gather.strays = [copy.node for copy in group.copies if copy.state != IN_SYNC and copy.node.live]
        gather.stray_payload = payload
        return gather

    def gather(self, plans: list[Plan], spec: CommandSpec) -> Gather:
        """The copies of one command, judged by the group."""
        gather = Gather(plans, spec.rule)
        gather.group = self.group
        return gather

    def needs_arguments(self) -> bool:
        """Options decide what copies do, and expiry is rewritten."""
        return True

    def scanned(self) -> list[Route]:
        """One step: a scan stays on one copy."""
        return [self]

    def scan_node(self, number: int) -> Node | None:
        """The copy that the cursor names if it is in sync; for a new scan the leader."""
        if not self.group.elected:
            return None
        if not number:
            return self.group.leader(None)
        for copy in self.group.copies:
            if copy.node.number == number and copy.state == IN_SYNC:
                return copy.node
        return None

    def voice(self) -> Node | None:
        """The copy that is listened to."""
        return self.group.speaker() if self.group.elected else None

    def nodes(self) -> list[Node]:
        """The copies, in the order of the configuration."""
        return [copy.node for copy in self.group.copies]

    def why(self, key: bytes) -> str:
        """The leader that is read, and all that are written."""
        ranked = self.group.by_score(key)
        names = ", ".join(f"{copy.node.name} ({copy.state})" for copy in ranked)
        return f"copies, in the key's order: {names}"


def keys_of(spec: CommandSpec, argv: list[bytes]) -> list[bytes]:
    """The keys that a request names; those of a large split request at one go."""
    if spec.reach == SPLIT:
        return argv[1 :: spec.step]
    return [argv[at] for at in keys(spec, argv)]
