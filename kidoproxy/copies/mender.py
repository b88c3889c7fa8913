"""Mends single keys whose copies were seen to differ: copied from the key's leader to every other copy in sync."""

from typing import final

from kidoproxy.copies.answers import Answers, Boss
from kidoproxy.copies.proof import Proof, Prover
from kidoproxy.copies.transfer import Transfer
from kidoproxy.exchange import Exchange
from kidoproxy.routes.topology import CopyGroup, Node


@final
class Mender(Boss):
    """One key at a time, one copy after another."""

    def __init__(self, exchange: Exchange, group: CopyGroup) -> None:
        self.exchange = exchange
        self.group = group
        self.wall_ms = 0
        self.place: tuple[int, bytes] = (0, b"")
        self.targets: list[Node] = []
        self.prover: Prover | None = None
        self.transfer: Transfer | None = None
        #: By leader and target: that the one may decide what the other holds.
        self.proofs: dict[tuple[int, int], Proof] = {}
        self.mended = 0

    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return self.prover is not None or self.transfer is not None

    def begin(self, wall_ms: int) -> None:
        """The next copy of the first key that waits; some copy in sync can be reached, and the first is its leader."""
        self.wall_ms = wall_ms
        place = next(iter(self.group.to_mend))
        ranked = self.group.ranked(place[1])
        leader = ranked[0]
        if not self.targets:
            self.targets = [node for node in ranked[1:] if node.live]
            # The others may differ, and nobody can tell now.
            self.group.leave([node for node in ranked[1:] if not node.live])
        target = self.targets.pop() if self.targets else None
        if target is None or target is leader:
            self.group.to_mend.pop(place, None)
            return
        self.place = place
        # If it is noted once more meanwhile it is not done with afterwards.
        self.group.to_mend[place] = False
        self.prove(leader, target)

    def prove(self, leader: Node, target: Node) -> None:
        """The leader may decide what the target holds, if it is another server."""
        proof = self.proofs.get((leader.index, target.index))
        if proof is not None and proof.holds():
            self.copy(proof)
        else:
            self.prover = Prover(self.exchange, self.group, leader, target, self.wall_ms)
            self.prover.begin(self)

    def copy(self, proof: Proof) -> None:
        """Bring the key over."""
        db, key = self.place
        self.transfer = Transfer(self.exchange, proof, db, [key], False, self.wall_ms)
        self.transfer.begin(self)

    def done(self, answers: Answers) -> None:
        """It is proved, or a copy of the key has been mended, or one of the two failed."""
        prover, transfer = self.prover, self.transfer
        self.prover = self.transfer = None
        if prover is not None and not answers.problem:
            proof = prover.proof
            self.proofs[(proof.source.node.index, proof.target.node.index)] = proof
            self.copy(proof)
        elif prover is not None:
            self.ended(prover.proof, answers.problem)
        elif transfer is not None:
            self.ended(transfer.proof, answers.problem)

    def ended(self, proof: Proof, problem: str) -> None:
        """One copy of one key has been mended, or could not be: then that copy is behind."""
        if problem and not proof.source.ready():
            # Not the copy's fault: the next leader is asked, if there is one.
            self.targets.clear()
            return
        if problem:
            self.group.leave([proof.target.node])
        self.mended += 1
        if not self.targets and not self.group.to_mend.get(self.place, False):
            self.group.to_mend.pop(self.place, None)
