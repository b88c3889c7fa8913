"""Repairs single keys whose copies were seen to differ: copies them from the key's leader to every other copy in sync.

Order of events for one key: its leader is proved to be another server than the first target (a proof is used again
while the connections stand), the key is copied there, then to the next target; after the last one the key is done with,
unless it was noted once more meanwhile, and the next key is begun, up to `KEYS_PER_TURN`. A target that cannot be
repaired is behind. If it was the leader that failed, nobody is to blame: the key stays noted and its next leader is
asked. If the client was answered by another copy than the leader, what that one holds is copied.

Keys that their leader is deciding just now come later. If all are, the first one is waited for in its turn, so that it
is repaired however often it is decided.
"""

from functools import partial
from itertools import islice
from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback
from kidoproxy.replication.content_transfer import new_transfer
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.key_turns import DbKey, OrderingTurn
from kidoproxy.replication.source_proof import Proof, SourceVerifier, source_not_in_sync
from kidoproxy.replication.transfer import Transfer
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import Executor

#: So many keys are repaired one after another before syncs that wait have their turn.
KEYS_PER_TURN: Final = 500


@final
class KeyRepairer(Callback):
    """Repairs one key of the group at a time, on one copy after another."""

    def __init__(self, executor: Executor, group: CopyGroup) -> None:
        self.executor = executor
        self.group = group
        self.wall_ms = 0
        self.db_key: tuple[int, bytes] = (0, b"")
        self.source: Node | None = None
        self.targets: list[Node] = []
        self.prover: SourceVerifier | None = None
        #: What it waits for behind the leader's decisions.
        self.turn: OrderingTurn | None = None
        self.transfer: Transfer | None = None
        #: By leader and target: that the one may decide what the other holds.
        self.proofs: dict[tuple[int, int], Proof] = {}
        self.repaired_count = 0
        self.left_in_turn = 0

    def busy(self) -> bool:
        return self.prover is not None or self.transfer is not None or self.turn is not None

    def begin(self, wall_ms: int) -> None:
        """A turn begins: go on with the first key that is noted; there is one, and its leader can be reached."""
        self.wall_ms = wall_ms
        self.left_in_turn = KEYS_PER_TURN
        self.begin_next()

    def begin_next(self) -> None:
        db_key = self.next_key()
        ranked = repair_order(self.group, db_key)
        leader = ranked[0]
        if not self.targets or db_key != self.db_key or leader is not self.source:
            # One that decides since then decides for all others.
            self.source = leader
            self.targets = [node for node in ranked[1:] if node.live]
            # If it is noted once more meanwhile it is not done with afterwards.
            self.group.to_repair[db_key] = False
            # The others may differ, and nobody can tell now.
            self.group.mark_behind([node for node in ranked[1:] if not node.live], db_key[0], [db_key[1]])
        self.db_key = db_key
        if not self.targets:
            forget_repaired(self.group, db_key)
            return
        self.ensure_proof(leader, self.targets.pop())

    def next_key(self) -> DbKey:
        """The key whose repair is under way; else one that nobody decides now, if there is one among the first."""
        to_repair, key_turns = self.group.to_repair, self.group.key_turns
        if self.targets and self.db_key in to_repair:
            return self.db_key
        for db_key in islice(to_repair, KEYS_PER_TURN if key_turns.busy else 1):
            if not key_turns.is_taken([db_key]):
                return db_key
        return next(iter(to_repair))

    def ensure_proof(self, leader: Node, target: Node) -> None:
        """Copy the key when it is proved that the leader may decide what the target holds."""
        proof = self.proofs.get((leader.node_id, target.node_id))
        if proof is not None and proof.is_valid():
            self.copy_key(proof)
        else:
            self.prover = SourceVerifier(self.executor, self.group, leader, target, self.wall_ms)
            self.prover.begin(self)

    def copy_key(self, proof: Proof) -> None:
        """Copy it, as soon as its leader is not ahead of the others any more."""
        if self.group.key_turns.is_taken([self.db_key]):
            self.turn = OrderingTurn(self.group.key_turns, [self.db_key], partial(self.copy_in_turn, proof))
            self.group.key_turns.ask(self.turn)
        else:
            self.start_transfer(proof)

    def copy_in_turn(self, proof: Proof) -> None:
        """All have been told. If the proof does not hold any more, or another copy leads, it is begun again."""
        self.turn = None
        ranked = repair_order(self.group, self.db_key)
        if proof.is_valid() and ranked and ranked[0] is proof.source_connection.node:
            self.start_transfer(proof)
        else:
            self.targets.append(proof.target_connection.node)

    def start_transfer(self, proof: Proof) -> None:
        db, key = self.db_key
        size = self.group.scrub.large_sizes.get(self.db_key, 0)
        self.transfer = new_transfer(self.executor, proof, db, [key], False, self.wall_ms, size)
        self.transfer.begin(self)

    def on_done(self, batch_reply: BatchReply) -> None:
        """The proof was given, or the key was copied, or one of the two failed."""
        prover, transfer = self.prover, self.transfer
        self.prover = self.transfer = None
        if prover is not None and not batch_reply.problem:
            proof = prover.proof
            self.proofs[(proof.source_connection.node.node_id, proof.target_connection.node.node_id)] = proof
            self.copy_key(proof)
        elif prover is not None:
            self.on_copy_repaired(prover.proof, batch_reply.problem)
        elif transfer is not None and transfer.dump_refused:
            self.copy_key(transfer.proof)
        elif transfer is not None:
            self.on_copy_repaired(transfer.proof, batch_reply.problem)

    def on_copy_repaired(self, proof: Proof, problem: str) -> None:
        """The target holds the key as the leader does; or it could not be repaired, then it is behind."""
        source = proof.source_connection
        if problem and (not source.is_ready() or source_not_in_sync(self.group, source.node)):
            # Not the copy's fault: the next leader is asked, if there is one.
            self.targets.clear()
            return
        if problem:
            self.group.mark_behind([proof.target_connection.node], self.db_key[0], [self.db_key[1]])
        self.repaired_count += 1
        if not self.targets and not self.group.to_repair.get(self.db_key, False):
            forget_repaired(self.group, self.db_key)
        self.group.repair_waits.tick(self.executor.now, self.group.to_repair)
        self.left_in_turn -= 1
        if not problem and self.left_in_turn > 0 and self.group.to_repair and self.group.elected:
            self.begin_next()


def repair_order(group: CopyGroup, db_key: DbKey) -> list[Node]:
    """The copies in sync, the one first that decides what the others hold for this key."""
    nodes = group.ranked(db_key[1])
    source = group.repair_sources.get(db_key)
    if source is not None and source.live and source in nodes:
        nodes.remove(source)
        nodes.insert(0, source)
    return nodes


def forget_repaired(group: CopyGroup, db_key: DbKey) -> None:
    """The copies of this key are equal, or there is no other copy."""
    group.to_repair.pop(db_key, None)
    group.repair_sources.pop(db_key, None)
