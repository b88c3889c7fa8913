"""Repairs single keys whose copies were seen to differ: copies them from the key's leader to every other copy in sync.

Order of events for one key: its leader is proved to be another server than the first target (a proof is used again
while the connections stand), the key is copied there, then to the next target; after the last one the key is done with,
unless it was noted once more meanwhile, and the next key is begun, up to `KEYS_PER_TURN`. A target that cannot be
repaired is behind. If it was the leader that failed, nobody is to blame: the key stays noted and its next leader is
asked. If the client was answered by another copy than the leader, what that one holds is copied.
"""

from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.key_turns import DbKey
from kidoproxy.replication.source_proof import Proof, SourceVerifier
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
        self.targets: list[Node] = []
        self.prover: SourceVerifier | None = None
        self.transfer: Transfer | None = None
        #: By leader and target: that the one may decide what the other holds.
        self.proofs: dict[tuple[int, int], Proof] = {}
        self.repaired_count = 0
        self.left_in_turn = 0

    def busy(self) -> bool:
        return self.prover is not None or self.transfer is not None

    def begin(self, wall_ms: int) -> None:
        """A turn begins: go on with the first key that is noted; there is one, and its leader can be reached."""
        self.wall_ms = wall_ms
        self.left_in_turn = KEYS_PER_TURN
        self.begin_next()

    def begin_next(self) -> None:
        db_key = next(iter(self.group.to_repair))
        if self.group.key_turns.is_taken([db_key]):
            # Its leader is ahead of the others. The next key is tried, unless this one's repair is under way.
            if not self.targets:
                self.group.to_repair[db_key] = self.group.to_repair.pop(db_key)
            return
        ranked = repair_order(self.group, db_key)
        leader = ranked[0]
        if not self.targets:
            self.targets = [node for node in ranked[1:] if node.live]
            # The others may differ, and nobody can tell now.
            self.group.mark_behind([node for node in ranked[1:] if not node.live], db_key[0], [db_key[1]])
        target = self.targets.pop() if self.targets else None
        if target is None or target is leader:
            forget_repaired(self.group, db_key)
            return
        self.db_key = db_key
        # If it is noted once more meanwhile it is not done with afterwards.
        self.group.to_repair[db_key] = False
        self.ensure_proof(leader, target)

    def ensure_proof(self, leader: Node, target: Node) -> None:
        """Copy the key when it is proved that the leader may decide what the target holds."""
        proof = self.proofs.get((leader.node_id, target.node_id))
        if proof is not None and proof.is_valid():
            self.copy_key(proof)
        else:
            self.prover = SourceVerifier(self.executor, self.group, leader, target, self.wall_ms)
            self.prover.begin(self)

    def copy_key(self, proof: Proof) -> None:
        db, key = self.db_key
        if self.group.key_turns.is_taken([self.db_key]):
            # Its leader is ahead since the proof was asked for: this copy's turn comes again.
            self.targets.append(proof.target_connection.node)
            return
        self.transfer = Transfer(self.executor, proof, db, [key], False, self.wall_ms)
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
        elif transfer is not None:
            self.on_copy_repaired(transfer.proof, batch_reply.problem)

    def on_copy_repaired(self, proof: Proof, problem: str) -> None:
        """The target holds the key as the leader does; or it could not be repaired, then it is behind."""
        if problem and not proof.source_connection.is_ready():
            # Not the copy's fault: the next leader is asked, if there is one.
            self.targets.clear()
            return
        if problem:
            self.group.mark_behind([proof.target_connection.node], self.db_key[0], [self.db_key[1]])
        self.repaired_count += 1
        if not self.targets and not self.group.to_repair.get(self.db_key, False):
            forget_repaired(self.group, self.db_key)
        self.left_in_turn -= 1
        if not problem and self.left_in_turn > 0 and self.group.to_repair:
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
