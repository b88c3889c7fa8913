"""A plan: who is asked, and how the replies become one.

Three shapes are enough but for copies. `Send` asks one node. `Gather` asks several plans and merges what they reply;
plans nest, so a ring of copy pools needs no shape of its own. `DirectReply` is a reply that no node is needed for.
In a copy pool `Wait` lets the client wait in the proxy for keys, `LeaderFirst` is a write that the leader decides, and
`AwaitTurn` a plan whose keys are being decided.

A plan is a value: everything is set when it is made, nothing afterwards, so it may be kept and shown, and one plan
may serve many requests. Making one changes nothing: what a write does to a copy group happens when it is sent.
"""

from typing import Final, final

from kidoproxy.commands.expiry_effect import SET, ExpiryEffect
from kidoproxy.commands.spec import TOUCHES_KEYS, Touches
from kidoproxy.replication.group import CopyGroup
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.interposed import ShownWords

SEND: Final = 0
GATHER: Final = 1
DIRECT_REPLY: Final = 2
WAIT: Final = 3
LEADER_FIRST: Final = 4
AWAIT_TURN: Final = 5


class Plan:
    """One of the shapes; ``kind`` says which, cheaper than asking for the class."""

    def __init__(self, kind: int) -> None:
        self.kind: Final = kind


@final
class Send(Plan):
    """Ask ``node`` with ``payload`` (None: the request's own bytes); if it gives no reply, ``fallbacks`` in turn.

    There are fallbacks for reads only: a write that may have run is not repeated.
    """

    def __init__(self, node: Node, payload: bytes | None = None, fallbacks: list[Node] | None = None) -> None:
        super().__init__(SEND)
        self.node: Final = node
        self.payload: Final = payload
        self.fallbacks: Final = fallbacks

    def __repr__(self) -> str:
        tail = "".join(f" else {fallback.name}" for fallback in self.fallbacks or [])
        return f"{self.node.name}{tail}"


@final
class KeySplit:
    """How a command was split by key: plan ``i`` serves the keys at ``key_positions[i]``, of ``key_count`` in all."""

    def __init__(self, key_positions: list[list[int]], key_count: int) -> None:
        self.key_positions: Final = key_positions
        self.key_count: Final = key_count


@final
class ScanStep:
    """One step of a SCAN: the number of the node that is asked, and of the next one (0: none), for its cursor."""

    def __init__(self, cursor_id: int, next_cursor_id: int) -> None:
        self.cursor_id: Final = cursor_id
        self.next_cursor_id: Final = next_cursor_id


@final
class WriteScope:
    """What a write to copies changes, and which copies get it without being waited for.

    It changes ``written_keys``, or reads them to know what it changes, and if ``may_write_other_keys`` perhaps others;
    in database ``other_db`` too unless that is None. ``unawaited_nodes`` are sent ``unawaited_payload`` (None: the
    request's own bytes). ``expiry_effect``: what it has to do with the expiry of ``written_keys``. ``nodes``: those of
    the plans that it belongs to, where they are at hand. ``touches``: unless it is keys, nothing of that matters.
    """

    def __init__(
        self,
        written_keys: list[bytes],
        may_write_other_keys: bool,
        other_db: int | None,
        unawaited_nodes: list[Node],
        unawaited_payload: bytes | None,
        expiry_effect: ExpiryEffect = SET,
        nodes: list[Node] | None = None,
        touches: Touches = TOUCHES_KEYS,
    ) -> None:
        self.nodes: Final = nodes
        self.touches: Final = touches
        self.expiry_effect: Final = expiry_effect
        self.written_keys: Final = written_keys
        self.may_write_other_keys: Final = may_write_other_keys
        self.other_db: Final = other_db
        self.unawaited_nodes: Final = unawaited_nodes
        self.unawaited_payload: Final = unawaited_payload


@final
class DigestForm:
    """A script that copies may run by its digest, once their connections have carried its text.

    ``payload`` is the request then, ``publisher_payload`` that of a copy which publishes.
    """

    def __init__(self, digest: bytes, text: bytes, payload: bytes, publisher_payload: bytes | None) -> None:
        self.digest: Final = digest
        self.text: Final = text
        self.payload: Final = payload
        self.publisher_payload: Final = publisher_payload


@final
class Interposed:
    """What is special of a script that copies run behind a prologue.

    ``shown``: what the client reads in errors in place of what they run. ``publisher``, if any, is sent
    ``publisher_payload`` in place of what the others are sent. ``by_digest``, if any, is shorter.
    """

    def __init__(
        self,
        shown: ShownWords,
        publisher_payload: bytes | None,
        publisher: Node | None,
        by_digest: DigestForm | None = None,
    ) -> None:
        self.shown: Final = shown
        self.publisher_payload: Final = publisher_payload
        self.publisher: Final = publisher
        self.by_digest: Final = by_digest

    def digest_payload_for(self, node: Node, by_digest: DigestForm) -> bytes:
        """What this copy is sent if it has the text."""
        publisher_payload = by_digest.publisher_payload
        return publisher_payload if node is self.publisher and publisher_payload is not None else by_digest.payload

    def payload_for(self, node: Node, payload: bytes | None) -> bytes | None:
        """What this copy is sent, where the others are sent ``payload``."""
        return self.publisher_payload if node is self.publisher else payload


@final
class Gather(Plan):
    """Ask all ``plans``; ``response_policy`` (see `kidoproxy.replies.merge`) makes one reply of theirs.

    ``frames[i]`` is the request that ``plans[i]`` is about, where it is not the client's own. The rest is given where
    it applies:

    * ``split``: of a command that was split by key;
    * ``stream_names``: the streams of an XREAD, in the order in which the reply has them;
    * ``scan_step``: of a SCAN, whose cursor is to be rewritten;
    * ``group``: the plans are the copies of one command, leader first: the group decides between their replies;
    * ``write``: the command is a write to that group;
    * ``interposed``: copies run another script than the client's own.
    """

    def __init__(
        self,
        plans: list[Plan],
        response_policy: int,
        frames: list[bytes] | None = None,
        *,
        split: KeySplit | None = None,
        stream_names: list[bytes] | None = None,
        scan_step: ScanStep | None = None,
        group: CopyGroup | None = None,
        write: WriteScope | None = None,
        interposed: Interposed | None = None,
    ) -> None:
        super().__init__(GATHER)
        self.plans: Final = plans
        self.response_policy: Final = response_policy
        self.frames: Final = frames
        self.split: Final = split
        self.stream_names: Final = stream_names
        self.scan_step: Final = scan_step
        self.group: Final = group
        self.write: Final = write
        self.interposed: Final = interposed

    def __repr__(self) -> str:
        return "[" + ", ".join(repr(plan) for plan in self.plans) + "]"


@final
class DirectReply(Plan):
    """A reply that is already known: an error, or something that the proxy itself can say."""

    def __init__(self, frame: bytes) -> None:
        super().__init__(DIRECT_REPLY)
        self.frame: Final = frame

    def __repr__(self) -> str:
        return repr(self.frame)


class AttemptPlanner:
    """Plans the attempts of a client that waits, each with the copies as they are then; a copy pool implements it."""

    def plan_attempt(self) -> Plan:
        """Who is asked for what is there now."""
        raise NotImplementedError


@final
class Wait(Plan):
    """Let the client wait until one of ``keys`` of a group's copies has something for it.

    Of the streams of an XREADGROUP that is something for ``consumer_group``, which is empty for other commands.
    """

    def __init__(self, group: CopyGroup, keys: list[bytes], consumer_group: bytes, attempts: AttemptPlanner) -> None:
        super().__init__(WAIT)
        self.group: Final = group
        self.keys: Final = keys
        self.consumer_group: Final = consumer_group
        self.attempts: Final = attempts

    def __repr__(self) -> str:
        return f"wait for {self.keys!r}, then {self.attempts.plan_attempt()!r}"


@final
class LeaderFirst(Plan):
    """A write to ``group`` that its leader decides alone; then the other copies get the ``effect`` (see `spec`).

    ``argv`` is what the leader is asked. ``keys`` are all that it names, the one that says who leads first;
    ``written_keys`` those of them whose values it may change; if it ``may_read_other_keys`` it waits until nobody has a
    turn at any key. ``asks_pubsub_node``: the copy that messages are
    published to is asked in the leader's place. ``queued``: the frames of a transaction, which the leader is asked in
    place of ``argv``; the reply is the array of theirs. ``repeated``: the indices of those that every copy runs itself
    (`CommandSpec.commutes`).
    """

    def __init__(
        self,
        group: CopyGroup,
        argv: list[bytes],
        keys: list[bytes],
        written_keys: list[bytes],
        effect: int,
        asks_pubsub_node: bool = False,
        queued: list[bytes] | None = None,
        may_read_other_keys: bool = False,
        repeated: list[int] | None = None,
    ) -> None:
        super().__init__(LEADER_FIRST)
        self.group: Final = group
        self.argv: Final = argv
        self.keys: Final = keys
        self.written_keys: Final = written_keys
        self.effect: Final = effect
        self.asks_pubsub_node: Final = asks_pubsub_node
        self.queued: Final = queued
        self.may_read_other_keys: Final = may_read_other_keys
        self.repeated: Final = repeated or []

    def __repr__(self) -> str:
        leader = self.group.leader(self.keys[0] if self.keys else None)
        return f"{leader.name if leader is not None else 'nobody'} first"


@final
class AwaitTurn(Plan):
    """``plan``, when nobody has a turn at these keys of ``group`` any more; without keys, at any key."""

    def __init__(self, group: CopyGroup, keys: list[bytes], plan: Plan) -> None:
        super().__init__(AWAIT_TURN)
        self.group: Final = group
        self.keys: Final = keys
        self.plan: Final = plan

    def __repr__(self) -> str:
        return f"{self.plan!r} in its turn"
