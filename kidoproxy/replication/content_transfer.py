"""Copies a batch of keys by their contents, to a server that does not read the source's DUMPs.

The order of events is a `transfer.Transfer`'s, with one question before it: the source is asked for the types of the
keys, as each has a command of its own for its contents. TYPE is asked again together with the contents, at one point of
the order: if it is another one by now, all is asked anew. As time goes by until then, a leader that decides something
about the keys meanwhile is waited for once more. What differs in meaning is rebuilt, each key in a transaction
of its own (`key_contents`), so that nobody reads half of it.

Slower than DUMP and RESTORE, which is why it comes after them. What has no commands for its contents (a module's type),
a hash whose fields expire (older servers know no such thing), and what is too large for one turn of the loop cannot be
copied so: ``problem`` says it.
"""

from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback, send_transaction
from kidoproxy.replication.key_contents import rebuild_requests
from kidoproxy.replication.key_meaning import content_request, fields_may_expire, meaning
from kidoproxy.replication.key_state import KeyState, expiry_request, parse_key_state, tells_expiry_as_moment
from kidoproxy.replication.key_turns import OrderingTurn
from kidoproxy.replication.parse_replies import first_error, parse_array, parse_bulk, parse_status
from kidoproxy.replication.source_proof import Proof
from kidoproxy.replication.transfer import Transfer
from kidoproxy.resp.encode import bulk, null
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import Executor

RESP2: Final = 2
#: A value with more bytes than this is not taken apart: the loop would stand still for some 20 ms.
MAX_CONTENT_BYTES: Final = 2 << 20
#: The same where nobody had asked for the size (a repair), or it has grown since: of the reply, which is longer.
MAX_REPLY_BYTES: Final = 8 << 20
#: A key whose type is another one whenever it is asked for is given up after so many times.
MAX_ATTEMPTS: Final = 5
#: The replies for each key.
_REPLIES: Final = 4
_NONE: Final = b"none"
_STRING: Final = b"string"
_HASH: Final = b"hash"


def new_transfer(
    executor: Executor, proof: Proof, db: int, keys: list[bytes], fill_only: bool, wall_ms: int, size: int = 0
) -> Transfer:
    """What copies these keys from the one to the other: by DUMP, unless the target was seen to refuse it."""
    if proof.needs_contents:
        return ContentTransfer(executor, proof, db, keys, fill_only, wall_ms, size)
    return Transfer(executor, proof, db, keys, fill_only, wall_ms, size)


@final
class ContentTransfer(Transfer):
    """`Transfer` by contents."""

    def __init__(
        self, executor: Executor, proof: Proof, db: int, keys: list[bytes], fill_only: bool, wall_ms: int, size: int = 0
    ) -> None:
        super().__init__(executor, proof, db, keys, fill_only, wall_ms, size)
        self.proto = RESP2
        #: By key, its type as the source says it; empty until it has.
        self.kinds: list[bytes] = []
        self.attempts = 0
        #: What it waits for behind a leader's decisions.
        self.turn: OrderingTurn | None = None
        #: By key, the source's reply to the command for its contents.
        self.contents: list[bytes] = []

    def begin(self, callback: Callback) -> None:
        self.callback = callback
        self.ask_types()

    def ask_types(self) -> None:
        self.kinds = []
        self.attempts += 1
        requests = [[b"TYPE", key] for key in self.keys]
        send_transaction(self.source_connection, BatchReply(self, 1), 0, requests, self.db, self.executor.now, 0)

    def on_read(self, problem: str, replies: list[bytes]) -> None:
        """First the types are there, then the contents; these are of no use if a type has changed."""
        if problem:
            super().on_read(problem, replies)
        elif not self.kinds:
            self.on_types(replies[0])
        elif self.attempts < MAX_ATTEMPTS and self.has_other_types(replies[0]):
            self.target_connection.unhold(self.executor.now)
            self.ask_types()
        else:
            super().on_read(problem, replies)

    def on_types(self, raw: bytes) -> None:
        """Ask for the contents, if all of them can be taken apart."""
        kinds = [parse_status(each) for each in parse_array(raw) or []]
        # What is not there may come: most of what comes suddenly is a string.
        self.kinds = [_STRING if kind == _NONE else kind or b"" for kind in kinds]
        problem = self.unfit_cause()
        if problem:
            self.is_reading = False
            self.finish(problem)
        else:
            self.read_in_turn()

    def read_in_turn(self) -> None:
        """Ask for the contents when no leader is ahead of the others in these keys."""
        key_turns = self.proof.group.key_turns
        db_keys = [(self.db, key) for key in self.keys]
        if key_turns.is_taken(db_keys):
            self.turn = OrderingTurn(key_turns, db_keys, self.read)
            key_turns.ask(self.turn)
        else:
            self.read()

    def cancel(self) -> None:
        if self.turn is not None:
            self.turn.cancel()
        super().cancel()

    def unfit_cause(self) -> str:
        """Why these keys cannot be copied so; empty if they can."""
        source, target = self.source_connection.node.name, self.target_connection.node.name
        if len(self.kinds) != len(self.keys):
            return f"{source} gave no sensible answer to TYPE"
        foreign = [kind for kind in self.kinds if content_request(kind, b"") is None]
        cause = f"{target} does not read DUMPs of {source}, a newer server"
        if foreign:
            return (
                f"{cause}, and a value of type {foreign[0].decode('ascii', 'replace')!r} can be copied in no other way"
            )
        if self.estimated_bytes > MAX_CONTENT_BYTES and self.kinds != [_STRING]:
            return self.too_large(0, self.estimated_bytes)
        return ""

    def too_large(self, at: int, size: int) -> str:
        """That one of the keys cannot be copied so."""
        source, target = self.source_connection.node.name, self.target_connection.node.name
        return (
            f"{target} does not read DUMPs of {source}, a newer server, and a {self.kinds[at].decode()} of "
            f"{size} bytes is too large otherwise"
        )

    def read_requests(self, node: Node) -> list[list[bytes]]:
        """Type, contents, expiry; and of a hash the DUMP, which says whether any of its fields expire."""
        requests: list[list[bytes]] = []
        for kind, key in zip(self.kinds, self.keys, strict=True):
            content = content_request(kind, key) or []
            mark = [b"DUMP", key] if kind == _HASH else [b"EXISTS", key]
            requests += [[b"TYPE", key], content, expiry_request(node, key), mark]
        return requests

    def has_other_types(self, raw: bytes) -> bool:
        """Whether the source says another type by now; a key that is gone has none."""
        kinds = [parse_status(each) for each in (parse_array(raw) or [])[::_REPLIES]]
        return any(kind not in (self.kinds[at], _NONE) for at, kind in enumerate(kinds[: len(self.kinds)]))

    def parse_states(self, node: Node, raw: bytes) -> list[KeyState]:
        """One state for each key, whose ``dump`` is its type and meaning."""
        parts = parse_array(raw) or []
        states: list[KeyState] = []
        is_source = node is self.source_connection.node
        for at in range(len(self.keys) if len(parts) == _REPLIES * len(self.keys) else 0):
            state = self.parse_state(node, at, parts[_REPLIES * at : _REPLIES * (at + 1)])
            if state is None:
                break
            states.append(state)
            if is_source:
                self.contents.append(parts[_REPLIES * at + 1])
        if len(states) == len(self.keys):
            return states
        error = first_error(parts) if is_source else ""
        self.problem = self.problem or error or f"{node.name} gave no sensible answer about types and contents"
        return []

    def parse_state(self, node: Node, at: int, parts: list[bytes]) -> KeyState | None:
        """What the replies for one key mean."""
        kind, content, expiry, mark = parse_status(parts[0]), parts[1], parts[2], parts[3]
        is_source = node is self.source_connection.node
        if is_source and kind not in (self.kinds[at], _NONE):
            self.problem = f"{node.name} says another type of a key whenever it is asked"
            return None
        if kind is None:
            return None
        is_large = len(content) > MAX_REPLY_BYTES and self.kinds[at] != _STRING
        if is_source and is_large:
            self.problem = self.too_large(at, len(content))
            return None
        if is_source and kind == _HASH and fields_may_expire(parse_bulk(mark) or b""):
            self.problem = f"{self.target_connection.node.name} is too old for fields of a hash that expire"
            return None
        # What is too large at the target is another value, as the source's is none.
        value = bulk(kind) if is_large else bulk(kind + b":" + meaning(self.kinds[at], content))
        if kind == _NONE:
            value = null(RESP2)
        return parse_key_state(expiry_request(node, b""), value, expiry, self.wall_ms)

    def change(self, index: int, state: KeyState) -> list[list[bytes]]:
        """UNLINK, or all that makes the key anew."""
        key = self.keys[index]
        if state.dump is None:
            return [[b"UNLINK", key]]
        target = self.target_connection.node
        knows_counters = tells_expiry_as_moment(target)
        requests = rebuild_requests(self.kinds[index], key, self.contents[index], state.expires_ms, knows_counters)
        if requests is None:
            self.problem = f"{self.source_connection.node.name} gave no sensible answer about the contents of a key"
        return requests or []
